/* See group_sweep.h. */
#include "group_sweep.h"

#include "command.h"
#include "fleet.h"
#include "history.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* A history without groups is restored before each point. */
#define GROUP     "g1"
#define NOT_FOUND 4 /* exit code of skewctl: there is no such group, or it has ended */
#define REFUSED   3
#define DRAINING  7

/* What comes after a death. */
enum next {
    NEXT_CRASHED, /* recover --crashed */
    NEXT_AGAIN,   /* the same again; of one that follows: follow */
    NEXT_RECOVER, /* of the group */
    NEXTS
};

static const struct operation_facts *facts_of(const struct sweep *sweep)
{
    return &operations[sweep->operation];
}

static const char *const *operation_arguments(const struct sweep *sweep, const struct fleet *fleet)
{
    const struct operation_facts *facts = facts_of(sweep);
    if (facts->injects)
        return fleet_inject_arguments(fleet, facts->after,
                                      facts->follows ? "--follow=watch" : NULL);
    return skewctl_arguments(facts->follows ? "follow" : "recover", "--id", GROUP, NULL);
}

/* A recover ends with DRAINING where a thread would not stop, as on a machine under load. */
static int run_code(struct sweep *sweep, const char *const argv[])
{
    int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    struct run run;
    while ((run = program_run(argv, NULL, HARNESS_DEADLINE_MS)).code == DRAINING &&
           harness_monotonic_ns() < end) {
        sweep->tally.draining++;
        harness_sleep_ms(5);
    }
    if (run.code != 0 && run.code != NOT_FOUND)
        run_expect(&run, 0);
    return run.code;
}

static void prepare(const struct sweep *sweep, struct fleet *fleet)
{
    unsigned before = facts_of(sweep)->before;
    if (before != SKEW_NONE) {
        fleet_allow(fleet, SKEW_NONE | SKEW_OLD);
        struct run run =
            program_run(fleet_inject_arguments(fleet, SKEW_OLD, NULL), NULL, HARNESS_DEADLINE_MS);
        run_expect(&run, 0);
    }
    fleet_allow(fleet, before | facts_of(sweep)->after);
}

/* Whoever the group had, and it has no group any more. */
static void recover_group(struct sweep *sweep, struct fleet *fleet)
{
    fleet_allow(fleet, fleet->members[0].allowed | SKEW_NONE);
    run_code(sweep, skewctl_arguments("recover", "--id", GROUP, NULL));
    fleet_agree(fleet, SKEW_NONE);
}

/* Picks the group up again, if it came to be one: new programs are skewed, and a recover ends it.
 */
static void follow_again(struct sweep *sweep, struct fleet *fleet, unsigned skew)
{
    struct child *follower = child_start(skewctl_arguments("follow", "--id", GROUP, NULL), NULL);
    int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    int64_t skewed = programs_skewed();
    while (child_alive(follower) &&
           (fleet_listed(fleet) != skew || programs_skewed() < skewed + 3)) {
        if (harness_monotonic_ns() > end)
            fail_msg("the group was not picked up again: %u is listed, %d new programs",
                     fleet_listed(fleet), (int)(programs_skewed() - skewed));
        harness_sleep_ms(5);
    }
    if (follower->ended) {
        int code = WIFEXITED(follower->status) ? WEXITSTATUS(follower->status) : -1;
        if (code != REFUSED && code != NOT_FOUND)
            fail_msg("follow ended with %d", code);
        run_code(sweep, skewctl_arguments("recover", "--crashed", NULL));
        fleet_agree(fleet, fleet->members[0].allowed);
        return;
    }
    fleet_agree(fleet, skew);
    recover_group(sweep, fleet);
    assert_int_equal(child_wait(follower, HARNESS_DEADLINE_MS), 0);
}

/* The next command, whichever it is, finishes or undoes what was begun. */
static void go_on(struct sweep *sweep, struct fleet *fleet, enum next next)
{
    const struct operation_facts *facts = facts_of(sweep);
    if (next == NEXT_RECOVER) {
        recover_group(sweep, fleet);
    } else if (next == NEXT_CRASHED) {
        run_code(sweep, skewctl_arguments("recover", "--crashed", NULL));
        fleet_agree(fleet, facts->before | facts->after);
    } else if (facts->follows) {
        follow_again(sweep, fleet, facts->after);
    } else {
        int code = run_code(sweep, operation_arguments(sweep, fleet));
        if (facts->injects)
            assert_int_equal(code, 0);
        fleet_agree(fleet, facts->after);
    }
}

