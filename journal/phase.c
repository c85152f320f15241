/*
 * phase.c - the phases of an injection: their names, which are live, and which
 * may follow which. The one table below is the whole rule; the database knows
 * only the boundary between live and ended (schema.c).
 */
#include "journal/journal.h"

#define STEP(phase) (1U << (phase))

static const struct {
    const char *name;
    unsigned next; /* a STEP for each phase that may follow; none for an ended phase */
} phases[] = {
    [JOURNAL_PLANNED] = {"planned", STEP(JOURNAL_INJECTING) | STEP(JOURNAL_RECOVERING) |
                                        STEP(JOURNAL_RECOVERED) | STEP(JOURNAL_GONE) |
                                        STEP(JOURNAL_FAILED_UNDONE)},
    [JOURNAL_INJECTING] = {"injecting", STEP(JOURNAL_INJECTING) | STEP(JOURNAL_ACTIVE) |
                                            STEP(JOURNAL_RECOVERING) | STEP(JOURNAL_RECOVERED) |
                                            STEP(JOURNAL_GONE) | STEP(JOURNAL_FAILED_UNDONE)},
    [JOURNAL_ACTIVE] = {"active", STEP(JOURNAL_UPDATING) | STEP(JOURNAL_RECOVERING) |
                                      STEP(JOURNAL_RECOVERED) | STEP(JOURNAL_GONE)},
    [JOURNAL_UPDATING] = {"updating", STEP(JOURNAL_UPDATING) | STEP(JOURNAL_ACTIVE) |
                                          STEP(JOURNAL_RECOVERING) | STEP(JOURNAL_RECOVERED) |
                                          STEP(JOURNAL_GONE)},
    /* Back to active: nothing was restored and the recovery was given up. */
    [JOURNAL_RECOVERING] = {"recovering", STEP(JOURNAL_RECOVERING) | STEP(JOURNAL_DRAINING) |
                                              STEP(JOURNAL_ACTIVE) | STEP(JOURNAL_RECOVERED) |
                                              STEP(JOURNAL_GONE) | STEP(JOURNAL_FAILED_UNDONE)},
    [JOURNAL_DRAINING] = {"draining", STEP(JOURNAL_DRAINING) | STEP(JOURNAL_RECOVERING) |
                                          STEP(JOURNAL_RECOVERED) | STEP(JOURNAL_GONE) |
                                          STEP(JOURNAL_FAILED_UNDONE)},
    [JOURNAL_RECOVERED] = {"recovered", 0},
    [JOURNAL_GONE] = {"gone", 0},
    [JOURNAL_FAILED_UNDONE] = {"failed", 0},
};
_Static_assert(sizeof(phases) / sizeof(phases[0]) == JOURNAL_PHASE_COUNT, "each phase has its row");

static bool phase_known(enum journal_phase phase)
{
    return (unsigned)phase < JOURNAL_PHASE_COUNT;
}

const char *journal_phase_name(enum journal_phase phase)
{
    return phase_known(phase) ? phases[phase].name : "unknown";
}

bool journal_phase_live(enum journal_phase phase)
{
    return phase_known(phase) && phase < JOURNAL_RECOVERED;
}

bool journal_phase_may_follow(enum journal_phase from, enum journal_phase to)
{
    return phase_known(from) && phase_known(to) && (phases[from].next & STEP(to)) != 0;
}
