/* See sweep.h. */
#include "sweep.h"

#include "command.h"
#include "traced.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* A recover --all itself waits half a second for handlers to end. */
#define DRAINING_MS 10000

static const struct {
    const char *name;
    const char *skew;       /* argument of --offset; NULL for a recover */
    unsigned before, after; /* the skew that is there before it, and after it */
} operations[OPERATIONS] = {
    [OPERATION_INJECT] = {"inject", SKEW_NEW_TEXT, SKEW_NONE, SKEW_NEW},
    [OPERATION_FIRST] = {"first-inject", SKEW_NEW_TEXT, SKEW_NONE, SKEW_NEW},
    [OPERATION_UPDATE] = {"update", SKEW_NEW_TEXT, SKEW_OLD, SKEW_NEW},
    [OPERATION_RECOVER] = {"recover", NULL, SKEW_OLD, SKEW_NONE},
    [OPERATION_RECOVER_TWICE] = {"recover-twice", NULL, SKEW_OLD, SKEW_NONE},
};

const char *operation_name(enum operation operation)
{
    return operations[operation].name;
}

/* The same number for the same seed and place: splitmix64. */
static uint64_t random_at(uint64_t seed, uint64_t place)
{
    uint64_t value = seed + (place + 1) * UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

/* The files of a journal, see wal.html of SQLite; the -shm file is made anew from these. */
static const char *const journal_suffixes[] = {"", "-wal"};
#define JOURNAL_FILES (sizeof journal_suffixes / sizeof *journal_suffixes)

struct journal_copy {
    size_t size[JOURNAL_FILES];
    const char *bytes[JOURNAL_FILES];
};

static void journal_remove(void)
{
    for (size_t i = 0; i < JOURNAL_FILES; i++)
        unlink(harness_format("%s%s", skewctl_journal(), journal_suffixes[i]));
    unlink(harness_format("%s-shm", skewctl_journal()));
}

static struct journal_copy journal_copy(void)
{
    struct journal_copy copy;
    for (size_t i = 0; i < JOURNAL_FILES; i++)
        copy.bytes[i] = harness_file_read(
            harness_format("%s%s", skewctl_journal(), journal_suffixes[i]), &copy.size[i]);
    return copy;
}

static void journal_restore(const struct journal_copy *copy)
{
    journal_remove();
    for (size_t i = 0; i < JOURNAL_FILES; i++) {
        if (!copy->bytes[i])
            continue;
        const char *path = harness_format("%s%s", skewctl_journal(), journal_suffixes[i]);
        int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        ssize_t wrote = file < 0 ? -1 : write(file, copy->bytes[i], copy->size[i]);
        if (wrote != (ssize_t)copy->size[i] || close(file) != 0)
            fail_msg("%s: %s", path, strerror(errno));
    }
}

/* Brings the target to where the operation begins, and allows what may be seen from then on. */
static void prepare(const struct sweep *sweep, struct target *target)
{
    unsigned before = operations[sweep->operation].before;
    if (before != SKEW_NONE) {
        target_allow(target, SKEW_NONE | SKEW_OLD);
        struct run run = skewctl_run("inject", "-p", harness_format("%d", target->pid), "--offset",
                                     SKEW_OLD_TEXT, NULL);
        run_expect(&run, 0);
        target_allow(target, SKEW_OLD);
    }
    target_pose(target);
    target_allow(target, before | operations[sweep->operation].after);
}

static const char *const *operation_arguments(const struct sweep *sweep,
                                              const struct target *target)
{
    const char *pid = harness_format("%d", target->pid);
    const char *skew = operations[sweep->operation].skew;
    return skew ? skewctl_arguments("inject", "-p", pid, "--offset", skew, NULL)
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

static void finish(struct sweep *sweep, struct target *target, const struct traced *traced)
{
    sweep->number = traced->number;
    sweep->attached = traced->attached;
    if (traced->killed) {
        sweep->tally.points++;
        sweep->tally.attached += traced->attached;
    } else {
        if (traced->code != 0 && !(traced->code == 7 && target_drains(target)))
            fail_msg("%s was not killed and ended with %d: %s", operation_name(sweep->operation),
                     traced->code, traced->err);
        target_allow(target, operations[sweep->operation].after);
    }
    target_expect_right(target);
}

static void die_again(struct sweep *sweep, struct target *target, long points)
{
    uint64_t place = random_at(sweep->seed, (uint64_t)sweep->next) % (uint64_t)points;
    target_allow(target, target->allowed | SKEW_NONE);
    struct traced traced = traced_run(skewctl_arguments("recover", "--all", NULL), (long)place);
    if (!traced.killed && traced.code != 0 && traced.code != 7)
        fail_msg("the second recover was not killed and ended with %d: %s", traced.code,
                 traced.err);
    sweep->tally.points += traced.killed;
    sweep->tally.attached += traced.killed && traced.attached;
    target_expect_right(target);
}

/* One life of the target with one death of skewctl in it. */
static struct traced die_once(struct sweep *sweep, struct target *target, int64_t longest_ns,
                              long points_again)
{
    prepare(sweep, target);
    const char *const *argv = operation_arguments(sweep, target);
    struct traced traced;
    if (sweep->random) {
        sweep->delay_ns =
            (int64_t)(random_at(sweep->seed, (uint64_t)sweep->next) % (uint64_t)longest_ns);
        traced = timed_run(argv, sweep->delay_ns);
    } else {
        traced = traced_run(argv, sweep->next);
    }
    finish(sweep, target, &traced);
    if (traced.killed && sweep->operation == OPERATION_RECOVER_TWICE)
        die_again(sweep, target, points_again);
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

    struct journal_copy journal = journal_copy();
    for (; !sweep->ended && !*sweep->stop && sweep->next <= sweep->last;
         sweep->next += sweep->step) {
        renew(&target);
        struct keep *mark = harness_mark();
        /* With the same history the same points; random deaths see it grow. */
        if (sweep->operation == OPERATION_FIRST)
            journal_remove();
        else if (!sweep->random)
            journal_restore(&journal);
        struct traced traced = die_once(sweep, &target, longest_ns, points_again);
        harness_release(mark);
        sweep->ended = !sweep->random && !traced.killed && traced.calls < point_call(sweep->next);
    }
    sweep->ended = true;
}
