/*
 * round.h - one operation of skewctl in which one call after the other fails,
 * and what must hold after each.
 *
 * Memory and failures are as in harness.h.
 */
#ifndef NTHCALL_ROUND_H
#define NTHCALL_ROUND_H

#include "fault.h"
#include "state.h"

enum act {
    ACT_INJECT,  /* a clean target */
    ACT_UPDATE,  /* inject on an injected target */
    ACT_RECOVER, /* of an injected target */
    ACTS
};
const char *act_name(enum act act);

/* What is done, and where it is; shared with the process that started it. */
struct round {
    enum act act;
    const struct state *state;
    const struct fault *fault;
    long next; /* the n that is due */
    long last; /* where to end, at the latest */
    long step; /* from one n to the next */
    long points, failed_operations, kept;
    char call[64];   /* the call that failed last */
    char said[1000]; /* what skewctl said to that */
    bool ended;      /* there are no more such calls */
};

/* A cmocka test. *state is the struct round. */
void round_run(void **state);

#endif
