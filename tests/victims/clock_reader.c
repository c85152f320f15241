/*
 * clock_reader [THREADS [PAUSE_US [locked]]] - reads the clocks through libc without
 * rest (or with a pause between rounds) and judges every value against the
 * system call, which nobody skews. With "locked" all its memory, also what is
 * mapped later, is locked (mlockall(2)). Builds with glibc and with musl.
 *
 * Right is: the call succeeds; fractions are in range; the value is the true
 * one plus one of the offsets allowed at that moment; CLOCK_MONOTONIC does not
 * go back while its offset stands; errno and the registers of registers.h are
 * as before. While only what lies between two offsets is allowed, as of a clock
 * that is slewed, by at most 500 ppm, no realtime clock goes back, or jumps ahead, from
 * one read of a thread to its next. The main thread reads too, and answers
 *     allow CLOCK NS, forbid CLOCK NS   "ok"; CLOCK is realtime or monotonic
 *     between LOW HIGH                  "ok"; of realtime: in ns; none where LOW is above HIGH
 *     advance N     waits until every thread has done N rounds more; "ok", or
 *                   "bad" with the number of one that stands still
 *     measure clock_gettime ID | gettimeofday | time
 *                                       "LOW HIGH": skewed minus true, in ns
 */
#include "dialogue.h"
#include "registers.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND        INT64_C(1000000000)
#define THREADS_MAX   2048
#define PAUSE_MAIN_US 1000
#define OFFSETS_MAX   8
#define ERRNO_MARK    4242
/* Two processors' time stamp counters need not agree to the nanosecond. */
#define TOLERANCE_NS 1000
/*
 * By how much a slew that is changed while the clock slides, at up to 500 ppm, may be ahead of
 * where the clock was (engine/slew.c): what that makes in 200 ms, and some more.
 */
#define AHEAD_NS 150000

/* Where an offset is not allowed its place holds this. */
#define NO_OFFSET INT64_MIN

enum family { REALTIME_FAMILY, MONOTONIC_FAMILY, FAMILIES };

static _Atomic int64_t allowed[FAMILIES][OFFSETS_MAX];
static _Atomic int64_t lowest_between = INT64_MAX, highest_between = INT64_MIN;
static _Atomic int64_t changes[FAMILIES]; /* of what is allowed */
static _Atomic int64_t progress[THREADS_MAX];
static atomic_uint errors;
static char first_error[400];
static unsigned threads = 1;
static useconds_t pause_us;

__attribute__((format(printf, 1, 2))) static void wrong(const char *format, ...)
{
    if (atomic_fetch_add(&errors, 1) != 0)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(first_error, sizeof first_error, format, arguments);
    va_end(arguments);
}

static int64_t nanoseconds(const struct timespec *time)
{
    return time->tv_sec * SECOND + time->tv_nsec;
}

static int64_t true_time(clockid_t clock)
{
    struct timespec now = {0};
    syscall(SYS_clock_gettime, clock, &now);
    return nanoseconds(&now);
}

struct offsets {
    int64_t changes;
    int64_t value[OFFSETS_MAX];
    int64_t lowest, highest; /* and all between these */
};

static struct offsets offsets_now(enum family family)
{
    struct offsets copy = {
        .changes = atomic_load(&changes[family]), .lowest = INT64_MAX, .highest = INT64_MIN};
    for (size_t i = 0; i < OFFSETS_MAX; i++)
        copy.value[i] = atomic_load(&allowed[family][i]);
    if (family == REALTIME_FAMILY) {
        copy.lowest = atomic_load(&lowest_between);
        copy.highest = atomic_load(&highest_between);
    }
    return copy;
}

static bool only_between(const struct offsets *offsets)
{
    for (size_t i = 0; i < OFFSETS_MAX; i++)
        if (offsets->value[i] != NO_OFFSET)
            return false;
    return offsets->lowest <= offsets->highest;
}

static bool offsets_meet(const struct offsets *offsets, int64_t low, int64_t high)
{
    if (offsets->lowest <= offsets->highest && offsets->lowest <= high + TOLERANCE_NS &&
        offsets->highest >= low - TOLERANCE_NS)
        return true;
    for (size_t i = 0; i < OFFSETS_MAX; i++)
        if (offsets->value[i] != NO_OFFSET && offsets->value[i] >= low - TOLERANCE_NS &&
            offsets->value[i] <= high + TOLERANCE_NS)
            return true;
    return false;
}

