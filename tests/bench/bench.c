/*
 * bench [--rounds N] [--only read|pause|wall|group] [--json FILE] [--check] [--smoke]
 * - measures what skewctl costs and says which limits are met. Exits with 0
 * where the measuring worked; with --check with 1 where a limit is missed.
 *
 * The limits hold for a build with optimisation on a machine that is otherwise
 * at rest. A figure is the median of at least nine rounds; its spread is shown.
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS_LEAST 9
#define RUN_LIMIT_MS 120000

static const unsigned thread_counts[] = {1, 16, 128, 1024};

static const struct {
    const char *name;
    void (*measure)(const struct effort *effort, struct results *results);
} measurements[] = {
    {"read", read_cost_measure},
    {"pause", pause_measure},
    {"wall", wall_time_measure},
    {"group", group_time_measure},
};

static cpu_set_t processors;

int bench_processor_first(void)
{
    int processor = 0;
    while (!CPU_ISSET(processor, &processors))
        processor++;
    return processor;
}

int bench_processor_last(void)
{
    int processor = CPU_SETSIZE - 1;
    while (!CPU_ISSET(processor, &processors))
        processor--;
    return processor;
}

const char *bench_program(const char *name)
{
    return harness_format("%s/%s", BENCH_PROGRAMS, name);
}

static void program_become(const char *const argv[], pid_t parent)
{
    int nothing = open("/dev/null", O_RDWR);
    cpu_set_t first;
    CPU_ZERO(&first);
    CPU_SET(bench_processor_first(), &first);
    if (sched_setaffinity(0, sizeof first, &first) == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 &&
        getppid() == parent && dup2(nothing, 0) >= 0 && dup2(nothing, 1) >= 0)
        execv(argv[0], (char *const *)argv);
    _exit(127);
}

double bench_time(const char *const argv[])
{
    fflush(NULL);
    pid_t parent = getpid();
    int64_t began = harness_monotonic_ns();
    pid_t child = fork();
    if (child == 0)
        program_become(argv, parent);
    int descriptor = child < 0 ? -1 : pidfd_open(child, 0);
    struct pollfd ended = {.fd = descriptor, .events = POLLIN};
    if (descriptor < 0 || poll(&ended, 1, RUN_LIMIT_MS) != 1) {
        if (child > 0)
            kill(child, SIGKILL);
        fail_msg("%s did not end within %d ms", argv[0], RUN_LIMIT_MS);
    }
    double elapsed = (double)(harness_monotonic_ns() - began);
    int status;
    close(descriptor);
    if (waitpid(child, &status, 0) != child || status != 0)
        fail_msg("%s %s ended with status 0x%x", argv[0], argv[1], (unsigned)status);
    return elapsed;
}

static int usage(const char *program)
{
    fprintf(
        stderr,
        "usage: %s [--rounds N] [--only read|pause|wall|group] [--json FILE] [--check] [--smoke]\n",
        program);
    return 2;
}

int main(int count, char **arguments)
{
    static const struct option options[] = {
        {"rounds", required_argument, NULL, 'r'}, {"only", required_argument, NULL, 'o'},
        {"json", required_argument, NULL, 'j'},   {"check", no_argument, NULL, 'c'},
        {"smoke", no_argument, NULL, 's'},        {NULL, 0, NULL, 0},
    };
    struct effort effort = {.rounds = 15,
                            .batches = 25,
                            .reads = 1000,
                            .threads = thread_counts,
                            .thread_counts = sizeof thread_counts / sizeof *thread_counts,
                            .many = 200,
                            .many_rounds = ROUNDS_LEAST,
                            .members = 1000};
    const char *json = "build/bench.json", *only = NULL;
    bool check = false, smoke = false;
    for (int option; (option = getopt_long(count, arguments, "", options, NULL)) != -1;) {
        switch (option) {
        case 'r':
            effort.rounds = strtoul(optarg, NULL, 10);
            break;
        case 'o':
            only = optarg;
            break;
        case 'j':
            json = optarg;
            break;
        case 'c':
            check = true;
            break;
        case 's':
            smoke = true;
            break;
        default:
            return usage(arguments[0]);
        }
    }
    if (optind != count || effort.rounds < ROUNDS_LEAST || effort.rounds > 1000)
        return usage(arguments[0]);
    if (smoke)
        effort = (struct effort){.rounds = 1,
                                 .batches = 1,
                                 .reads = 10,
                                 .threads = thread_counts,
                                 .thread_counts = 2,
                                 .many = 3,
                                 .many_rounds = 1,
                                 .members = 20};

    /*
     * Where allowed: other load then disturbs less, and all that is measured alike. A trial
     * starves nobody: what it waits for may need a processor too.
     */
    if (!smoke)
        setpriority(PRIO_PROCESS, 0, -20);
    if (sched_getaffinity(0, sizeof processors, &processors) != 0)
        return 1;
    harness_setup(NULL);
    struct results results = {0};
    for (size_t i = 0; i < sizeof measurements / sizeof *measurements; i++)
        if (!only || strcmp(only, measurements[i].name) == 0)
            measurements[i].measure(&effort, &results);
    if (results.count == 0)
        return usage(arguments[0]);
    results_print(&results);
    results_write(&results, json);
    size_t missed = results_missed(&results);
    if (smoke)
        printf("\nA trial run: the figures mean nothing.\n");
    else if (missed)
        printf("\nMISSED: %zu of the limits above. Is the machine otherwise at rest?\n", missed);
    else
        printf("\nAll limits above are met.\n");
    printf("Ratios are medians of %zu rounds. The same as JSON: %s\n", effort.rounds, json);
    harness_teardown(NULL);
    return check && missed && !smoke ? 1 : 0;
}
