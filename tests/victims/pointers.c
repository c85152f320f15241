/*
 * pointers - asks for the time in ways that are unusual or wrong and tells how
 * each ended. It answers
 *     probe   one line of "NAME=OUTCOME", OUTCOME being the return value, with
 *             errno after a colon if it failed, or SIGSEGV
 */
#include "dialogue.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static sigjmp_buf back;
static void *read_only;

static void on_fault(int signal)
{
    (void)signal;
    siglongjmp(back, 1);
}

/* Through pointers that the compiler cannot look through: NULL is what is being tested. */
static int (*volatile get_clock)(clockid_t, struct timespec *) = clock_gettime;
static int (*volatile get_timeofday)(struct timeval *,
                                     void *) = (int (*)(struct timeval *, void *))gettimeofday;
static time_t (*volatile get_time)(time_t *) = time;

enum probe {
    REALTIME_NULL,
    REALTIME_BAD,
    REALTIME_READ_ONLY,
    MONOTONIC_NULL,
    UNKNOWN_CLOCK,
    UNKNOWN_CLOCK_NULL,
    NEGATIVE_CLOCK,
    LARGEST_CLOCK,
    DESCRIPTOR_CLOCK,
    PROCESS_CPU_CLOCK,
    THREAD_CPU_CLOCK,
    OTHER_CPU_CLOCK,
    TIMEOFDAY_NULL,
    TIMEOFDAY_ZONE_ONLY,
    TIMEOFDAY_BOTH,
    TIMEOFDAY_BAD,
    TIMEOFDAY_BAD_ZONE,
    TIME_NULL,
    TIME_BAD,
    PROBES
};

static const char *const names[PROBES] = {
    "realtime-null",  "realtime-bad", "realtime-read-only", "monotonic-null",
    "unknown",        "unknown-null", "negative",           "largest",
    "descriptor",     "process-cpu",  "thread-cpu",         "other-cpu",
    "timeofday-null", "zone-only",    "timeofday-zone",     "timeofday-bad",
    "bad-zone",       "time-null",    "time-bad",
};

/* The return value; of time(2) only whether there is one. */
static int attempt(enum probe probe)
{
    struct timespec time;
    struct timeval timeofday;
    int zone[2];
    void *bad = (void *)8;
    clockid_t cpu = 0;
    switch (probe) {
    case REALTIME_NULL:
        return get_clock(CLOCK_REALTIME, NULL);
    case REALTIME_BAD:
        return get_clock(CLOCK_REALTIME, bad);
    case REALTIME_READ_ONLY:
        return get_clock(CLOCK_REALTIME, read_only);
    case MONOTONIC_NULL:
        return get_clock(CLOCK_MONOTONIC, NULL);
    case UNKNOWN_CLOCK:
        return get_clock(31, &time);
    case UNKNOWN_CLOCK_NULL:
        return get_clock(77, NULL);
    case NEGATIVE_CLOCK:
        return get_clock(-1, &time);
    case LARGEST_CLOCK:
        return get_clock(0x7fffffff, &time);
    case DESCRIPTOR_CLOCK:
        return get_clock(~7 | 3, &time);
    case PROCESS_CPU_CLOCK:
        return get_clock(CLOCK_PROCESS_CPUTIME_ID, &time);
    case THREAD_CPU_CLOCK:
        return get_clock(CLOCK_THREAD_CPUTIME_ID, &time);
    case OTHER_CPU_CLOCK:
        pthread_getcpuclockid(pthread_self(), &cpu);
        return get_clock(cpu, &time);
    case TIMEOFDAY_NULL:
        return get_timeofday(NULL, NULL);
    case TIMEOFDAY_ZONE_ONLY:
        return get_timeofday(NULL, zone);
    case TIMEOFDAY_BOTH:
        return get_timeofday(&timeofday, zone);
    case TIMEOFDAY_BAD:
        return get_timeofday(bad, NULL);
    case TIMEOFDAY_BAD_ZONE:
        return get_timeofday(&timeofday, bad);
    case TIME_NULL:
        return get_time(NULL) > 0;
    case TIME_BAD:
        return get_time(bad) > 0;
    case PROBES:
        break;
    }
    return -2;
}

static void answer_line(const char *line, char *answer, size_t size)
{
    if (strcmp(line, "probe") != 0) {
        snprintf(answer, size, strcmp(line, "check") == 0 ? "ok 0" : "bad command");
        return;
    }
    size_t used = 0;
    for (volatile unsigned i = 0; i < PROBES; i++) {
        char outcome[32] = "SIGSEGV";
        if (sigsetjmp(back, 1) == 0) {
            errno = 0;
            int result = attempt(i);
            snprintf(outcome, sizeof outcome, errno ? "%d:%d" : "%d", result, errno);
        }
        used += (size_t)snprintf(answer + used, size - used, "%s=%s ", names[i], outcome);
    }
}

int main(void)
{
    struct sigaction action = {.sa_handler = on_fault, .sa_flags = SA_NODEFER};
    sigaction(SIGSEGV, &action, NULL);
    read_only =
        mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    dialogue_open();
    for (;;)
        dialogue_poll(-1, answer_line);
}
