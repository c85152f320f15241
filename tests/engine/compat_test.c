/*
 * compat_test.c - a 64-bit target with a thread in 32-bit code, where the
 * registers mean other things and no 64-bit call can be made: it is skewed by
 * other means or turned down, and never harmed.
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <string.h>

#define CYCLES 5

/* What is said of a thread is said of one that there is. */
static void expect_no_thread_0(const struct run *run)
{
    if (strstr(run->err, "thread 0 "))
        fail_msg("there is no thread 0: %s", run->err);
}

/* Done, or refused with one line. */
static void inject(struct child *victim, const char *offset)
{
    struct run run =
        skewctl_run("inject", "-p", harness_format("%d", victim->pid), "--offset", offset, NULL);
    victim_check_progress(victim, 3);
    if (run.code != 0)
        run_expect_error(&run, 3);
    expect_no_thread_0(&run);
}

/* It may take a few tries; what was injected can always be taken out in the end. */
static void recover(struct child *victim)
{
    int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    struct run run;
    do {
        run = skewctl_run("recover", "-p", harness_format("%d", victim->pid), NULL);
        victim_check_progress(victim, 3);
        expect_no_thread_0(&run);
    } while ((run.code == 3 || run.code == 7) && harness_monotonic_ns() < end);
    /* Where the inject was refused there is nothing to recover. */
    if (run.code != 4)
        run_expect(&run, 0);
}

static void cycles(const char *kind)
{
    struct child *victim = victim_start("compat", kind, NULL);
    /* A thread that is being made has its signals blocked until it runs. */
    victim_check_progress(victim, 2);
    struct snapshot before = snapshot_take(victim->pid);
    for (int i = 0; i < CYCLES; i++) {
        assert_string_equal(child_ask(victim, "leave"), "ok");
        victim_check_progress(victim, 3);
        skewctl_inject(victim->pid, "-5m");
        assert_string_equal(child_ask(victim, "enter"), "ok");
        victim_check_progress(victim, 3);
        inject(victim, "+1h30m");
        inject(victim, "-5m");
        recover(victim);
        snapshot_expect(&before, victim->pid);
        inject(victim, "-5m");
        inject(victim, "+1h30m");
        recover(victim);
        snapshot_expect(&before, victim->pid);
    }
}

static void only_thread(void **state)
{
    (void)state;
    if (!observe_rseq_known())
        harness_skip("before Linux 5.13 a thread with few system calls may wait for long");
    cycles(NULL);
}

static void second_thread(void **state)
{
    (void)state;
    cycles("thread");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(only_thread),
        harness_test(second_thread),
    };
    return cmocka_run_group_tests_name("compat", tests, NULL, NULL);
}
