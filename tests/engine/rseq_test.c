/*
 * rseq_test.c - restartable sequences (rseq(2)): a thread that skewctl stops in
 * the middle of one, and has do other things, must not go on in it as if
 * nothing had run meanwhile.
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <string.h>

#define CYCLES 20

/*
 * Where the kernel tells nothing of it, a thread makes calls only where it is found in one
 * of its rare system calls: what is not found is refused, or waited for.
 */
static void done_or_left_alone(struct child *victim)
{
    struct run run = {.code = 0};
    for (int i = 0; i < CYCLES && run.code == 0; i++) {
        run =
            skewctl_run("inject", "-p", harness_format("%d", victim->pid), "--offset", "-5m", NULL);
        victim_check_progress(victim, 100);
        if (run.code == 3) {
            run.code = 0;
            continue;
        }
        run_expect(&run, 0);
        run = skewctl_run("recover", "--all", NULL);
        if (run.code != 7)
            run_expect(&run, 0);
        victim_check_progress(victim, 100);
    }
}

static void no_increment_is_lost(void **state)
{
    (void)state;
    struct child *victim = child_start((const char *const[]){victim_path("rseq"), NULL}, NULL);
    const char *said = child_line(victim, HARNESS_DEADLINE_MS);
    if (strcmp(said, "unsupported") == 0)
        harness_skip("no restartable sequences in this C library and kernel");
    assert_string_equal(said, "ready");
    victim_check_progress(victim, 100);
    if (!observe_rseq_known()) {
        done_or_left_alone(victim);
        return;
    }
    struct snapshot before = snapshot_take(victim->pid);
    struct keep *mark = harness_mark();
    for (int i = 0; i < CYCLES; i++) {
        skewctl_inject(victim->pid, "-5m");
        skewctl_inject(victim->pid, "+1h30m");
        skewctl_recover(victim->pid);
        victim_check_progress(victim, 100);
        harness_release(mark);
    }
    snapshot_expect(&before, victim->pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(no_increment_is_lost),
    };
    return cmocka_run_group_tests_name("rseq", tests, NULL, NULL);
}