/*
 * An offset is right if it was allowed before the read or is allowed after it:
 * the list may change in between, and then both are.
 */
static void judge(const char *what, enum family family, const struct offsets *before, int64_t low,
                  int64_t high)
{
    struct offsets after = offsets_now(family);
    if (!offsets_meet(before, low, high) && !offsets_meet(&after, low, high))
        wrong("%s is off by %" PRId64 "..%" PRId64 " ns, which is not allowed", what, low, high);
}

static void registers_mark(struct registers *registers, unsigned seed)
{
    memset(registers, 0, sizeof *registers);
    uint64_t *general = &registers->rbx;
    for (unsigned i = 0; i < 6; i++)
        general[i] = UINT64_C(0x9e3779b97f4a7c15) * (seed + i + 1);
    memset(registers->xmm, (int)(seed & 0xff), sizeof registers->xmm);
    registers->mxcsr = 0x1f80;
    registers->x87_control = 0x037f;
}

/* One call, with errno and registers watched; returns what it returned. */
static long call(const char *what, void *function, long first, void *second)
{
    static _Thread_local unsigned seed;
    struct registers before, after;
    registers_mark(&before, ++seed);
    after = before;
    errno = ERRNO_MARK;
    long result = registers_call(function, first, second, &after);
    if (errno != ERRNO_MARK)
        wrong("%s set errno to %d", what, errno);
    if (memcmp(&before, &after, sizeof before) != 0)
        wrong("%s changed registers", what);
    return result;
}

static int64_t read_clock(const char *what, clockid_t clock)
{
    struct timespec time = {-1, -1};
    long result = call(what, (void *)clock_gettime, clock, &time);
    if ((int)result != 0 || time.tv_nsec < 0 || time.tv_nsec >= SECOND)
        wrong("%s returned %d and tv_nsec %ld", what, (int)result, (long)time.tv_nsec);
    return nanoseconds(&time);
}

static int64_t read_timeofday(void)
{
    struct timeval time = {-1, -1};
    long result = call("gettimeofday", (void *)gettimeofday, (long)&time, NULL);
    if ((int)result != 0 || time.tv_usec < 0 || time.tv_usec >= 1000000)
        wrong("gettimeofday returned %d and tv_usec %ld", (int)result, (long)time.tv_usec);
    return time.tv_sec * SECOND + time.tv_usec * 1000;
}

static int64_t read_seconds(void)
{
    time_t stored = -1;
    long result = call("time", (void *)time, (long)&stored, NULL);
    if (result != stored)
        wrong("time returned %ld and stored %ld", result, (long)stored);
    return result * SECOND;
}

/* One read of a realtime clock, with the true times before and after it. */
struct reading {
    const char *what;
    int64_t value, low, high;
    int64_t grain; /* to which it is rounded down */
};
#define REALTIME_READINGS 4

/* What a thread has read in its last round, and what was allowed from its beginning to its end. */
struct round {
    struct reading readings[REALTIME_READINGS];
    int64_t changes; /* -1 where that changed, or jumps were allowed */
};

/* The clock runs at less than twice the true pace while it is slewed. */
static void judge_steps(const struct round *last, const struct round *now)
{
    for (size_t i = 0; i < REALTIME_READINGS; i++) {
        const struct reading *one = &last->readings[i], *other = &now->readings[i];
        int64_t most = 2 * (other->high - one->low) + other->grain + AHEAD_NS;
        if (other->value < one->value || other->value - one->value > most)
            wrong("%s moved by %" PRId64 " ns within %" PRId64 " ns of a slew", other->what,
                  other->value - one->value, other->high - one->low);
    }
}

