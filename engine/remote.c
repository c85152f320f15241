/*
 * remote.c - remote calls through the self-restoring stub.
 *
 * One thread T is at an event stop; R are its registers. The steps, and what
 * happens if skewctl dies right after each:
 *
 *   1 save R       the journal has them; the target is untouched.
 *   2 write stub   one pwrite (or words, memory.c) into zero bytes where no
 *                  thread's program counter can be. Nobody goes there; recover
 *                  zeroes it. Behind it the address of the image is noted,
 *                  should the journal be lost.
 *   3 SETREGS      T goes on in the stub: makes the call, restores R as the
 *                  kernel would have resumed it, restart included, and goes on.
 *                  A mapping it makes is at the address the journal has.
 *   4 syscall stop same as 3, from wherever T is in the stub.
 *   5 SETREGS R    T goes on from R. Not followed by CONT from a syscall-exit
 *                  stop, where restart codes would reach the program: either
 *                  DETACH, or the death of the tracer, both of which make the
 *                  kernel look at them.
 *   6 zero stub    as before.
 *
 * If a step of ptrace or a wait fails between 3 and the end of the call, nobody
 * knows where in the stub T is, or whether the kernel would make the call of R
 * once more (at a syscall-entry stop it would). Then nothing is put back or
 * zeroed: T is let go as if skewctl had died, and what is left is recover's.
 * Only where T runs on its way through the stub and does not come out in time (its
 * cgroup was frozen meanwhile) it is stopped once more, and R goes back.
 *
 * Where T's seccomp filters are suspended, that is from 3 to 4. It ends with the
 * tracer: if skewctl dies then, the filters judge the call, and may kill T.
 *
 * If a signal arrives while T runs in the stub or the readback, T reports it
 * before any handler frame is built. R goes back, the signal is delivered
 * there, T stops at the handler's first instruction, and the call starts again
 * from these registers. If skewctl dies in that very window the kernel builds
 * the frame on top of the stub, which restores R when the handler returns; the
 * interrupted system call is then restarted where a handler without SA_RESTART
 * would have made it return EINTR.
 *
 * If another thread is anywhere: the stub is private to T, is not reachable
 * from any code, and calls only mmap, munmap or the vDSO.
 */
#include "engine/remote.h"

#include <errno.h>
#include <linux/rseq.h>
#include <stddef.h>
#include <string.h>

#include "engine/error.h"
#include "engine/memory.h"
#include "engine/vdso.h"

/* stop window begins */

#define SIGNAL_RETRIES 1000
/* The readback makes system calls of its own where the vDSO falls back to them. */
#define SYSCALL_STOPS_MAX 64
#define SYSCALL_SIZE      2

static enum skew_code remote_error(const struct remote *remote, int errnum, const char *message,
                                   struct skew_error *error)
{
    return error_set_plain(error, SKEW_FAILED, remote->tracer->target->pid, remote->tracee->tid,
                           errnum, "remote call", message);
}

/*
 * A thread inside a restartable sequence (rseq(2)) is moved to the sequence's
 * abort handler, as the kernel does with one that was preempted there. The
 * kernel itself would not see it: the thread comes back from the stub, which
 * lies outside the sequence.
 */
static void rseq_abort(struct remote *remote)
{
    struct tracee *tracee = remote->tracee;
    int memory = remote->tracer->memory;
    uint64_t address = tracee_rseq_address(tracee);
    uint64_t sequence;
    struct rseq_cs section;
    if (address == 0 ||
        !memory_read(memory, address + offsetof(struct rseq, rseq_cs), &sequence,
                     sizeof sequence) ||
        sequence == 0 || !memory_read(memory, sequence, &section, sizeof section)) {
        return;
    }
    if (arch_program_counter(&tracee->registers) - section.start_ip < section.post_commit_offset) {
        arch_program_counter_set(&tracee->registers, section.abort_ip);
    }
}

static enum skew_code remote_arm(struct remote *remote, struct skew_error *error)
{
    if (remote->armed) {
        return SKEW_OK;
    }
    rseq_abort(remote);
    enum skew_code code =
        remote->save(remote->save_context, remote->tracee->tid, &remote->tracee->registers, error);
    if (code != SKEW_OK) {
        return code;
    }
    static const uint8_t zeroes[ARCH_STUB_SIZE];
    if (!remote->taken &&
        !memory_equals(remote->tracer->memory, remote->stub, zeroes, sizeof zeroes)) {
        return remote_error(remote, 0, "something lies where the call would be made", error);
    }
    uint8_t stub[ARCH_STUB_SIZE] = {0};
    arch_stub_build(&remote->tracee->registers, stub);
    memcpy(stub + VDSO_NOTE_OFFSET, &remote->image, sizeof remote->image);
    /* Also where the write fails: some of it may be there. */
    remote->taken = true;
    if (!memory_write(remote->tracer, remote->stub, stub, sizeof stub)) {
        return remote_error(remote, errno, "cannot write into the vDSO's slack", error);
    }
    remote->armed = true;
    return SKEW_OK;
}

/* Where the user asked for it: T's filters, for the way through the stub alone. */
static enum skew_code filters_suspend(struct remote *remote, bool suspended,
                                      struct skew_error *error)
{
    int errnum = remote->tracee->suspend ? tracee_seccomp_suspend(remote->tracee, suspended) : 0;
    return errnum == 0
               ? SKEW_OK
               : error_set_plain(error, SKEW_REFUSED, remote->tracer->target->pid,
                                 remote->tracee->tid, errnum, "suspend seccomp",
                                 "its seccomp filter cannot be suspended or put in force again");
}

