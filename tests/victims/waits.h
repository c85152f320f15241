/*
 * waits.h - ways to wait, for blocked.c: each a thread that waits again and
 * again, and judges how its wait ended.
 */
#ifndef VICTIMS_WAITS_H
#define VICTIMS_WAITS_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ring.h"

#define WAIT_HOUR 3600

struct wait {
    const char *name;
    bool (*prepare)(struct wait *wait); /* or NULL; false with errno where it cannot be had here */
    void (*once)(struct wait *wait);    /* waits, judges how it returned */
    void (*cause)(struct wait *wait);   /* ends the wait */
    bool by_handler;                    /* the cause is a signal handler: may be given again */
    pthread_t thread;
    _Atomic pid_t tid;
    _Atomic int64_t woken;
    int near, far; /* two ends of a socket pair, or of what prepare put there; far is the waker's */
    int set;       /* a queue, a set or a context that the wait is for */
    unsigned long context;
    struct ring ring;
    _Atomic uint32_t word;
    _Atomic pid_t child;
};

/* Those that the kernel itself goes on with after a stop. */
extern struct wait waits_restarted[];
extern const size_t waits_restarted_count;
/* Those that a stop ends with EINTR, but that can simply be made again. */
extern struct wait waits_repeated[];
extern const size_t waits_repeated_count;
/* Those that a stop ends, and that have a limit, or a part already done: they count how often. */
extern struct wait waits_limited[];
extern const size_t waits_limited_count;

/* Set if what semget(2) and the like make ends with the process. */
extern bool wait_ipc_is_private;
/* How often this thread's handler ran. */
extern _Thread_local volatile sig_atomic_t wait_handled;
/* How often a limited wait was cut short. */
extern _Atomic long wait_interruptions;

/* Notes that a wait did not end as it should; shown by wait_errors. */
void wait_wrong(const struct wait *wait, const char *what, long result);
/* How many there were; the first in words. */
unsigned wait_errors(const char **first);

/* Causes and judgements that several waits share. */
void wait_send_byte(struct wait *wait);
void wait_send_signal(struct wait *wait);
/* Takes the byte that ended the wait. */
void wait_take_byte(struct wait *wait);
/* Judges a wait that is to return `due`. */
void wait_expect(const struct wait *wait, long result, long due);
/* True if a limited wait has to be made again; counts it. */
bool wait_interrupted(long result);

/* An epoll of near, a listener as near, a full socket as near. */
bool wait_prepare_epoll(struct wait *wait);
bool wait_prepare_listener(struct wait *wait);
bool wait_prepare_full(struct wait *wait);
bool wait_prepare_semaphore(struct wait *wait);
bool wait_prepare_ring(struct wait *wait);
bool wait_prepare_aio(struct wait *wait);
void wait_cause_accept(struct wait *wait);
void wait_cause_drain(struct wait *wait);
void wait_cause_semaphore(struct wait *wait);
void wait_cause_sigusr2(struct wait *wait);
/* What a ring or an aio context is to report: that near can be read. */
void wait_request_poll(struct wait *wait);
void wait_aio_request_poll(struct wait *wait);

#endif
