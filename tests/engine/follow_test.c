/*
 * follow_test.c - inject --follow and follow, as a user has them: in the foreground, in the
 * background, ended and taken up again, with others at work on the group meanwhile. What
 * following does: watch_test.
 */
#include "background.h"
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *way = "--follow=watch";

/* A program that the shell starts sees, after some time, a clock that is off by that much. */
static void program_check(struct child *shell, long seconds)
{
    child_send(shell, "bash -c 'while read x && [ $x = go ]; do printf \"%(%s)T\\n\" -1; done'");
    for (int waited = 0;; waited += 5) {
        long off = atol(child_ask(shell, "go")) - (long)time(NULL);
        if (off >= seconds - 2 && off <= seconds)
            break;
        if (waited > HARNESS_DEADLINE_MS)
            fail_msg("a new program is off by %ld s rather than %ld s", off, seconds);
        harness_sleep_ms(5);
    }
    child_send(shell, "end");
}

static void in_the_background(void **state)
{
    (void)state;
    struct child *shell = background_shell();
    struct snapshot before = snapshot_take(shell->pid);
    const char *tree = harness_format("%d", shell->pid);
    struct run run =
        skewctl_run("inject", "--tree", tree, "--offset", "-1h", way, "--detach", NULL);
    run_expect(&run, 0);
    background_follower = background_listed();
    assert_true(background_follower > 0);
    assert_non_null(strstr(run.err, harness_format("process %d;", background_follower)));
    /* Of no terminal and no caller, and with no right that only noticing took. */
    assert_string_equal(observe_status(background_follower, background_follower, "NSsid"),
                        observe_status(background_follower, background_follower, "NSpid"));
    assert_int_equal(
        strtoull(observe_status(background_follower, background_follower, "CapPrm"), NULL, 16) >>
                12 &
            1,
        0);
    program_check(shell, -3600);

    /* Another skewctl changes the skew of those that are there and those to come. */
    run = skewctl_run("inject", "--tree", tree, "--offset", "+2h", NULL);
    run_expect(&run, 0);
    program_check(shell, 7200);
    assert_int_equal(background_listed(), background_follower);

    run = skewctl_run("recover", "--tree", tree, NULL);
    run_expect(&run, 0);
    background_await_end();
    snapshot_expect(&before, shell->pid);
    run = skewctl_run("list", "-o", "json", NULL);
    assert_string_equal(json_query(run.out, ".injections | length"), "0");
    program_check(shell, 0);
}

static void in_the_foreground(void **state)
{
    (void)state;
    struct child *shell = background_shell();
    const char *pid = harness_format("%d", shell->pid);
    struct child *follower = child_start(
        skewctl_arguments("inject", "--tree", pid, "--offset", "-1h", way, "-o", "json", NULL),
        NULL);
    /* A line of JSON, or several: the first says that the inject is done. */
    child_line(follower, HARNESS_DEADLINE_MS);
    for (int waited = 0; background_listed() != follower->pid; waited += 10) {
        assert_true(waited < HARNESS_DEADLINE_MS);
        harness_sleep_ms(10);
    }
    program_check(shell, -3600);
    struct run run = skewctl_run("follow", "--id", "g1", NULL);
    run_expect_error(&run, 3);
    kill(follower->pid, SIGTERM);
    int status = child_wait(follower, HARNESS_DEADLINE_MS);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 128 + SIGTERM);
    assert_int_equal(background_listed(), 0);
    /* It stays skewed, and is taken up again. */
    run = skewctl_run("follow", "--id", "g1", "--detach", NULL);
    run_expect(&run, 0);
    background_follower = background_listed();
    assert_true(background_follower > 0);
    program_check(shell, -3600);
    /* Ends with the last member. */
    child_kill(shell);
    background_await_end();
    run = skewctl_run("follow", "--id", "g1", NULL);
    run_expect_error(&run, 3);
}

static void killed_and_taken_over(void **state)
{
    (void)state;
    struct child *shell = background_shell();
    struct snapshot before = snapshot_take(shell->pid);
    struct run run = skewctl_run("inject", "--tree", harness_format("%d", shell->pid), "--offset",
                                 "-1h", way, "--detach", NULL);
    run_expect(&run, 0);
    pid_t killed = background_follower = background_listed();
    kill(killed, SIGKILL);
    background_await_end();
    run = skewctl_run("list", "-o", "json", NULL);
    assert_string_equal(json_query(run.out, ".injections[0].follower_lost"), "true");
    run = skewctl_run("follow", "--id", "g1", "--detach", NULL);
    run_expect(&run, 0);
    background_follower = background_listed();
    assert_true(background_follower > 0 && background_follower != killed);
    program_check(shell, -3600);
    kill(background_follower, SIGKILL);
    background_await_end();
    /* Nobody is there to be asked to let go. */
    run = skewctl_run("recover", "--id", "g1", NULL);
    run_expect(&run, 0);
    snapshot_expect(&before, shell->pid);
}

