/*
 * stopped_inside_test.c - recover of a process that was stopped (SIGSTOP) while
 * a thread of it was in the image: that thread is let run until it has left
 * the image, and the process stays stopped.
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <signal.h>
#include <sys/wait.h>

#define OFFSET INT64_C(-300000000000)
/* Its threads read the clock without rest: in some of these one is stopped in the image. */
#define CYCLES 20

static void expect_event(pid_t pid, int options, int code)
{
    siginfo_t info = {0};
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, options), 0);
    assert_int_equal(info.si_pid ? info.si_code : 0, code);
}

/* Let go, it runs for the moment that it takes to stop again. */
static void expect_stopped(pid_t pid)
{
    int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    while (*observe_status(pid, pid, "State") != 'T') {
        if (harness_monotonic_ns() > end)
            fail_msg("process %d is no longer stopped", pid);
        harness_sleep_ms(1);
    }
}

static void recover_lets_it_leave(void **state)
{
    (void)state;
    struct child *victim = victim_start("clock_reader", "4", NULL);
    const char *maps = observe_maps(victim->pid);
    struct vdso vdso = observe_vdso(victim->pid);
    struct keep *mark = harness_mark();
    for (int i = 0; i < CYCLES; i++) {
        clock_reader_allow(victim, "realtime", OFFSET);
        skewctl_inject(victim->pid, "-5m");
        clock_reader_forbid(victim, "realtime", 0);
        victim_check_progress(victim, 100);
        clock_reader_allow(victim, "realtime", 0);
        kill(victim->pid, SIGSTOP);
        expect_event(victim->pid, WSTOPPED, CLD_STOPPED);
        skewctl_recover(victim->pid);
        observe_put_back(victim->pid, maps, &vdso);
        expect_stopped(victim->pid);
        expect_event(victim->pid, WSTOPPED | WCONTINUED | WNOHANG, 0);
        kill(victim->pid, SIGCONT);
        expect_event(victim->pid, WCONTINUED, CLD_CONTINUED);
        clock_reader_forbid(victim, "realtime", OFFSET);
        victim_check_progress(victim, 100);
        harness_release(mark);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(recover_lets_it_leave),
    };
    return cmocka_run_group_tests_name("stopped_inside", tests, NULL, NULL);
}
