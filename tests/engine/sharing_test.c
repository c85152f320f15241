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

/* Well above the time after which the engine gives a thread up. */
#define PATIENCE_NS INT64_C(4000000000)

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

static void parent_in_vfork(void **state)
{
    (void)state;
    struct child *victim = victim_start("sharing", NULL);
    struct snapshot before = snapshot_take(victim->pid);
    assert_int_equal(strncmp(child_ask(victim, "vfork"), "ok ", 3), 0);
    struct run run =
        skewctl_run("inject", "-p", harness_format("%d", victim->pid), "--offset", "-5m", NULL);
    if (run.code != 1 && run.code != 3)
        run_expect(&run, 3);
    run_expect_error(&run, run.code);
    if (run.elapsed_ns > PATIENCE_NS)
        fail_msg("it took %.1f s: %s", (double)run.elapsed_ns / 1e9, run.err);
    observe_untraced(victim->pid);
    assert_string_equal(child_ask(victim, "release"), "ok");
    victim_check_progress(victim, 100);

    struct snapshot after = snapshot_take(victim->pid);
    if (snapshot_difference(&before, &after))
        skewctl_recover(victim->pid);
    snapshot_expect(&before, victim->pid);
    skewctl_inject(victim->pid, "-5m");
    victim_check_progress(victim, 100);
    skewctl_recover(victim->pid);
    snapshot_expect(&before, victim->pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(processes_that_are_no_threads),
        harness_test(seen_from_one_of_them),
        harness_test(parent_in_vfork),
    };
    return cmocka_run_group_tests_name("sharing", tests, NULL, NULL);
}
