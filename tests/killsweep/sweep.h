/*
 * sweep.h - kills one operation on one target again and again, and checks
 * after each death that the target is right and that skewctl recover --all
 * puts it back.
 *
 * The target lives as long as nothing fails. The first failure ends a sweep:
 * the caller starts another at the next point.
 */
#ifndef KILLSWEEP_SWEEP_H
#define KILLSWEEP_SWEEP_H

#include "operation.h"
#include "state.h"
#include "traced.h"

#include <signal.h>

struct tally {
    long points;   /* deaths of skewctl */
    long attached; /* of these, those in the thread that attaches to the target */
    long draining; /* recovers that had to be repeated */
    long kept;     /* targets given up, clocks right, as the image drained for too long */
};

/* What a sweep does, and where it is; shared with the process that started it. */
struct sweep {
    enum operation operation;
    const struct state *state;
    const volatile sig_atomic_t *stop; /* once not 0: no more points */
    bool random;                       /* after a random time, else at the points of traced.h */
    long next; /* the point, or the number of the random death, that is due */
    long last; /* where to end, at the latest */
    long step; /* from one point to the next */
    uint64_t seed;
    enum manner manner;
    struct tally tally;
    long number;      /* the system call of the last death */
    bool attached;    /* and whether its thread was the one that attaches */
    int64_t delay_ns; /* or its random time */
    bool ended;       /* the operation ran to its end */
};

/* A cmocka test. *state is the struct sweep. */
void sweep_run(void **state);

/* The same number for the same seed and place. */
uint64_t sweep_random(const struct sweep *sweep);
/* Takes down a death, if it was one. */
void sweep_count(struct sweep *sweep, const struct traced *traced);

#endif
