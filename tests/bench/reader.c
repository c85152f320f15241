/*
 * reader CPU - reads clocks in a loop, as any program would through its C
 * library, and says what a read cost. Runs on that processor only. It answers
 *     measure ENTRY READS BATCHES    "ok NANOSECONDS" per read
 * where ENTRY is clock_gettime, gettimeofday, time or syscall, the last being
 * clock_gettime(2) without the vDSO.
 *
 * A batch is short, so that most see no interruption, and the median batch
 * speaks for the rest. The batches are timed by the system call, which nothing
 * skews or slows.
 */
#include "dialogue.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define BATCHES_MAX 1000

static double monotonic_ns(void)
{
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void read_clock_gettime(unsigned reads)
{
    struct timespec now;
    while (reads--)
        clock_gettime(CLOCK_REALTIME, &now);
}

static void read_gettimeofday(unsigned reads)
{
    struct timeval now;
    while (reads--)
        gettimeofday(&now, NULL);
}

static void read_time(unsigned reads)
{
    while (reads--)
        time(NULL);
}

static void read_syscall(unsigned reads)
{
    struct timespec now;
    while (reads--)
        syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
}

static const struct {
    const char *name;
    void (*read)(unsigned reads);
} entries[] = {
    {"clock_gettime", read_clock_gettime},
    {"gettimeofday", read_gettimeofday},
    {"time", read_time},
    {"syscall", read_syscall},
};

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double median_batch(void (*read)(unsigned), unsigned reads, unsigned batches)
{
    static double spent[BATCHES_MAX];
    read(reads);
    for (unsigned i = 0; i < batches; i++) {
        double before = monotonic_ns();
        read(reads);
        spent[i] = monotonic_ns() - before;
    }
    qsort(spent, batches, sizeof *spent, compare);
    return spent[batches / 2] / reads;
}

static void answer_line(const char *line, char *answer, size_t size)
{
    char name[32];
    unsigned reads, batches;
    if (sscanf(line, "measure %31s %u %u", name, &reads, &batches) == 3 && reads > 0 &&
        batches > 0 && batches <= BATCHES_MAX) {
        for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
            if (strcmp(entries[i].name, name) == 0) {
                snprintf(answer, size, "ok %.4f", median_batch(entries[i].read, reads, batches));
                return;
            }
        }
    }
    snprintf(answer, size, "bad command");
}

int main(int count, char **arguments)
{
    cpu_set_t processors;
    CPU_ZERO(&processors);
    CPU_SET(count > 1 ? atoi(arguments[1]) : 0, &processors);
    if (sched_setaffinity(0, sizeof processors, &processors) != 0)
        return 1;
    dialogue_open();
    for (;;)
        dialogue_poll(-1, answer_line);
}