static void put_back(struct sweep *sweep, struct fleet *fleet)
{
    fleet_allow(fleet, fleet->members[0].allowed | SKEW_NONE);
    assert_int_equal(run_code(sweep, skewctl_arguments("recover", "--all", NULL)), 0);
    fleet_expect_clean(fleet);
}

static void finish(struct sweep *sweep, struct fleet *fleet, const struct traced *traced)
{
    const struct operation_facts *facts = facts_of(sweep);
    sweep_count(sweep, traced);
    if (!traced->killed) {
        if (traced->code != (facts->follows ? 128 + SIGTERM : 0) &&
            (facts->injects || traced->code != DRAINING))
            fail_msg("%s was not killed and ended with %d: %s", facts->name, traced->code,
                     traced->err);
        fleet_allow(fleet, facts->after);
    }
    fleet_expect_right(fleet);
}

static void die_again(struct sweep *sweep, struct fleet *fleet, long points)
{
    long point = (long)(sweep_random(sweep) / NEXTS % (uint64_t)points);
    struct traced traced = traced_run(skewctl_arguments("recover", "--crashed", NULL), point);
    if (!traced.killed && traced.code != 0 && traced.code != DRAINING)
        fail_msg("the second recover was not killed and ended with %d: %s", traced.code,
                 traced.err);
    sweep->tally.points += traced.killed;
    sweep->tally.attached += traced.killed && traced.attached;
    fleet_expect_right(fleet);
}

/* A follower is to end once it follows and has skewed a new program, or two. */
struct following {
    bool begun;
    int64_t skewed;
};

static bool follower_over(void *context)
{
    struct following *following = context;
    if (following->begun)
        return programs_skewed() >= following->skewed + 2;
    struct keep *mark = harness_mark();
    following->begun = strstr(traced_said(), "is followed by") != NULL;
    following->skewed = programs_skewed();
    harness_release(mark);
    return false;
}

/* One life of the group with one death of skewctl in it, or two. */
static struct traced die_once(struct sweep *sweep, struct fleet *fleet, long points_again)
{
    prepare(sweep, fleet);
    struct following following = {0};
    const char *const *argv = operation_arguments(sweep, fleet);
    enum next next = (enum next)(sweep_random(sweep) % NEXTS);
    struct traced traced;
    if (sweep->operation == OPERATION_GROUP_SWITCH) {
        traced = traced_run_switching(argv, sweep->next / NEXTS);
        next = (enum next)(sweep->next % NEXTS);
    } else {
        traced = traced_run_until(argv, sweep->next,
                                  facts_of(sweep)->follows ? follower_over : NULL, &following);
    }
    finish(sweep, fleet, &traced);
    if (traced.killed && sweep->operation == OPERATION_GROUP_TWICE)
        die_again(sweep, fleet, points_again);
    go_on(sweep, fleet, next);
    put_back(sweep, fleet);
    return traced;
}

/* How many points a recover of the group has. */
static long measure_points(struct sweep *sweep, struct fleet *fleet)
{
    prepare(sweep, fleet);
    struct traced traced = traced_run(skewctl_arguments("recover", "--all", NULL), POINT_NEVER);
    assert_true(traced.code == 0 || traced.code == DRAINING);
    put_back(sweep, fleet);
    return 2 * traced.calls;
}

void group_sweep_run(void **state)
{
    struct sweep *sweep = *state;
    struct fleet fleet = fleet_start(sweep->state, sweep->manner);
    put_back(sweep, &fleet);
    struct history history = history_take();
    long points_again =
        sweep->operation == OPERATION_GROUP_TWICE ? measure_points(sweep, &fleet) : 1;
    for (; !sweep->ended && !*sweep->stop && sweep->next <= sweep->last;
         sweep->next += sweep->step) {
        struct keep *mark = harness_mark();
        history_restore(&history);
        struct traced traced = die_once(sweep, &fleet, points_again);
        harness_release(mark);
        sweep->ended = !traced.killed && (sweep->operation == OPERATION_GROUP_SWITCH ||
                                          traced.calls < point_call(sweep->next));
    }
    sweep->ended = true;
}
