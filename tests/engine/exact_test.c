/*
 * exact_test.c - running processes that are followed by being attached to: what they execute
 * is skewed before it begins, and they run as without. Commands that are followed from
 * their beginning: run_follow_test.
 */
#include "background.h"
#include "cgroup_place.h"
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Follows what the option names, which has that member. */
static void follow(const char *option, const char *value, pid_t member)
{
    struct run run =
        skewctl_run("inject", option, value, "--offset", "-1h", "--follow=exact", "--detach", NULL);
    run_expect(&run, 0);
    background_follower = background_listed_of(member);
    assert_true(background_follower > 0);
}

static void follow_process(pid_t pid)
{
    follow("-p", harness_format("%d", pid), pid);
}

static pid_t tracer_of(pid_t pid)
{
    return (pid_t)atoi(observe_status(pid, pid, "TracerPid"));
}

static bool is_active(pid_t pid)
{
    struct run run = skewctl_run("list", "-o", "json", NULL);
    run_expect(&run, 0);
    const char *filter = harness_format("[.injections[] | select(.pid == %d) | .state][0]", pid);
    return strcmp(json_query(run.out, filter), "active") == 0;
}

/* Each of so many lines, which the shell prints at once, is the time with that many seconds. */
static void expect_times(struct child *shell, int count, long seconds)
{
    for (int i = 0; i < count; i++) {
        long off = atol(child_line(shell, HARNESS_DEADLINE_MS)) - (long)time(NULL);
        /* time(2) may be a tick behind what the program read. */
        if (off < seconds - 5 || off > seconds + 1)
            fail_msg("program %d is off by %ld s rather than %ld s", i, off, seconds);
    }
}

static void every_program(void **state)
{
    (void)state;
    struct child *shell = background_shell();
    struct snapshot before = snapshot_take(shell->pid);
    follow_process(shell->pid);
    child_send(shell,
               "for i in 1 2 3 4 5 6 7 8 9 10; do date +%s; (date +%s; exec date +%s); done");
    expect_times(shell, 30, -3600);
    struct run run = skewctl_run("recover", "-p", harness_format("%d", shell->pid), NULL);
    run_expect(&run, 0);
    background_await_end();
    observe_untraced(shell->pid);
    snapshot_expect(&before, shell->pid);
    child_send(shell, "date +%s");
    expect_times(shell, 1, 0);
}

/* A skew of its own for one of them, by a skewctl that cannot stop it. */
static void one_is_updated(void **state)
{
    (void)state;
    struct child *reader = victim_start("clock_reader", "2", NULL);
    follow_process(reader->pid);
    assert_true(tracer_of(reader->pid) != 0);
    clock_reader_expect_all(reader, -3600 * INT64_C(1000000000));
    struct run run = skewctl_run("inject", "-p", harness_format("%d", reader->pid), "--offset",
                                 "+2h", "-o", "json", NULL);
    run_expect(&run, 0);
    assert_string_equal(json_query(run.out, ".injections[0].state"), "active");
    clock_reader_expect_all(reader, 7200 * INT64_C(1000000000));
    assert_true(tracer_of(reader->pid) != 0);
}

/* All of the group, and those who come later, by its number. */
static void all_are_updated(void **state)
{
    (void)state;
    struct child *shell = background_shell();
    follow_process(shell->pid);
    struct run run = skewctl_run("inject", "--id", "g1", "--offset", "+2h", NULL);
    run_expect(&run, 0);
    child_send(shell, "printf '%(%s)T\\n' -1; for i in 1 2 3 4 5; do date +%s; done");
    expect_times(shell, 6, 7200);
    assert_true(tracer_of(shell->pid) != 0);
}

/* Counted real-time signals and timers; threads that come and go; stops. */
static void runs_as_without(void **state)
{
    (void)state;
    /* In waits that the kernel begins again: each stop of a process ends the others. */
    struct child *counter = victim_start("signals", "restarted", NULL);
    follow_process(counter->pid);
    victim_check_progress(counter, 200);
    pid_t stopped = counter->pid;
    assert_int_equal(kill(stopped, SIGSTOP), 0);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)stopped, &info, WSTOPPED), 0);
    assert_int_equal(info.si_status, SIGSTOP);
    assert_int_equal(kill(stopped, SIGCONT), 0);
    assert_int_equal(waitid(P_PID, (id_t)stopped, &info, WCONTINUED), 0);
    victim_check_progress(counter, 50);
    assert_int_equal(kill(background_follower, SIGKILL), 0);
    background_await_end();
    victim_check_progress(counter, 50);
    observe_untraced(counter->pid);
}

static void threads_that_come_and_go(void **state)
{
    (void)state;
    struct child *churn = victim_start("churn", NULL);
    follow_process(churn->pid);
    victim_check_progress(churn, 200);
    struct run run = skewctl_run("recover", "--id", "g1", NULL);
    run_expect(&run, 0);
    background_await_end();
    observe_untraced(churn->pid);
    victim_check_progress(churn, 20);
    assert_int_equal(observe_code_mappings(churn->pid), 0);
}

