/*
 * refusals_test.c - targets and requests that must be turned down: one line
 * that says why, the documented exit code, and a target that was not touched.
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534

static struct run inject(pid_t pid)
{
    return skewctl_run("inject", "-p", harness_format("%d", pid), "--offset", "-5m", NULL);
}

static void dead_process(void **state)
{
    (void)state;
    struct child *idle = victim_start("idle", NULL);
    pid_t pid = idle->pid;
    child_kill(idle);
    struct run run = inject(pid);
    run_expect_error(&run, 4);
    run = skewctl_run("recover", "-p", harness_format("%d", pid), NULL);
    run_expect_error(&run, 4);
}

/* Never without --dry-run: the tests must not touch the real one. */
static void init_unless_forced(void **state)
{
    (void)state;
    struct run run = skewctl_run("inject", "-p", "1", "--offset", "-5m", "--dry-run", NULL);
    run_expect_error(&run, 3);
    const char *unforced = run.err;
    run = skewctl_run("inject", "-p", "1", "--offset", "-5m", "--dry-run", "--force", NULL);
    /* Another reason may remain, but not this one. */
    if (run.code != 0)
        assert_string_not_equal(run.err, unforced);
}

/* skewctl in the pid namespace of that process, on process 1 there. */
static struct run within(const char *init, const char *command, const char *option,
                         const char *offset)
{
    return program_run((const char *const[]){"nsenter", "-t", init, "-p", "-m", skewctl_path(),
                                             command, option, "1", "--journal", skewctl_journal(),
                                             offset ? "--offset" : NULL, offset, NULL},
                       NULL, HARNESS_DEADLINE_MS);
}

/* The same number, but it is a service, and the machine does not depend on it. */
static void first_process_of_a_container(void **state)
{
    (void)state;
    if (geteuid() != 0)
        harness_skip("only root can make a pid namespace");
    struct child *container = child_start(
        (const char *const[]){"unshare", "--pid", "--fork", "--kill-child", "--mount-proc",
                              victim_path("clock_reader"), "1", "200", NULL},
        NULL);
    assert_string_equal(child_line(container, HARNESS_DEADLINE_MS), "ready");
    struct run run = program_run(
        (const char *const[]){"pgrep", "-P", harness_format("%d", container->pid), NULL}, NULL,
        HARNESS_DEADLINE_MS);
    const char *init = harness_format("%d", atoi(run.out));
    run = within(init, "inject", "--pidns", "-5m");
    run_expect_error(&run, 3);
    assert_non_null(strstr(run.err, "--tree 1"));
    clock_reader_expect(container, "clock_gettime 0", 0);

    clock_reader_allow(container, "realtime", INT64_C(-300000000000));
    static const char *const options[] = {"-p", "--tree"};
    for (size_t i = 0; i < 2; i++) {
        run = within(init, "inject", options[i], "-5m");
        run_expect(&run, 0);
        clock_reader_expect_all(container, INT64_C(-300000000000));
        run = within(init, "recover", options[i], NULL);
        run_expect(&run, 0);
        clock_reader_expect_all(container, 0);
    }
    victim_check(container);
}

static void itself(void **state)
{
    (void)state;
    const char *command = harness_format("exec '%s' inject -p $$ --offset -5m --journal '%s'",
                                         skewctl_path(), skewctl_journal());
    struct run run =
        program_run((const char *const[]){"sh", "-c", command, NULL}, NULL, HARNESS_DEADLINE_MS);
    run_expect_error(&run, 3);
}

static void kernel_thread(void **state)
{
    (void)state;
    const char *name = harness_file_read("/proc/2/comm", NULL);
    if (!name || strcmp(name, "kthreadd\n") != 0)
        harness_skip("no kernel thread can be seen from here");
    struct run run = inject(2);
    run_expect_error(&run, 3);
    static const char *const options[] = {"--tree", "--pidns"};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        run = skewctl_run("inject", options[i], "2", "--offset", "-5m", NULL);
        run_expect_error(&run, 3);
    }
    run = skewctl_run("inject", "--tree", "2147483647", "--offset", "-5m", NULL);
    run_expect_error(&run, 4);
}

static void expect_refused_untouched(struct child *victim, int code)
{
    struct snapshot before = snapshot_take(victim->pid);
    struct run run = inject(victim->pid);
    run_expect_error(&run, code);
    snapshot_expect(&before, victim->pid);
    victim_check(victim);
}

