/*
 * inspect_timers.c - the timers that a process has in the kernel: timerfds and POSIX timers.
 *
 * Promise: only files of /proc are read. As with waits (inspect_waits.c), the kernel
 * counts in true time, so what matters is whether a timer was given a time at which to
 * expire, and of which clock.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>

#include "engine/inspect.h"
#include "engine/scope.h"

/* A process may have as many timers as it may queue signals (RLIMIT_SIGPENDING). */
#define TIMERS_SIZE (4 << 20)
/* Clocks 0 to 11 and those of processor time. */
#define CLOCK_SLOTS 16

bool timerfd_info_parse(const char *text, struct timerfd_info *info)
{
    const char *clock = strstr(text, "\nclockid: ");
    const char *flags = strstr(text, "\nsettime flags: ");
    const char *value = strstr(text, "\nit_value: (");
    const char *interval = strstr(text, "\nit_interval: (");
    unsigned settime;
    long long seconds[2], nanoseconds[2];
    *info = (struct timerfd_info){0};
    if (clock == NULL || flags == NULL || value == NULL || interval == NULL ||
        sscanf(clock, "\nclockid: %d", &info->clock) != 1 ||
        sscanf(flags, "\nsettime flags: %o", &settime) != 1 ||
        sscanf(value, "\nit_value: (%lld, %lld)", &seconds[0], &nanoseconds[0]) != 2 ||
        sscanf(interval, "\nit_interval: (%lld, %lld)", &seconds[1], &nanoseconds[1]) != 2) {
        return false;
    }
    info->absolute = (settime & TFD_TIMER_ABSTIME) != 0;
    info->repeats = seconds[1] != 0 || nanoseconds[1] != 0;
    if (__builtin_mul_overflow(seconds[0], 1000000000LL, &info->remaining_ns) ||
        __builtin_add_overflow(info->remaining_ns, nanoseconds[0], &info->remaining_ns)) {
        info->remaining_ns = INT64_MAX;
    }
    return true;
}

bool posix_timer_parse(const char **text, clockid_t *clock)
{
    static const char field[] = "ClockID:";
    const char *found = strstr(*text, field);
    if (found == NULL || sscanf(found + strlen(field), "%d", clock) != 1) {
        return false;
    }
    *text = found + strlen(field);
    return true;
}

/* Timers of one kind, clock and mode. */
struct tally {
    size_t count;
    int64_t due_ns; /* of the first; 0 where none is set */
};

struct timers {
    struct tally timerfds[CLOCK_SLOTS][2]; /* by clock, and whether absolute */
    size_t unset;
    size_t rings;
    size_t unreadable;
};

static size_t slot_of(clockid_t clock)
{
    return clock >= 0 && clock < CLOCK_SLOTS - 1 ? (size_t)clock : CLOCK_SLOTS - 1;
}

static void timerfd_look(const struct target *target, const char *descriptor, struct timers *timers)
{
    char path[320];
    char text[1024];
    struct timerfd_info info;
    snprintf(path, sizeof path, "task/%d/fdinfo/%s", (int)target->live_tid, descriptor);
    if (proc_file_read(target->directory, path, text, sizeof text) <= 0) {
        timers->unreadable += errno != ENOENT;
        return;
    }
    if (!timerfd_info_parse(text, &info)) {
        timers->unreadable++;
        return;
    }
    if (info.remaining_ns == 0 && !info.repeats) {
        timers->unset++;
        return;
    }
    struct tally *tally = &timers->timerfds[slot_of(info.clock)][info.absolute];
    if (tally->count++ == 0 || info.remaining_ns < tally->due_ns) {
        tally->due_ns = info.remaining_ns;
    }
}

static void descriptors_look(const struct target *target, size_t limit, struct timers *timers)
{
    int list = target_file_open(target, "fd", O_RDONLY | O_DIRECTORY);
    DIR *descriptors = list < 0 ? NULL : fdopendir(list);
    if (descriptors == NULL) {
        descriptor_close(&list);
        timers->unreadable++;
        return;
    }
    size_t looked = 0;
    for (struct dirent *entry; (entry = readdir(descriptors)) != NULL;) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        char link[64] = "";
        if (looked++ >= limit ||
            readlinkat(dirfd(descriptors), entry->d_name, link, sizeof link - 1) < 0) {
            timers->unreadable += looked > limit || errno != ENOENT;
        } else if (strcmp(link, "anon_inode:[timerfd]") == 0) {
            timerfd_look(target, entry->d_name, timers);
        } else if (strcmp(link, "anon_inode:[io_uring]") == 0) {
            timers->rings++;
        }
    }
    closedir(descriptors);
}

