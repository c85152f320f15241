/*
 * permit.c - evaluates a thread's seccomp filters on the calls that it is to
 * make, so that a forbidden one is never run: a filter may answer it by killing
 * the program.
 *
 * PTRACE_O_SUSPEND_SECCOMP is not used unless the user asks for it: the suspension
 * ends with the tracer, and the filter would judge the call of a thread that was
 * left in the stub.
 */
#include "engine/permit.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <string.h>

#include "engine/error.h"
#include "engine/seccomp.h"

#define SYSCALL_SIZE 2
#define FILTERS_MAX  1024

/* stop window begins */

enum permit_mode permit_mode_read(int tasks, pid_t tid)
{
    char path[TASK_PATH_SIZE];
    char text[4096];
    uint64_t mode;
    task_path_format(tid, "status", path);
    if (proc_file_read(tasks, path, text, sizeof text) <= 0 ||
        !status_field_parse(text, "Seccomp", 10, &mode)) {
        return PERMIT_UNKNOWN;
    }
    return (enum permit_mode)mode;
}

bool permit_filtered(const struct tracer *tracer, pid_t tid)
{
    return permit_mode_read(tracer->tasks, tid) != PERMIT_FREE;
}

static enum skew_code refused(const struct tracer *tracer, const struct tracee *caller, int errnum,
                              const char *message, struct skew_error *error)
{
    return error_set_plain(error, SKEW_REFUSED, tracer->target->pid, caller->tid, errnum, "seccomp",
                           message);
}

/* What all filters together make of one call; the buffer holds one filter at a time. */
static enum skew_code filter_ask(const struct permit *permit, const struct tracer *tracer,
                                 const struct tracee *caller, unsigned index,
                                 const struct seccomp_call *calls, uint32_t *actions, size_t count,
                                 bool *last, struct skew_error *error)
{
    long length = tracee_seccomp_filter(caller, index, permit->buffer);
    *last = length == -ENOENT;
    if (*last) {
        return SKEW_OK;
    }
    if (length < 0) {
        *last = true;
        return permit->unread_passes
                   ? SKEW_OK
                   : refused(
                         tracer, caller, (int)-length,
                         "it has a seccomp filter that cannot be read (skewctl doctor tells "
                         "why) and might kill it for the calls needed; use --force if it allows "
                         "mmap and munmap, as the default profiles of containers do",
                         error);
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t action;
        if (!seccomp_evaluate(permit->buffer, (size_t)length, &calls[i], &action)) {
            return refused(tracer, caller, 0, "its seccomp filter is not understood", error);
        }
        actions[i] = seccomp_action_combine(actions[i], action);
    }
    return SKEW_OK;
}

/* Asks all filters, newest first. */
static enum skew_code filters_ask(const struct permit *permit, const struct tracer *tracer,
                                  const struct tracee *caller, uint64_t stub,
                                  const struct permit_call *calls, size_t count,
                                  struct skew_error *error)
{
    struct seccomp_call asked[PERMIT_CALLS_MAX];
    uint32_t actions[PERMIT_CALLS_MAX];
    for (size_t i = 0; i < count; i++) {
        asked[i] = (struct seccomp_call){.number = calls[i].number,
                                         .instruction_pointer = stub + SYSCALL_SIZE};
        memcpy(asked[i].arguments, calls[i].arguments, sizeof asked[i].arguments);
        actions[i] = SECCOMP_RET_ALLOW;
    }
    bool last = false;
    for (unsigned index = 0; index < FILTERS_MAX && !last; index++) {
        enum skew_code code =
            filter_ask(permit, tracer, caller, index, asked, actions, count, &last, error);
        if (code != SKEW_OK) {
            return code;
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (!seccomp_action_allows(actions[i])) {
            return refused(tracer, caller, 0,
                           "its seccomp filter forbids a call that is needed, which was not made; "
                           "--suspend-seccomp would suspend the filter for it, but is not safe "
                           "against the death of skewctl",
                           error);
        }
    }
    return SKEW_OK;
}

enum skew_code permit_check(const struct permit *permit, const struct tracer *tracer,
                            struct tracee *caller, uint64_t stub, const struct permit_call *calls,
                            size_t count, struct skew_error *error)
{
    if (!caller->filtered) {
        return SKEW_OK;
    }
    if (permit_mode_read(tracer->tasks, caller->tid) == PERMIT_STRICT) {
        return refused(tracer, caller, 0,
                       "it is in seccomp strict mode, which forbids the calls needed", error);
    }
    enum skew_code code = filters_ask(permit, tracer, caller, stub, calls, count, error);
    caller->suspend = code == SKEW_REFUSED && permit->suspend;
    return caller->suspend ? SKEW_OK : code;
}

/* stop window ends */
