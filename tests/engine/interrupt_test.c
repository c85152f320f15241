/*
 * interrupt_test.c - SIGINT, SIGTERM and SIGHUP at any time, once or twice, and
 * standard output that nobody reads: the step at hand is finished, nothing is
 * left for recover --crashed, and the exit code says what was done.
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TARGETS 3
/* From before skewctl has begun until after it has ended, unless the machine is very slow. */
#define STEPS   24
#define STEP_NS 500000

static void errors_to_file(void *path)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 || dup2(file, STDERR_FILENO) < 0)
        _exit(126);
}

struct interrupted {
    int status; /* of waitpid(2) */
    const char *err;
};

/* Runs it and sends the signal after that time, and once more if so wished. */
static struct interrupted run_interrupted(const char *const argv[], int64_t delay_ns, int signal,
                                          bool again)
{
    const char *errors = harness_format("%s/errors", harness_home());
    struct child *child = child_start(
        argv, &(struct start){.before_exec = errors_to_file, .argument = (void *)errors});
    nanosleep(&(struct timespec){.tv_nsec = delay_ns}, NULL);
    for (int left = again ? 2 : 1; left > 0 && child_alive(child); left--)
        kill(child->pid, signal);
    int status = child_wait(child, HARNESS_DEADLINE_MS);
    return (struct interrupted){status, harness_file_read(errors, NULL)};
}

static size_t active_count(void)
{
    struct run run = skewctl_run("list", "-o", "json", NULL);
    run_expect(&run, 0);
    return strtoul(json_query(run.out, "[.injections[] | select(.state == \"active\")] | length"),
                   NULL, 10);
}

/* Whatever was begun was finished or undone by the interrupted skewctl itself. */
static void expect_nothing_unfinished(void)
{
    struct run run = skewctl_run("recover", "--crashed", NULL);
    run_expect(&run, 0);
    assert_string_equal(run.out, "");
}

/* Judges one run; returns how many targets it says were worked on, or -1 where it does not say. */
static int judge(const struct interrupted *interrupted, int signal, size_t total)
{
    int status = interrupted->status;
    unsigned done = 0;
    expect_nothing_unfinished();
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return (int)total;
    /* Before it held the signal, or when all was done but printing. */
    if (WIFSIGNALED(status) && WTERMSIG(status) == signal)
        return -1;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 128 + signal)
        fail_msg("signal %d: status 0x%x: %s", signal, (unsigned)status, interrupted->err);
    const char *after = strstr(interrupted->err, " after ");
    if (!after || sscanf(after, " after %u of", &done) != 1)
        fail_msg("signal %d: it does not say how far it came: %s", signal, interrupted->err);
    return (int)done;
}

static void at_any_time(void **state)
{
    (void)state;
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct child *victims[TARGETS];
    struct snapshot before[TARGETS];
    for (int i = 0; i < TARGETS; i++) {
        victims[i] = victim_start("idle", NULL);
        before[i] = snapshot_take(victims[i]->pid);
    }
    const char *pids =
        harness_format("%d,%d,%d", victims[0]->pid, victims[1]->pid, victims[2]->pid);
    struct keep *mark = harness_mark();
    int stopped = 0;
    for (int step = 0; step < STEPS; step++) {
        int signal = signals[step % 3];
        bool again = step % 2;
        struct interrupted run =
            run_interrupted(skewctl_arguments("inject", "-p", pids, "--offset", "-5m", NULL),
                            step * STEP_NS, signal, again);
        int done = judge(&run, signal, TARGETS);
        stopped += done > 0 && done < TARGETS;
        if (done >= 0)
            assert_int_equal(active_count(), done);
        /* The rest, and a change of all. */
        struct run all = skewctl_run("inject", "-p", pids, "--offset", "-4m", NULL);
        run_expect(&all, 0);
        run = run_interrupted(skewctl_arguments("inject", "-p", pids, "--offset", "1h", NULL),
                              step * STEP_NS, signal, again);
        judge(&run, signal, TARGETS);
        assert_int_equal(active_count(), TARGETS);
        run = run_interrupted(skewctl_arguments("recover", "-p", pids, NULL), step * STEP_NS,
                              signal, again);
        done = judge(&run, signal, TARGETS);
        if (done >= 0)
            assert_int_equal(active_count(), TARGETS - done);
        all = skewctl_run("recover", "--all", NULL);
        run_expect(&all, 0);
        for (int i = 0; i < TARGETS; i++)
            snapshot_expect(&before[i], victims[i]->pid);
        harness_release(mark);
    }
    print_message("stopped between two targets: %d times\n", stopped);
}

/* The work is done, and the exit code says that its result did not arrive. */
static void output_that_nobody_reads(void **state)
{
    (void)state;
    static const char *const ways[] = {"exec \"$@\" >&-", "\"$@\" | :; exit ${PIPESTATUS[0]}",
                                       "exec \"$@\" >/dev/full"};
    struct child *victim = victim_start("idle", NULL);
    struct snapshot before = snapshot_take(victim->pid);
    const char *pid = harness_format("%d", victim->pid);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct run run = program_run(
            (const char *const[]){"bash", "-c", ways[i], "bash", skewctl_path(), "inject", "-p",
                                  pid, "--offset", "-5m", "--journal", skewctl_journal(), NULL},
            NULL, HARNESS_DEADLINE_MS);
        /* The reader of the pipe may end after all was written. */
        if (i != 1 || run.code != 0)
            run_expect_error(&run, 1);
        assert_int_equal(active_count(), 1);
        expect_nothing_unfinished();
        skewctl_recover(victim->pid);
    }
    snapshot_expect(&before, victim->pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(at_any_time),
        harness_test(output_that_nobody_reads),
    };
    return cmocka_run_group_tests_name("interrupt", tests, NULL, NULL);
}