static void program_of_32_bits(void **state)
{
    (void)state;
    if (!victim_path("program_32"))
        harness_skip("there was no 32-bit C library");
    struct child *victim =
        child_start((const char *const[]){victim_path("program_32"), NULL}, NULL);
    assert_string_equal(child_line(victim, HARNESS_DEADLINE_MS), "ready");
    expect_refused_untouched(victim, 3);
}

static void without_vdso(void **state)
{
    (void)state;
    expect_refused_untouched(victim_start("idle", "no-vdso", NULL), 3);
}

static void already_traced(void **state)
{
    (void)state;
    struct child *victim = victim_start("idle", NULL);
    struct snapshot before = snapshot_take(victim->pid);
    assert_int_equal(ptrace(PTRACE_SEIZE, victim->pid, 0, 0), 0);
    struct run run = inject(victim->pid);
    run_expect_error(&run, 3);
    const char *tracer = harness_format("%d", getpid());
    if (!strstr(run.err, tracer))
        fail_msg("the tracer %s is not named: %s", tracer, run.err);
    assert_int_equal(ptrace(PTRACE_INTERRUPT, victim->pid, 0, 0), 0);
    assert_int_equal(waitpid(victim->pid, NULL, __WALL), victim->pid);
    assert_int_equal(ptrace(PTRACE_DETACH, victim->pid, 0, 0), 0);
    victim_check(victim);
    snapshot_expect(&before, victim->pid);
}

/* The tracer is a program of that name; it lets go when it is killed. */
static void expect_tracer_named(struct child *victim, pid_t traced, const char *const argv[])
{
    struct snapshot before = snapshot_take(victim->pid);
    struct child *tracer = child_start(argv, NULL);
    int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    while (strcmp(observe_status(victim->pid, traced, "TracerPid"), "0") == 0) {
        if (!child_alive(tracer) || harness_monotonic_ns() > end)
            harness_skip("%s cannot attach here", argv[0]);
        harness_sleep_ms(2);
    }
    const char *pid = harness_format("%d", victim->pid);
    struct run run = inject(victim->pid);
    run_expect_error(&run, 3);
    if (!strstr(run.err, argv[0]))
        fail_msg("%s is not named: %s", argv[0], run.err);
    run = skewctl_run("doctor", "-p", pid, NULL);
    run_expect(&run, 3);
    assert_non_null(strstr(run.out, argv[0]));
    child_kill(tracer);
    victim_check(victim);
    snapshot_expect(&before, victim->pid);
    skewctl_inject(victim->pid, "-5m");
    skewctl_recover(victim->pid);
    snapshot_expect(&before, victim->pid);
}

static void traced_by_strace(void **state)
{
    (void)state;
    if (!harness_program("strace"))
        harness_skip("there is no strace");
    struct child *victim = victim_start("idle", NULL);
    expect_tracer_named(victim, victim->pid,
                        (const char *const[]){"strace", "-o", "/dev/null", "-p",
                                              harness_format("%d", victim->pid), NULL});
}

/* The tracer of another thread than the first stands in the way as well. */
static void one_thread_traced(void **state)
{
    (void)state;
    if (!harness_program("strace"))
        harness_skip("there is no strace");
    struct child *victim = victim_start("clock_reader", "2", NULL);
    DIR *tasks = opendir(harness_format("/proc/%d/task", victim->pid));
    pid_t other = 0;
    for (struct dirent *entry; tasks && (entry = readdir(tasks));)
        if (atoi(entry->d_name) > 0 && atoi(entry->d_name) != victim->pid)
            other = atoi(entry->d_name);
    closedir(tasks);
    assert_int_not_equal(other, 0);
    clock_reader_allow(victim, "realtime", INT64_C(-300000000000));
    expect_tracer_named(victim, other,
                        (const char *const[]){"strace", "-o", "/dev/null", "-p",
                                              harness_format("%d", other), NULL});
}

static void traced_by_gdb(void **state)
{
    (void)state;
    if (!harness_program("gdb"))
        harness_skip("there is no gdb");
    struct child *victim = victim_start("idle", NULL);
    expect_tracer_named(victim, victim->pid,
                        (const char *const[]){"gdb", "-q", "-nx", "-ex", "continue", "-p",
                                              harness_format("%d", victim->pid), NULL});
}

static void not_permitted(void **state)
{
    (void)state;
    if (geteuid() != 0)
        harness_skip("only root can become another user");
    struct child *victim = victim_start("idle", NULL);
    struct snapshot before = snapshot_take(victim->pid);
    struct run run = skewctl_run_as(NOBODY, "inject", "-p", harness_format("%d", victim->pid),
                                    "--offset", "-5m", NULL);
    run_expect_error(&run, 5);
    snapshot_expect(&before, victim->pid);
}

