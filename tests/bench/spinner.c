/*
 * spinner DESCRIPTOR CPU THREADS wait|spin - its main thread, on that processor,
 * reads CLOCK_MONOTONIC without end and tells the largest gap between two reads in the
 * struct spinner_board that the descriptor is mapped for. Its other threads
 * wait in pause(2), or read the clock as well.
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

int main(int count, char **arguments)
{
    if (count != 5)
        return 2;
    struct spinner_board *board =
        mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, atoi(arguments[1]), 0);
    if (board == MAP_FAILED)
        return 1;
    void *(*other)(void *) = strcmp(arguments[4], "spin") == 0 ? thread_spin : thread_wait;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    for (int i = 1; i < atoi(arguments[3]); i++) {
        pthread_t thread;
        if (pthread_create(&thread, &attributes, other, NULL) != 0)
            return 1;
    }
    cpu_set_t processor;
    CPU_ZERO(&processor);
    CPU_SET(atoi(arguments[2]), &processor);
    if (sched_setaffinity(0, sizeof processor, &processor) != 0)
        return 1;
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
}
