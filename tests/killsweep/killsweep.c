/*
 * killsweep.c - proves by exhaustion that every instant is a safe instant for
 * skewctl to die: kills each operation on each target at the entry and at the
 * exit of its every system call, and at random times, and counts what was not
 * right afterwards. See sweep.h for what that is.
 *
 *     killsweep [--every N] [--random N] [--seed N]
 *               [--operation NAME] [--target NAME] [--from POINT] [--to POINT]
 *
 * --every N   only each N-th point, from one that the seed chooses; 0 for none
 * --random N  that many random deaths for each operation and target
 *
 * Exits with 0 only if nothing failed. Each sweep runs in a process of its own,
 * which a failure ends; the next one goes on at the next point.
 */
#include "apart.h"
#include "sweep.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* After that many failures in one sweep there is nothing more to learn from it. */
#define FAILURES_MAX 100

struct options {
    long every, random, from, to;
    uint64_t seed;
    int operation, target; /* -1 for all */
};

static void print_failure(const struct sweep *sweep, FILE *log)
{
    printf("FAILED: %s on the %s target, ", operation_name(sweep->operation),
           target_name(sweep->kind));
    if (sweep->random)
        printf("random death %ld, after %.3f ms", sweep->next, (double)sweep->delay_ns / 1e6);
    else
        printf("point %ld, the %s of its system call %ld (number %ld, by the %s thread)",
               sweep->next, sweep->next % 2 ? "exit" : "entry", sweep->next / 2 + 1, sweep->number,
               sweep->attached ? "attached" : "main");
    printf("\n  again: killsweep --seed %lu --operation %s --target %s --from %ld --to %ld%s\n",
           (unsigned long)sweep->seed, operation_name(sweep->operation), target_name(sweep->kind),
           sweep->next, sweep->next, sweep->random ? " --every 0 --random 1" : "");
    apart_print(log);
    fflush(stdout);
}

/* Sweeps until the end, whatever fails on the way; returns the number of failures. */
static long sweep_whole(struct sweep *sweep)
{
    long failures = 0;
    while (!sweep->ended && sweep->next <= sweep->last && failures < FAILURES_MAX) {
        FILE *log = tmpfile();
        if (!log) {
            printf("cannot start a sweep: %s\n", strerror(errno));
            return failures + 1;
        }
        if (!apart_run("killsweep", sweep_run, sweep, &sweep->next, log)) {
            failures++;
            print_failure(sweep, log);
            sweep->next += sweep->step;
        }
        fclose(log);
    }
    if (failures == FAILURES_MAX)
        printf("given up after %ld failures\n", failures);
    return failures;
}

static void print_line(const char *operation, const char *target, const struct tally *tally,
                       long failures, int64_t began)
{
    printf("%-14s %-8s %8ld %8ld %8ld %8ld %7.1f s\n", operation, target, tally->points,
           tally->attached, tally->draining, failures,
           (double)(harness_monotonic_ns() - began) / 1e9);
    fflush(stdout);
}

/* Whether the options ask for this sweep. */
static bool wanted(const struct options *options, int operation, int kind)
{
    /* What a missing journal does to the first inject has nothing to do with the target. */
    bool useful = operation != OPERATION_FIRST || kind == TARGET_BUSY;
    return useful && (options->operation < 0 || options->operation == operation) &&
           (options->target < 0 || options->target == kind);
}

/* One operation on one target: its points, then its random deaths; returns the failures. */
static long sweep_operation(const struct options *options, struct sweep *sweep)
{
    long failures = 0;
    if (options->every) {
        long first = (long)(options->seed % (uint64_t)options->every);
        sweep->step = options->every;
        sweep->next = options->from >= 0 ? options->from : first;
        sweep->last = options->to;
        failures += sweep_whole(sweep);
    }
    if (options->random) {
        sweep->random = true;
        sweep->ended = false;
        sweep->step = 1;
        sweep->next = options->from >= 0 ? options->from : 0;
        sweep->last = sweep->next + options->random - 1;
        failures += sweep_whole(sweep);
    }
    return failures;
}

