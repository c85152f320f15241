/*
 * sharing_test.c - memory that is not the target's alone: whoever shares it
 * would run through bytes while they change, so an injection names it and is
 * refused, and a target that cannot be stopped for it is given up in time.
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <stdio.h>
#include <string.h>

/* The engine gives up after less than 250 ms; a loaded machine may need longer, but not seconds. */
#define PATIENCE_NS INT64_C(2000000000)

/* The next of the pids in an answer, or NULL after the last. */
static const char *pid_next(const char **answer)
{
    int pid, length;
    if (sscanf(*answer, "%d%n", &pid, &length) != 1)
        return NULL;
    *answer += length;
    return harness_format("%d", pid);
}

/* Has processes share its memory; returns their pids. */
static const char *share(struct child *victim)
{
    const char *answer = child_ask(victim, "share");
    if (strncmp(answer, "ok ", 3) != 0 || strchr(answer, '-'))
        fail_msg("\"%s\" where pids were due", answer);
    victim_check_progress(victim, 100);
    return answer + 3;
}

static void expect_one_named(const struct run *run, const char *pids)
{
    const char *rest = pids;
    for (const char *pid; (pid = pid_next(&rest));)
        if (strstr(run->err, harness_format("process %s ", pid)))
            return;
    fail_msg("none of the processes %s is named: %s", pids, run->err);
}

/* Turned down with the name of one of the others, or done for all; harmless to all in any case. */
static void expect_harmless(struct child *victim, const char *target, const char *others)
{
    struct snapshot before = snapshot_take(victim->pid);
    for (int i = 0; i < 8; i++) {
        struct run run = skewctl_run("inject", "-p", target, "--offset", "-5m", NULL);
        victim_check_progress(victim, 100);
        if (run.code == 0) {
            run = skewctl_run("recover", "-p", target, NULL);
            run_expect(&run, 0);
        } else {
            run_expect_error(&run, 3);
            expect_one_named(&run, others);
        }
        victim_check_progress(victim, 100);
        snapshot_expect(&before, victim->pid);
    }
}

static void processes_that_are_no_threads(void **state)
{
    (void)state;
    struct child *victim = victim_start("sharing", NULL);
    const char *sharers = share(victim);
    expect_harmless(victim, harness_format("%d", victim->pid), sharers);
}

static void seen_from_one_of_them(void **state)
{
    (void)state;
    struct child *victim = victim_start("sharing", NULL);
    const char *others = share(victim);
    const char *target = pid_next(&others);
    expect_harmless(victim, target, harness_format("%d %s", victim->pid, others));
}

/* While a child holds one of its threads: refused in time, and as before afterwards. */
static void held(const char *how, const char *reason)
{
    struct child *victim = victim_start("sharing", NULL);
    const char *pid = harness_format("%d", victim->pid);
    struct snapshot before = snapshot_take(victim->pid);
    assert_int_equal(strncmp(child_ask(victim, how), "ok ", 3), 0);
    struct run run = skewctl_run("inject", "-p", pid, "--offset", "-5m", NULL);
    run_expect_error(&run, 3);
    if (!strstr(run.err, reason))
        fail_msg("\"%s\" is not said: %s", reason, run.err);
    if (run.elapsed_ns > PATIENCE_NS)
        fail_msg("it took %.1f s: %s", (double)run.elapsed_ns / 1e9, run.err);
    run = skewctl_run("doctor", "-p", pid, NULL);
    run_expect(&run, 3);
    assert_non_null(strstr(run.out, reason));
    observe_untraced(victim->pid);
    assert_string_equal(child_ask(victim, "release"), "ok");
    victim_check_progress(victim, 100);
    snapshot_expect(&before, victim->pid);

    skewctl_inject(victim->pid, "-5m");
    struct snapshot injected = snapshot_take(victim->pid);
    assert_int_equal(strncmp(child_ask(victim, how), "ok ", 3), 0);
    run = skewctl_run("inject", "-p", pid, "--offset", "-1h", NULL);
    run_expect_error(&run, 3);
    run = skewctl_run("recover", "-p", pid, NULL);
    run_expect_error(&run, 3);
    assert_string_equal(child_ask(victim, "release"), "ok");
    snapshot_expect(&injected, victim->pid);
    skewctl_recover(victim->pid);
    victim_check_progress(victim, 100);
    snapshot_expect(&before, victim->pid);
}

static void parent_in_vfork(void **state)
{
    (void)state;
    held("vfork", "shares its memory");
}

static void parent_held_by_a_child_with_memory_of_its_own(void **state)
{
    (void)state;
    held("hold", "uninterruptible");
}

/* Each child shares the memory until it execs: that is waited for. */
static void starts_programs_all_the_time(void **state)
{
    (void)state;
    struct child *victim = victim_start("sharing", NULL);
    struct snapshot before = snapshot_take(victim->pid);
    assert_string_equal(child_ask(victim, "spawn"), "ok");
    int done = 0;
    for (int i = 0; i < 8; i++) {
        const char *pid = harness_format("%d", victim->pid);
        struct run run = skewctl_run("inject", "-p", pid, "--offset", "-5m", NULL);
        victim_check_progress(victim, 100);
        if (run.code != 0)
            run_expect_error(&run, 3);
        done += run.code == 0;
        do {
            run = skewctl_run("recover", "-p", pid, NULL);
        } while (run.code == 3);
        if (run.code != 4)
            run_expect(&run, 0);
        victim_check_progress(victim, 100);
        assert_int_equal(observe_code_mappings(victim->pid), 0);
    }
    if (done == 0)
        fail_msg("not one of 8 could be done");
    struct vdso now = observe_vdso(victim->pid);
    assert_memory_equal(now.bytes, before.vdso.bytes, now.size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(processes_that_are_no_threads),
        harness_test(seen_from_one_of_them),
        harness_test(parent_in_vfork),
        harness_test(parent_held_by_a_child_with_memory_of_its_own),
        harness_test(starts_programs_all_the_time),
    };
    return cmocka_run_group_tests_name("sharing", tests, NULL, NULL);
}
