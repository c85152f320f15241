/*
 * pause.c - for how long a target stands still, as it sees it itself: the
 * largest gap between two reads of the clock by one of its threads, while it is
 * injected, updated, recovered, or treated by the floor program. That thread is
 * the first or one in the middle: whoever stops threads one by one stops some of
 * them later and others longer.
 *
 * The four take turns, so that all meet the same load. The watched thread
 * and the program that stops it have a processor each, where there are two: what
 * is measured is the stop, not how the scheduler shares a processor.
 */
#include "bench.h"

#include "command.h"
#include "spinner.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Reports only: where all threads of a target want the processors, the gap is the scheduler's. */
static const unsigned busy[] = {2, 16};

#define LIMIT 1.5

struct spinner {
    struct child *child;
    struct spinner_board *board;
};

static struct spinner spinner_start(unsigned threads, const char *watched)
{
    struct spinner spinner;
    int descriptor = memfd_create("spinner", 0);
    if (descriptor < 0 || ftruncate(descriptor, sizeof *spinner.board) != 0)
        fail_msg("memfd_create: %s", strerror(errno));
    spinner.board =
        mmap(NULL, sizeof *spinner.board, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (spinner.board == MAP_FAILED)
        fail_msg("mmap: %s", strerror(errno));
    spinner.child = child_start((const char *const[]){bench_program("bench_spinner"),
                                                      harness_format("%d", descriptor),
                                                      harness_format("%d", bench_processor_last()),
                                                      harness_format("%u", threads), watched, NULL},
                                NULL);
    close(descriptor);
    return spinner;
}

static void spinner_stop(struct spinner *spinner)
{
    child_kill(spinner->child);
    munmap(spinner->board, sizeof *spinner->board);
}

/* The largest gap since it was last asked. */
static double spinner_ask(struct spinner *spinner)
{
    unsigned asked = atomic_fetch_add(&spinner->board->asked, 1) + 1;
    int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    while (atomic_load(&spinner->board->answered) != asked) {
        if (harness_monotonic_ns() > end || !child_alive(spinner->child))
            fail_msg("the spinner does not answer");
        harness_sleep_ms(1);
    }
    return (double)spinner->board->gap_ns;
}

static void gap_add(struct series *series, struct spinner *spinner, const char *const argv[])
{
    spinner_ask(spinner);
    bench_time(argv);
    series_add(series, spinner_ask(spinner));
}

/* `watched` is as spinner.c takes it. */
static void threads_measure(const struct effort *effort, unsigned threads, const char *watched,
                            double limit, struct results *results)
{
    static const char *const acts[] = {"inject", "update", "recover"};
    struct series floor = series_make(effort->rounds), taken[3];
    for (size_t i = 0; i < 3; i++)
        taken[i] = series_make(effort->rounds);
    struct spinner spinner = spinner_start(threads, watched);
    const char *pid = harness_format("%d", spinner.child->pid);
    spinner_ask(&spinner);
    for (size_t round = 0; round < effort->rounds; round++) {
        struct keep *mark = harness_mark();
        gap_add(&floor, &spinner, (const char *const[]){bench_program("bench_floor"), pid, NULL});
        gap_add(&taken[0], &spinner,
                skewctl_arguments("inject", "-p", pid, "--offset", "-5m", NULL));
        gap_add(&taken[1], &spinner,
                skewctl_arguments("inject", "-p", pid, "--offset", "-10m", NULL));
        gap_add(&taken[2], &spinner, skewctl_arguments("recover", "-p", pid, NULL));
        harness_release(mark);
    }
    spinner_stop(&spinner);
    const char *which = strcmp(watched, "middle") == 0 ? ", seen amid them"
                        : strcmp(watched, "all") == 0  ? ", all busy"
                                                       : "";
    for (size_t i = 0; i < 3; i++)
        results_add(
            results, "pause",
            harness_format("%s, %u thread%s%s", acts[i], threads, threads == 1 ? "" : "s", which),
            "floor", &taken[i], &floor, limit);
}

void pause_measure(const struct effort *effort, struct results *results)
{
    for (size_t i = 0; i < effort->thread_counts; i++)
        threads_measure(effort, effort->threads[i], "leader", LIMIT, results);
    for (size_t i = 0; i < effort->thread_counts; i++)
        if (effort->threads[i] > 1)
            threads_measure(effort, effort->threads[i], "middle", LIMIT, results);
    for (size_t i = 0; i < sizeof busy / sizeof *busy; i++)
        threads_measure(effort, busy[i], "all", 0, results);
}
