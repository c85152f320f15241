/*
 * exact.h - being attached to processes, so that what they execute is skewed before its
 * first user instruction.
 */
#ifndef SKEWCTL_ENGINE_EXACT_H
#define SKEWCTL_ENGINE_EXACT_H

#include "engine/follow.h"

/* A member that could be neither skewed nor attached to: it is said once. */
struct refusal {
    pid_t pid;
    uint64_t start_time;
};
#define EXACT_REFUSALS 64

struct program;

/* Filled in by the caller as far as the first empty line. */
struct exact {
    struct skew_engine *engine;
    pid_t pid;                   /* about to execute a program; 0: the members of the group */
    bool once;                   /* no more than that program of that process, */
    struct skew_request request; /* with this skew where there is no follower; else its `force` */
    struct follower *follower;   /* of `group`, or NULL */
    struct journal_group group;  /* as last read */
    const struct membership *membership; /* who else belongs, or NULL */
    /* Each may be NULL, and is called on a thread of the engine's own. */
    void (*attached)(void *context);
    void (*refused)(void *context, const struct skew_report *report,
                    const struct skew_error *error);
    void *context;
    struct skew_report *report; /* of the program, with `once` */
    struct skew_error *error;

    bool alone; /* nobody is left */
    enum skew_code code;
    int changes;     /* signalfd(2) of SIGCHLD */
    int64_t look_ns; /* CLOCK_MONOTONIC: when to look for members from elsewhere */
    struct refusal refusals[EXACT_REFUSALS]; /* the last ones */
    size_t refusal_count;
    struct program *programs;
    size_t count;
    size_t capacity;
};

/*
 * Stays attached until nobody is left, follower_check says so, or with `once` the program
 * has been skewed or ended. When it returns nobody is attached to.
 */
enum skew_code exact_run(struct exact *exact);

#endif