/* Runs T until it stops at the system call of the stub; tracee->signal tells if it did not. */
static enum skew_code remote_stub_reach(struct remote *remote, arch_registers *registers,
                                        struct skew_error *error)
{
    for (int stops = 0; stops < SYSCALL_STOPS_MAX; stops++) {
        enum skew_code code = tracee_syscall_step(remote->tracer, remote->tracee, error);
        if (code != SKEW_OK || remote->tracee->signal != 0) {
            return code;
        }
        code = tracee_registers_get(remote->tracee, registers, error);
        if (code != SKEW_OK || arch_program_counter(registers) == remote->stub + SYSCALL_SIZE) {
            return code;
        }
    }
    return remote_error(remote, 0, "the thread did not come to the end of the call", error);
}

/* Runs T once through the stub, to the end of the system call or to a signal. */
static enum skew_code remote_pass(struct remote *remote, arch_registers *registers,
                                  struct skew_error *error)
{
    enum skew_code code = filters_suspend(remote, true, error);
    if (code != SKEW_OK) {
        return code;
    }
    code = tracee_registers_set(remote->tracee, registers, error);
    remote->adrift = code == SKEW_OK;
    if (code == SKEW_OK) {
        code = remote_stub_reach(remote, registers, error);
    }
    if (code == SKEW_OK && remote->tracee->signal == 0) {
        /* That was the entry; the exit follows. */
        code = tracee_syscall_step(remote->tracer, remote->tracee, error);
    }
    /* Where it did not stop, remote_finish does this. */
    return code == SKEW_OK ? filters_suspend(remote, false, error) : code;
}

static enum skew_code remote_run(struct remote *remote,
                                 void (*prepare)(arch_registers *, const void *),
                                 const void *context, long *result, struct skew_error *error)
{
    for (int attempt = 0; attempt < SIGNAL_RETRIES; attempt++) {
        arch_registers registers;
        enum skew_code code = remote_arm(remote, error);
        if (code == SKEW_OK) {
            registers = remote->tracee->registers;
            prepare(&registers, context);
            code = remote_pass(remote, &registers, error);
        }
        if (code != SKEW_OK) {
            return code;
        }
        /* At the exit of the call, or in front of a signal: its own registers may go back. */
        if (remote->tracee->signal == 0) {
            code = tracee_registers_get(remote->tracee, &registers, error);
            remote->adrift = code != SKEW_OK;
            *result = arch_syscall_result(&registers);
            return code;
        }
        remote->adrift = false;
        if (tracee_signal_is_refusal(remote->tracee, remote->stub + SYSCALL_SIZE)) {
            /* It was meant for the call, not for the program. */
            remote->tracee->signal = 0;
            return error_set_plain(error, SKEW_REFUSED, remote->tracer->target->pid,
                                   remote->tracee->tid, 0, "remote call",
                                   "its seccomp filter or syscall dispatcher forbids the call");
        }
        code = tracee_signal_deliver(remote->tracer, remote->tracee, error);
        if (code != SKEW_OK) {
            return code;
        }
        remote->armed = false;
    }
    return remote_error(remote, 0, "signals arrive faster than a call can be made", error);
}

struct syscall_request {
    uint64_t stub;
    long number;
    const uint64_t *arguments;
};

static void syscall_prepare(arch_registers *registers, const void *context)
{
    const struct syscall_request *request = context;
    arch_syscall_prepare(registers, request->stub, request->number, request->arguments);
}

enum skew_code remote_syscall(struct remote *remote, long number, const uint64_t arguments[6],
                              long *result, struct skew_error *error)
{
    struct syscall_request request = {remote->stub, number, arguments};
    return remote_run(remote, syscall_prepare, &request, result, error);
}

static void readback_prepare(arch_registers *registers, const void *context)
{
    arch_readback_prepare(registers, *(const uint64_t *)context);
}

enum skew_code remote_readback(struct remote *remote, uint64_t image, struct skew_error *error)
{
    long ignored;
    return remote_run(remote, readback_prepare, &image, &ignored, error);
}

enum skew_code remote_finish(struct remote *remote, struct skew_error *error)
{
    if (!remote->taken) {
        return SKEW_OK;
    }
    if (remote->adrift && remote->tracee->state == TRACEE_SEIZED &&
        tracee_halt(remote->tracer, remote->tracee, error) == SKEW_OK) {
        remote->adrift = false;
        filters_suspend(remote, false, error);
    }
    if (remote->adrift) {
        remote->tracee->altered = false;
        return remote_error(remote, 0, "a call was not seen to end", error);
    }
    if (remote->tracee->state == TRACEE_SYSCALL || remote->tracee->state == TRACEE_STOPPED) {
        enum skew_code code =
            tracee_registers_set(remote->tracee, &remote->tracee->registers, error);
        if (code != SKEW_OK) {
            return code;
        }
        remote->tracee->altered = false;
    }
    uint8_t zeroes[ARCH_STUB_SIZE] = {0};
    if (!memory_write(remote->tracer, remote->stub, zeroes, sizeof zeroes)) {
        return remote_error(remote, errno, "cannot clear the vDSO's slack", error);
    }
    remote->armed = false;
    remote->taken = false;
    return SKEW_OK;
}

enum skew_code remote_conclude(struct remote *remote, enum skew_code code, struct skew_error *error)
{
    struct skew_error finish_error = {0};
    enum skew_code finish_code = remote_finish(remote, &finish_error);
    if (code == SKEW_OK && finish_code != SKEW_OK) {
        *error = finish_error;
        code = finish_code;
    }
    return code;
}

/* stop window ends */
