/*
 * remote.h - system calls, and one routine of the image, run by a thread of
 * the target on skewctl's behalf.
 */
#ifndef SKEWCTL_ENGINE_REMOTE_H
#define SKEWCTL_ENGINE_REMOTE_H

#include "engine/stop.h"

/* Commits the registers that a remote call is about to borrow (promise P2). */
typedef enum skew_code remote_save(void *context, pid_t tid, const arch_registers *registers,
                                   struct skew_error *error);

struct remote {
    struct tracer *tracer;
    struct tracee *tracee; /* at an event stop */
    uint64_t stub;         /* ARCH_STUB_SIZE zero bytes in the vDSO's slack */
    uint64_t image;        /* what the calls are about: noted behind the stub */
    remote_save *save;
    void *save_context;
    bool armed;  /* the stub is in place, for the thread's present registers */
    bool taken;  /* the stub's bytes are no longer zero */
    bool adrift; /* a call was begun and not seen to end: T may be anywhere in the stub */
};

/*
 * Makes one system call in the thread. *result is its value or -errno. After
 * SKEW_OK the thread stays at its syscall-exit stop, and more calls may follow.
 */
enum skew_code remote_syscall(struct remote *remote, long number, const uint64_t arguments[6],
                              long *result, struct skew_error *error);

/* Runs the readback routine of the image at `image`. */
enum skew_code remote_readback(struct remote *remote, uint64_t image, struct skew_error *error);

/*
 * Puts the thread's own registers back and zeroes the stub. The thread stays
 * stopped; let it go next. Harmless where nothing was called. After a call that
 * was not seen to end it fails and leaves thread and stub alone: let go, the
 * thread comes out of the stub by itself, and recover.c clears that away.
 */
enum skew_code remote_finish(struct remote *remote, struct skew_error *error);

/*
 * Finishes after calls that came to `code`, and returns that; a failure to finish
 * only where there was none before. remote->taken tells whether the stub is left.
 */
enum skew_code remote_conclude(struct remote *remote, enum skew_code code,
                               struct skew_error *error);

#endif
