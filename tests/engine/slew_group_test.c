/*
 * slew_group_test.c - groups with --slew: no read of any member steps back, they slew as one,
 * whoever holds them, and what a skewctl that died had begun is finished at the same pace.
 */
#include "background.h"
#include "command.h"
#include "observe.h"
#include "victim.h"

#include "journal/groups.h"

#include <stdlib.h>
#include <string.h>

#define MEMBERS 4
/* 1 %, so that nothing has arrived when it is looked at. */
#define PACE (UINT64_MAX / 100)

static const char *way;

static const char *listed(const char *filter)
{
    struct run run = skewctl_run("list", "-o", "json", NULL);
    run_expect(&run, 0);
    return json_query(run.out, filter);
}

/* So many that have that skew are on their way to it. */
static void expect_slewing(const char *count, const char *skew)
{
    struct run run = skewctl_run("list", "-o", "json", NULL);
    run_expect(&run, 0);
    assert_string_equal(
        json_query(run.out, "[.injections[] | select(.slew_left_s != null)] | length"), count);
    assert_string_equal(json_query(run.out, "[.injections[].skew] | unique | join(\" \")"), skew);
    /* And all have as far to go, but for what list takes from the first to the last. */
    int64_t last = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    while (strcmp(listed("[.injections[].slew_left_s] | max - min < 0.1 | tostring"), "true") != 0)
        assert_true(harness_monotonic_ns() < last);
}

struct family {
    struct child *members[MEMBERS];
    struct snapshot before[MEMBERS];
    const char *trees[MEMBERS];
};

static struct family family_start(void)
{
    struct family family;
    for (size_t i = 0; i < MEMBERS; i++) {
        family.members[i] = victim_start("onward", "2", NULL);
        family.before[i] = snapshot_take(family.members[i]->pid);
        family.trees[i] = harness_format("%d", family.members[i]->pid);
    }
    return family;
}

static void family_progress(const struct family *family)
{
    for (size_t i = 0; i < MEMBERS; i++)
        victim_check_progress(family->members[i], 50);
}

static void family_expect_clean(const struct family *family)
{
    for (size_t i = 0; i < MEMBERS; i++) {
        victim_check_progress(family->members[i], 50);
        snapshot_expect(&family->before[i], family->members[i]->pid);
    }
}

static struct run family_inject(const struct family *family, const char *offset, const char *pace)
{
    const char *const *trees = family->trees;
    return skewctl_run("inject", "--tree", trees[0], "--tree", trees[1], "--tree", trees[2],
                       "--tree", trees[3], "--offset", offset, "--slew", pace, NULL);
}

static void members_slew_as_one(void **state)
{
    (void)state;
    struct family family = family_start();
    struct run run = family_inject(&family, "200ms", "1%");
    run_expect(&run, 0);
    expect_slewing("4", "200ms");
    family_progress(&family);
    harness_sleep_ms(1100);

    /* From where they are, by the group's id, to the clocks that it has. */
    run = skewctl_run("inject", "--id", "g1", "--offset", "-150ms", "--slew", "1%", NULL);
    run_expect(&run, 0);
    expect_slewing("4", "-150ms");
    family_progress(&family);
    run = family_inject(&family, "1s", "1ppm");
    run_expect(&run, 0);
    expect_slewing("4", "1s");
    /* Without, it jumps, and nothing is left to go. */
    run = skewctl_run("inject", "--id", "g1", "--offset", "1500ms", NULL);
    run_expect(&run, 0);
    assert_string_equal(listed("[.injections[].slew_left_s] | unique | tostring"), "[null]");
    run = skewctl_run("inject", "--id", "g1", "--offset", "1600ms", "--slew", "0.5", NULL);
    run_expect(&run, 0);
    family_progress(&family);
    run = skewctl_run("inject", "--id", "g1", "--offset", "200ms", "--slew", "0.99", NULL);
    run_expect(&run, 0);
    run = skewctl_run("recover", "--id", "g1", "--slew", "0.99", NULL);
    run_expect(&run, 0);
    family_expect_clean(&family);
}

static void what_is_foretold_changes_nothing(void **state)
{
    (void)state;
    struct family family = family_start();
    struct run run =
        skewctl_run("inject", "--tree", family.trees[0], "--tree", family.trees[1], "--offset",
                    "-5m", "--slew", "500ppm", "--dry-run", "-o", "json", NULL);
    run_expect(&run, 0);
    assert_string_equal(json_query(run.out, "[.injections[].slew_left_s | . > 600000] | tostring"),
                        "[true,true]");
    run = skewctl_run("inject", "--tree", family.trees[0], "--rate", "0.3", "--slew", "0.4", NULL);
    run_expect(&run, 3);
    family_expect_clean(&family);
}

