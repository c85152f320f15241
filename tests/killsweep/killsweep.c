/*
 * killsweep.c - proves by exhaustion that every instant is a safe instant for
 * skewctl to die: kills each operation on a target in each state at the entry
 * and at the exit of its every system call, and at random times, and counts
 * what was not right afterwards. See sweep.h for what that is, group_sweep.h for
 * operations on a group, state.c for the states.
 *
 *     killsweep [--every N] [--random N] [--seed N] [--jobs N]
 *               [--operation NAME] [--state NAME] [--from POINT] [--to POINT]
 *               [--of one|group] [--shapes | --slew]
 *
 * --every N   only each N-th point, from one that seed, operation and state
 *             choose: N of twice the number of states still meets nearly every
 *             system call in one state or another; 0 for none
 * --random N  that many random deaths for each operation and state; none for groups
 * --of WHAT   only operations on one process, or only those on groups
 * --shapes    the skews are shapes, rather than offsets
 * --slew      only updates, which slew to the new skew
 * --jobs N    that many operations at once, each with a target of its own
 *
 * Exits with 0 only if something was killed and nothing failed. Each sweep runs
 * in a process of its own, which a failure ends; the next one goes on at the
 * next point. SIGINT and SIGTERM end all after the point at hand, with the
 * report. However this ends, no process is left.
 */
#include "apart.h"
#include "group_sweep.h"
#include "report.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* After that many failures in one sweep there is nothing more to learn from it. */
#define FAILURES_MAX 100
#define JOBS_MAX     64
/* Room for all that is printed at once. */
#define PRINT_MAX 65536

struct options {
    long every, random, from, to, jobs;
    uint64_t seed;
    int operation, state; /* -1 for all */
    int of_groups;        /* likewise */
    enum manner manner;
};

/* What all processes of the sweep share. */
static struct shared {
    volatile sig_atomic_t stop;
    atomic_int next; /* the operation and state that nobody has begun yet */
    struct result results[OPERATIONS * STATES];
    struct sweep sweeps[JOBS_MAX];
} * shared;

/* Sweeps until the end, whatever fails on the way; returns the number of failures. */
static long sweep_whole(struct sweep *sweep)
{
    long failures = 0;
    while (!sweep->ended && !shared->stop && sweep->next <= sweep->last &&
           failures < FAILURES_MAX) {
        FILE *log = tmpfile();
        if (!log) {
            printf("cannot start a sweep: %s\n", strerror(errno));
            return failures + 1;
        }
        CMUnitTestFunction run = sweep->state->members ? group_sweep_run : sweep_run;
        if (!apart_run("killsweep", run, sweep, &sweep->next, log)) {
            failures++;
            report_failure(sweep, log);
            sweep->next += sweep->step;
        }
        fclose(log);
    }
    if (failures == FAILURES_MAX)
        printf("given up after %ld failures\n", failures);
    return failures;
}

/* Whether the options ask for this sweep, and it can be had. */
static bool wanted(const struct options *options, int operation, int state)
{
    /* What a missing journal does to the first inject has nothing to do with the target. */
    bool useful = operation != OPERATION_FIRST || state == STATE_BUSY;
    bool group = states[state].members != NULL;
    if (operations[operation].group != group ||
        !operation_can((enum operation)operation, options->manner) ||
        (operations[operation].follows && !states[state].execs))
        return false;
    return useful && (options->of_groups < 0 || options->of_groups == group) &&
           (options->operation < 0 || options->operation == operation) &&
           (options->state < 0 || options->state == state) && !state_missing(&states[state]);
}

/* Over all states and operations the points lie as evenly as can be. */
static long first_point(const struct options *options, int operation, int state)
{
    uint64_t every = (uint64_t)options->every;
    return (long)((options->seed + (uint64_t)state * every / STATES + (uint64_t)operation) % every);
}

/* One operation on one state: its points, then its random deaths; returns the failures. */
static long sweep_operation(const struct options *options, struct sweep *sweep, long first)
{
    long failures = 0;
    if (options->every) {
        sweep->step = options->every;
        sweep->next = options->from >= 0 ? options->from : first;
        sweep->last = options->to;
        failures += sweep_whole(sweep);
    }
    if (options->random && !sweep->state->members) {
        sweep->random = true;
        sweep->ended = false;
        sweep->step = 1;
        sweep->next = options->from >= 0 ? options->from : 0;
        sweep->last = sweep->next + options->random - 1;
        failures += sweep_whole(sweep);
    }
    return failures;
}

/* Does what nobody else has begun, until nothing is left. */
static void work(const struct options *options, struct sweep *sweep)
{
    for (int unit;
         !shared->stop && (unit = atomic_fetch_add(&shared->next, 1)) < OPERATIONS * STATES;) {
        int operation = unit % OPERATIONS, state = unit / OPERATIONS;
        if (!wanted(options, operation, state))
            continue;
        int64_t began = harness_monotonic_ns();
        *sweep = (struct sweep){.operation = (enum operation)operation,
                                .state = &states[state],
                                .stop = &shared->stop,
                                .seed = options->seed,
                                .manner = options->manner};
        struct result *result = &shared->results[unit];
        long first = options->every ? first_point(options, operation, state) : 0;
        result->failures = sweep_operation(options, sweep, first);
        result->tally = sweep->tally;
        result->took_ns = harness_monotonic_ns() - began;
        report_result(operations[sweep->operation].name, sweep->state->name, result);
    }
}

