/*
 * at_test.c - --at: programs that see a time that was given, and what is no such time.
 */
#include "command.h"
#include "victim.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SECOND INT64_C(1000000000)
/* Of 2027-02-28T23:59:50Z. */
#define AT (INT64_C(1803859190) * SECOND)

static const char *pid_text(const struct child *child)
{
    return harness_format("%d", child->pid);
}

static void date_shows_it(void **state)
{
    (void)state;
    static const char *const date[] = {"date", "-u", "+%s.%N %Y", NULL};
    static const char *const texts[] = {"2027-02-28T23:59:50Z", "2027-02-28 22:59:50.0-01:00",
                                        "@1803859190"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *const options[] = {"--at", texts[i], NULL};
        int64_t before = harness_realtime_ns();
        struct run run =
            program_run(skewctl_run_arguments(options, date), NULL, HARNESS_DEADLINE_MS);
        int64_t passed = harness_realtime_ns() - before;
        run_expect(&run, 0);
        char *end;
        int64_t shown = strtoll(run.out, &end, 10) * SECOND;
        shown += strtoll(end + 1, &end, 10);
        assert_in_range(shown - AT, 0, passed);
        assert_string_equal(end, " 2027\n");
    }
}

/* What list says is the offset that the process itself shows, and the same in all of a command. */
static void one_offset_for_all(void **state)
{
    (void)state;
    struct child *readers[2];
    for (size_t i = 0; i < 2; i++)
        readers[i] = victim_start("clock_reader", "1", NULL);
    int64_t before = harness_realtime_ns();
    struct run run =
        skewctl_run("inject", "-p", harness_format("%d,%d", readers[0]->pid, readers[1]->pid),
                    "--at", "2027-02-28T23:59:50Z", "--clock", "realtime", "-o", "json", NULL);
    int64_t after = harness_realtime_ns();
    run_expect(&run, 0);
    int64_t offset = strtoll(json_query(run.out, ".injections[0].skew_ns"), NULL, 10);
    assert_in_range(AT - offset, before, after);
    assert_int_equal(strtoll(json_query(run.out, ".injections[1].skew_ns"), NULL, 10), offset);
    for (size_t i = 0; i < 2; i++)
        clock_reader_expect_all(readers[i], offset);
    run = skewctl_run("recover", "--all", NULL);
    run_expect(&run, 0);
}

/* The shape begins when the clock is set, so a frozen one shows that very time. */
static void frozen_there(void **state)
{
    (void)state;
    static const char *const options[] = {"--at", "@1803859190.25", "--rate", "0", NULL};
    static const char *const date[] = {"date", "+%s.%N", NULL};
    struct run run = program_run(skewctl_run_arguments(options, date), NULL, HARNESS_DEADLINE_MS);
    run_expect(&run, 0);
    assert_string_equal(run.out, "1803859190.250000000\n");
}

static void what_is_no_time_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *options[4];
        const char *said;
    } refusals[] = {
        {{"--at", "2027-02-28T23:59:50"}, "zone"},
        {{"--at", "2016-12-31T23:59:60Z"}, "leap"},
        {{"--at", "tomorrow"}, "form"},
        {{"--at", "1677-01-01T00:00:00Z"}, "1677"},
        {{"--at", "1677-12-01T00:00:00Z"}, "292 years away"},
        {{"--at", "1969-12-31T23:59:59Z"}, ""},
        {{"--at", "2262-01-01T00:00:00Z"}, ""},
        {{"--at", "@0", "--offset", "1h"}, "exclude"},
        {{"--offset", "1h", "--at", "@0"}, "exclude"},
        {{"--at", "@1", "--at", "@1"}, "twice"},
        {{"--rate", "2", "--rate", "2"}, "twice"},
        {{"--offset", "1h", "--for", "-1s"}, "not above 0"},
    };
    struct child *idle = victim_start("idle", NULL);
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const char *const *options = refusals[i].options;
        struct run run = skewctl_run("inject", "-p", pid_text(idle), options[0], options[1],
                                     options[2], options[3], NULL);
        run_expect_error(&run, 2);
        if (!strstr(run.err, refusals[i].said))
            fail_msg("%s is refused with %s", options[1], run.err);
    }
    struct run run = skewctl_run("recover", "--at", "@1", NULL);
    run_expect_error(&run, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(date_shows_it),
        harness_test(one_offset_for_all),
        harness_test(frozen_there),
        harness_test(what_is_no_time_is_refused),
    };
    return cmocka_run_group_tests_name("a time to show", tests, NULL, NULL);
}
