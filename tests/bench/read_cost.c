/*
 * read_cost.c - what a read of the clock costs a program that is skewed,
 * against one that is not.
 *
 * Two processes of the same program take turns on one processor, round by
 * round, so that a change of its frequency or load meets both alike. What the
 * turns show before anything is injected is the noise that the figures after a
 * recover are held against.
 */
#include "bench.h"

#include "command.h"

#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/param.h>
#include <unistd.h>

static const struct entry {
    const char *name;
    unsigned share;    /* reads in a batch, as a multiple of the effort's */
    double limit;      /* of a skewed read */
    double limit_part; /* the same where the offset is no whole number of seconds */
    double limit_rate;
    double limit_shape; /* of any other shape */
} entries[] = {
    {"clock_gettime", 10, 1.08, 1.08, 1.15, 1.5},
    {"gettimeofday", 10, 1.08, 1.08, 1.15, 1.5},
    /* Natively one load from memory: a skewed one must read a clock to know when a second is over.
     */
    {"time", 100, 2.0, 3.0, 4.0, 7.0},
};
#define ENTRIES (sizeof entries / sizeof *entries)

static const struct offset {
    const char *text;
    bool whole_seconds;
} offsets[] = {{"-5m", true}, {"250ms", false}, {"-10m100ns", false}};

/* Options of inject. */
#define OPTIONS_MAX 8
static const struct shape_row {
    const char *name;
    bool rate_alone;
    const char *options[OPTIONS_MAX];
} shapes[] = {
    {"rate", true, {"--rate=+200ppm"}},
    {"ramp", false, {"--ramp=-500ms/10m"}},
    {"smear", false, {"--smear=1s/24h"}},
    {"step", false, {"--step=30s:+250ms,60s:-250ms"}},
    {"strobe", false, {"--strobe=200ms/10ms"}},
    {"jitter", false, {"--jitter=5ms,seed=7"}},
    {"sine", false, {"--sine=250ms/60s"}},
    {"offset, rate, jitter", false, {"--offset=-5m", "--rate=+200ppm", "--jitter=5ms,seed=7"}},
    {"all of these",
     false,
     {"--offset=-5m", "--rate=+200ppm", "--ramp=-500ms/10m", "--smear=1s/24h",
      "--step=30s:+250ms,60s:-250ms", "--strobe=200ms/10ms", "--jitter=5ms,seed=7",
      "--sine=250ms/60s"}},
};

static void shape_inject(pid_t pid, const char *const options[OPTIONS_MAX])
{
    struct run run =
        skewctl_run("inject", "-p", harness_format("%d", pid), options[0], options[1], options[2],
                    options[3], options[4], options[5], options[6], options[7], NULL);
    run_expect(&run, 0);
}

static struct child *reader_start(const char *const environment[], size_t count)
{
    const char *argv[8] = {"env"};
    for (size_t i = 0; i < count; i++)
        argv[1 + i] = environment[i];
    argv[1 + count] = bench_program("bench_reader");
    argv[2 + count] = harness_format("%d", bench_processor_last());
    struct child *reader = child_start(argv, NULL);
    assert_string_equal(child_line(reader, HARNESS_DEADLINE_MS), "ready");
    return reader;
}

static double reader_measure(struct child *reader, const char *name, unsigned reads, size_t batches)
{
    double cost;
    const char *answer =
        child_ask(reader, harness_format("measure %s %u %zu", name, reads, batches));
    if (sscanf(answer, "ok %lf", &cost) != 1 || cost <= 0)
        fail_msg("the reader said \"%s\"", answer);
    return cost;
}

struct pair {
    struct series measured[ENTRIES], reference[ENTRIES];
};

