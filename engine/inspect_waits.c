/*
 * inspect_waits.c - which threads wait for a time of a clock.
 *
 * Promise: no thread is stopped or woken; /proc/PID/task/TID/syscall shows the call that a
 * thread sleeps in as it lies in its kernel stack.
 *
 * The kernel's clocks are never skewed, so a wait that is under way ends when it would have.
 * One with a length of time is of no concern: the length is as it was. One with a time at
 * which to end was given that time by somebody who read a clock, and who will read a
 * skewed one before the next.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "engine/clock.h"
#include "engine/inspect.h"
#include "engine/memory.h"
#include "engine/scope.h"

/* Not in the headers of Linux 6.1. */
#define CALL_FUTEX_WAIT 455

#define GROUPS_MAX 64

bool thread_call_parse(const char *text, struct thread_call *call)
{
    *call = (struct thread_call){0};
    if (strcmp(text, "running\n") == 0) {
        call->running = true;
        return true;
    }
    char *rest;
    errno = 0;
    call->number = strtol(text, &rest, 10);
    if (rest == text || errno != 0 || call->number < -1) {
        return false;
    }
    for (int i = 0; i < 6 && call->number >= 0; i++) {
        const char *argument = rest;
        call->arguments[i] = strtoull(argument, &rest, 16);
        if (rest == argument || errno != 0) {
            return false;
        }
    }
    return *rest == ' ';
}

static bool futex_wait_find(const struct thread_call *call, struct deadline_wait *wait)
{
    wait->name = "futex";
    wait->timespec = call->arguments[3];
    bool realtime = (call->arguments[1] & FUTEX_CLOCK_REALTIME) != 0;
    switch (call->arguments[1] & FUTEX_CMD_MASK) {
    case FUTEX_WAIT_BITSET:
    case FUTEX_WAIT_REQUEUE_PI:
    case FUTEX_LOCK_PI2:
        wait->clock = realtime ? CLOCK_REALTIME : CLOCK_MONOTONIC;
        return true;
    case FUTEX_LOCK_PI:
        wait->clock = CLOCK_REALTIME;
        return true;
    default: /* FUTEX_WAIT has a length of time, with either clock. */
        return false;
    }
}

bool deadline_wait_find(const struct thread_call *call, struct deadline_wait *wait)
{
    const uint64_t *arguments = call->arguments;
    bool found = true;
    *wait = (struct deadline_wait){0};
    if (call->running) {
        return false;
    }
    switch (call->number) {
    case SYS_futex:
        found = futex_wait_find(call, wait);
        break;
    case SYS_futex_waitv:
        *wait = (struct deadline_wait){"futex_waitv", (clockid_t)arguments[4], arguments[3]};
        break;
    case CALL_FUTEX_WAIT:
        *wait = (struct deadline_wait){"futex_wait", (clockid_t)arguments[5], arguments[4]};
        break;
    case SYS_clock_nanosleep:
        found = (arguments[1] & TIMER_ABSTIME) != 0;
        *wait = (struct deadline_wait){"clock_nanosleep", (clockid_t)arguments[0], arguments[2]};
        break;
    case SYS_mq_timedsend:
    case SYS_mq_timedreceive:
        *wait = (struct deadline_wait){call->number == SYS_mq_timedsend ? "mq_timedsend"
                                                                        : "mq_timedreceive",
                                       CLOCK_REALTIME, arguments[4]};
        break;
    default:
        found = false;
        break;
    }
    return found && wait->timespec != 0;
}

/* Threads that wait in the same manner. */
struct waiters {
    struct deadline_wait wait;
    size_t count;
    pid_t first;
    bool due_known;
    int64_t due_ns; /* until the first of them wakes */
};

struct waits {
    const struct target *target;
    int memory;
    struct clock_shift shift;
    struct waiters groups[GROUPS_MAX];
    size_t group_count;
    size_t threads, running, other;
    size_t resumed;    /* whose call is restart_syscall(2) */
    size_t unreadable; /* or of no known form */
    size_t beyond;     /* that `limit` left out, or no group had room for */
};

static bool thread_call_read(const struct waits *waits, const char *tid, struct thread_call *call)
{
    char path[288];
    char text[256];
    snprintf(path, sizeof path, "task/%s/syscall", tid);
    return proc_file_read(waits->target->directory, path, text, sizeof text) > 0 &&
           thread_call_parse(text, call);
}

/* How long until then; false where it cannot be told, or the thread waits no more. */
static bool due_read(const struct waits *waits, const char *tid, const struct thread_call *call,
                     const struct deadline_wait *wait, int64_t *due_ns)
{
    struct timespec end, now;
    struct thread_call again;
    if (waits->memory < 0 || !memory_read(waits->memory, wait->timespec, &end, sizeof end) ||
        clock_gettime(wait->clock, &now) != 0 ||
        (!waits->shift.known && wait->clock != CLOCK_REALTIME) ||
        /* Else something else may lie there now. */
        !thread_call_read(waits, tid, &again) || again.number != call->number ||
        memcmp(again.arguments, call->arguments, sizeof again.arguments) != 0) {
        return false;
    }
    int64_t seconds;
    return !__builtin_sub_overflow(end.tv_sec, now.tv_sec, &seconds) &&
           !__builtin_mul_overflow(seconds, 1000000000, &seconds) &&
           !__builtin_add_overflow(seconds, end.tv_nsec - now.tv_nsec, &seconds) &&
           !__builtin_sub_overflow(seconds, clock_shift_of(wait->clock, waits->shift), due_ns);
}