static void stop_all(int signal)
{
    (void)signal;
    shared->stop = 1;
}

/* In a group of its own: what the terminal sends is for the first process alone. */
static pid_t start_worker(const struct options *options, struct sweep *sweep)
{
    pid_t parent = getpid();
    fflush(NULL);
    pid_t worker = fork();
    if (worker != 0)
        return worker;
    if (setpgid(0, 0) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        _exit(126);
    work(options, sweep);
    exit(0);
}

/* Whether each worker came to its end. */
static bool run_workers(const struct options *options)
{
    bool whole = true;
    long started = 0;
    for (; started < options->jobs; started++)
        if (start_worker(options, &shared->sweeps[started]) < 0) {
            printf("cannot start a process: %s\n", strerror(errno));
            whole = false;
            break;
        }
    struct sigaction stop = {.sa_handler = stop_all, .sa_flags = SA_RESTART};
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    for (int status; started > 0; started--)
        whole = wait(&status) > 0 && status == 0 && whole;
    return whole;
}

/* Whether all was right. */
static bool report(const struct options *options, int64_t began)
{
    struct result total = {0};
    printf("\n");
    for (int state = 0; state < STATES; state++) {
        struct result sum = {0};
        for (int operation = 0; operation < OPERATIONS; operation++)
            result_add(&sum, &shared->results[state * OPERATIONS + operation]);
        if (sum.tally.points || sum.failures)
            report_bound(states[state].name, &sum);
        result_add(&total, &sum);
    }
    report_bound("all", &total);
    printf("seed %lu, %.0f s\n", (unsigned long)options->seed,
           (double)(harness_monotonic_ns() - began) / 1e9);
    if (total.tally.points == 0)
        printf("nothing was killed\n");
    return total.tally.points > 0 && total.failures == 0;
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

static int of_groups(const char *text)
{
    if (strcmp(text, "one") != 0 && strcmp(text, "group") != 0) {
        fprintf(stderr, "killsweep: --of is one or group\n");
        exit(2);
    }
    return strcmp(text, "group") == 0;
}

static void options_parse(int count, char **arguments, struct options *options)
{
    static const struct option known[] = {
        {"every", required_argument, NULL, 'e'}, {"random", required_argument, NULL, 'r'},
        {"seed", required_argument, NULL, 's'},  {"from", required_argument, NULL, 'f'},
        {"to", required_argument, NULL, 'l'},    {"operation", required_argument, NULL, 'o'},
        {"state", required_argument, NULL, 't'}, {"of", required_argument, NULL, 'w'},
        {"jobs", required_argument, NULL, 'j'},  {"shapes", no_argument, NULL, 'p'},
        {"slew", no_argument, NULL, 'm'},        {0},
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
            while (options->operation >= 0 && strcmp(optarg, operations[options->operation].name))
                options->operation--;
            break;
        case 't':
            options->state = STATES - 1;
            while (options->state >= 0 && strcmp(optarg, states[options->state].name))
                options->state--;
            break;
        case 'w':
            options->of_groups = of_groups(optarg);
            break;
        case 'p':
            options->manner = MANNER_SHAPES;
            break;
        case 'm':
            options->manner = MANNER_SLEWS;
            break;
        case 'j':
            options->jobs = number_of(optarg);
            break;
        default:
            exit(2);
        }
        if ((letter == 'o' && options->operation < 0) || (letter == 't' && options->state < 0)) {
            fprintf(stderr, "killsweep: there is no %s\n", optarg);
            exit(2);
        }
    }
    if (options->jobs < 1 || options->jobs > JOBS_MAX) {
        fprintf(stderr, "killsweep: --jobs is 1 to %d\n", JOBS_MAX);
        exit(2);
    }
    if (optind < count) {
        fprintf(stderr, "killsweep: %s is not understood\n", arguments[optind]);
        exit(2);
    }
}

/* Said once; what is missing is left out. */
static void say_missing(const struct options *options)
{
    for (int state = 0; state < STATES; state++) {
        const char *why = state_missing(&states[state]);
        if (why && (options->state < 0 || options->state == state))
            harness_skip_say(states[state].name, "%s", why);
    }
}

int main(int count, char **arguments)
{
    struct options options = {.every = 1,
                              .from = -1,
                              .to = LONG_MAX - 1000,
                              .jobs = 1,
                              .operation = -1,
                              .state = -1,
                              .of_groups = -1};
    options.seed = (uint64_t)time(NULL);
    options_parse(count, arguments, &options);
    setvbuf(stdout, NULL, _IOFBF, PRINT_MAX);
    shared = apart_memory(sizeof *shared);
    int64_t began = harness_monotonic_ns();
    say_missing(&options);
    report_heading();
    bool whole = run_workers(&options);
    if (shared->stop)
        printf("interrupted\n");
    else if (!whole)
        printf("a part of the sweep did not come to its end\n");
    bool right = report(&options, began);
    return right && whole && !shared->stop ? 0 : 1;
}
