/*
 * traced.h - runs skewctl and kills it with SIGKILL at a given system call, or
 * after a given time, or makes one of its system calls fail, or lets something
 * happen while it is held at one.
 *
 * System calls are counted from 1 over all threads, beginning after the
 * program's own execve(2). A point is the entry of the k-th call (the kernel
 * then does not make it) or its exit (it is made, its caller does not learn
 * of it).
 *
 * Memory and failures are as in harness.h.
 */
#ifndef KILLSWEEP_TRACED_H
#define KILLSWEEP_TRACED_H

#include "harness.h"

/* Never comes: the program runs to its end. */
#define POINT_NEVER (-1)

/* Points in order: 0 is the entry of the first call, 1 its exit, 2 the entry of the second... */
static inline long point_call(long point)
{
    return point / 2 + 1;
}

static inline bool point_is_exit(long point)
{
    return point % 2 != 0;
}

struct traced {
    bool killed;   /* by us */
    bool meddled;  /* the point was reached, and what should happen there has */
    long calls;    /* system calls entered */
    long number;   /* where killed at a point: which system call that was */
    bool attached; /* ... and whether its caller is the thread that attaches to the target */
    int code;      /* exit code where not killed; -1 where a signal ended it */
    const char *err;
};

struct traced traced_run(const char *const argv[], long point);
/*
 * The same of what does not end by itself: it gets SIGTERM at the entry of the first call at
 * which `over` says so.
 */
struct traced traced_run_until(const char *const argv[], long point, bool (*over)(void *context),
                               void *context);
/* A point among those calls alone that put a new skew in force: engine/members.c. */
struct traced traced_run_switching(const char *const argv[], long point);
/* What skewctl has written to stderr so far. */
const char *traced_said(void);

#define FAILURE_CALLS_MAX 8
/* How system calls of some kinds fail. */
struct failure {
    size_t count;
    long numbers[FAILURE_CALLS_MAX]; /* of the system calls */
    int errnum; /* the kernel does not make the call; 0: it moves bytes only up to the end of a page
                 */
    bool for_good; /* and so do all such calls after the n-th */
};

struct failed {
    bool struck;           /* the n-th call came */
    char call[64];         /* which it was: its number and its first two arguments */
    struct traced outcome; /* never killed */
};

/*
 * The n-th such call, from 1 over all threads, fails. The dynamic loader's are
 * not counted: it ends with its first munmap(2).
 */
struct failed traced_run_failing(const char *const argv[], const struct failure *failure, long n);

/* Held at the entry of its k-th such call, from 1, until `meddle` has returned; then it goes on. */
struct traced meddled_run_at(const char *const argv[], long number, long k,
                             void (*meddle)(void *context), void *context);
/* The same with ptrace(2). */
struct traced meddled_run(const char *const argv[], long k, void (*meddle)(void *context),
                          void *context);
struct traced timed_run(const char *const argv[], int64_t delay_ns);

#endif