static void whoever_holds_them(void **state)
{
    (void)state;
    struct child *onward = victim_start("onward", "2", NULL);
    struct snapshot before = snapshot_take(onward->pid);
    const char *tree = harness_format("%d", onward->pid);
    struct run run = skewctl_run("inject", "--tree", tree, "--offset", "200ms", "--slew", "1%", way,
                                 "--detach", NULL);
    run_expect(&run, 0);
    background_follower = background_listed();
    assert_string_equal(child_ask(onward, "fork"), "ok");
    victim_check_progress(onward, 50);
    expect_slewing("2", "200ms");
    run = skewctl_run("inject", "--id", "g1", "--offset", "-100ms", "--slew", "1%", NULL);
    run_expect(&run, 0);
    victim_check_progress(onward, 50);
    expect_slewing("2", "-100ms");
    run = skewctl_run("recover", "--all", "--slew", "0.99", NULL);
    run_expect(&run, 0);
    background_await_end();
    victim_check_progress(onward, 50);
    snapshot_expect(&before, onward->pid);
}

/* Its clocks have shown nothing yet that they could go on from. */
static void a_new_program_is_there_at_once(void **state)
{
    (void)state;
    struct child *shell = background_shell();
    const char *tree = harness_format("%d", shell->pid);
    struct run run = skewctl_run("inject", "--tree", tree, "--offset", "1h", "--slew", "1ppm", way,
                                 "--detach", NULL);
    run_expect(&run, 0);
    background_follower = background_listed();
    child_send(shell,
               "bash -c 'while read x && [ $x = go ]; do echo ${EPOCHREALTIME%[.,]*}; done'");
    int64_t last = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    while (strtoll(child_ask(shell, "go"), NULL, 10) <
           harness_realtime_ns() / INT64_C(1000000000) + 3500) {
        assert_true(harness_monotonic_ns() < last);
        harness_sleep_ms(5);
    }
    assert_string_equal(listed("[.injections[] | .slew_left_s != null] | sort | tostring"),
                        "[false,true]");
    child_send(shell, "end");
    run = skewctl_run("recover", "--tree", tree, NULL);
    run_expect(&run, 0);
    background_await_end();
}

/* As a skewctl that died before it had switched anybody leaves the journal. */
static void journal_expect_switch(int64_t group, int64_t offset_ns, uint64_t pace)
{
    struct journal *journal;
    struct journal_error error;
    struct journal_group row;
    const int64_t ids[MEMBERS] = {1, 2, 3, 4};
    if (journal_open(skewctl_journal(), &journal, &error) != JOURNAL_OK ||
        journal_group_get(journal, group, &row, &error) != JOURNAL_OK)
        fail_msg("%s", error.message);
    row.skew.offset_ns = offset_ns;
    row.skew.slew_pace = pace;
    if (journal_group_switch(journal, group, &row.skew, ids, MEMBERS, &error) != JOURNAL_OK)
        fail_msg("%s", error.message);
    journal_close(journal);
}

static void an_interrupted_one_is_finished(void **state)
{
    (void)state;
    struct family family = family_start();
    struct run run = family_inject(&family, "200ms", "1%");
    run_expect(&run, 0);
    journal_expect_switch(1, -100000000, PACE);
    run = skewctl_run("recover", "--crashed", NULL);
    run_expect(&run, 0);
    expect_slewing("4", "-100ms");
    family_progress(&family);
    /* Who is on the way already goes on. */
    const char *left = listed("[.injections[].slew_left_s] | min | tostring");
    journal_expect_switch(1, -100000000, PACE);
    run = skewctl_run("recover", "--crashed", NULL);
    run_expect(&run, 0);
    assert_string_equal(
        listed(harness_format("[.injections[].slew_left_s] | max < %s | tostring", left)), "true");
    run = skewctl_run("recover", "--all", "--slew", "0.99", NULL);
    run_expect(&run, 0);
    family_expect_clean(&family);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(members_slew_as_one),
        harness_test(what_is_foretold_changes_nothing),
        cmocka_unit_test_setup_teardown(whoever_holds_them, watch_setup, background_teardown),
        cmocka_unit_test_setup_teardown(whoever_holds_them, exact_setup, background_teardown),
        cmocka_unit_test_setup_teardown(a_new_program_is_there_at_once, watch_setup,
                                        background_teardown),
        cmocka_unit_test_setup_teardown(a_new_program_is_there_at_once, exact_setup,
                                        background_teardown),
        harness_test(an_interrupted_one_is_finished),
    };
    return cmocka_run_group_tests_name("slews of groups", tests, NULL, NULL);
}
