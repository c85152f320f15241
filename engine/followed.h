/*
 * followed.h - threads that stay attached while they run: what happens to them,
 * and letting them go on. For the thread that attached to them alone.
 */
#ifndef SKEWCTL_ENGINE_FOLLOWED_H
#define SKEWCTL_ENGINE_FOLLOWED_H

#include "engine/skewctl.h"

enum followed_kind {
    FOLLOWED_QUIET,   /* nothing has happened */
    FOLLOWED_NOBODY,  /* nobody is attached any more */
    FOLLOWED_ENDED,   /* a thread has ended; its parent has been told */
    FOLLOWED_READY,   /* in front of its next user instruction, group stop or not */
    FOLLOWED_EXEC,    /* exec(3) has replaced its program, and is about to return */
    FOLLOWED_SIGNAL,  /* in front of the delivery of a signal */
    FOLLOWED_CALL,    /* at a system call that it was asked to make */
    FOLLOWED_PASSING, /* has forked: nothing to do about it */
};

/* What has become of a thread. But for the first three it is stopped, until it is let go. */
struct followed_event {
    enum followed_kind kind;
    pid_t tid;
    int signal; /* of FOLLOWED_SIGNAL; else 0 */
    bool group; /* FOLLOWED_READY: in a group stop, as after SIGSTOP */
};

/*
 * Attaches to a process without stopping it. With `descendants` whatever it
 * creates, and so on, begins attached (PTRACE_O_TRACEFORK and its like).
 */
enum skew_code followed_seize(pid_t pid, bool descendants, struct skew_error *error);

/* Has an attached thread that runs come to its next FOLLOWED_READY. */
void followed_interrupt(pid_t tid);

/* The next event that is due. Does not wait; SIGCHLD tells when there may be one. */
struct followed_event followed_next(void);

/*
 * Lets a stopped thread go on, as it would have without us: a signal is delivered, a
 * group stop stays one.
 */
void followed_continue(const struct followed_event *event);
/* The same, but only to its next FOLLOWED_READY, before another user instruction. */
void followed_advance(const struct followed_event *event);
/* Lets a stopped thread go for good. */
void followed_release(const struct followed_event *event);

#endif
