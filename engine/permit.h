/*
 * permit.h - would the target be allowed to make the calls asked of it?
 */
#ifndef SKEWCTL_ENGINE_PERMIT_H
#define SKEWCTL_ENGINE_PERMIT_H

#include <linux/filter.h>

#include "engine/stop.h"

/* A call that a thread of the target is about to make in the stub. */
struct permit_call {
    long number;
    uint64_t arguments[6];
};

#define PERMIT_CALLS_MAX 8

struct permit {
    struct sock_filter *buffer; /* BPF_MAXINSNS instructions, allocated before the stop */
    bool unread_passes;         /* go on where the filter cannot be read */
    bool suspend;               /* have a filter that forbids a call suspended, not refuse */
};

/*
 * SKEW_REFUSED if a seccomp filter of the stopped thread forbids one of the
 * calls, or has somebody else decide on it. Nothing is called. The filter can
 * be read only with CAP_SYS_ADMIN (ptrace(2), PTRACE_SECCOMP_GET_FILTER). With
 * permit->suspend SKEW_OK, and caller->suspend tells whether the filters have to
 * be suspended for the calls.
 */
enum skew_code permit_check(const struct permit *permit, const struct tracer *tracer,
                            struct tracee *caller, uint64_t stub, const struct permit_call *calls,
                            size_t count, struct skew_error *error);

/* Field Seccomp of proc_pid_status(5). */
enum permit_mode { PERMIT_FREE, PERMIT_STRICT, PERMIT_FILTERED, PERMIT_UNKNOWN };
/* `tasks` is a descriptor of /proc/PID/task. */
enum permit_mode permit_mode_read(int tasks, pid_t tid);

/* Whether the thread has a filter, or may have. */
bool permit_filtered(const struct tracer *tracer, pid_t tid);

#endif
