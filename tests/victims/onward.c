/*
 * onward [THREADS] - reads all clocks through libc on several threads, and looks whether any read
 * shows an earlier time than one that had returned before: a nanosecond on the same thread, more
 * than the processors' counters may differ by on another. Answers
 *     fork    "ok"; a child does the same from now on, and what is wrong with it is found by check
 */
#include "dialogue.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND       INT64_C(1000000000)
#define THREADS_MAX  64
#define TOLERANCE_NS 1000

static const clockid_t clocks[] = {CLOCK_REALTIME,         CLOCK_TAI,
                                   CLOCK_MONOTONIC,        CLOCK_MONOTONIC_RAW,
                                   CLOCK_MONOTONIC_COARSE, CLOCK_REALTIME_COARSE,
                                   CLOCK_BOOTTIME};
#define CLOCKS  (sizeof clocks / sizeof *clocks)
#define ENTRIES (CLOCKS + 2) /* and gettimeofday, and time */

/* Shared with the children. */
struct board {
    _Atomic int64_t progress[2][THREADS_MAX];
    atomic_uint errors;
    char first_error[200];
};
static struct board *board;
static _Atomic int64_t highest[ENTRIES];
static unsigned threads = 1;
static int family; /* 0, or 1 in the child */

static int64_t read_entry(size_t entry)
{
    struct timespec now;
    struct timeval day;
    if (entry < CLOCKS) {
        clock_gettime(clocks[entry], &now);
        return now.tv_sec * SECOND + now.tv_nsec;
    }
    if (entry == CLOCKS) {
        gettimeofday(&day, NULL);
        return day.tv_sec * SECOND + day.tv_usec * 1000;
    }
    return time(NULL) * SECOND;
}

static void wrong(size_t entry, const char *whose, int64_t by)
{
    if (atomic_fetch_add(&board->errors, 1) == 0)
        snprintf(board->first_error, sizeof board->first_error,
                 "reading %zu of process %d is %" PRId64 " ns before %s last", entry, family, by,
                 whose);
}

static void read_round(int64_t own[ENTRIES])
{
    for (size_t entry = 0; entry < ENTRIES; entry++) {
        int64_t others = atomic_load(&highest[entry]);
        int64_t now = read_entry(entry);
        if (now < own[entry])
            wrong(entry, "its thread's", own[entry] - now);
        if (now < others - TOLERANCE_NS)
            wrong(entry, "another thread's", others - now);
        own[entry] = now;
        while (others < now && !atomic_compare_exchange_weak(&highest[entry], &others, now))
            continue;
    }
}

static void *read_forever(void *argument)
{
    int64_t own[ENTRIES] = {0};
    for (;;) {
        read_round(own);
        atomic_fetch_add(&board->progress[family][(uintptr_t)argument], 1);
    }
    return NULL;
}

static void readers_start(void)
{
    for (uintptr_t i = 0; i < threads; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, read_forever, (void *)i) != 0)
            exit(1);
    }
}

static void child_run(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    family = 1;
    readers_start();
    for (;;)
        pause();
}

static void answer_line(const char *line, char *answer, size_t size)
{
    if (strcmp(line, "fork") == 0) {
        pid_t child = fork();
        if (child == 0)
            child_run();
        snprintf(answer, size, child > 0 ? "ok" : "bad");
    } else if (strcmp(line, "check") == 0) {
        int64_t least = INT64_MAX;
        for (int f = 0; f < 2; f++)
            for (unsigned i = 0; i < threads; i++) {
                int64_t progress = atomic_load(&board->progress[f][i]);
                bool counts = f == 0 || progress > 0;
                least = counts && progress < least ? progress : least;
            }
        if (atomic_load(&board->errors) != 0)
            snprintf(answer, size, "bad %s", board->first_error);
        else
            snprintf(answer, size, "ok %" PRId64, least);
    } else {
        snprintf(answer, size, "bad");
    }
}

int main(int count, char **arguments)
{
    if (count > 1)
        threads = (unsigned)atoi(arguments[1]);
    if (threads < 1 || threads > THREADS_MAX)
        return 2;
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED)
        return 1;
    readers_start();
    for (unsigned i = 0; i < threads; i++)
        while (atomic_load(&board->progress[0][i]) == 0)
            usleep(1000);
    dialogue_open();
    for (;;)
        dialogue_poll(-1, answer_line);
}
