/*
 * stub.c - fills in the self-restoring stub of stub.S and recognises one.
 *
 * Promise: the bytes built here bring a thread back to `saved` exactly as the
 * kernel would have resumed it from there with no handler to run, including
 * the restart of an interrupted system call.
 */
#include "asm/arch.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "asm/x86_64/layout.h"
#include "asm/x86_64/restart.h"

extern const uint8_t skew_stub_begin[], skew_stub_end[];
extern const uint8_t skew_stub_flags[], skew_stub_direction[];
extern const uint8_t skew_stub_registers[], skew_stub_rip[];

#define EFLAGS_OVERFLOW  0x800
#define EFLAGS_DIRECTION 0x400
#define EFLAGS_TRAP      0x100
#define MOVABS_SIZE      10
#define MOVABS_IMMEDIATE 2
#define STUB_REGISTERS   10

#define OPCODE_CLD 0xfc
#define OPCODE_STD 0xfd

size_t arch_stub_length(void)
{
    return (size_t)(skew_stub_end - skew_stub_begin);
}

static size_t stub_offset(const uint8_t *label)
{
    return (size_t)(label - skew_stub_begin);
}

size_t arch_stub_build(const arch_registers *saved, uint8_t stub[ARCH_STUB_SIZE])
{
    uint64_t rax = saved->rax;
    uint64_t rip = saved->rip;
    restart_apply(saved, &rax, &rip);

    size_t length = arch_stub_length();
    memcpy(stub, skew_stub_begin, length);

    uint8_t *flags = stub + stub_offset(skew_stub_flags);
    flags[-2] = saved->eflags & EFLAGS_OVERFLOW ? 0x7f : 0;
    flags[-1] = (uint8_t)saved->eflags;
    stub[stub_offset(skew_stub_direction)] =
        saved->eflags & EFLAGS_DIRECTION ? OPCODE_STD : OPCODE_CLD;

    /* The order of the movabs instructions in stub.S. */
    const uint64_t values[STUB_REGISTERS] = {saved->rcx, saved->rdx, saved->rsi, saved->rdi,
                                             saved->r8,  saved->r9,  saved->r10, saved->r11,
                                             saved->rsp, rax};
    uint8_t *registers = stub + stub_offset(skew_stub_registers);
    for (size_t i = 0; i < STUB_REGISTERS; i++) {
        memcpy(registers + i * MOVABS_SIZE + MOVABS_IMMEDIATE, &values[i], sizeof values[i]);
    }
    memcpy(stub + stub_offset(skew_stub_rip), &rip, sizeof rip);
    return length;
}

bool arch_stub_matches(const uint8_t *bytes, size_t size, size_t from)
{
    size_t length = arch_stub_length();
    if (size < length) {
        return false;
    }
    uint8_t masked[ARCH_STUB_SIZE];
    uint8_t expected[ARCH_STUB_SIZE];
    memcpy(masked, bytes, length);
    memcpy(expected, skew_stub_begin, length);
    for (int i = 0; i < 2; i++) {
        uint8_t *stub = i == 0 ? masked : expected;
        memset(stub + stub_offset(skew_stub_flags) - 2, 0, 2);
        uint8_t *direction = stub + stub_offset(skew_stub_direction);
        if (*direction == OPCODE_STD) {
            *direction = OPCODE_CLD;
        }
        for (size_t r = 0; r < STUB_REGISTERS; r++) {
            memset(stub + stub_offset(skew_stub_registers) + r * MOVABS_SIZE + MOVABS_IMMEDIATE, 0,
                   sizeof(uint64_t));
        }
        memset(stub + stub_offset(skew_stub_rip), 0, sizeof(uint64_t));
    }
    return from >= length || memcmp(masked + from, expected + from, length - from) == 0;
}

void arch_syscall_prepare(arch_registers *registers, uint64_t stub, long number,
                          const uint64_t arguments[6])
{
    registers->rip = stub;
    registers->rax = (uint64_t)number;
    registers->rdi = arguments[0];
    registers->rsi = arguments[1];
    registers->rdx = arguments[2];
    registers->r10 = arguments[3];
    registers->r8 = arguments[4];
    registers->r9 = arguments[5];
    /* Or the kernel would take the thread to be in a system call and back up rip. */
    registers->orig_rax = (uint64_t)-1;
}

void arch_readback_prepare(arch_registers *registers, uint64_t image)
{
    extern const uint8_t skew_shim_begin[], skew_shim_readback[];
    registers->rip = image + IMAGE_SHIM + (uint64_t)(skew_shim_readback - skew_shim_begin);
    registers->rsp = image + IMAGE_STACK_TOP;
    registers->eflags &= ~(uint64_t)(EFLAGS_DIRECTION | EFLAGS_TRAP);
    registers->orig_rax = (uint64_t)-1;
}

long arch_syscall_result(const arch_registers *registers)
{
    return (long)registers->rax;
}
