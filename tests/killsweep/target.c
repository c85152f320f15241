/* See target.h. */
#include "target.h"

#include "victim.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define MINUTE INT64_C(60000000000)

static const struct {
    const char *name;
    const char *victim;
    const char *arguments[2];
} kinds[TARGET_KINDS] = {
    [TARGET_BUSY] = {"busy", "clock_reader", {"4", "20"}},
    [TARGET_BLOCKED] = {"blocked", "blocked", {"restartable", NULL}},
};

const char *target_name(enum target_kind kind)
{
    return kinds[kind].name;
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

struct target target_start(enum target_kind kind)
{
    struct target target = {.kind = kind, .allowed = SKEW_NONE};
    target.victim =
        victim_start(kinds[kind].victim, kinds[kind].arguments[0], kinds[kind].arguments[1], NULL);
    /* Once, so that what it does for the first time is done. */
    if (kind == TARGET_BLOCKED)
        assert_string_equal(child_ask(target.victim, "wake"), "ok");
    target.before = snapshot_take(target.victim->pid);
    yield_to_skewctl(&target.before);
    return target;
}

void target_allow(struct target *target, unsigned skews)
{
    static const struct {
        unsigned skew;
        int64_t offset_ns;
    } offsets[] = {{SKEW_NONE, 0}, {SKEW_OLD, -5 * MINUTE}, {SKEW_NEW, 90 * MINUTE}};
    if (target->kind == TARGET_BUSY) {
        for (size_t i = 0; i < 3; i++)
            if (offsets[i].skew & skews & ~target->allowed)
                clock_reader_allow(target->victim, "realtime", offsets[i].offset_ns);
        for (size_t i = 0; i < 3; i++)
            if (offsets[i].skew & ~skews & target->allowed)
                clock_reader_forbid(target->victim, "realtime", offsets[i].offset_ns);
    }
    target->allowed = skews;
}

/* Without its mappings, which only have to be as before when all is put back. */
static struct snapshot without_mappings(const struct snapshot *snapshot)
{
    const char *threads = strstr(snapshot->facts, "\nthread ");
    const char *mappings = strstr(snapshot->facts, "\nmap ");
    if (!threads || !mappings)
        fail_msg("the process has no threads or no mappings:\n%s", snapshot->facts);
    return (struct snapshot){.facts = harness_format("%.*s%s", (int)(mappings - snapshot->facts),
                                                     snapshot->facts, threads)};
}

void target_expect_right(struct target *target)
{
    struct child *victim = target->victim;
    if (!child_alive(victim))
        fail_msg("the target died, status 0x%x", (unsigned)victim->status);
    struct snapshot now = snapshot_take(victim->pid);
    struct snapshot before = without_mappings(&target->before);
    struct snapshot after = without_mappings(&now);
    const char *difference = snapshot_difference(&before, &after);
    if (difference)
        fail_msg("the target is not as before:\n%s", difference);
    victim_check(victim);
    const char *answer = child_ask(victim, target->kind == TARGET_BUSY ? "advance 64" : "wake");
    if (strcmp(answer, "ok") != 0)
        fail_msg("the target does not get on: %s", answer);
    victim_check(victim);
}

void target_expect_clean(const struct target *target)
{
    snapshot_expect(&target->before, target->victim->pid);
}
