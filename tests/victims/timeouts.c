/*
 * timeouts - one thread in each kind of wait that has a time limit and that the
 * kernel goes on with after a stop: over and over, never for less than its
 * limit. PROGRESS is the number of waits of the slowest. It answers
 *     late    "ok US NAME": the most by which one lasted longer than its limit
 *             since the last such question
 */
#include "dialogue.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LIMIT_MS INT64_C(250)
#define LIMIT_NS (LIMIT_MS * 1000000)

static const struct timespec limit = {0, LIMIT_NS};
static atomic_uint errors;
static char first_error[200];

static int64_t true_time(void)
{
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static struct timespec limit_absolute(void)
{
    int64_t end = true_time() + LIMIT_NS;
    return (struct timespec){end / 1000000000, end % 1000000000};
}

/* Each returns 0, or -1 with errno, where that is how it should end. */

static long in_nanosleep(void)
{
    return nanosleep(&limit, NULL);
}

static long in_clock_nanosleep(void)
{
    struct timespec end = limit_absolute();
    errno = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL);
    return errno ? -1 : 0;
}

static long in_poll(void)
{
    return poll(NULL, 0, LIMIT_MS);
}

static long in_ppoll(void)
{
    return ppoll(NULL, 0, &limit, NULL);
}

static long in_select(void)
{
    struct timeval left = {0, LIMIT_NS / 1000};
    return select(0, NULL, NULL, NULL, &left);
}

static long in_pselect(void)
{
    return pselect(0, NULL, NULL, NULL, &limit, NULL);
}

static uint32_t word;

static long timed_out(long result)
{
    return result == -1 && errno == ETIMEDOUT ? 0 : -1;
}

static long in_futex(void)
{
    return timed_out(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &limit, NULL, 0));
}

static long in_futex_absolute(void)
{
    struct timespec end = limit_absolute();
    return timed_out(syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, 0, &end, NULL,
                             FUTEX_BITSET_MATCH_ANY));
}

static struct sleeper {
    const char *name;
    long (*once)(void);
    _Atomic int64_t late_ns;
    _Atomic long done;
} sleepers[] = {
    {.name = "nanosleep", .once = in_nanosleep},
    {.name = "clock_nanosleep", .once = in_clock_nanosleep},
    {.name = "poll", .once = in_poll},
    {.name = "ppoll", .once = in_ppoll},
    {.name = "select", .once = in_select},
    {.name = "pselect", .once = in_pselect},
    {.name = "futex", .once = in_futex},
    {.name = "futex until", .once = in_futex_absolute},
};
#define SLEEPERS (sizeof sleepers / sizeof *sleepers)

static void *sleep_forever(void *argument)
{
    struct sleeper *sleeper = argument;
    for (;;) {
        int64_t began = true_time();
        long result = sleeper->once();
        int error = errno;
        int64_t late = true_time() - began - LIMIT_NS;
        /* select and poll count in coarser units. */
        if ((result != 0 || late < -1000000) && atomic_fetch_add(&errors, 1) == 0)
            snprintf(first_error, sizeof first_error, "%s: returned %ld, errno %s, %" PRId64 " us",
                     sleeper->name, result, strerror(error), late / 1000);
        if (late > atomic_load(&sleeper->late_ns))
            atomic_store(&sleeper->late_ns, late);
        atomic_fetch_add(&sleeper->done, 1);
    }
    return NULL;
}

static void answer_line(const char *line, char *answer, size_t size)
{
    long least = sleepers[0].done;
    const struct sleeper *latest = &sleepers[0];
    int64_t late = 0;
    for (size_t i = 0; i < SLEEPERS; i++) {
        if (atomic_load(&sleepers[i].done) < least)
            least = atomic_load(&sleepers[i].done);
        if (strcmp(line, "late") == 0 && atomic_load(&sleepers[i].late_ns) >= late) {
            late = atomic_exchange(&sleepers[i].late_ns, 0);
            latest = &sleepers[i];
        }
    }
    if (strcmp(line, "late") == 0)
        snprintf(answer, size, "ok %" PRId64 " %s", late / 1000, latest->name);
    else if (atomic_load(&errors))
        snprintf(answer, size, "bad %u errors, first: %s", atomic_load(&errors), first_error);
    else
        snprintf(answer, size, "ok %ld", least);
}

int main(void)
{
    for (size_t i = 0; i < SLEEPERS; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, sleep_forever, &sleepers[i]) != 0)
            return 1;
    }
    dialogue_open();
    for (;;)
        dialogue_poll(-1, answer_line);
}
