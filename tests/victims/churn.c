/*
 * churn [leaderless | chain] - creates and joins threads all the time, each of
 * which reads the clock a little; "leaderless" also after the main thread has
 * exited; "chain" so too, each thread starting the next and ending. PROGRESS is
 * the number of threads that have ended. It answers
 *     tid     "ok TID" of the one thread that stays, which answers
 *     now     the time in nanoseconds since 1970
 */
#include "dialogue.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SECOND   INT64_C(1000000000)
#define AT_ONCE  4
#define READS    100
#define OFF_MOST (INT64_C(6000) * SECOND)

static _Atomic long ended;
static atomic_uint errors;

static int64_t nanoseconds(const struct timespec *time)
{
    return time->tv_sec * SECOND + time->tv_nsec;
}

static int64_t read_clock(void)
{
    struct timespec skewed = {-1, -1}, now;
    if (clock_gettime(CLOCK_REALTIME, &skewed) != 0 || skewed.tv_nsec < 0 ||
        skewed.tv_nsec >= SECOND)
        atomic_fetch_add(&errors, 1);
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
    if (llabs(nanoseconds(&skewed) - nanoseconds(&now)) > OFF_MOST)
        atomic_fetch_add(&errors, 1);
    return nanoseconds(&skewed);
}

static void *read_and_end(void *unused)
{
    for (int i = 0; i < READS; i++)
        read_clock();
    atomic_fetch_add(&ended, 1);
    return unused;
}

static void *churn_forever(void *unused)
{
    (void)unused;
    for (;;) {
        pthread_t threads[AT_ONCE];
        int count = 0;
        while (count < AT_ONCE && pthread_create(&threads[count], NULL, read_and_end, NULL) == 0)
            count++;
        while (count-- > 0)
            pthread_join(threads[count], NULL);
    }
    return NULL;
}

static void *chain(void *unused)
{
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    usleep(100);
    read_and_end(NULL);
    pthread_t next;
    while (pthread_create(&next, &detached, chain, NULL) != 0)
        usleep(100);
    return unused;
}

static void answer_line(const char *line, char *answer, size_t size)
{
    if (strcmp(line, "tid") == 0)
        snprintf(answer, size, "ok %ld", syscall(SYS_gettid));
    else if (strcmp(line, "now") == 0)
        snprintf(answer, size, "%" PRId64, read_clock());
    else if (atomic_load(&errors))
        snprintf(answer, size, "bad %u errors", atomic_load(&errors));
    else
        snprintf(answer, size, "ok %ld", atomic_load(&ended));
}

static void *answer_forever(void *unused)
{
    (void)unused;
    while (atomic_load(&ended) < 10)
        usleep(1000);
    dialogue_open();
    for (;;)
        dialogue_poll(-1, answer_line);
    return NULL;
}

int main(int count, char **arguments)
{
    bool chained = count > 1 && strcmp(arguments[1], "chain") == 0;
    pthread_t answerer, churner;
    if (pthread_create(&answerer, NULL, answer_forever, NULL) != 0 ||
        pthread_create(&churner, NULL, chained ? chain : churn_forever, NULL) != 0)
        return 1;
    if (count > 1)
        pthread_exit(NULL);
    churn_forever(NULL);
}
