/*
 * restart_test.c - interrupted system calls: where a thread goes on, and which
 * EINTR a stop may be cured of. The oracle is the kernel's
 * arch_do_signal_or_restart (arch/x86/kernel/signal.c) and signal(7).
 */
#include "asm/x86_64/restart.h"

#include "harness.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define RIP UINT64_C(0x401002)

static arch_registers interrupted(long number, long result)
{
    return (arch_registers){
        .rip = RIP, .cs = 0x33, .orig_rax = (uint64_t)number, .rax = (uint64_t)result};
}

static void assert_resumes(long number, long result, uint64_t rax, uint64_t rip)
{
    const arch_registers registers = interrupted(number, result);
    uint64_t new_rax = registers.rax, new_rip = registers.rip;
    restart_apply(&registers, &new_rax, &new_rip);
    if (new_rax != rax || new_rip != rip)
        fail_msg("system call %ld with %ld goes on at %+ld with rax %ld", number, result,
                 (long)(new_rip - RIP), (long)new_rax);
    assert_int_equal(arch_resume_address(&registers), rip);
}

static void restart_codes_repeat_the_call(void **state)
{
    (void)state;
    for (long code = 512; code <= 514; code++) {
        assert_resumes(SYS_read, -code, SYS_read, RIP - 2);
        assert_resumes(SYS_futex, -code, SYS_futex, RIP - 2);
    }
    assert_resumes(SYS_nanosleep, -516, SYS_restart_syscall, RIP - 2);
}

static void other_results_go_on(void **state)
{
    (void)state;
    static const long results[] = {0, 1, -EINTR, -511, -515, -517, -EAGAIN, 512, 516, INT64_MIN};
    for (size_t i = 0; i < sizeof results / sizeof *results; i++)
        assert_resumes(SYS_read, results[i], (uint64_t)results[i], RIP);
}

/* The same number in rax of a thread that is in no system call is just a number. */
static void no_restart_outside_a_call(void **state)
{
    (void)state;
    for (long code = 511; code <= 517; code++)
        assert_resumes(-1, -code, (uint64_t)-code, RIP);
}

static void assert_cure(arch_registers registers, enum arch_interruption expected)
{
    arch_registers before = registers;
    long number = (long)registers.orig_rax;
    enum arch_interruption cure = arch_interruption_cure(&registers);
    if (cure != expected)
        fail_msg("system call %ld: %d where %d was due", number, (int)cure, (int)expected);
    if (cure == ARCH_INTERRUPTION_CURED) {
        assert_int_equal((long)registers.rax, -514);
        /* With no handler it is made again. */
        assert_int_equal(arch_resume_address(&registers), RIP - 2);
        registers.rax = before.rax;
    }
    assert_memory_equal(&registers, &before, sizeof before);
    if (cure == ARCH_INTERRUPTION_CURED)
        assert_true(arch_syscall_interruptible((uint64_t)number));
}

static void endless_waits_are_cured(void **state)
{
    (void)state;
    arch_registers registers = interrupted(SYS_epoll_wait, -EINTR);
    registers.r10 = (uint64_t)-1;
    assert_cure(registers, ARCH_INTERRUPTION_CURED);
    registers.r10 = UINT32_MAX; /* an int: the upper half of the register is anything */
    assert_cure(registers, ARCH_INTERRUPTION_CURED);
    registers.orig_rax = SYS_epoll_pwait;
    assert_cure(registers, ARCH_INTERRUPTION_CURED);
    assert_cure(interrupted(SYS_epoll_pwait2, -EINTR), ARCH_INTERRUPTION_CURED);
    assert_cure(interrupted(SYS_semop, -EINTR), ARCH_INTERRUPTION_CURED);
    assert_cure(interrupted(SYS_semtimedop, -EINTR), ARCH_INTERRUPTION_CURED);
    assert_cure(interrupted(SYS_rt_sigtimedwait, -EINTR), ARCH_INTERRUPTION_CURED);
    assert_cure(interrupted(SYS_io_getevents, -EINTR), ARCH_INTERRUPTION_CURED);
}

