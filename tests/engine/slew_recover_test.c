/*
 * slew_recover_test.c - inject, update and recover with --slew: no read of any clock by any thread
 * steps back, the clocks arrive, and what waits for that may be interrupted or die.
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define CLOCKS "realtime,realtime_coarse,tai,monotonic,monotonic_coarse,monotonic_raw,boottime"

static const char *pid_text(const struct child *child)
{
    return harness_format("%d", child->pid);
}

static const char *listed(const char *filter)
{
    struct run run = skewctl_run("list", "-o", "json", NULL);
    run_expect(&run, 0);
    return json_query(run.out, filter);
}

/* Until list has nothing more to say of a slew. */
static void arrival_await(void)
{
    int64_t last = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    while (strcmp(listed("[.injections[].slew_left_s] | map(select(. != null)) | length"), "0") !=
           0) {
        assert_true(harness_monotonic_ns() < last);
        harness_sleep_ms(50);
    }
}

static void inject(const struct child *child, const char *option, const char *value,
                   const char *pace)
{
    struct run run =
        skewctl_run("inject", "-p", pid_text(child), option, value, "--slew", pace, NULL);
    run_expect(&run, 0);
}

static void nothing_steps_back(void **state)
{
    (void)state;
    struct child *onward = victim_start("onward", "3", NULL);
    struct snapshot before = snapshot_take(onward->pid);
    struct run run = skewctl_run("inject", "-p", pid_text(onward), "--offset", "200ms", "--clock",
                                 CLOCKS, "--slew", "0.5", "-o", "json", NULL);
    run_expect(&run, 0);
    assert_string_equal(json_query(run.out, ".injections[0].updated"), "false");
    assert_string_equal(json_query(run.out, ".injections[0].slew_left_s > 1"), "true");
    victim_check_progress(onward, 100);
    arrival_await();
    victim_check_progress(onward, 100);
    /* There: what is measured is the offset, to within the time of a read. */
    assert_string_equal(listed(".injections[0].clocks | split(\",\") | length"), "7");

    /* Each from where the one before has come to, forward and back, also before it has begun. */
    static const struct {
        const char *option, *value, *pace;
        int then_ms;
    } updates[] = {{"--offset", "-300ms", "0.9", 1100}, {"--rate", "1.05", "500ppm", 300},
                   {"--offset", "100ms", "5%", 0},      {"--rate", "0.5", "0.4", 1050},
                   {"--ramp", "-50ms/1s", "0.2", 300},  {"--sine", "20ms/1s", "10%", 200},
                   {"--offset", "-40ms", "0.99", 0}};
    for (size_t i = 0; i < sizeof updates / sizeof *updates; i++) {
        inject(onward, updates[i].option, updates[i].value, updates[i].pace);
        victim_check_progress(onward, 50);
        harness_sleep_ms(updates[i].then_ms);
        victim_check_progress(onward, 1);
    }
    /* A coarse clock is up to a tick behind, where a slow one was further ahead of the true time.
     */
    for (int i = 0; i < 8; i++) {
        inject(onward, "--rate", "0.55", "0.5");
        harness_sleep_ms(20);
        inject(onward, "--offset", "10ms", "0.5");
        harness_sleep_ms(5);
    }
    victim_check_progress(onward, 1);
    run = skewctl_run("recover", "-p", pid_text(onward), "--slew", "0.9", NULL);
    run_expect(&run, 0);
    assert_non_null(strstr(run.err, "to the true time takes"));
    victim_check_progress(onward, 100);
    snapshot_expect(&before, onward->pid);
}

/* It was given the same image by its parent, and is not in the journal. */
static void children_are_slewed_too(void **state)
{
    (void)state;
    struct child *onward = victim_start("onward", "1", NULL);
    struct snapshot before = snapshot_take(onward->pid);
    inject(onward, "--offset", "150ms", "0.5");
    assert_string_equal(child_ask(onward, "fork"), "ok");
    victim_check_progress(onward, 50);
    inject(onward, "--offset", "-100ms", "0.9");
    assert_string_equal(listed("[.injections[] | select(.skew_ns == -100000000 and "
                               ".slew_left_s != null)] | length"),
                        "2");
    struct run run = skewctl_run("recover", "--all", "--slew", "0.9", NULL);
    run_expect(&run, 0);
    assert_string_equal(listed(".injections | length"), "0");
    victim_check_progress(onward, 50);
    snapshot_expect(&before, onward->pid);
}

/* Waits for one that is slewed home by a skewctl of its own. */
static struct child *recover_begin(const struct child *target, const char *pace)
{
    struct child *waiting = child_start(
        skewctl_arguments("recover", "-p", pid_text(target), "--slew", pace, NULL), NULL);
    int64_t last = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    while (strcmp(listed(".injections[0] | .skew_ns == 0 and .slew_left_s != null"), "true") != 0) {
        assert_true(harness_monotonic_ns() < last && child_alive(waiting));
        harness_sleep_ms(20);
    }
    return waiting;
}