/* One that nobody here has forked. */
static void a_process_joins(void **state)
{
    (void)state;
    struct child *first = background_shell(), *second = background_shell();
    const char *path = cgroup_place_make(first->pid);
    follow("--cgroup", path, first->pid);
    assert_int_equal(tracer_of(second->pid), 0);
    assert_true(cgroup_place_enter(path, second->pid));
    /* It is injected first: while it is, it has a tracer already. */
    for (int waited = 0; !is_active(second->pid) || tracer_of(second->pid) == 0; waited += 5) {
        assert_true(waited < HARNESS_DEADLINE_MS);
        harness_sleep_ms(5);
    }
    child_send(second, "for i in 1 2 3 4 5; do date +%s; done");
    expect_times(second, 5, -3600);
    struct run run = skewctl_run("recover", "--cgroup", path, NULL);
    run_expect(&run, 0);
    background_await_end();
    child_send(second, "date +%s");
    expect_times(second, 1, 0);
}

/* By a follower whose caller ignores SIGCHLD, as some supervisors do: it hears of each stop. */
static void followed_without_sigchld(void **state)
{
    (void)state;
    struct child *shell = background_shell();
    const char *const *inject =
        skewctl_arguments("inject", "-p", harness_format("%d", shell->pid), "--offset", "-1h",
                          "--follow=exact", "--detach", NULL);
    const char *argv[24] = {"env", "--ignore-signal=CHLD"};
    for (size_t i = 0; inject[i]; i++)
        argv[2 + i] = inject[i];
    struct run run = program_run(argv, NULL, HARNESS_DEADLINE_MS);
    run_expect(&run, 0);
    background_follower = background_listed_of(shell->pid);
    int64_t began = harness_monotonic_ns();
    child_send(shell, "for i in {1..100}; do date +%s; done");
    expect_times(shell, 100, -3600);
    /* Each would take four times a quarter of a second. */
    assert_true(harness_monotonic_ns() - began < HARNESS_DEADLINE_MS * INT64_C(1000000));
}

/* The only member, which another comes to trace after the follower has died: it waits for it. */
static void taken_up_while_traced(void **state)
{
    (void)state;
    if (!harness_program("strace"))
        harness_skip("there is no strace");
    struct child *shell = background_shell();
    follow_process(shell->pid);
    assert_int_equal(kill(background_follower, SIGKILL), 0);
    background_await_end();
    struct child *strace =
        child_start((const char *const[]){harness_program("strace"), "-qq", "-o", "/dev/null", "-p",
                                          harness_format("%d", shell->pid), NULL},
                    NULL);
    for (int waited = 0; tracer_of(shell->pid) != strace->pid; waited += 5) {
        assert_true(waited < HARNESS_DEADLINE_MS);
        harness_sleep_ms(5);
    }
    struct run run = skewctl_run("follow", "--id", "g1", "--detach", NULL);
    run_expect(&run, 0);
    background_follower = background_listed_of(shell->pid);
    assert_true(background_follower > 0);
    kill(strace->pid, SIGTERM);
    child_wait(strace, HARNESS_DEADLINE_MS);
    for (int waited = 0; tracer_of(shell->pid) == 0; waited += 5) {
        assert_true(waited < HARNESS_DEADLINE_MS);
        harness_sleep_ms(5);
    }
    child_send(shell, "date +%s");
    expect_times(shell, 1, -3600);
}

/* A member that somebody else traces is named once, and left alone. */
static void one_is_traced(void **state)
{
    (void)state;
    if (!harness_program("strace"))
        harness_skip("there is no strace");
    struct child *first = background_shell(), *second = background_shell();
    const char *path = cgroup_place_make(first->pid);
    const char *said = harness_format("%s/said", harness_home());
    const char *command =
        harness_format("exec '%s' inject --cgroup '%s' --offset -1h --follow=exact -o json "
                       "--journal '%s' 2>'%s'",
                       skewctl_path(), path, skewctl_journal(), said);
    struct child *follower = child_start((const char *const[]){"sh", "-c", command, NULL}, NULL);
    child_line(follower, HARNESS_DEADLINE_MS);
    struct child *strace =
        child_start((const char *const[]){harness_program("strace"), "-qq", "-o", "/dev/null", "-p",
                                          harness_format("%d", second->pid), NULL},
                    NULL);
    for (int waited = 0; tracer_of(second->pid) != strace->pid; waited += 5) {
        assert_true(waited < HARNESS_DEADLINE_MS);
        harness_sleep_ms(5);
    }
    assert_true(cgroup_place_enter(path, second->pid));
    /* Several looks for members. */
    harness_sleep_ms(1000);
    assert_int_equal(tracer_of(second->pid), strace->pid);
    kill(follower->pid, SIGTERM);
    child_wait(follower, HARNESS_DEADLINE_MS);
    struct run named = program_run((const char *const[]){"grep", "-c", "traced by", said, NULL},
                                   NULL, HARNESS_DEADLINE_MS);
    assert_string_equal(named.out, "1\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_program, harness_setup, background_teardown),
        cmocka_unit_test_setup_teardown(one_is_updated, harness_setup, background_teardown),
        cmocka_unit_test_setup_teardown(all_are_updated, harness_setup, background_teardown),
        cmocka_unit_test_setup_teardown(runs_as_without, harness_setup, background_teardown),
        cmocka_unit_test_setup_teardown(threads_that_come_and_go, harness_setup,
                                        background_teardown),
        cmocka_unit_test_setup_teardown(a_process_joins, harness_setup, background_teardown),
        cmocka_unit_test_setup_teardown(one_is_traced, harness_setup, background_teardown),
        cmocka_unit_test_setup_teardown(followed_without_sigchld, harness_setup,
                                        background_teardown),
        cmocka_unit_test_setup_teardown(taken_up_while_traced, harness_setup, background_teardown),
    };
    return cmocka_run_group_tests_name("exact", tests, NULL, NULL);
}