static void waits_with_a_limit_are_exposed(void **state)
{
    (void)state;
    arch_registers registers = interrupted(SYS_epoll_wait, -EINTR);
    registers.r10 = 1000;
    assert_cure(registers, ARCH_INTERRUPTION_EXPOSED);
    registers.r10 = 0;
    assert_cure(registers, ARCH_INTERRUPTION_EXPOSED);
    static const long pointers[] = {SYS_epoll_pwait2, SYS_semtimedop, SYS_rt_sigtimedwait,
                                    SYS_io_getevents};
    for (size_t i = 0; i < sizeof pointers / sizeof *pointers; i++) {
        registers = interrupted(pointers[i], -EINTR);
        registers.rdx = registers.r10 = registers.r8 = 0x7ffe0000;
        assert_cure(registers, ARCH_INTERRUPTION_EXPOSED);
    }
    /* EINTR, not a restart, tells that the socket has a time limit: socket(7). */
    static const long sockets[] = {SYS_recvfrom, SYS_recvmsg, SYS_accept4, SYS_connect,
                                   SYS_sendto,   SYS_read,    SYS_writev};
    for (size_t i = 0; i < sizeof sockets / sizeof *sockets; i++)
        assert_cure(interrupted(sockets[i], -EINTR), ARCH_INTERRUPTION_EXPOSED);
}

/* io_uring_enter(2): the limit is in memory, and only with IORING_ENTER_EXT_ARG. */
static void a_ring_is_waited_for_again(void **state)
{
    (void)state;
    arch_registers registers = interrupted(SYS_io_uring_enter, -EINTR);
    registers.rdx = 1;
    registers.r10 = IORING_ENTER_GETEVENTS;
    assert_cure(registers, ARCH_INTERRUPTION_CURED);
    registers.r10 |= IORING_ENTER_EXT_ARG;
    registers.r8 = 0x7ffe0000;
    assert_cure(registers, ARCH_INTERRUPTION_EXPOSED);
}

static void what_may_have_been_cut_short_is_exposed(void **state)
{
    (void)state;
    static const long transfers[] = {SYS_write, SYS_sendto, SYS_recvfrom};
    for (size_t i = 0; i < sizeof transfers / sizeof *transfers; i++) {
        arch_registers registers = interrupted(transfers[i], 100);
        registers.r10 = MSG_WAITALL;
        registers.rdx = 101;
        assert_cure(registers, ARCH_INTERRUPTION_EXPOSED);
        registers.rdx = 100;
        assert_cure(registers, ARCH_INTERRUPTION_NONE);
        registers.rax = 0;
        assert_cure(registers, ARCH_INTERRUPTION_NONE);
    }
    /* Less than asked for is what these return anyway. */
    arch_registers registers = interrupted(SYS_recvfrom, 100);
    registers.rdx = 101;
    assert_cure(registers, ARCH_INTERRUPTION_NONE);
    registers.orig_rax = SYS_read;
    assert_cure(registers, ARCH_INTERRUPTION_NONE);
    /* Two requests submitted, one result waited for. */
    registers = interrupted(SYS_io_uring_enter, 2);
    registers.rsi = 2;
    registers.rdx = 1;
    assert_cure(registers, ARCH_INTERRUPTION_NONE);
    registers.r10 = IORING_ENTER_GETEVENTS;
    assert_cure(registers, ARCH_INTERRUPTION_EXPOSED);
}

static void what_the_stop_did_not_cause_is_left_alone(void **state)
{
    (void)state;
    /* Known to be restarted by the kernel, or not known at all: counted, not changed. */
    assert_cure(interrupted(SYS_futex, -EINTR), ARCH_INTERRUPTION_EXPOSED);
    assert_cure(interrupted(SYS_openat, -EINTR), ARCH_INTERRUPTION_EXPOSED);
    assert_cure(interrupted(SYS_epoll_wait, 0), ARCH_INTERRUPTION_NONE);
    assert_cure(interrupted(SYS_semop, -514), ARCH_INTERRUPTION_NONE);
    assert_cure(interrupted(-1, -EINTR), ARCH_INTERRUPTION_NONE);
    assert_false(arch_syscall_interruptible(SYS_futex));
    assert_false(arch_syscall_interruptible(SYS_pause));
    assert_false(arch_syscall_interruptible((uint64_t)-1));
}

/* A thread of the kernel's own has neither; one of the program has a stack. */
static void threads_of_the_kernel_are_told_apart(void **state)
{
    (void)state;
    assert_true(arch_is_kernels(&(arch_registers){.cs = 0x33}));
    assert_false(arch_is_kernels(&(arch_registers){.cs = 0x33, .rip = RIP}));
    assert_false(arch_is_kernels(&(arch_registers){.cs = 0x33, .rsp = 0x7ffe0000}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(restart_codes_repeat_the_call),
        harness_test(other_results_go_on),
        harness_test(no_restart_outside_a_call),
        harness_test(endless_waits_are_cured),
        harness_test(waits_with_a_limit_are_exposed),
        harness_test(a_ring_is_waited_for_again),
        harness_test(what_may_have_been_cut_short_is_exposed),
        harness_test(threads_of_the_kernel_are_told_apart),
        harness_test(what_the_stop_did_not_cause_is_left_alone),
    };
    return cmocka_run_group_tests_name("restart", tests, NULL, NULL);
}
