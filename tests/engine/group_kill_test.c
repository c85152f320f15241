/*
 * group_kill_test.c - kills an operation on a group at points of its system calls, and looks
 * after each death whether recover --crashed makes the members agree again and recover --all
 * puts them back.
 *
 *     group_kill_test [EVERY]   only each EVERY-th point
 */
#include "command.h"
#include "observe.h"
#include "traced.h"
#include "victim.h"

#include <stdlib.h>
#include <string.h>

#define MINUTE INT64_C(60000000000)
/* One more than is done without a helper (engine/crew.c). */
#define MEMBERS 4
/* Other points in each operation; of a prime distance, so that a loop meets all its calls. */
#define EVERY 431

static long every = EVERY;

static struct child *readers[MEMBERS];
static struct snapshot before[MEMBERS];
static const char *pids[MEMBERS];

static void readers_start(void)
{
    for (size_t i = 0; i < MEMBERS; i++) {
        readers[i] = victim_start("clock_reader", "1", "2000", NULL);
        before[i] = snapshot_take(readers[i]->pid);
        pids[i] = harness_format("%d", readers[i]->pid);
    }
}

static void readers_allow(int64_t offset_ns)
{
    for (size_t i = 0; i < MEMBERS; i++)
        clock_reader_allow(readers[i], "realtime", offset_ns);
}

static const char *const *arguments(const char *command, const char *offset)
{
    return offset ? skewctl_arguments(command, "--tree", pids[0], "--tree", pids[1], "--tree",
                                      pids[2], "--tree", pids[3], "--offset", offset, NULL)
                  : skewctl_arguments(command, "--tree", pids[0], "--tree", pids[1], "--tree",
                                      pids[2], "--tree", pids[3], NULL);
}

static void expect_run(const char *const argv[])
{
    struct run run = program_run(argv, NULL, HARNESS_DEADLINE_MS);
    run_expect(&run, 0);
}

/* Which of the two all of them show, measured in each. */
static int64_t offset_agreed(int64_t one, int64_t other)
{
    int64_t agreed = 0;
    for (size_t i = 0; i < MEMBERS; i++) {
        struct skew_range range = clock_reader_measure(readers[i], "clock_gettime 0");
        bool is_one = range.low_ns <= one && one <= range.high_ns;
        bool is_other = range.low_ns <= other && other <= range.high_ns;
        if (!is_one && !is_other)
            fail_msg("member %zu is off by %.3f..%.3f s", i, (double)range.low_ns / 1e9,
                     (double)range.high_ns / 1e9);
        int64_t shown = is_one ? one : other;
        if (i > 0 && shown != agreed)
            fail_msg("member %zu is off by %.3f s, member 0 by %.3f s", i, (double)shown / 1e9,
                     (double)agreed / 1e9);
        agreed = shown;
    }
    return agreed;
}

static void members_check(void)
{
    for (size_t i = 0; i < MEMBERS; i++) {
        if (!child_alive(readers[i]))
            fail_msg("member %zu died", i);
        observe_untraced(readers[i]->pid);
        victim_check_progress(readers[i], 2);
    }
}

/* One death, and what it left. False where the command ran to its end. */
static bool die_at(const char *command, const char *offset, long point, int64_t old, int64_t new)
{
    struct traced traced = traced_run(arguments(command, offset), point);
    if (!traced.killed && traced.code != 0)
        fail_msg("%s was not killed at %ld and ended with %d: %s", command, point, traced.code,
                 traced.err);
    members_check();
    expect_run(skewctl_arguments("recover", "--crashed", NULL));
    int64_t agreed = offset_agreed(old, new);
    if (!traced.killed)
        assert_int_equal(agreed, new);
    struct run run = skewctl_run("list", "-o", "json", NULL);
    run_expect(&run, 0);
    assert_string_equal(json_query(run.out, ".injections | length"), agreed == 0 ? "0" : "4");
    members_check();
    return traced.killed;
}

static void put_back(void)
{
    expect_run(skewctl_arguments("recover", "--all", NULL));
    for (size_t i = 0; i < MEMBERS; i++)
        snapshot_expect(&before[i], readers[i]->pid);
    members_check();
}

/* All points of an operation, which begins with `old` in force (0: with nobody injected). */
static void sweep(const char *command, const char *offset, const char *begin, int64_t old,
                  int64_t new)
{
    readers_start();
    readers_allow(old);
    readers_allow(new);
    long deaths = 0;
    bool more = true;
    for (long point = every / 2; more; point += every) {
        struct keep *mark = harness_mark();
        if (begin)
            expect_run(arguments("inject", begin));
        more = die_at(command, offset, point, old, new);
        deaths += more;
        put_back();
        harness_release(mark);
    }
    print_message("%ld deaths\n", deaths);
    assert_true(deaths > 0);
}

static void of_an_inject(void **state)
{
    (void)state;
    sweep("inject", "-5m", NULL, 0, -5 * MINUTE);
}

static void of_an_update(void **state)
{
    (void)state;
    sweep("inject", "+1h", "-5m", -5 * MINUTE, 60 * MINUTE);
}

static void of_a_recover(void **state)
{
    (void)state;
    sweep("recover", NULL, "-5m", -5 * MINUTE, 0);
}

/* Killed at the very switch: some have the new skew, some not. */
static void the_next_command_finishes_too(void **state)
{
    (void)state;
    readers_start();
    readers_allow(-5 * MINUTE);
    readers_allow(60 * MINUTE);
    for (long point = every; point < every * 8; point += every) {
        struct keep *mark = harness_mark();
        traced_run(arguments("inject", "-5m"), point);
        expect_run(arguments("inject", "+1h"));
        assert_int_equal(offset_agreed(60 * MINUTE, 60 * MINUTE), 60 * MINUTE);
        traced_run(arguments("recover", NULL), point);
        struct run run = program_run(arguments("recover", NULL), NULL, HARNESS_DEADLINE_MS);
        if (run.code != 4)
            run_expect(&run, 0);
        for (size_t i = 0; i < MEMBERS; i++)
            snapshot_expect(&before[i], readers[i]->pid);
        members_check();
        harness_release(mark);
    }
}

int main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        harness_test(of_an_inject),
        harness_test(of_an_update),
        harness_test(of_a_recover),
        harness_test(the_next_command_finishes_too),
    };
    if (count > 1)
        every = strtol(arguments[1], NULL, 10);
    return every > 0 ? cmocka_run_group_tests_name("group kill", tests, NULL, NULL) : 2;
}
