/*
 * target.h - a target of the sweep and what must hold of it whenever skewctl
 * has died.
 *
 * Memory and failures are as in harness.h.
 */
#ifndef KILLSWEEP_TARGET_H
#define KILLSWEEP_TARGET_H

#include "observe.h"

/* The skews that occur, as a set of bits. */
enum {
    SKEW_NONE = 1,
    SKEW_OLD = 2,
    SKEW_NEW = 4,
    SKEW_BETWEEN = 8, /* all from the old to the new one: by itself, without a step */
    SKEW_ANY = 15,
};
#define SKEW_OLD_TEXT "-5m"
#define SKEW_NEW_TEXT "+1h30m"

struct state;

struct target {
    const struct state *state;
    struct child *victim; /* whom to talk to */
    pid_t pid;            /* the process */
    pid_t live;           /* one of its threads that lives as long as it */
    struct snapshot before;
    size_t code;      /* observe_code_mappings */
    unsigned allowed; /* the skews that are right */
    unsigned told;    /* those of which the program knows that they are */
    bool posed;
    struct snapshot as_posed;
};

struct target target_start(const struct state *state);
/* From now on exactly these skews are right. */
void target_allow(struct target *target, unsigned skews);
/* Brings it into its state where it is not in it all the time; and out again. */
void target_pose(struct target *target);
void target_relax(struct target *target);
/* Whether a recover may end with 7: done, but for a thread that is still in the image. */
bool target_drains(const struct target *target);
/*
 * Fails unless it is alive, none of its threads is traced, all are stopped if
 * they were and else none, signal masks and descriptors are as before, it gets
 * on, and all that its own oracle has seen so far was right.
 */
void target_expect_right(struct target *target);
/* As that, and the vDSO is as before: what a recover that ends with 7 promises. */
void target_expect_restored(struct target *target);
/* Fails unless mappings and vDSO, and all else of observe.h, are as before the first inject. */
void target_expect_clean(struct target *target);

#endif
