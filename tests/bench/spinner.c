/*
 * spinner DESCRIPTOR CPU THREADS leader|middle|all - one thread, on that processor,
 * reads CLOCK_MONOTONIC without end and tells the largest gap between two reads
 * in the struct spinner_board that the descriptor is mapped for. It is the first
 * thread, or one in the middle of all. The others wait in pause(2); with "all"
 * they read the clock as well.
 *
 * A gap counts only if the thread was stopped in it, which it never is by its own
 * doing, and not where others merely had the processor: getrusage(2) tells.
 */
#include "spinner.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define STACK_SIZE   65536
#define LEAST_GAP_NS 1000

static int64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static long stops(void)
{
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nvcsw;
}

static void *thread_wait(void *nothing)
{
    for (;;)
        pause();
    return nothing;
}

static void *thread_spin(void *nothing)
{
    for (;;)
        monotonic_ns();
    return nothing;
}

static struct spinner_board *board;
static int processor;

/* What the watched thread does. */
static void *thread_watched(void *nothing)
{
    cpu_set_t processors;
    CPU_ZERO(&processors);
    CPU_SET(processor, &processors);
    if (sched_setaffinity(0, sizeof processors, &processors) != 0)
        exit(1);
    unsigned answered = 0;
    long stopped = stops();
    int64_t gap = 0, last = monotonic_ns();
    for (;;) {
        int64_t now = monotonic_ns();
        if (now - last > gap && now - last > LEAST_GAP_NS && stops() != stopped) {
            stopped = stops();
            gap = now - last;
            now = monotonic_ns();
        }
        last = now;
        unsigned asked = atomic_load_explicit(&board->asked, memory_order_relaxed);
        if (asked != answered) {
            board->gap_ns = gap;
            gap = 0;
            answered = asked;
            atomic_store(&board->answered, answered);
            last = monotonic_ns();
        }
    }
    return nothing;
}

int main(int count, char **arguments)
{
    if (count != 5)
        return 2;
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, atoi(arguments[1]), 0);
    if (board == MAP_FAILED)
        return 1;
    processor = atoi(arguments[2]);
    int threads = atoi(arguments[3]);
    int watched = strcmp(arguments[4], "middle") == 0 ? threads / 2 : 0;
    void *(*other)(void *) = strcmp(arguments[4], "all") == 0 ? thread_spin : thread_wait;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    for (int i = 1; i < threads; i++) {
        pthread_t thread;
        if (pthread_create(&thread, &attributes, i == watched ? thread_watched : other, NULL) != 0)
            return 1;
    }
    (watched == 0 ? thread_watched : other)(NULL);
}
