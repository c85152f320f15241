/* See sweep.h. */
#include "sweep.h"

#include "command.h"
#include "history.h"
#include "traced.h"

#include <string.h>

/* A recover --all itself waits half a second for handlers to end. */
#define DRAINING_MS 10000

/* splitmix64 */
uint64_t sweep_random(const struct sweep *sweep)
{
    uint64_t value = sweep->seed + ((uint64_t)sweep->next + 1) * UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

/* Brings the target to where the operation begins, and allows what may be seen from then on. */
static void prepare(const struct sweep *sweep, struct target *target)
{
    unsigned before = operations[sweep->operation].before;
    if (before != SKEW_NONE) {
        target_allow(target, SKEW_NONE | SKEW_OLD);
        struct operation_skew skew = operation_skew(SKEW_OLD, sweep->manner);
        struct run run =
            skewctl_run("inject", "-p", harness_format("%d", target->pid), skew.options[0],
                        skew.options[1], skew.options[2], skew.options[3], NULL);
        run_expect(&run, 0);
        target_allow(target, SKEW_OLD);
    }
    target_pose(target);
    target_allow(target, operation_allows(sweep->operation, sweep->manner));
}

static const char *const *operation_arguments(const struct sweep *sweep,
                                              const struct target *target)
{
    const char *pid = harness_format("%d", target->pid);
    const struct operation_facts *facts = &operations[sweep->operation];
    struct operation_skew skew = operation_skew(facts->after, sweep->manner);
    return facts->injects ? skewctl_arguments("inject", "-p", pid, skew.options[0], skew.options[1],
                                              skew.options[2], skew.options[3], NULL)
                          : skewctl_arguments("recover", "-p", pid, NULL);
}

/*
 * A target whose image stays, as a handler may need it, is right, but of no use
 * for the next point: another takes its place (renew).
 */
static void give_up(struct target *target)
{
    target_expect_restored(target);
    child_kill(target->victim);
    struct run run = skewctl_run("recover", "--all", NULL);
    run_expect(&run, 0);
}

/* Not between a mark and its release: a target is to outlive a point. */
static void renew(struct target *target)
{
    if (target->victim->ended)
        *target = target_start(target->state);
}

static void put_back(struct sweep *sweep, struct target *target)
{
    int64_t end = harness_monotonic_ns() + DRAINING_MS * INT64_C(1000000);
    target_allow(target, target->allowed | SKEW_NONE);
    struct run run;
    while ((run = skewctl_run("recover", "--all", NULL)).code == 7 &&
           harness_monotonic_ns() < end) {
        sweep->tally.draining++;
        target_relax(target);
        harness_sleep_ms(5);
    }
    target_allow(target, SKEW_NONE);
    if (run.code == 7 && target_drains(target)) {
        sweep->tally.kept++;
        give_up(target);
        return;
    }
    run_expect(&run, 0);
    if (target->posed)
        target_expect_right(target);
    target_relax(target);
    target_expect_clean(target);
    run = skewctl_run("list", "-o", "json", NULL);
    run_expect(&run, 0);
    if (strchr(run.out, '{') != strrchr(run.out, '{'))
        fail_msg("list is not empty after recover --all:\n%s", run.out);
}

void sweep_count(struct sweep *sweep, const struct traced *traced)
{
    sweep->number = traced->number;
    sweep->attached = traced->attached;
    sweep->tally.points += traced->killed;
    sweep->tally.attached += traced->killed && traced->attached;
}

static void finish(struct sweep *sweep, struct target *target, const struct traced *traced)
{
    sweep_count(sweep, traced);
    if (!traced->killed) {
        if (traced->code != 0 && !(traced->code == 7 && target_drains(target)))
            fail_msg("%s was not killed and ended with %d: %s", operations[sweep->operation].name,
                     traced->code, traced->err);
        target_allow(target, operation_leaves(sweep->operation, sweep->manner));
    }
    target_expect_right(target);
}

static void die_again(struct sweep *sweep, struct target *target, long points)
{
    uint64_t place = sweep_random(sweep) % (uint64_t)points;
    target_allow(target, target->allowed | SKEW_NONE);
    struct traced traced = traced_run(skewctl_arguments("recover", "--all", NULL), (long)place);
    if (!traced.killed && traced.code != 0 && traced.code != 7)
        fail_msg("the second recover was not killed and ended with %d: %s", traced.code,
                 traced.err);
    sweep->tally.points += traced.killed;
    sweep->tally.attached += traced.killed && traced.attached;
    target_expect_right(target);
}

/* Else the clock would be where it should be because nothing had happened. */
static void expect_slewing(const char *skew)
{
    struct run run = skewctl_run("list", "-o", "json", NULL);
    run_expect(&run, 0);
    assert_string_equal(
        json_query(run.out, ".injections[0] | \"\\(.skew) \\(.slew_left_s != null)\""),
        harness_format("%s true", skew));
}

/* What a killed update left is finished on the way to the new skew, not by way of the true time. */
static void update_again(const struct sweep *sweep, struct target *target)
{
    struct run run = program_run(operation_arguments(sweep, target), NULL, HARNESS_DEADLINE_MS);
    run_expect(&run, 0);
    target_allow(target, operation_leaves(sweep->operation, sweep->manner));
    target_expect_right(target);
    if (sweep->manner == MANNER_SLEWS)
        expect_slewing(operation_skew(operations[sweep->operation].after, sweep->manner).listed);
}

/* One life of the target with one death of skewctl in it. */
static struct traced die_once(struct sweep *sweep, struct target *target, int64_t longest_ns,
                              long points_again)
{
    prepare(sweep, target);
    const char *const *argv = operation_arguments(sweep, target);
    struct traced traced;
    if (sweep->random) {
        sweep->delay_ns = (int64_t)(sweep_random(sweep) % (uint64_t)longest_ns);
        traced = timed_run(argv, sweep->delay_ns);
    } else {
        traced = traced_run(argv, sweep->next);
    }
    finish(sweep, target, &traced);
    if (traced.killed && sweep->operation == OPERATION_RECOVER_TWICE)
        die_again(sweep, target, points_again);
    if (traced.killed && sweep->operation == OPERATION_UPDATE_AGAIN)
        update_again(sweep, target);
    put_back(sweep, target);
    return traced;
}

/* How long the operation takes when nobody kills it. */
static int64_t measure_time(struct sweep *sweep, struct target *target)
{
    renew(target);
    prepare(sweep, target);
    struct run run = program_run(operation_arguments(sweep, target), NULL, HARNESS_DEADLINE_MS);
    if (run.code != 7 || !target_drains(target))
        run_expect(&run, 0);
    put_back(sweep, target);
    return run.elapsed_ns;
}

/* How many points a recover of an injected target has. */
static long measure_points(struct sweep *sweep, struct target *target)
{
    renew(target);
    prepare(sweep, target);
    struct traced traced = traced_run(skewctl_arguments("recover", "--all", NULL), POINT_NEVER);
    if (traced.code != 7 || !target_drains(target))
        assert_int_equal(traced.code, 0);
    put_back(sweep, target);
    return 2 * traced.calls;
}

void sweep_run(void **state)
{
    struct sweep *sweep = *state;
    struct target target = target_start(sweep->state);
    put_back(sweep, &target);
    target_expect_right(&target);

    int64_t longest_ns = 1;
    for (int i = 0; sweep->random && i < 3; i++) {
        int64_t took_ns = measure_time(sweep, &target);
        longest_ns = took_ns > longest_ns ? took_ns : longest_ns;
    }
    long points_again =
        sweep->operation == OPERATION_RECOVER_TWICE ? measure_points(sweep, &target) : 1;

    struct history history = history_take();
    for (; !sweep->ended && !*sweep->stop && sweep->next <= sweep->last;
         sweep->next += sweep->step) {
        renew(&target);
        struct keep *mark = harness_mark();
        /* With the same history the same points; random deaths see it grow. */
        if (sweep->operation == OPERATION_FIRST)
            history_remove();
        else if (!sweep->random)
            history_restore(&history);
        struct traced traced = die_once(sweep, &target, longest_ns, points_again);
        harness_release(mark);
        sweep->ended = !sweep->random && !traced.killed && traced.calls < point_call(sweep->next);
    }
    sweep->ended = true;
}