/* Without privileges a user may still skew what is the user's own. */
static void own_process_of_a_user(void **state)
{
    (void)state;
    if (geteuid() != 0)
        harness_skip("only root can become another user");
    const char *copy = harness_format("%s/clock_reader", harness_directory(NOBODY));
    struct run run = program_run(
        (const char *const[]){"cp", victim_path("clock_reader"), copy, NULL}, NULL, 5000);
    run_expect(&run, 0);
    struct child *reader =
        child_start((const char *const[]){copy, NULL}, &(struct start){.user = NOBODY});
    assert_string_equal(child_line(reader, HARNESS_DEADLINE_MS), "ready");
    run = skewctl_run_as(NOBODY, "inject", "-p", harness_format("%d", reader->pid), "--offset",
                         "-5m", NULL);
    run_expect(&run, 0);
    clock_reader_expect(reader, "clock_gettime 0", INT64_C(-300000000000));
}

/* A request that makes no sense, whatever the target: exit code 2, and the target is left alone. */
static void senseless_requests(void **state)
{
    (void)state;
    struct child *victim = victim_start("idle", NULL);
    const char *pid = harness_format("%d", victim->pid);
    struct snapshot before = snapshot_take(victim->pid);
    const char *const requests[][8] = {
        {"inject", "-p", pid, "--offset", ""},
        {"inject", "-p", pid, "--offset", "5"},
        {"inject", "-p", pid, "--offset", "5x"},
        {"inject", "-p", pid, "--offset", "-"},
        {"inject", "-p", pid, "--offset", "1h-5m"},
        {"inject", "-p", pid, "--offset", "0x10s"},
        {"inject", "-p", pid, "--offset", "1e9s"},
        {"inject", "-p", pid, "--offset", "nan"},
        {"inject", "-p", pid, "--offset", " 5m"},
        {"inject", "-p", pid, "--offset", "99999999999999999999999s"},
        {"inject", "-p", pid, "--offset", "9223372036854775807ns"},
        {"inject", "-p", pid, "--offset", "-9223372036854775808ns"},
        {"inject", "-p", pid, "--offset", "9223372036854775808ns"},
        {"inject", "-p", pid, "--offset", "15250w"},
        {"inject", "-p", pid, "--offset", "-5m", "--clock", "noon"},
        {"inject", "-p", pid, "--offset", "-5m", "--clock", ""},
        {"inject", "-p", pid, "--offset", "-5m", "--clock", "realtime,,tai"},
        {"inject", "-p", pid, "--offset", "-5m", "--clock", "process_cputime_id"},
        {"inject", "-p", pid, "--offset", "-5m", "--clock", "thread_cputime_id"},
        {"inject", "-p", pid},
        {"inject", "--offset", "-5m"},
        {"inject", "-p", "0", "--offset", "-5m"},
        {"inject", "-p", "-1", "--offset", "-5m"},
        {"inject", "-p", "all", "--offset", "-5m"},
        {"inject", "-p", "99999999999", "--offset", "-5m"},
        {"inject", "-p", pid, "--offset", "-5m", "now"},
        {"inject", "-p", pid, "--offset", "-5m", "-o", "xml"},
        {"recover"},
        {"recover", "-p", pid, "--all"},
        {"recover", "--id", "first"},
        {"list", "-p", pid},
        {"teleport"},
    };
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        const char *const *words = requests[i];
        struct run run = skewctl_run(words[0], words[1], words[2], words[3], words[4], words[5],
                                     words[6], words[7], NULL);
        if (run.code != 2)
            fail_msg("request %zu (%s ... %s) came to %d: %s", i, words[0],
                     words[4] ? words[4] : "", run.code, run.err);
        run_expect_error(&run, 2);
    }
    snapshot_expect(&before, victim->pid);
    victim_check(victim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(dead_process),
        harness_test(init_unless_forced),
        harness_test(first_process_of_a_container),
        harness_test(itself),
        harness_test(kernel_thread),
        harness_test(program_of_32_bits),
        harness_test(without_vdso),
        harness_test(already_traced),
        harness_test(traced_by_strace),
        harness_test(one_thread_traced),
        harness_test(traced_by_gdb),
        harness_test(not_permitted),
        harness_test(own_process_of_a_user),
        harness_test(senseless_requests),
    };
    return cmocka_run_group_tests_name("refusals", tests, NULL, NULL);
}
