/*
 * restart.h - what the kernel does with an interrupted system call when the
 * thread goes on; shared by the stub and the register questions.
 */
#ifndef SKEWCTL_ASM_X86_64_RESTART_H
#define SKEWCTL_ASM_X86_64_RESTART_H

#include "asm/arch.h"

/*
 * Changes rax and rip as arch_do_signal_or_restart (arch/x86/kernel/signal.c)
 * does where no handler runs; leaves them alone where nothing is to restart.
 */
void restart_apply(const arch_registers *saved, uint64_t *rax, uint64_t *rip);

#endif
