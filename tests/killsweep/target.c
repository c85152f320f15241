/* See target.h. */
#include "target.h"

#include "state.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* Far longer than that takes on a loaded machine. */
#define COMES_BACK_NS INT64_C(2000000000)
#define CALM_MS       20

/* Whether that line of a snapshot has to be as before. */
static bool counts(const char *line, size_t length, unsigned varies)
{
    if (strncmp(line, "map ", 4) == 0)
        return !(varies & VARIES_MAPPINGS);
    if (strncmp(line, "thread ", 7) != 0)
        return true;
    bool mask = memmem(line, length, " SigBlk ", 8) != NULL;
    return !(varies & VARIES_THREADS) && !(varies & VARIES_MASKS && mask);
}

static const char *facts_without(const char *facts, unsigned varies)
{
    char *kept = harness_memory(strlen(facts) + 1), *end = kept;
    for (const char *line = facts; *line;) {
        size_t length = strcspn(line, "\n") + 1;
        if (counts(line, length, varies)) {
            memcpy(end, line, length);
            end += length;
        }
        line += length;
    }
    return kept;
}

/* NULL where nothing differs that has to be as before. */
static const char *difference(const struct snapshot *before, const struct snapshot *after,
                              unsigned varies, bool vdso)
{
    struct snapshot old = {.facts = facts_without(before->facts, varies)};
    struct snapshot new = {.facts = facts_without(after->facts, varies)};
    if (vdso) {
        old.vdso = before->vdso;
        new.vdso = after->vdso;
    }
    return snapshot_difference(&old, &new);
}

/* The sweep waits for skewctl far more than for the target. */
static void yield_to_skewctl(const struct snapshot *snapshot)
{
    for (const char *line = snapshot->facts; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, "thread ", 7) == 0)
            setpriority(PRIO_PROCESS, (id_t)atoi(line + 7), 10);
    }
}

/*
 * Runtimes go on starting threads when they already answer: a thread that is
 * being born has every signal blocked, those of the C library included.
 */
static struct snapshot snapshot_of_calm(pid_t live, unsigned varies)
{
    int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    struct snapshot last = snapshot_take(live);
    for (;;) {
        harness_sleep_ms(CALM_MS);
        struct snapshot now = snapshot_take(live);
        if ((varies & VARIES_MASKS || !strstr(now.facts, " SigBlk fffffffffffbfeff")) &&
            !difference(&last, &now, varies, true))
            return now;
        if (harness_monotonic_ns() > end)
            fail_msg("the target does not come to rest:\n%s", now.facts);
        last = now;
    }
}

struct target target_start(const struct state *state)
{
    struct target target = {.state = state, .allowed = SKEW_NONE, .told = SKEW_NONE};
    state->start(&target);
    /* Once, so that what it does for the first time is done. */
    state->expect(&target);
    target.before = snapshot_of_calm(target.live, state->varies);
    target.code = observe_code_mappings(target.live);
    yield_to_skewctl(&target.before);
    return target;
}

static void tell(struct target *target, unsigned skews)
{
    if (target->state->allow)
        target->state->allow(target, skews);
    target->told = skews;
}

void target_allow(struct target *target, unsigned skews)
{
    target->allowed = skews;
    if (!target->posed || !target->state->silent)
        tell(target, skews);
}

void target_pose(struct target *target)
{
    if (!target->state->pose)
        return;
    /* What it cannot be told when it goes on must be right until then. */
    if (target->state->silent)
        tell(target, SKEW_ANY);
    target->state->pose(target);
    target->posed = true;
    target->as_posed = snapshot_take(target->live);
}

void target_relax(struct target *target)
{
    if (!target->posed)
        return;
    target->state->relax(target);
    target->posed = false;
    target_allow(target, target->allowed);
}

bool target_drains(const struct target *target)
{
    return target->state->drains && (target->posed || !target->state->pose);
}

static void expect_untraced(struct target *target)
{
    if (!child_alive(target->victim))
        fail_msg("the target died, status 0x%x", (unsigned)target->victim->status);
    observe_untraced(target->live);
}

/*
 * A tracer's death lets a stopped thread run for the moment that it takes to
 * stop again, and some programs look into a file now and then. What stays is
 * what counts.
 */
static void expect_same(const struct target *target, const struct snapshot *before, unsigned varies,
                        bool vdso)
{
    bool patient = target->posed || target->state->varies & VARIES_BRIEFLY;
    int64_t end = harness_monotonic_ns() + COMES_BACK_NS;
    for (;;) {
        struct snapshot now = snapshot_take(target->live);
        const char *found = difference(before, &now, varies, vdso);
        if (!found)
            return;
        if (!patient || harness_monotonic_ns() > end)
            fail_msg("the target is not as before:\n%s", found);
    }
}

/* Mappings only have to be as before when all is put back. */
void target_expect_right(struct target *target)
{
    expect_untraced(target);
    expect_same(target, target->posed ? &target->as_posed : &target->before,
                target->state->varies | VARIES_MAPPINGS, false);
    /* What is held gets on when it is let go. */
    if (!target->posed)
        target->state->expect(target);
}

void target_expect_restored(struct target *target)
{
    target_expect_right(target);
    struct vdso now = observe_vdso(target->live);
    assert_int_equal(now.size, target->before.vdso.size);
    assert_memory_equal(now.bytes, target->before.vdso.bytes, now.size);
}

void target_expect_clean(struct target *target)
{
    expect_untraced(target);
    expect_same(target, &target->before, target->state->varies, true);
    assert_int_equal(observe_code_mappings(target->live), target->code);
    target->state->expect(target);
}
