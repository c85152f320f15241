/*
 * shape_group_test.c - groups with a shape: all members have the same one, that began at the same
 * instant, whoever joins them and whenever; it is changed and put back like an offset.
 */
#include "background.h"
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND  INT64_C(1000000000)
#define READERS 3

static const char *way;

static const char *listed(const char *filter)
{
    struct run run = skewctl_run("list", "-o", "json", NULL);
    run_expect(&run, 0);
    return json_query(run.out, filter);
}

/* So many injections are listed, and these are their shape and, if not NULL, its one beginning. */
static const char *shape_listed(const char *count, const char *shape, const char *begin)
{
    assert_string_equal(listed(".injections | length"), count);
    assert_string_equal(listed("[.injections[].shape] | unique | join(\" & \")"), shape);
    const char *began = listed("[.injections[].shape_begin] | unique | join(\" & \")");
    assert_null(strchr(began, '&'));
    if (begin)
        assert_string_equal(began, begin);
    return began;
}

/* By how much a clock that goes at three times its pace is ahead: twice the time since `begin_ns`.
 */
static void tripled_expect(int64_t shown_ns, int64_t before_ns, int64_t after_ns, int64_t begin_ns)
{
    int64_t least = before_ns + 2 * (before_ns - begin_ns);
    int64_t most = after_ns + 2 * (after_ns - begin_ns);
    if (shown_ns < least - SECOND / 50 || shown_ns > most + SECOND / 50)
        fail_msg("a member shows %" PRId64 ", not %" PRId64 " to %" PRId64, shown_ns, least, most);
}

static void reader_expect_tripled(struct child *reader, int64_t begin_ns)
{
    int64_t before = harness_realtime_ns();
    struct skew_range range = clock_reader_measure(reader, "clock_gettime 0");
    int64_t after = harness_realtime_ns();
    tripled_expect(before + range.low_ns, before, after, begin_ns);
    tripled_expect(before + range.high_ns, before, after, begin_ns);
}

/* The beginning is between two instants. */
static int64_t begin_of(const char *began, int64_t first_ns, int64_t last_ns)
{
    int64_t begin_ns = harness_time_parse(began);
    if (begin_ns < first_ns || begin_ns > last_ns)
        fail_msg("it began at %s, not between %" PRId64 " and %" PRId64, began, first_ns, last_ns);
    return begin_ns;
}

static void all_have_the_same(void **state)
{
    (void)state;
    struct child *readers[READERS];
    struct snapshot before[READERS];
    const char *trees[READERS];
    for (size_t i = 0; i < READERS; i++) {
        readers[i] = victim_start("clock_reader", "2", "1000", NULL);
        before[i] = snapshot_take(readers[i]->pid);
        trees[i] = harness_format("%d", readers[i]->pid);
    }
    int64_t first = harness_realtime_ns();
    struct run run = skewctl_run("inject", "--tree", trees[0], "--tree", trees[1], "--tree",
                                 trees[2], "--rate", "3", "-o", "json", NULL);
    run_expect(&run, 0);
    assert_string_equal(json_query(run.out, "[.injections[].shape] | unique | join(\" \")"),
                        "rate=3");
    const char *began = shape_listed("3", "rate=3", NULL);
    int64_t begin_ns = begin_of(began, first, harness_realtime_ns());
    for (size_t i = 0; i < READERS; i++)
        reader_expect_tripled(readers[i], begin_ns);

    /* By its id, to another shape; and one of its members to one of its own. */
    run = skewctl_run("inject", "--id", "g1", "--offset", "-1h", "--step", "0:30m", NULL);
    run_expect(&run, 0);
    shape_listed("3", "step=0s:30m", NULL);
    for (size_t i = 0; i < READERS; i++)
        clock_reader_expect_all(readers[i], -1800 * SECOND);
    run = skewctl_run("inject", "-p", trees[1], "--rate", "0.5", NULL);
    run_expect(&run, 0);
    assert_string_equal(listed("[.injections[].shape] | sort | join(\" \")"),
                        "rate=0.5 step=0s:30m step=0s:30m");

    run = skewctl_run("recover", "--id", "g1", NULL);
    run_expect(&run, 0);
    for (size_t i = 0; i < READERS; i++) {
        clock_reader_expect_all(readers[i], 0);
        snapshot_expect(&before[i], readers[i]->pid);
    }
    /* What was is told by the journal alone. */
    run = skewctl_run("list", "--all", "-o", "json", NULL);
    run_expect(&run, 0);
    assert_string_equal(json_query(run.out, "[.injections[].shape] | sort | join(\" \")"),
                        "rate=0.5 step=0s:30m step=0s:30m");
}

