/*
 * group_phase.c - the phases of a group: their names, and which may follow
 * which. The one table below is the whole rule.
 */
#include "journal/groups.h"

#define STEP(phase) (1U << (phase))

static const struct {
    const char *name;
    unsigned next; /* a STEP for each phase that may follow; none for the ended one */
} phases[] = {
    [JOURNAL_GROUP_PLANNED] = {"planned", STEP(JOURNAL_GROUP_ACTIVE) |
                                              STEP(JOURNAL_GROUP_RECOVERING) |
                                              STEP(JOURNAL_GROUP_ENDED)},
    [JOURNAL_GROUP_ACTIVE] = {"active", STEP(JOURNAL_GROUP_RECOVERING) | STEP(JOURNAL_GROUP_ENDED)},
    /* Not back to active: what was to be put back stays to be put back. */
    [JOURNAL_GROUP_RECOVERING] = {"recovering",
                                  STEP(JOURNAL_GROUP_RECOVERING) | STEP(JOURNAL_GROUP_ENDED)},
    [JOURNAL_GROUP_ENDED] = {"ended", 0},
};
_Static_assert(sizeof(phases) / sizeof(phases[0]) == JOURNAL_GROUP_PHASE_COUNT,
               "each phase has its row");

static bool phase_known(enum journal_group_phase phase)
{
    return (unsigned)phase < JOURNAL_GROUP_PHASE_COUNT;
}

const char *journal_group_phase_name(enum journal_group_phase phase)
{
    return phase_known(phase) ? phases[phase].name : "unknown";
}

bool journal_group_phase_may_follow(enum journal_group_phase from, enum journal_group_phase to)
{
    return phase_known(from) && phase_known(to) && (phases[from].next & STEP(to)) != 0;
}
