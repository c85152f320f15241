/*
 * group_time.c - groups: how long a whole inject, list and recover of them takes, how long a
 * member stands still against a process that is injected by itself, and within which time
 * all members are switched. The last is skewctl's own measure: from before the first write
 * that puts a new skew in force to after the last.
 */
#include "bench.h"

#include "command.h"
#include "victim.h"

#include <stdlib.h>
#include <string.h>

/* What a user is promised for the largest group. */
#define WHOLE_NS  2e9
#define SWITCH_NS 1e6

/* A process with so many children less one. */
static struct child *crowd_start(size_t members)
{
    struct child *parent = victim_start("idle", NULL);
    for (size_t i = 1; i < members; i++)
        child_ask(parent, "spawn");
    return parent;
}

static struct run timed(struct series *series, const char *const argv[])
{
    int64_t began = harness_monotonic_ns();
    struct run run = program_run(argv, NULL, HARNESS_DEADLINE_MS);
    series_add(series, (double)(harness_monotonic_ns() - began));
    run_expect(&run, 0);
    return run;
}

static double figure(const struct run *run, const char *filter)
{
    return strtod(json_query(run->out, filter), NULL) * 1e3;
}

#define PAUSES "[.injections[].pause_us | numbers] | sort | .[length / 2 | floor]"

static struct series constant(double value, size_t rounds)
{
    struct series series = series_make(rounds);
    for (size_t i = 0; i < rounds; i++)
        series_add(&series, value);
    return series;
}

static void members_measure(size_t members, size_t rounds, struct results *results)
{
    struct child *parent = crowd_start(members), *lone = victim_start("idle", NULL);
    const char *tree = harness_format("%d", parent->pid), *pid = harness_format("%d", lone->pid);
    struct series inject = series_make(rounds), list = series_make(rounds),
                  recover = series_make(rounds), pause = series_make(rounds),
                  alone = series_make(rounds), within = series_make(rounds);
    for (size_t round = 0; round < rounds; round++) {
        struct keep *mark = harness_mark();
        struct run run = timed(&inject, skewctl_arguments("inject", "--tree", tree, "--offset",
                                                          "-5m", "-o", "json", NULL));
        series_add(&pause, figure(&run, PAUSES));
        series_add(&within, figure(&run, ".injections[0].switch_us"));
        timed(&list, skewctl_arguments("list", NULL));
        timed(&recover, skewctl_arguments("recover", "--tree", tree, NULL));
        run = skewctl_run("inject", "-p", pid, "--offset", "-5m", "-o", "json", NULL);
        run_expect(&run, 0);
        series_add(&alone, figure(&run, PAUSES));
        run = skewctl_run("recover", "-p", pid, NULL);
        run_expect(&run, 0);
        harness_release(mark);
    }
    child_kill(parent);
    child_kill(lone);
    struct series whole = constant(WHOLE_NS, rounds), most = constant(SWITCH_NS, rounds);
    results_add(results, "group", harness_format("inject, %zu members", members), "2 s", &inject,
                &whole, 1);
    results_add(results, "group", harness_format("list, %zu members", members), "2 s", &list,
                &whole, 1);
    results_add(results, "group", harness_format("recover, %zu members", members), "2 s", &recover,
                &whole, 1);
    results_add(results, "group", harness_format("pause of one of %zu", members), "alone", &pause,
                &alone, 0);
    /* What is promised is for a hundred. */
    results_add(results, "group", harness_format("switch of %zu", members), "1 ms", &within, &most,
                members <= 100 ? 1 : 0);
}

void group_time_measure(const struct effort *effort, struct results *results)
{
    members_measure(effort->members / 10, effort->many_rounds, results);
    members_measure(effort->members, effort->many_rounds, results);
}
