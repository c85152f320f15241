/*
 * fleet.h - the members of a group, each a target in a state of its own, and what must hold
 * of all of them.
 *
 * Memory and failures are as in harness.h.
 */
#ifndef KILLSWEEP_FLEET_H
#define KILLSWEEP_FLEET_H

#include "operation.h"
#include "state.h"

#define FLEET_MAX 8

struct fleet {
    enum manner manner; /* of their skews */
    size_t count;
    struct target members[FLEET_MAX];
};

/* One target for each of the state's members. */
struct fleet fleet_start(const struct state *state, enum manner manner);
/* argv for execv(3): skewctl inject of all of them, as one group; `more` may be NULL. */
const char *const *fleet_inject_arguments(const struct fleet *fleet, unsigned skew,
                                          const char *more);
void fleet_allow(struct fleet *fleet, unsigned skews);
/* As target_expect_right of each. */
void fleet_expect_right(struct fleet *fleet);
/*
 * The one skew that skewctl lists for all members, with nothing left to be done in them.
 * 0 where they differ, or something is left.
 */
unsigned fleet_listed(const struct fleet *fleet);
/* Fails unless there is such a skew, one of these, and each member sees it; returns it. */
unsigned fleet_agree(struct fleet *fleet, unsigned skews);
/* As target_expect_clean of each, and the journal has no group or injection that has not ended. */
void fleet_expect_clean(struct fleet *fleet);

#endif
