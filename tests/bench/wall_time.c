/*
 * wall_time.c - how long a call of the command takes, for one target and for
 * many, against the shortest life such a process can have: printing its help.
 */
#include "bench.h"

#include "command.h"
#include "victim.h"

#include <string.h>

static void one_measure(const struct effort *effort, struct results *results, struct series *inject,
                        struct series *recover)
{
    struct series help = series_make(effort->rounds);
    struct child *idle = victim_start("idle", NULL);
    const char *pid = harness_format("%d", idle->pid);
    *inject = series_make(effort->rounds);
    *recover = series_make(effort->rounds);
    for (size_t round = 0; round < effort->rounds; round++) {
        struct keep *mark = harness_mark();
        series_add(&help, bench_time((const char *const[]){skewctl_path(), "--help", NULL}));
        series_add(inject,
                   bench_time(skewctl_arguments("inject", "-p", pid, "--offset", "-5m", NULL)));
        series_add(recover, bench_time(skewctl_arguments("recover", "-p", pid, NULL)));
        harness_release(mark);
    }
    child_kill(idle);
    results_add(results, "wall", "inject, 1 target", "skewctl --help", inject, &help, 0);
    results_add(results, "wall", "recover, 1 target", "skewctl --help", recover, &help, 0);
}

/* So many times the median of one call, as often as there are rounds. */
static struct series reference_make(const struct series *one, size_t times, size_t rounds)
{
    struct series reference = series_make(rounds);
    for (size_t i = 0; i < rounds; i++)
        series_add(&reference, series_median(one) * (double)times);
    return reference;
}

void wall_time_measure(const struct effort *effort, struct results *results)
{
    struct series inject_one, recover_one;
    one_measure(effort, results, &inject_one, &recover_one);

    struct series inject = series_make(effort->many_rounds),
                  recover = series_make(effort->many_rounds);
    struct child **idle = harness_memory(effort->many * sizeof *idle);
    size_t length = effort->many * 12 + 1;
    char *pids = harness_memory(length);
    for (size_t i = 0; i < effort->many; i++) {
        idle[i] = victim_start("idle", NULL);
        strcat(pids, harness_format(i ? ",%d" : "%d", idle[i]->pid));
    }
    for (size_t round = 0; round < effort->many_rounds; round++) {
        struct keep *mark = harness_mark();
        series_add(&inject,
                   bench_time(skewctl_arguments("inject", "-p", pids, "--offset", "-5m", NULL)));
        series_add(&recover, bench_time(skewctl_arguments("recover", "-p", pids, NULL)));
        harness_release(mark);
    }
    for (size_t i = 0; i < effort->many; i++)
        child_kill(idle[i]);
    struct series calls = reference_make(&inject_one, effort->many, effort->many_rounds);
    results_add(results, "wall", harness_format("inject, %zu targets in one call", effort->many),
                "as many calls", &inject, &calls, 0);
    calls = reference_make(&recover_one, effort->many, effort->many_rounds);
    results_add(results, "wall", harness_format("recover, %zu targets in one call", effort->many),
                "as many calls", &recover, &calls, 0);
}