static void timerfds_tell(const struct timers *timers, struct findings *findings)
{
    for (size_t clock = 0; clock < CLOCK_SLOTS; clock++) {
        for (int absolute = 1; absolute >= 0; absolute--) {
            const struct tally *tally = &timers->timerfds[clock][absolute];
            if (tally->count == 0) {
                continue;
            }
            const struct skew_finding finding = {
                .subject = "timerfd",
                .clocked = true,
                .clock = (clockid_t)clock,
                .mode = absolute ? SKEW_TIMER_ABSOLUTE : SKEW_TIMER_RELATIVE,
                .follows = absolute ? SKEW_FOLLOWS_NO : SKEW_FOLLOWS_UNCONCERNED,
                .count = tally->count,
                .due_known = true,
                .due_ns = tally->due_ns,
                .meaning = absolute
                               ? inspect_meaning((clockid_t)clock,
                                                 "expires at a true time: a skew does not move it, "
                                                 "nor count as a step of the clock")
                               : "expires after the same length of time as without a skew",
            };
            findings_add(findings, &finding, "%zu timerfd%s set %s clock %s", tally->count,
                         inspect_plural(tally->count),
                         absolute ? "to a time of" : "to a length of time of",
                         inspect_clock_name((clockid_t)clock));
        }
    }
    if (timers->unset != 0) {
        findings_add(findings,
                     &(struct skew_finding){.subject = "timerfd",
                                            .follows = SKEW_FOLLOWS_UNCONCERNED,
                                            .count = timers->unset,
                                            .meaning = "does not expire as it is"},
                     "%zu timerfd%s that %s not set", timers->unset, inspect_plural(timers->unset),
                     timers->unset == 1 ? "is" : "are");
    }
    if (timers->rings != 0) {
        findings_add(findings,
                     &(struct skew_finding){.subject = "io_uring",
                                            .follows = SKEW_FOLLOWS_UNKNOWN,
                                            .count = timers->rings,
                                            .meaning = "the kernel does not show its timeouts: one "
                                                       "with IORING_TIMEOUT_ABS ends at a true "
                                                       "time"},
                     "%zu io_uring%s", timers->rings, inspect_plural(timers->rings));
    }
    if (timers->unreadable != 0) {
        findings_add(findings,
                     &(struct skew_finding){.subject = "timerfd",
                                            .follows = SKEW_FOLLOWS_UNKNOWN,
                                            .count = timers->unreadable,
                                            .meaning = "may be timers that expire at a true time"},
                     "descriptors that could not be looked at");
    }
}

/* Processor time passes as it does: what is set on such clocks is of no concern. */
static void posix_timers_tell(const size_t counts[CLOCK_SLOTS], struct findings *findings)
{
    for (size_t clock = 0; clock < CLOCK_SLOTS; clock++) {
        bool work = clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID ||
                    clock == CLOCK_SLOTS - 1;
        if (counts[clock] == 0) {
            continue;
        }
        const struct skew_finding finding = {
            .subject = "timer",
            .clocked = true,
            .clock = work ? CLOCK_PROCESS_CPUTIME_ID : (clockid_t)clock,
            .mode = SKEW_TIMER_UNKNOWN,
            .follows = work ? SKEW_FOLLOWS_UNCONCERNED : SKEW_FOLLOWS_UNKNOWN,
            .count = counts[clock],
            .meaning =
                work ? "counts work, not time"
                     : inspect_meaning((clockid_t)clock,
                                       "the kernel does not show whether it is set, and to what: "
                                       "a length of time is as long as ever, a time is a true one "
                                       "that a skew does not move"),
        };
        findings_add(findings, &finding, "%zu POSIX timer%s of %s", counts[clock],
                     inspect_plural(counts[clock]),
                     work ? "processor time" : inspect_clock_name((clockid_t)clock));
    }
}

static void posix_timers_look(const struct target *target, struct findings *findings)
{
    scoped_memory char *text = malloc(TIMERS_SIZE);
    size_t counts[CLOCK_SLOTS] = {0};
    if (text == NULL || proc_file_read(target->directory, "timers", text, TIMERS_SIZE) < 0) {
        findings_add(findings,
                     &(struct skew_finding){.subject = "timer",
                                            .follows = SKEW_FOLLOWS_UNKNOWN,
                                            .mode = SKEW_TIMER_UNKNOWN,
                                            .meaning = "may be timers that expire at a true time"},
                     "POSIX timers: /proc/PID/timers cannot be read%s",
                     errno == ENOENT ? "; this kernel has none" : "");
        return;
    }
    clockid_t clock;
    for (const char *rest = text; posix_timer_parse(&rest, &clock);) {
        counts[slot_of(clock)]++;
    }
    posix_timers_tell(counts, findings);
}

void inspect_timers(const struct target *target, size_t limit, struct findings *findings)
{
    struct timers timers = {0};
    descriptors_look(target, limit, &timers);
    timerfds_tell(&timers, findings);
    posix_timers_look(target, findings);
}