/* One round of all clocks. */
static void read_round(struct round *round, struct offsets *monotonic_before,
                       int64_t *monotonic_last)
{
    struct offsets realtime = offsets_now(REALTIME_FAMILY);
    struct offsets monotonic = offsets_now(MONOTONIC_FAMILY);
    /* time() has the granularity of the coarse clock, which the tick moves. */
    int64_t coarse_low = true_time(CLOCK_REALTIME_COARSE);
    int64_t low = true_time(CLOCK_REALTIME);
    int64_t value = read_clock("clock_gettime", CLOCK_REALTIME);
    int64_t microseconds = read_timeofday();
    int64_t seconds = read_seconds();
    int64_t coarse = read_clock("clock_gettime of the coarse clock", CLOCK_REALTIME_COARSE);
    int64_t high = true_time(CLOCK_REALTIME);
    int64_t coarse_high = true_time(CLOCK_REALTIME_COARSE);
    judge("clock_gettime", REALTIME_FAMILY, &realtime, value - high, value - low);
    judge("gettimeofday", REALTIME_FAMILY, &realtime, microseconds - high,
          microseconds + 999 - low);
    judge("time", REALTIME_FAMILY, &realtime, seconds - high, seconds + SECOND - 1 - coarse_low);
    judge("clock_gettime of the coarse clock", REALTIME_FAMILY, &realtime, coarse - coarse_high,
          coarse - coarse_low);
    struct offsets realtime_after = offsets_now(REALTIME_FAMILY);
    struct round now_read = {
        {{"clock_gettime", value, low, high, 0},
         {"gettimeofday", microseconds, low, high, 1000},
         {"time", seconds, coarse_low, high, SECOND},
         {"clock_gettime of the coarse clock", coarse, coarse_low, coarse_high, 0}},
        realtime.changes == realtime_after.changes && only_between(&realtime) ? realtime.changes
                                                                              : -1};
    if (now_read.changes >= 0 && now_read.changes == round->changes)
        judge_steps(round, &now_read);
    *round = now_read;

    int64_t monotonic_low = true_time(CLOCK_MONOTONIC);
    int64_t now = read_clock("clock_gettime of the monotonic clock", CLOCK_MONOTONIC);
    int64_t monotonic_high = true_time(CLOCK_MONOTONIC);
    judge("clock_gettime of the monotonic clock", MONOTONIC_FAMILY, &monotonic,
          now - monotonic_high, now - monotonic_low);
    /* Where the list has changed since the round began, the offset may have changed with it. */
    struct offsets monotonic_after = offsets_now(MONOTONIC_FAMILY);
    bool stood = memcmp(&monotonic, &monotonic_after, sizeof monotonic) == 0;
    if (stood && memcmp(&monotonic, monotonic_before, sizeof monotonic) == 0 &&
        now < *monotonic_last)
        wrong("the monotonic clock went back by %" PRId64 " ns", *monotonic_last - now);
    /* While two offsets are allowed any step between them is. */
    for (size_t i = 1; i < OFFSETS_MAX; i++)
        stood = stood && (monotonic.value[i] == NO_OFFSET || monotonic.value[0] == NO_OFFSET);
    *monotonic_last = stood ? now : INT64_MIN;
    *monotonic_before = monotonic;
}

static void read_rounds(unsigned index, unsigned rounds)
{
    static _Thread_local struct offsets monotonic_before;
    static _Thread_local int64_t monotonic_last = INT64_MIN;
    static _Thread_local struct round round = {.changes = -1};
    for (unsigned i = 0; i < rounds; i++) {
        read_round(&round, &monotonic_before, &monotonic_last);
        atomic_fetch_add(&progress[index], 1);
    }
    /* Whoever waits for an answer need not wait for that, too. */
    if (pause_us)
        usleep(index == 0 && pause_us > PAUSE_MAIN_US ? PAUSE_MAIN_US : pause_us);
}

static void *read_forever(void *index)
{
    for (;;)
        read_rounds((unsigned)(uintptr_t)index, 64);
    return NULL;
}

static void narrow(int64_t *low, int64_t *high, int64_t lowest, int64_t highest)
{
    if (lowest > *low)
        *low = lowest;
    if (highest < *high)
        *high = highest;
}

static void measure(const char *entry, char *answer, size_t size)
{
    int64_t low = INT64_MIN, high = INT64_MAX;
    int clock;
    bool clock_gettime_asked = sscanf(entry, "clock_gettime %d", &clock) == 1;
    if (clock_gettime_asked || strcmp(entry, "gettimeofday") == 0) {
        for (int i = 0; i < 2000; i++) {
            clockid_t id = clock_gettime_asked ? clock : CLOCK_REALTIME;
            int64_t before = true_time(id);
            int64_t value = clock_gettime_asked ? read_clock(entry, id) : read_timeofday();
            int64_t after = true_time(id);
            narrow(&low, &high, value - after, value + (clock_gettime_asked ? 0 : 999) - before);
        }
    } else {
        /* Only a second's turn tells the offset to better than a second. */
        for (int64_t end = true_time(CLOCK_MONOTONIC) + 12 * SECOND / 10;
             true_time(CLOCK_MONOTONIC) < end; usleep(500)) {
            int64_t before = true_time(CLOCK_REALTIME_COARSE);
            int64_t value = read_seconds();
            narrow(&low, &high, value - true_time(CLOCK_REALTIME), value + SECOND - 1 - before);
        }
    }
    snprintf(answer, size, "%" PRId64 " %" PRId64, low, high);
}