/* `name` replaces the entry's own where another way to read the clock is measured. */
static void pair_measure(struct pair *pair, const struct effort *effort, struct child *measured,
                         struct child *reference, const char *name)
{
    for (size_t e = 0; e < ENTRIES; e++) {
        pair->measured[e] = series_make(effort->rounds);
        pair->reference[e] = series_make(effort->rounds);
    }
    for (size_t round = 0; round < effort->rounds; round++) {
        for (size_t e = 0; e < ENTRIES; e++) {
            struct keep *mark = harness_mark();
            unsigned reads = effort->reads * entries[e].share;
            double cost[2];
            /* Who goes first changes, so that neither always follows the other. */
            for (size_t turn = round; turn < round + 2; turn++)
                cost[turn % 2] =
                    turn % 2 ? reader_measure(measured, name ? name : entries[e].name,
                                              name ? effort->reads : reads, effort->batches)
                             : reader_measure(reference, entries[e].name, reads, effort->batches);
            series_add(&pair->measured[e], cost[1]);
            series_add(&pair->reference[e], cost[0]);
            harness_release(mark);
        }
    }
}

static void libfaketime_measure(const struct effort *effort, struct child *native,
                                struct results *results)
{
    static const char *const names[] = {"libfaketime.so.1", "libfaketimeMT.so.1"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        glob_t found;
        if (glob(harness_format("/usr/lib/*/faketime/%s", names[i]), 0, NULL, &found) != 0) {
            printf("%s is not installed and left out\n", names[i]);
            continue;
        }
        const char *const environment[] = {harness_format("LD_PRELOAD=%s", found.gl_pathv[0]),
                                           "FAKETIME=-5m", "FAKETIME_DONT_FAKE_MONOTONIC=1"};
        globfree(&found);
        struct child *faked = reader_start(environment, 3);
        struct pair pair;
        struct effort less = *effort;
        less.batches = effort->batches / 5 + 1;
        less.reads = effort->reads / 5 + 1;
        pair_measure(&pair, &less, faked, native, NULL);
        for (size_t e = 0; e < ENTRIES; e++)
            results_add(results, "read", harness_format("%s, %s", entries[e].name, names[i]),
                        "native", &pair.measured[e], &pair.reference[e], 0);
        child_kill(faked);
    }
}

void read_cost_measure(const struct effort *effort, struct results *results)
{
    struct child *native = reader_start(NULL, 0), *skewed = reader_start(NULL, 0);
    struct pair pair;
    double noise[ENTRIES];
    pair_measure(&pair, effort, skewed, native, NULL);
    for (size_t e = 0; e < ENTRIES; e++) {
        const struct result *row =
            results_add(results, "read", harness_format("%s, before", entries[e].name), "native",
                        &pair.measured[e], &pair.reference[e], 0);
        noise[e] = MAX(1.02, row->quartile_high);
    }
    for (size_t o = 0; o < sizeof offsets / sizeof *offsets; o++) {
        skewctl_inject(skewed->pid, offsets[o].text);
        pair_measure(&pair, effort, skewed, native, NULL);
        for (size_t e = 0; e < ENTRIES; e++)
            results_add(results, "read",
                        harness_format("%s, skewed %s", entries[e].name, offsets[o].text), "native",
                        &pair.measured[e], &pair.reference[e],
                        offsets[o].whole_seconds ? entries[e].limit : entries[e].limit_part);
    }
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        shape_inject(skewed->pid, shapes[i].options);
        pair_measure(&pair, effort, skewed, native, NULL);
        for (size_t e = 0; e < ENTRIES; e++)
            results_add(results, "read", harness_format("%s, %s", entries[e].name, shapes[i].name),
                        "native", &pair.measured[e], &pair.reference[e],
                        shapes[i].rate_alone ? entries[e].limit_rate : entries[e].limit_shape);
    }
    skewctl_recover(skewed->pid);
    pair_measure(&pair, effort, skewed, native, NULL);
    for (size_t e = 0; e < ENTRIES; e++)
        results_add(results, "read", harness_format("%s, after recover", entries[e].name), "native",
                    &pair.measured[e], &pair.reference[e], noise[e]);
    pair_measure(&pair, effort, skewed, native, "syscall");
    results_add(results, "read", "clock_gettime, system call", "native", &pair.measured[0],
                &pair.reference[0], 0);
    child_kill(skewed);
    libfaketime_measure(effort, native, results);
    child_kill(native);
}