static void who_waits_may_die(void **state)
{
    (void)state;
    struct child *onward = victim_start("onward", "2", NULL);
    struct snapshot before = snapshot_take(onward->pid);
    inject(onward, "--offset", "1h", "500ppm");
    inject(onward, "--offset", "1h", "0.9");
    harness_sleep_ms(1300);
    struct child *waiting = recover_begin(onward, "1ppm");
    child_kill(waiting);
    victim_check_progress(onward, 50);
    assert_string_equal(listed(".injections[0].state"), "active");
    /* What is left of it is what watch shows, too. */
    struct run watched =
        skewctl_run("watch", "-p", pid_text(onward), "--count", "1", "-o", "json", NULL);
    run_expect(&watched, 0);
    assert_string_equal(json_query(watched.out, ".readings[0].difference_ns > 50000000"), "true");
    waiting = recover_begin(onward, "1ppm");
    kill(waiting->pid, SIGTERM);
    int status = child_wait(waiting, HARNESS_DEADLINE_MS);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 128 + SIGTERM);
    assert_string_equal(listed(".injections[0].slew_ns > 50000000"), "true");
    /* What was left is what the next one goes on with. */
    struct run run = skewctl_run("recover", "-p", pid_text(onward), "--slew", "0.9", NULL);
    run_expect(&run, 0);
    victim_check_progress(onward, 50);
    snapshot_expect(&before, onward->pid);
}

static struct run recover_by(const struct child *child, const char *journal)
{
    const char *const argv[] = {skewctl_path(), "recover", "-p", pid_text(child), "--slew", "0.9",
                                "--journal",    journal,   NULL};
    return program_run(argv, NULL, HARNESS_DEADLINE_MS);
}

/* What no row tells of the process itself shows; where no row can be made the clock does not jump.
 */
static void without_a_row(void **state)
{
    (void)state;
    struct child *onward = victim_start("onward", "1", NULL);
    struct snapshot before = snapshot_take(onward->pid);
    inject(onward, "--offset", "200ms", "0.5");
    arrival_await();
    /* Everybody may write into /tmp. */
    struct run run = recover_by(onward, harness_home());
    run_expect_error(&run, 5);
    victim_check_progress(onward, 50);
    run = recover_by(onward, harness_format("%s/other.db", harness_home()));
    run_expect(&run, 0);
    assert_non_null(strstr(run.err, "to the true time takes"));
    victim_check_progress(onward, 50);
    snapshot_expect(&before, onward->pid);
}

static void what_cannot_be_slewed_is_refused(void **state)
{
    (void)state;
    static const char *const paces[] = {"0", "1", "2", "-5%", "0.9ppm", "", "5s"};
    struct child *idle = victim_start("idle", NULL);
    const char *pid = pid_text(idle);
    struct snapshot before = snapshot_take(idle->pid);
    for (size_t i = 0; i < sizeof paces / sizeof *paces; i++) {
        struct run run =
            skewctl_run("inject", "-p", pid, "--offset", "1s", "--slew", paces[i], NULL);
        run_expect_error(&run, 2);
    }
    struct run run = skewctl_run("recover", "--crashed", "--slew", "0.5", NULL);
    run_expect_error(&run, 2);
    run = skewctl_run("recover", "-p", pid, "--dry-run", NULL);
    run_expect_error(&run, 2);
    static const char *const nobody[][2] = {
        {"-p", "0"}, {"-p", "2147483647"}, {"--id", "77"}, {"--id", "g77"}, {"--tree", "0"}};
    for (size_t i = 0; i < sizeof nobody / sizeof *nobody; i++) {
        const char *value = strcmp(nobody[i][1], "0") == 0 ? pid : nobody[i][1];
        run = skewctl_run("recover", nobody[i][0], value, "--slew", "0.5", NULL);
        run_expect_error(&run, 4);
        run = skewctl_run("recover", nobody[i][0], value, "--slew", "0.5", "--dry-run", NULL);
        run_expect_error(&run, 4);
    }
    run = skewctl_run("inject", "-p", pid, "--rate", "0.3", "--slew", "0.4", NULL);
    run_expect_error(&run, 3);
    run = skewctl_run("inject", "-p", pid, "--offset", "-5m", "--slew", "500ppm", "--dry-run", "-o",
                      "json", NULL);
    run_expect(&run, 0);
    assert_string_equal(json_query(run.out, ".injections[0].slew_left_s | floor / 10 | floor"),
                        "60000");
    snapshot_expect(&before, idle->pid);

    run = skewctl_run("inject", "-p", pid, "--offset", "1m", "--clock", "realtime,monotonic", NULL);
    run_expect(&run, 0);
    run = skewctl_run("inject", "-p", pid, "--offset", "1s", "--clock", "realtime", "--slew", "0.5",
                      NULL);
    run_expect_error(&run, 3);
    run = skewctl_run("recover", "-p", pid, "--slew", "500ppm", "--dry-run", "-o", "json", NULL);
    run_expect(&run, 0);
    assert_string_equal(json_query(run.out, ".injections[0].slew_left_s > 120000"), "true");
    run = skewctl_run("recover", "-p", pid, "-p", "2147483647", "--slew", "0.5", "--dry-run", "-o",
                      "json", NULL);
    run_expect(&run, 6);
    assert_string_equal(json_query(run.out, ".injections | length"), "1");
    assert_string_equal(listed(".injections[0] | [.skew_ns, .slew_ns] | tostring"),
                        "[60000000000,null]");
    run = skewctl_run("recover", "-p", pid, NULL);
    run_expect(&run, 0);
    snapshot_expect(&before, idle->pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(nothing_steps_back),
        harness_test(children_are_slewed_too),
        harness_test(without_a_row),
        harness_test(who_waits_may_die),
        harness_test(what_cannot_be_slewed_is_refused),
    };
    return cmocka_run_group_tests_name("slews in programs", tests, NULL, NULL);
}
