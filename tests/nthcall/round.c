/* See round.h. */
#include "round.h"

#include "command.h"
#include "victim.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MINUTE INT64_C(60000000000)

static const struct {
    const char *name;
    const char *skew;       /* argument of --offset; NULL for a recover */
    unsigned before, after; /* the skew that is there before it, and after it */
} acts[ACTS] = {
    [ACT_INJECT] = {"inject", SKEW_NEW_TEXT, SKEW_NONE, SKEW_NEW},
    [ACT_UPDATE] = {"update", SKEW_NEW_TEXT, SKEW_OLD, SKEW_NEW},
    [ACT_RECOVER] = {"recover", NULL, SKEW_OLD, SKEW_NONE},
};

const char *act_name(enum act act)
{
    return acts[act].name;
}

static void prepare(const struct round *round, struct target *target)
{
    if (acts[round->act].before == SKEW_NONE)
        return;
    target_allow(target, SKEW_NONE | SKEW_OLD);
    struct run run = skewctl_run("inject", "-p", harness_format("%d", target->victim->pid),
                                 "--offset", SKEW_OLD_TEXT, NULL);
    run_expect(&run, 0);
    target_allow(target, SKEW_OLD);
}

static const char *const *arguments(const struct round *round, const struct target *target)
{
    const char *pid = harness_format("%d", target->victim->pid);
    const char *skew = acts[round->act].skew;
    return skew ? skewctl_arguments("inject", "-p", pid, "--offset", skew, NULL)
                : skewctl_arguments("recover", "-p", pid, NULL);
}

/*
 * The skew of an injected target and of the children that it forked since, as
 * list reads it from the processes; 0 for none of ours.
 */
static unsigned skew_listed(void)
{
    struct run run = skewctl_run("list", "-o", "json", NULL);
    run_expect(&run, 0);
    const char *skew =
        json_query(run.out, "[.injections[].skew_ns | tostring] | unique | join(\" \")");
    if (strcmp(skew, harness_format("%lld", (long long)(-5 * MINUTE))) == 0)
        return SKEW_OLD;
    return strcmp(skew, harness_format("%lld", (long long)(90 * MINUTE))) == 0 ? SKEW_NEW : 0;
}

/* Bytes of its vDSO that are not as before. */
static size_t vdso_bytes_changed(const struct target *target)
{
    struct vdso now = observe_vdso(target->victim->pid);
    size_t changed = 0;
    for (size_t i = 0; i < now.size && i < target->before.vdso.size; i++)
        changed += now.bytes[i] != target->before.vdso.bytes[i];
    return changed;
}

/* Which of the skews the whole of the target shows; 0 where it is something in between. */
static unsigned skew_found(struct target *target, size_t code_mappings)
{
    struct snapshot now = snapshot_take(target->victim->pid);
    if (!snapshot_difference(&target->before, &now))
        return SKEW_NONE;
    /* Three jumps and no stub. */
    size_t changed = vdso_bytes_changed(target);
    if (observe_code_mappings(target->victim->pid) != code_mappings + 1 || changed <= 10 ||
        changed > 15)
        return 0;
    unsigned skew = skew_listed();
    if (skew && target->state == &states[STATE_BUSY]) {
        /* time() is left to the victim's own oracle: to measure it takes a second. */
        int64_t offset_ns = skew == SKEW_OLD ? -5 * MINUTE : 90 * MINUTE;
        clock_reader_expect(target->victim, "clock_gettime 0", offset_ns);
        clock_reader_expect(target->victim, "gettimeofday", offset_ns);
    }
    return skew;
}

static size_t lines(const char *text)
{
    size_t count = 0;
    for (; (text = strchr(text, '\n')) != NULL; text++)
        count++;
    return count;
}

/* The exit code, what was said, and what is in place agree. */
static void judge(const struct round *round, struct target *target, size_t code_mappings,
                  const struct traced *outcome)
{
    if (outcome->code < 0 || outcome->code > 7)
        fail_msg("skewctl ended with %d", outcome->code);
    if (round->fault->harmless && outcome->code != 0)
        fail_msg("skewctl ended with %d where nothing was amiss", outcome->code);
    target_expect_right(target);
    unsigned found = skew_found(target, code_mappings);
    if (outcome->code == 0 && found != acts[round->act].after)
        fail_msg("skewctl ended with 0, yet the skew is %u instead of %u", found,
                 acts[round->act].after);
    if (found == 0 && outcome->code != 7) {
        struct snapshot now = snapshot_take(target->victim->pid);
        fail_msg("skewctl ended with %d and left the target halfway:\n%s", outcome->code,
                 snapshot_difference(&target->before, &now));
    }
    if (outcome->code != 0 && lines(outcome->err) != 1)
        fail_msg("skewctl ended with %d and %zu lines instead of one", outcome->code,
                 lines(outcome->err));
    if (found)
        target_allow(target, found);
}

static void put_back(struct target *target)
{
    int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    target_allow(target, target->allowed | SKEW_NONE);
    for (;;) {
        struct run run = skewctl_run("recover", "--all", NULL);
        if (run.code != 7 || harness_monotonic_ns() > end) {
            run_expect(&run, 0);
            break;
        }
        harness_sleep_ms(5);
    }
    target_expect_clean(target);
    target_allow(target, SKEW_NONE);
}

/*
 * So that the n-th call is the same one in every round: a recover reads what is past as
 * well, and with a history that grows by a row a round there would always be one more.
 */
static void forget(void)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        const char *path = harness_format("%s%s", skewctl_journal(), ends[i]);
        if (unlink(path) != 0 && errno != ENOENT)
            fail_msg("unlink %s: %s", path, strerror(errno));
    }
}

void round_run(void **state)
{
    struct round *round = *state;
    struct target target = target_start(round->state);
    size_t code_mappings = observe_code_mappings(target.victim->pid);
    for (; !round->ended && round->next <= round->last; round->next += round->step) {
        struct keep *mark = harness_mark();
        prepare(round, &target);
        target_allow(&target, acts[round->act].before | acts[round->act].after);
        struct failed failed = fault_run(round->fault, round->next, arguments(round, &target));
        memcpy(round->call, failed.call, sizeof round->call);
        snprintf(round->said, sizeof round->said, "%s", failed.outcome.err);
        judge(round, &target, code_mappings, &failed.outcome);
        put_back(&target);
        forget();
        round->points += failed.struck;
        round->failed_operations += failed.struck && failed.outcome.code != 0;
        round->ended = !failed.struck;
        harness_release(mark);
    }
    round->ended = true;
}
