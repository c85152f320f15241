/*
 * nthcall.c - proves that no call that fails does harm: makes every call of a
 * kind fail in turn (n = 1, 2, ... until there are no more), in each operation,
 * and counts where the target was not left as before or as asked for, the exit
 * code or the message was wrong, or recover did not put it back.
 *
 *     nthcall [--every N] [--seed N] [--operation NAME] [--target NAME]
 *             [--fault NAME] [--from N] [--to N] [--limit SECONDS]
 *
 * --every N        only each N-th call, from one that the seed (else the time) chooses
 * --limit SECONDS  begins no other sweep after that time; says what was left out
 *
 * Without options it is the whole, some 8,000 calls. Exits with 0 only if
 * nothing failed.
 */
#include "apart.h"
#include "round.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* After that many failures of one fault there is nothing more to learn from it. */
#define FAILURES_MAX 40

struct options {
    long every, seed, from, to, limit;
    const char *operation, *target, *fault; /* NULL for all */
};

static void print_failure(const struct round *round, FILE *log)
{
    const char *fault = round->fault->name;
    printf("FAILED: %s of the %s target with %s, call %ld: %s\n", act_name(round->act),
           round->state->name, fault, round->next, round->call);
    printf("  again: nthcall --operation %s --target %s --fault %s --from %ld --to %ld\n",
           act_name(round->act), round->state->name, fault, round->next, round->next);
    printf("  said: %s\n", round->said);
    apart_print(log);
    fflush(stdout);
}

/* All calls of one fault, whatever fails on the way; returns the number of failures. */
static long round_whole(struct round *round)
{
    long failures = 0;
    while (!round->ended && round->next <= round->last && failures < FAILURES_MAX) {
        FILE *log = tmpfile();
        if (!log) {
            printf("cannot start: %s\n", strerror(errno));
            return failures + 1;
        }
        round->call[0] = round->said[0] = '\0';
        if (!apart_run("nthcall", round_run, round, &round->next, log)) {
            failures++;
            print_failure(round, log);
            round->next += round->step;
        }
        fclose(log);
    }
    return failures;
}

/* A caller that waits is used otherwise than one that runs, by calls on the target alone. */
static bool useful(const struct fault *fault, int state)
{
    static const char *const about_target[] = {"ptrace", "waitid", "pwrite", "pread"};
    if (state == STATE_BUSY)
        return true;
    for (size_t i = 0; i < sizeof about_target / sizeof *about_target; i++)
        if (strncmp(fault->name, about_target[i], strlen(about_target[i])) == 0)
            return state == STATE_BLOCKED;
    return false;
}

static bool named(const char *wanted, const char *name)
{
    return !wanted || strcmp(wanted, name) == 0;
}

static bool everything(const struct options *options, struct round *round)
{
    long points = 0, failures = 0, left_out = 0;
    int64_t began = harness_monotonic_ns();
    for (size_t f = 0; f < fault_count; f++) {
        long here = 0, refused = 0, bad = 0;
        for (int state = STATE_BUSY; state <= STATE_BLOCKED; state++)
            for (int act = 0; act < ACTS; act++) {
                if (!useful(&faults[f], state) ||
                    !named(options->operation, act_name((enum act)act)) ||
                    !named(options->target, states[state].name) ||
                    !named(options->fault, faults[f].name))
                    continue;
                if (harness_monotonic_ns() - began > options->limit * INT64_C(1000000000)) {
                    left_out++;
                    continue;
                }
                long step = options->every * (faults[f].stride ? faults[f].stride : 1);
                *round = (struct round){
                    .act = (enum act)act,
                    .state = &states[state],
                    .fault = &faults[f],
                    .step = step,
                    .next = options->from ? options->from : 1 + options->seed % step,
                    .last = options->to,
                };
                bad += round_whole(round);
                here += round->points;
                refused += round->failed_operations;
            }
        if (here || bad)
            printf("%-24s %6ld calls failed, %6ld operations failed, %4ld not right, %6.1f s\n",
                   faults[f].name, here + bad, refused, bad,
                   (double)(harness_monotonic_ns() - began) / 1e9);
        fflush(stdout);
        points += here;
        failures += bad;
    }
    printf("seed %ld: %ld calls made to fail, %ld failures\n", options->seed, points + failures,
           failures);
    if (left_out)
        printf("%ld sweeps left out for lack of time\n", left_out);
    return points > 0 && failures == 0;
}

static long number_of(const char *text)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (errno || end == text || *end || number < 0) {
        fprintf(stderr, "nthcall: %s is not a number of 0 or more\n", text);
        exit(2);
    }
    return number;
}

int main(int count, char **arguments)
{
    static const struct option known[] = {
        {"every", required_argument, NULL, 'e'},
        {"seed", required_argument, NULL, 's'},
        {"from", required_argument, NULL, 'f'},
        {"to", required_argument, NULL, 'l'},
        {"limit", required_argument, NULL, 'm'},
        {"operation", required_argument, NULL, 'o'},
        {"target", required_argument, NULL, 't'},
        {"fault", required_argument, NULL, 'k'},
        {0},
    };
    struct options options = {
        .every = 1, .to = LONG_MAX / 2, .limit = LONG_MAX / 2000000000, .seed = (long)time(NULL)};
    for (int letter; (letter = getopt_long(count, arguments, "", known, NULL)) != -1;) {
        switch (letter) {
        case 'e':
            options.every = number_of(optarg);
            break;
        case 's':
            options.seed = number_of(optarg);
            break;
        case 'f':
            options.from = number_of(optarg);
            break;
        case 'l':
            options.to = number_of(optarg);
            break;
        case 'm':
            options.limit = number_of(optarg);
            break;
        case 'o':
            options.operation = optarg;
            break;
        case 't':
            options.target = optarg;
            break;
        case 'k':
            options.fault = optarg;
            break;
        default:
            return 2;
        }
    }
    if (optind < count || options.every == 0) {
        fprintf(stderr, "nthcall: not understood; see the top of its source\n");
        return 2;
    }
    return everything(&options, apart_memory(sizeof(struct round))) ? 0 : 1;
}