static void monotonic_only_where_it_may_go_back(void **state)
{
    (void)state;
    struct child *reader = victim_start("clock_reader", "2", "1000", NULL);
    struct snapshot before = snapshot_take(reader->pid);
    const char *tree = harness_format("%d", reader->pid);
    struct run run =
        skewctl_run("inject", "--tree", tree, "--clock", "monotonic", "--strobe", "1s/1s", NULL);
    run_expect(&run, 3);
    snapshot_expect(&before, reader->pid);
    run = skewctl_run("inject", "--tree", tree, "--clock", "monotonic", "--strobe", "1s/1s",
                      "--force", NULL);
    run_expect(&run, 0);
    run = skewctl_run("recover", "--tree", tree, NULL);
    run_expect(&run, 0);
    snapshot_expect(&before, reader->pid);
}

/* The clock of a new program goes on where those of the others are. */
static void program_expect_tripled(struct child *shell, int64_t begin_ns)
{
    child_send(shell,
               "bash -c 'while read x && [ $x = go ]; do echo ${EPOCHREALTIME/./}000; done'");
    for (int waited = 0;; waited += 5) {
        int64_t before = harness_realtime_ns();
        int64_t shown = strtoll(child_ask(shell, "go"), NULL, 10);
        int64_t after = harness_realtime_ns();
        if (shown >= before + 2 * (before - begin_ns) - SECOND / 50) {
            tripled_expect(shown, before, after, begin_ns);
            break;
        }
        if (waited > HARNESS_DEADLINE_MS)
            fail_msg("a new program shows %" PRId64 " at %" PRId64, shown, before);
        harness_sleep_ms(5);
    }
    child_send(shell, "end");
}

static void who_joins_goes_on_with_it(void **state)
{
    (void)state;
    struct child *shell = background_shell();
    struct snapshot before = snapshot_take(shell->pid);
    const char *tree = harness_format("%d", shell->pid);
    int64_t first = harness_realtime_ns();
    struct run run = skewctl_run("inject", "--tree", tree, "--rate", "3", way, "--detach", NULL);
    run_expect(&run, 0);
    background_follower = background_listed();
    int64_t begin_ns = begin_of(shape_listed("1", "rate=3", NULL), first, harness_realtime_ns());
    program_expect_tripled(shell, begin_ns);
    run = skewctl_run("recover", "--tree", tree, NULL);
    run_expect(&run, 0);
    background_await_end();
    snapshot_expect(&before, shell->pid);
}

static void what_is_run_goes_on_with_it(void **state)
{
    (void)state;
    static const char *const tripled[] = {"--rate", "3", "--follow=exact", NULL};
    static const char *const command[] = {
        "bash", "-c", "date +%s%N; sleep 0.3; date +%s%N; cat /proc/uptime >/dev/null; date +%s%N",
        NULL};
    int64_t first = harness_realtime_ns();
    struct run run =
        program_run(skewctl_run_arguments(tripled, command), NULL, HARNESS_DEADLINE_MS);
    run_expect(&run, 0);
    int64_t last = harness_realtime_ns(), shown[3];
    assert_int_equal(
        sscanf(run.out, "%" SCNd64 " %" SCNd64 " %" SCNd64, &shown[0], &shown[1], &shown[2]), 3);
    /* 0.3 s of sleep are 0.9 s: with a beginning of its own each program would begin anew. */
    assert_true(shown[0] >= first);
    assert_true(shown[1] - shown[0] >= 9 * SECOND / 10);
    assert_true(shown[2] >= shown[1]);
    assert_true(shown[2] <= last + 2 * (last - first));
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
        harness_test(all_have_the_same),
        harness_test(monotonic_only_where_it_may_go_back),
        cmocka_unit_test_setup_teardown(who_joins_goes_on_with_it, watch_setup,
                                        background_teardown),
        cmocka_unit_test_setup_teardown(who_joins_goes_on_with_it, exact_setup,
                                        background_teardown),
        harness_test(what_is_run_goes_on_with_it),
    };
    return cmocka_run_group_tests_name("groups with a shape", tests, NULL, NULL);
}
