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

static struct run inject(const struct child *victim)
{
    return skewctl_run("inject", "-p", harness_format("%d", victim->pid), "--offset", "-5m", NULL);
}

static const char *pid_answered(const char *answer)
{
    int pid;
    if (sscanf(answer, "ok %d", &pid) != 1)
        fail_msg("\"%s\" where a pid was due", answer);
    return harness_format("%d", pid);
}

static void process_that_is_no_thread(void **state)
{
    (void)state;
    struct child *victim = victim_start("sharing", NULL);
    const char *sharer = pid_answered(child_ask(victim, "share"));
    victim_check_progress(victim, 100);
    struct snapshot before = snapshot_take(victim->pid);
    for (int i = 0; i < 5; i++) {
        struct run run = inject(victim);
        victim_check_progress(victim, 100);
        if (run.code == 0) {
            skewctl_recover(victim->pid);
        } else {
            run_expect_error(&run, 3);
            if (!strstr(run.err, sharer))
                fail_msg("process %s is not named: %s", sharer, run.err);
        }
        victim_check_progress(victim, 100);
        snapshot_expect(&before, victim->pid);
    }
}

/* The one that shares is the target itself: the other way round it is the same. */
static void seen_from_the_other_side(void **state)
{
    (void)state;
    struct child *victim = victim_start("sharing", NULL);
    const char *sharer = pid_answered(child_ask(victim, "share"));
    victim_check_progress(victim, 100);
    struct snapshot before = snapshot_take(victim->pid);
    for (int i = 0; i < 5; i++) {
        struct run run = skewctl_run("inject", "-p", sharer, "--offset", "-5m", NULL);
        victim_check_progress(victim, 100);
        if (run.code == 0) {
            run = skewctl_run("recover", "-p", sharer, NULL);
            run_expect(&run, 0);
        } else {
            run_expect_error(&run, 3);
            if (!strstr(run.err, harness_format("%d", victim->pid)))
                fail_msg("process %d is not named: %s", victim->pid, run.err);
        }
        victim_check_progress(victim, 100);
        snapshot_expect(&before, victim->pid);
    }
}

static void parent_in_vfork(void **state)
{
    (void)state;
    struct child *victim = victim_start("sharing", NULL);
    struct snapshot before = snapshot_take(victim->pid);
    pid_answered(child_ask(victim, "vfork"));
    struct run run = inject(victim);
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
        harness_test(process_that_is_no_thread),
        harness_test(seen_from_the_other_side),
        harness_test(parent_in_vfork),
    };
    return cmocka_run_group_tests_name("sharing", tests, NULL, NULL);
}