static void wait_add(struct waits *waits, const char *tid, const struct thread_call *call,
                     const struct deadline_wait *wait)
{
    size_t g = 0;
    while (g < waits->group_count && (waits->groups[g].wait.clock != wait->clock ||
                                      strcmp(waits->groups[g].wait.name, wait->name) != 0)) {
        g++;
    }
    if (g == GROUPS_MAX) {
        waits->beyond++;
        return;
    }
    struct waiters *group = &waits->groups[g];
    if (g == waits->group_count) {
        *group = (struct waiters){.wait = *wait, .first = (pid_t)atoi(tid)};
        waits->group_count++;
    }
    group->count++;
    int64_t due_ns;
    if (due_read(waits, tid, call, wait, &due_ns) &&
        (!group->due_known || due_ns < group->due_ns)) {
        group->due_known = true;
        group->due_ns = due_ns;
    }
}

/* Threads come and go while they are listed. */
static bool thread_is_gone(const struct waits *waits, const char *tid)
{
    char path[288];
    snprintf(path, sizeof path, "task/%s", tid);
    return faccessat(waits->target->directory, path, F_OK, 0) != 0;
}

static void thread_look(struct waits *waits, const char *tid)
{
    struct thread_call call;
    struct deadline_wait wait;
    waits->threads++;
    if (!thread_call_read(waits, tid, &call)) {
        waits->unreadable += !thread_is_gone(waits, tid);
    } else if (call.running) {
        waits->running++;
    } else if (call.number == SYS_restart_syscall) {
        waits->resumed++;
    } else if (deadline_wait_find(&call, &wait)) {
        wait_add(waits, tid, &call, &wait);
    } else {
        waits->other++;
    }
}

static void threads_list(struct waits *waits, size_t limit)
{
    int list = openat(waits->target->directory, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *tasks = list < 0 ? NULL : fdopendir(list);
    if (tasks == NULL) {
        descriptor_close(&list);
        waits->unreadable++;
        return;
    }
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        if (waits->threads < limit) {
            thread_look(waits, entry->d_name);
        } else {
            waits->beyond++;
        }
    }
    closedir(tasks);
}

static void waits_tell(const struct waits *waits, struct findings *findings)
{
    for (size_t g = 0; g < waits->group_count; g++) {
        const struct waiters *group = &waits->groups[g];
        const struct skew_finding finding = {
            .subject = "wait",
            .clocked = true,
            .clock = group->wait.clock,
            .mode = SKEW_TIMER_ABSOLUTE,
            .follows = SKEW_FOLLOWS_NO,
            .count = group->count,
            .due_known = group->due_known,
            .due_ns = group->due_ns,
            .meaning =
                inspect_meaning(group->wait.clock,
                                "wakes at a true time: a skew does not move it; the next, if "
                                "reckoned from a skewed "
                                "clock, is late by the skew, or over at once where that goes back"),
        };
        findings_add(findings, &finding,
                     "%zu thread%s in %s until a time of clock %s, first thread %d", group->count,
                     inspect_plural(group->count), group->wait.name,
                     inspect_clock_name(group->wait.clock), (int)group->first);
    }
    if (waits->resumed != 0) {
        findings_add(
            findings,
            &(struct skew_finding){
                .subject = "wait",
                .follows = SKEW_FOLLOWS_UNKNOWN,
                .count = waits->resumed,
                .meaning = "was interrupted in a wait and goes on with it: the kernel does "
                           "not tell whether that ends at a time of a clock"},
            "%zu thread%s in restart_syscall", waits->resumed, inspect_plural(waits->resumed));
    }
    if (waits->running != 0) {
        findings_add(findings,
                     &(struct skew_finding){.subject = "wait",
                                            .follows = SKEW_FOLLOWS_UNKNOWN,
                                            .count = waits->running,
                                            .meaning = "is at work: what it will wait for next "
                                                       "is not to be seen"},
                     "%zu running thread%s", waits->running, inspect_plural(waits->running));
    }
    if (waits->unreadable != 0 || waits->beyond != 0) {
        findings_add(findings,
                     &(struct skew_finding){.subject = "wait",
                                            .follows = SKEW_FOLLOWS_UNKNOWN,
                                            .count = waits->unreadable + waits->beyond,
                                            .meaning = "may wait for a time of a clock"},
                     "%zu thread%s that could not be looked at", waits->unreadable + waits->beyond,
                     inspect_plural(waits->unreadable + waits->beyond));
    }
    if (waits->other != 0) {
        findings_add(findings,
                     &(struct skew_finding){.subject = "wait",
                                            .follows = SKEW_FOLLOWS_UNCONCERNED,
                                            .count = waits->other,
                                            .meaning = "takes as long as without a skew"},
                     "%zu thread%s waiting for an event or a length of time", waits->other,
                     inspect_plural(waits->other));
    }
}

void inspect_waits(const struct target *target, int memory, size_t limit, struct findings *findings)
{
    struct waits waits = {.target = target, .memory = memory};
    waits.shift = clock_shift_read(target);
    threads_list(&waits, limit);
    waits_tell(&waits, findings);
}
