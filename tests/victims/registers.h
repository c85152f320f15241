/*
 * registers.h - calls a function and shows what it did to the registers that
 * a clock read has no business with.
 */
#ifndef VICTIMS_REGISTERS_H
#define VICTIMS_REGISTERS_H

#include <stdint.h>

/*
 * The callee-saved registers of the System V ABI, and all of SSE and the x87
 * control word besides: the ABI lets a function clobber the xmm registers, but
 * no vDSO does, and neither may what stands in for it. registers.S knows these
 * offsets.
 */
struct registers {
    uint64_t rbx, rbp, r12, r13, r14, r15;
    uint8_t xmm[16][16];
    uint32_t mxcsr;
    uint16_t x87_control;
    uint16_t zero;
};

/* Loads the registers, calls function(first, second), stores them; returns its rax. */
long registers_call(void *function, long first, void *second, struct registers *registers);

#endif
