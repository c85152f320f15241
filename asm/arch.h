/*
 * arch.h - all that skewctl knows of the instruction set and of the kernel's
 * register conventions. Outside asm/ nothing else knows an instruction byte.
 *
 * Functions here compute; none makes a system call or allocates, except
 * arch_text_relocate, whose decoder lives on the stack as well. All of them
 * may be used while a target is stopped.
 */
#ifndef SKEWCTL_ASM_ARCH_H
#define SKEWCTL_ASM_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/user.h>

#if !defined(__x86_64__)
#error "skewctl supports x86-64"
#endif

/* The entry points that are hijacked, in the order of the shim's table. */
enum arch_function { ARCH_CLOCK_GETTIME, ARCH_GETTIMEOFDAY, ARCH_TIME, ARCH_FUNCTION_COUNT };

/* Their names in the vDSO's dynamic symbol table (vdso(7)). */
const char *arch_function_symbol(enum arch_function function);

/* Registers of a stopped thread, as PTRACE_GETREGS gives them. */
typedef struct user_regs_struct arch_registers;

uint64_t arch_program_counter(const arch_registers *registers);
void arch_program_counter_set(arch_registers *registers, uint64_t address);
uint64_t arch_stack_pointer(const arch_registers *registers);
/* False for a thread in 32-bit code: none of what is here applies to it. */
bool arch_is_native(const arch_registers *registers);
/*
 * True for a thread that the kernel runs inside the process for itself: it
 * never returns to the program (arch/x86/kernel/process.c, copy_thread, clears
 * its program counter and stack pointer to tell tracers so).
 */
bool arch_is_kernels(const arch_registers *registers);
/*
 * The address at which the thread goes on if nobody interferes: one
 * instruction before the program counter where the kernel is about to restart
 * the interrupted system call (arch/x86/kernel/signal.c, arch_do_signal_or_restart).
 */
uint64_t arch_resume_address(const arch_registers *registers);

/*
 * Stopping a thread makes some system calls return EINTR although no handler
 * ran (signal(7), ptrace(2) BUGS). For those whose wait has no time limit the
 * result is replaced by the kernel's own restart code, so that they go on
 * waiting, or report EINTR if a handler does run. ARCH_INTERRUPTION_EXPOSED is
 * what is left alone, and may have been seen by the program: a wait with a time
 * limit, which would start over; a call not known to go on where it was if it is
 * made again; a transfer that returned before it was complete.
 */
enum arch_interruption {
    ARCH_INTERRUPTION_NONE,
    ARCH_INTERRUPTION_CURED,
    ARCH_INTERRUPTION_EXPOSED,
};
enum arch_interruption arch_interruption_cure(arch_registers *registers);

/* True of registers from a stop on the way out of a system call. */
bool arch_in_syscall(const arch_registers *registers);
/* True for the waits known to end with EINTR: harmless to stop only where that can be cured. */
bool arch_syscall_interruptible(uint64_t number);

/* The self-restoring stub: see asm/x86_64/stub.S. */
#define ARCH_STUB_SIZE 160
/* Writes the stub that restores `saved` and returns its length. */
size_t arch_stub_build(const arch_registers *saved, uint8_t stub[ARCH_STUB_SIZE]);
size_t arch_stub_length(void);
/*
 * True if the bytes are a stub, whatever registers it restores; those in front
 * of `from` are not looked at.
 */
bool arch_stub_matches(const uint8_t *bytes, size_t size, size_t from);

/* Registers that make a thread run system call `number` in the stub at `stub`. */
void arch_syscall_prepare(arch_registers *registers, uint64_t stub, long number,
                          const uint64_t arguments[6]);
/* Registers that make a thread run the readback routine of the image at `image`. */
void arch_readback_prepare(arch_registers *registers, uint64_t image);
/* The result at the syscall-exit stop: a value, or -errno. */
long arch_syscall_result(const arch_registers *registers);

/* The patch: a jump of ARCH_PATCH_SIZE bytes. */
#define ARCH_PATCH_SIZE 5
/* How far behind a function's entry it goes: after a landing pad, if there is one. */
size_t arch_patch_offset(const uint8_t *entry, size_t size);
/* False where the distance is too far for the jump. */
bool arch_patch_build(uint64_t address, uint64_t target, uint8_t patch[ARCH_PATCH_SIZE]);
/* True if the bytes at `address` are such a jump; *target is where it goes. */
bool arch_patch_parse(uint64_t address, const uint8_t *bytes, uint64_t *target);

/* What other injectors write there instead: see asm/x86_64/rival.c. */
#define ARCH_RIVAL_JUMP_SIZE 12
bool arch_rival_jump_parse(const uint8_t bytes[ARCH_RIVAL_JUMP_SIZE], uint64_t *target);
/* True if a system call instruction stands somewhere in the code. */
bool arch_makes_syscall(const uint8_t *code, size_t size);

/*
 * Instructions by which code learns the time without the vDSO: those that read the
 * processor's counter, and a system call for the time whose number is set in sight of it.
 */
enum arch_time_read { ARCH_TIME_NONE, ARCH_TIME_COUNTER, ARCH_TIME_CALL };
/* Where next, from there on, bytes stand that could be one; `size` where nowhere. */
size_t arch_time_candidate(const uint8_t *code, size_t size, size_t from);
#define ARCH_TIME_CANDIDATE_SIZE 3 /* at most */
/* Whether the candidate at `at` is one, in code that has an instruction at `start`. */
enum arch_time_read arch_time_read_at(const uint8_t *code, size_t size, size_t start, size_t at);
/*
 * The same where no instruction's start is known: what most starts before it agree on. Wants
 * ARCH_TIME_LOOKBACK bytes in front of it, and is less sure of its answer with fewer.
 */
#define ARCH_TIME_LOOKBACK 64
enum arch_time_read arch_time_read_guess(const uint8_t *code, size_t size, size_t at);

/*
 * A signal frame on a stack, recognised by the word that the kernel stores for
 * the segment registers (struct sigcontext in asm/sigcontext.h): words[index]
 * is that word. Gives the program counter and stack pointer that the handler's
 * return will restore.
 */
#define ARCH_FRAME_LOOKBACK 3
bool arch_frame_parse(const uint64_t *words, size_t index, uint64_t *program_counter,
                      uint64_t *stack_pointer);

/*
 * Copies the vDSO's text so that it works at `text_address`. RIP-relative
 * operands that point outside the text keep pointing there; branches stay
 * within. `vdso` is the whole vDSO, whose first byte lies at `vdso_address`.
 * On failure *reason is a literal and *where the offset of the instruction.
 */
struct arch_text {
    const uint8_t *vdso;
    size_t vdso_size;
    uint64_t vdso_address;
    size_t text_offset;
    size_t text_size;
    uint64_t text_address;
};
struct arch_relocation {
    size_t instructions;
    size_t adjusted;
    const char *reason;
    size_t where;
};
bool arch_text_relocate(const struct arch_text *text, uint8_t *copy,
                        struct arch_relocation *relocation);

/* The shim: see asm/x86_64/shim.S. */
const uint8_t *arch_shim_bytes(size_t *size);
/* Offset from the start of the shim of the entry that stands in for a function. */
size_t arch_shim_entry(enum arch_function function);
/* Points the shim's branches in `shim`, which will lie at `shim_address`, to the copies. */
bool arch_shim_link(uint8_t *shim, uint64_t shim_address,
                    const uint64_t copies[ARCH_FUNCTION_COUNT]);

#endif