static void advance(int64_t rounds, char *answer, size_t size)
{
    int64_t due[THREADS_MAX] = {0};
    for (unsigned i = 0; i < threads; i++)
        due[i] = atomic_load(&progress[i]) + rounds;
    int64_t end = true_time(CLOCK_MONOTONIC) + 20 * SECOND;
    for (unsigned i = 0; i < threads; i++)
        while (atomic_load(&progress[i]) < due[i]) {
            if (true_time(CLOCK_MONOTONIC) > end) {
                snprintf(answer, size, "bad thread %u stands still", i);
                return;
            }
            read_rounds(0, 1);
        }
    snprintf(answer, size, "ok");
}

static void change_allowed(bool allow, enum family family, int64_t offset)
{
    for (size_t i = 0; i < OFFSETS_MAX; i++)
        if (atomic_load(&allowed[family][i]) == offset)
            atomic_store(&allowed[family][i], NO_OFFSET);
    for (size_t i = 0; allow && i < OFFSETS_MAX; i++)
        if (atomic_load(&allowed[family][i]) == NO_OFFSET) {
            atomic_store(&allowed[family][i], offset);
            return;
        }
}

static void answer_line(const char *line, char *answer, size_t size)
{
    char verb[16], clock[16];
    int64_t offset, lowest, highest;
    if (strcmp(line, "check") == 0) {
        int64_t least = INT64_MAX;
        for (unsigned i = 0; i < threads; i++)
            if (atomic_load(&progress[i]) < least)
                least = atomic_load(&progress[i]);
        if (atomic_load(&errors))
            snprintf(answer, size, "bad %u errors, first: %s", atomic_load(&errors), first_error);
        else
            snprintf(answer, size, "ok %" PRId64, least);
    } else if (sscanf(line, "advance %" SCNd64, &offset) == 1) {
        advance(offset, answer, size);
    } else if (strncmp(line, "measure ", 8) == 0) {
        measure(line + 8, answer, size);
    } else if (sscanf(line, "between %" SCNd64 " %" SCNd64, &lowest, &highest) == 2) {
        atomic_store(&lowest_between, lowest);
        atomic_store(&highest_between, highest);
        atomic_fetch_add(&changes[REALTIME_FAMILY], 1);
        snprintf(answer, size, "ok");
    } else if (sscanf(line, "%15s %15s %" SCNd64, verb, clock, &offset) == 3) {
        enum family family = strcmp(clock, "monotonic") == 0 ? MONOTONIC_FAMILY : REALTIME_FAMILY;
        change_allowed(strcmp(verb, "allow") == 0, family, offset);
        atomic_fetch_add(&changes[family], 1);
        snprintf(answer, size, "ok");
    } else {
        snprintf(answer, size, "bad command");
    }
}

int main(int count, char **arguments)
{
    if (count > 1)
        threads = (unsigned)atoi(arguments[1]);
    if (count > 2)
        pause_us = (useconds_t)atoi(arguments[2]);
    if (threads < 1 || threads > THREADS_MAX)
        return 2;
    if (count > 3 && mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
        return 1;
    for (size_t i = 0; i < OFFSETS_MAX; i++)
        for (size_t family = 0; family < FAMILIES; family++)
            atomic_store(&allowed[family][i], i == 0 ? 0 : NO_OFFSET);
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 * 1024);
    for (unsigned i = 1; i < threads; i++) {
        pthread_t thread;
        if (pthread_create(&thread, &small, read_forever, (void *)(uintptr_t)i) != 0)
            return 1;
    }
    /* Whatever maps memory lazily has done so when "ready" is said. */
    for (unsigned i = 1; i < threads; i++)
        while (atomic_load(&progress[i]) == 0)
            usleep(1000);
    read_rounds(0, 1);
    dialogue_open();
    for (;;) {
        read_rounds(0, 64);
        dialogue_poll(0, answer_line);
    }
}