/* It ends by itself when the skew does, and puts all back. */
static void until_the_deadline(void **state)
{
    (void)state;
    struct child *shell = background_shell();
    struct snapshot before = snapshot_take(shell->pid);
    struct run run = skewctl_run("inject", "--tree", harness_format("%d", shell->pid), "--offset",
                                 "-1h", way, "--detach", "--for", "1500ms", NULL);
    run_expect(&run, 0);
    background_follower = background_listed();
    assert_true(background_follower > 0);
    program_check(shell, -3600);
    background_await_end();
    /* Not by this command: nothing is left for it to do. */
    run = skewctl_run("list", "--all", "-o", "json", NULL);
    run_expect(&run, 0);
    assert_string_equal(json_query(run.out, "[.injections[] | select(.state != \"recovered\" and "
                                            ".state != \"gone\")] | length"),
                        "0");
    snapshot_expect(&before, shell->pid);
    program_check(shell, 0);
}

/* Without being told which: all whose followers have died, each by a process of its own. */
static void all_that_were_lost(void **state)
{
    (void)state;
    struct child *shells[2];
    pid_t followers[2];
    for (int i = 0; i < 2; i++) {
        shells[i] = background_shell();
        struct run run = skewctl_run("inject", "--tree", harness_format("%d", shells[i]->pid),
                                     "--offset", "-1h", way, "--detach", NULL);
        run_expect(&run, 0);
        followers[i] = background_follower = background_listed_of(shells[i]->pid);
        assert_true(background_follower > 0);
        kill(background_follower, SIGKILL);
        background_await_end();
    }
    struct run run = skewctl_run("follow", NULL);
    run_expect_error(&run, 2);
    run = skewctl_run("follow", "--detach", NULL);
    run_expect(&run, 0);
    for (int i = 0; i < 2; i++) {
        background_follower = background_listed_of(shells[i]->pid);
        assert_true(background_follower > 0 && background_follower != followers[i]);
        program_check(shells[i], -3600);
        run = skewctl_run("recover", "--id", harness_format("g%d", i + 1), NULL);
        run_expect(&run, 0);
        background_await_end();
    }
    run = skewctl_run("follow", NULL);
    run_expect(&run, 0);
}

static void bad_requests(void **state)
{
    (void)state;
    const char *pid = harness_format("%d", getpid());
    struct run runs[] = {
        skewctl_run("inject", "-p", pid, "--offset", "1s", "--detach", NULL),
        skewctl_run("inject", "-p", pid, "--offset", "1s", "--follow=never", NULL),
        skewctl_run("inject", "-p", pid, "--offset", "1s", "--follow", "--dry-run", NULL),
        skewctl_run("follow", "--id", "1", NULL),
        skewctl_run("follow", "--id", "g1,g2", NULL),
        skewctl_run("recover", "--all", "--follow", NULL),
    };
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++)
        run_expect_error(&runs[i], 2);
    struct run run = skewctl_run("follow", "--id", "g1", NULL);
    run_expect_error(&run, 4);
}

static int watch_setup(void **state)
{
    way = "--follow=watch";
    return harness_setup(state);
}

static int exact_setup(void **state)
{
    way = "--follow=exact";
    return harness_setup(state);
}

#define BOTH_WAYS(test)                                                                            \
    cmocka_unit_test_setup_teardown(test, watch_setup, background_teardown),                       \
    {                                                                                              \
#test " (exact)", test, exact_setup, background_teardown, NULL                             \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH_WAYS(in_the_background),
        BOTH_WAYS(in_the_foreground),
        BOTH_WAYS(killed_and_taken_over),
        BOTH_WAYS(until_the_deadline),
        BOTH_WAYS(all_that_were_lost),
        cmocka_unit_test_setup_teardown(bad_requests, harness_setup, background_teardown),
    };
    return cmocka_run_group_tests_name("follow", tests, NULL, NULL);
}