static void tally_add(struct tally *total, const struct tally *part)
{
    total->points += part->points;
    total->attached += part->attached;
    total->draining += part->draining;
}

/* Every sweep that the options ask for; whether all was right. */
static bool sweep_everything(const struct options *options, struct sweep *sweep)
{
    struct tally total = {0};
    long failures = 0;
    int64_t began = harness_monotonic_ns();
    printf("%-14s %-8s %8s %8s %8s %8s %9s\n", "operation", "target", "points", "attached",
           "draining", "failures", "time");
    for (int operation = 0; operation < OPERATIONS; operation++)
        for (int kind = 0; kind < TARGET_KINDS; kind++) {
            if (!wanted(options, operation, kind))
                continue;
            int64_t began_here = harness_monotonic_ns();
            *sweep = (struct sweep){.operation = (enum operation)operation,
                                    .kind = (enum target_kind)kind,
                                    .seed = options->seed};
            long failed = sweep_operation(options, sweep);
            print_line(operation_name(sweep->operation), target_name(sweep->kind), &sweep->tally,
                       failed, began_here);
            failures += failed;
            tally_add(&total, &sweep->tally);
        }
    print_line("total", "", &total, failures, began);
    printf("seed %lu\n", (unsigned long)options->seed);
    if (total.points == 0)
        printf("nothing was killed\n");
    else if (failures == 0)
        /* The rule of three: the bound for a rate of which n trials showed nothing is 3/n. */
        printf("no failure in %ld deaths: with 95%% confidence less than %.4f%% of such deaths do "
               "harm\n",
               total.points, 300.0 / (double)total.points);
    return total.points > 0 && failures == 0;
}

static long number_of(const char *text)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (errno || end == text || *end || number < 0) {
        fprintf(stderr, "killsweep: %s is not a number of 0 or more\n", text);
        exit(2);
    }
    return number;
}

static void options_parse(int count, char **arguments, struct options *options)
{
    static const struct option known[] = {
        {"every", required_argument, NULL, 'e'},  {"random", required_argument, NULL, 'r'},
        {"seed", required_argument, NULL, 's'},   {"from", required_argument, NULL, 'f'},
        {"to", required_argument, NULL, 'l'},     {"operation", required_argument, NULL, 'o'},
        {"target", required_argument, NULL, 't'}, {0},
    };
    for (int letter; (letter = getopt_long(count, arguments, "", known, NULL)) != -1;) {
        switch (letter) {
        case 'e':
            options->every = number_of(optarg);
            break;
        case 'r':
            options->random = number_of(optarg);
            break;
        case 's':
            options->seed = (uint64_t)number_of(optarg);
            break;
        case 'f':
            options->from = number_of(optarg);
            break;
        case 'l':
            options->to = number_of(optarg);
            break;
        case 'o':
            options->operation = OPERATIONS - 1;
            while (options->operation >= 0 && strcmp(optarg, operation_name(options->operation)))
                options->operation--;
            break;
        case 't':
            options->target = TARGET_KINDS - 1;
            while (options->target >= 0 && strcmp(optarg, target_name(options->target)))
                options->target--;
            break;
        default:
            exit(2);
        }
        if ((letter == 'o' && options->operation < 0) || (letter == 't' && options->target < 0)) {
            fprintf(stderr, "killsweep: there is no %s\n", optarg);
            exit(2);
        }
    }
    if (optind < count) {
        fprintf(stderr, "killsweep: %s is not understood\n", arguments[optind]);
        exit(2);
    }
}

int main(int count, char **arguments)
{
    struct options options = {
        .every = 1, .from = -1, .to = LONG_MAX - 1000, .operation = -1, .target = -1};
    options.seed = (uint64_t)time(NULL);
    options_parse(count, arguments, &options);
    struct sweep *sweep = apart_memory(sizeof *sweep);
    return sweep_everything(&options, sweep) ? 0 : 1;
}
