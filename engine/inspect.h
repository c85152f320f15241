/*
 * inspect.h - what the parts of an inspection share. Each part adds its findings; what it
 * cannot see it adds as unknown.
 */
#ifndef SKEWCTL_ENGINE_INSPECT_H
#define SKEWCTL_ENGINE_INSPECT_H

#include "engine/maps.h"
#include "engine/skewctl.h"

struct findings {
    struct skew_finding *rows; /* for free(3) */
    size_t count;
    size_t capacity;
    bool lost; /* memory ran out */
};

/* Adds a copy whose `found` is the formatted text. */
void findings_add(struct findings *findings, const struct skew_finding *finding, const char *format,
                  ...) __attribute__((format(printf, 3, 4)));

/* "s" unless it is one. */
const char *inspect_plural(size_t count);

/*
 * What to say of a thing that goes by a time of that clock: `ordinary` for one that is skewed
 * without --clock; else that --clock is what skews it.
 */
const char *inspect_meaning(clockid_t clock, const char *ordinary);

/* CLOCK_... as users name it: "realtime", "process_cputime_id"; "" for one that is not named. */
const char *inspect_clock_name(clockid_t clock);

/* A system call in which a thread was found (proc_pid_syscall(5)). */
struct thread_call {
    bool running; /* all else is then unknown */
    long number;  /* -1: blocked, but in no system call */
    uint64_t arguments[6];
};
/* Parses that file; false for text that the kernel would not have written. */
bool thread_call_parse(const char *text, struct thread_call *call);

/* A wait that ends at a time of a clock, whatever happens. */
struct deadline_wait {
    const char *name; /* of the system call */
    clockid_t clock;
    uint64_t timespec; /* where in the thread's memory the time is */
};
/* False for a call that is no such wait, or that has no time limit. */
bool deadline_wait_find(const struct thread_call *call, struct deadline_wait *wait);

/*
 * The threads. `memory` is a descriptor of memory.h, to tell when the waits end, or -1;
 * no more than `limit` threads are looked at.
 */
void inspect_waits(const struct target *target, int memory, size_t limit,
                   struct findings *findings);

/* What /proc/PID/fdinfo says of a timerfd (proc_pid_fdinfo(5)). */
struct timerfd_info {
    clockid_t clock;
    bool absolute;
    int64_t remaining_ns; /* until it expires next; 0 where it is not set */
    bool repeats;
};
/* False for text that is not of a timerfd. */
bool timerfd_info_parse(const char *text, struct timerfd_info *info);

/*
 * The next timer of /proc/PID/timers (proc_pid_timers(5)): its clock; *text is moved on. False
 * at the end.
 */
bool posix_timer_parse(const char **text, clockid_t *clock);

/* Timers of both kinds, and rings whose timers are not to be seen. */
void inspect_timers(const struct target *target, size_t limit, struct findings *findings);

/*
 * Instructions that read time without the vDSO, in all executable memory but that of the
 * vDSO and of `image`, an image of skewctl, or 0.
 */
void inspect_text(const struct target *target, const struct maps *maps, int memory, uint64_t image,
                  size_t image_size, struct findings *findings);

#endif
