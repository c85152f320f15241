/*
 * state.h - the states in which the sweep meets a target: how a program is
 * brought into each, what such a program itself changes of what can be seen of
 * it, and how it is asked whether all it has seen was right.
 *
 * Memory and failures are as in harness.h.
 */
#ifndef KILLSWEEP_STATE_H
#define KILLSWEEP_STATE_H

#include "target.h"

/* What a program changes by itself. */
enum {
    VARIES_MASKS = 1,    /* its handlers run all the time, and block signals */
    VARIES_THREADS = 2,  /* its threads come and go */
    VARIES_MAPPINGS = 4, /* so do its mappings; those of nameless code do not */
    VARIES_BRIEFLY = 8,  /* anything, for a moment, as when it looks into a file */
};

struct state {
    const char *name;
    const char *argument; /* whatever `start` and the others want */
    const char *members;  /* not NULL: a group, of targets in these states */
    bool execs;           /* a group whose members execute programs all the time */
    unsigned varies;
    /* As state_missing; NULL where it can always be had. */
    const char *(*missing)(const struct state *state);
    /* Sets victim, pid and live. */
    void (*start)(struct target *target);
    /* Tells the program which skews are right from now on; NULL where it need not know. */
    void (*allow)(struct target *target, unsigned skews);
    /* Fails unless it gets on, and clocks and all else it saw were right. */
    void (*expect)(struct target *target);
    /* Brings it into the state, and out of it again; NULL where it always is in it. */
    void (*pose)(struct target *target);
    void (*relax)(struct target *target);
    /* While posed it answers nothing, and does not get on. */
    bool silent;
    /*
     * A recover may end with 7, as signal handlers interrupt clock reads: while it is
     * posed, or at any time if it cannot be posed. These have stacks in which what a
     * handler left cannot be told from what one needs: the last word need not come.
     */
    bool drains;
};

/* Those that others ask for, too. */
enum { STATE_BUSY, STATE_BLOCKED };
/* How many skewed programs the target in state "programs" has executed so far. */
int64_t programs_skewed(void);
#define STATES 21
extern const struct state states[STATES];

/* The one of that name, of `length` letters; NULL where there is none. */
const struct state *state_find(const char *name, size_t length);
/* Why it cannot be had here; NULL if it can. */
const char *state_missing(const struct state *state);

#endif
