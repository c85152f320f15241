/*
 * busy_handler_test.c - while recover waits for a handler that will return into
 * the image, the other threads are not held with it: they run on, and get
 * their signals. And where inject waits for one, its own thread runs on too,
 * even if it is the only one that could make the calls.
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

/* A machine under load lets any thread wait for as long now and then, so the best of some counts.
 */
#define GAP_MOST_US 60000
#define TRIES       4
/* Each finds the handler there half the time. */
#define LINGERER_CYCLES 10

static int64_t gap_us(struct child *victim)
{
    int64_t gap;
    const char *answer = child_ask(victim, "gap");
    if (sscanf(answer, "ok %" SCNd64, &gap) != 1)
        fail_msg("the bystander: %s", answer);
    return gap;
}

static void others_run_on(void **state)
{
    (void)state;
    struct child *victim = victim_start("parked", "bystander", NULL);
    const char *maps = observe_maps(victim->pid);
    struct vdso vdso = observe_vdso(victim->pid);
    const char *pid = harness_format("%d", victim->pid);
    skewctl_inject(victim->pid, "-5m");
    assert_int_equal(strncmp(child_ask(victim, "park elsewhere"), "ok ", 3), 0);

    int64_t gap = INT64_MAX, elapsed = 0;
    for (int i = 0; i < TRIES && gap > GAP_MOST_US; i++) {
        gap_us(victim);
        struct run run = skewctl_run("recover", "-p", pid, NULL);
        run_expect(&run, 7);
        gap = gap_us(victim);
        elapsed = run.elapsed_ns / 1000;
    }
    if (gap > GAP_MOST_US)
        fail_msg("a thread stood still for %" PRId64 " us of the %" PRId64 " us of a recover", gap,
                 elapsed);

    assert_string_equal(child_ask(victim, "release"), "ok");
    skewctl_recover(victim->pid);
    gap_us(victim);
    victim_check_progress(victim, 1000);
    observe_put_back(victim->pid, maps, &vdso);
}

/* It comes back soon enough: one recover is all it takes. */
static void handler_returns_meanwhile(void **state)
{
    (void)state;
    struct child *victim = victim_start("parked", "bystander", NULL);
    const char *maps = observe_maps(victim->pid);
    struct vdso vdso = observe_vdso(victim->pid);
    const char *pid = harness_format("%d", victim->pid);
    skewctl_inject(victim->pid, "-5m");
    assert_int_equal(strncmp(child_ask(victim, "park elsewhere"), "ok ", 3), 0);
    const char *const recover[] = {skewctl_path(), "recover",         "-p", pid,
                                   "--journal",    skewctl_journal(), NULL};
    struct child *skewctl = child_start(recover, NULL);
    harness_sleep_ms(20);
    assert_string_equal(child_ask(victim, "release"), "ok");
    int status = child_wait(skewctl, HARNESS_DEADLINE_MS);
    /* On a machine so slow that it came too late it is said so. */
    if (!WIFEXITED(status) || (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 7))
        fail_msg("recover came to status 0x%x", (unsigned)status);
    if (WEXITSTATUS(status) == 7)
        skewctl_recover(victim->pid);
    gap_us(victim);
    victim_check_progress(victim, 1000);
    observe_put_back(victim->pid, maps, &vdso);
}

static void handler_of_the_only_thread(void **state)
{
    (void)state;
    struct child *victim = victim_start("lingerer", NULL);
    const char *maps = observe_maps(victim->pid);
    struct vdso vdso = observe_vdso(victim->pid);
    for (int i = 0; i < LINGERER_CYCLES; i++) {
        skewctl_inject(victim->pid, "-5m");
        skewctl_recover(victim->pid);
        observe_put_back(victim->pid, maps, &vdso);
        victim_check_progress(victim, 1);
    }
    long lingers;
    assert_int_equal(sscanf(child_ask(victim, "lingers"), "ok %ld", &lingers), 1);
    assert_true(lingers > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(others_run_on),
        harness_test(handler_returns_meanwhile),
        harness_test(handler_of_the_only_thread),
    };
    return cmocka_run_group_tests_name("busy handler", tests, NULL, NULL);
}
