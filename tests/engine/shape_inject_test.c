/*
 * shape_inject_test.c - shapes in running programs: shown, changed in place, inherited,
 * ended and put back; and asked for where they cannot be.
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SECOND INT64_C(1000000000)
#define HOUR   (3600 * SECOND)

static const char *pid_text(const struct child *child)
{
    return harness_format("%d", child->pid);
}

/* The JSON of an inject with these two options. */
static const char *inject(const struct child *child, const char *option, const char *value)
{
    struct run run =
        skewctl_run("inject", "-p", pid_text(child), option, value, "-o", "json", NULL);
    run_expect(&run, 0);
    return run.out;
}

static const char *listed(const char *filter)
{
    struct run run = skewctl_run("list", "-o", "json", NULL);
    run_expect(&run, 0);
    return json_query(run.out, filter);
}

/* What is shown of a clock that has gone at `rate` since some time between two instants. */
static void rate_expect(struct child *reader, const char *entry, double excess, int64_t first,
                        int64_t last)
{
    int64_t before = harness_realtime_ns();
    struct skew_range seen = clock_reader_measure(reader, entry);
    int64_t after = harness_realtime_ns();
    double least = excess * (double)(before - last), most = excess * (double)(after - first);
    double low = least < most ? least : most, high = least < most ? most : least;
    /* time() shows a second that has begun. */
    int64_t slack = strcmp(entry, "time") == 0 ? 2 * SECOND : 20000000;
    if ((double)seen.high_ns < low - (double)slack || (double)seen.low_ns > high + (double)slack)
        fail_msg("%s is off by %" PRId64 " to %" PRId64 " ns, not %.0f to %.0f", entry, seen.low_ns,
                 seen.high_ns, low, high);
}

static void a_rate_drifts_and_is_put_back(void **state)
{
    (void)state;
    static const struct {
        const char *text, *listed;
        double excess;
    } rates[] = {{"3", "rate=3", 2}, {"0", "rate=0", -1}, {"-50%", "rate=0.5", -0.5}};
    struct child *reader = victim_start("clock_reader", "4", NULL);
    struct snapshot before = snapshot_take(reader->pid);
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        int64_t first = harness_realtime_ns();
        const char *json = inject(reader, "--rate", rates[i].text);
        int64_t last = harness_realtime_ns();
        assert_string_equal(json_query(json, ".injections[0].shape"), rates[i].listed);
        assert_string_equal(listed(".injections[0].shape"), rates[i].listed);
        assert_string_equal(listed(".injections[0].skew"), rates[i].listed);
        for (int round = 0; round < 3; round++) {
            rate_expect(reader, "clock_gettime 0", rates[i].excess, first, last);
            rate_expect(reader, "gettimeofday", rates[i].excess, first, last);
            rate_expect(reader, "time", rates[i].excess, first, last);
            rate_expect(reader, "clock_gettime 1", 0, first, last);
            harness_sleep_ms(300);
        }
    }
    /* And from a shape to an offset, which has none. */
    inject(reader, "--offset", "-1h");
    assert_string_equal(listed(".injections[0].shape"), "null");
    clock_reader_expect_all(reader, -HOUR);
    struct run run = skewctl_run("recover", "-p", pid_text(reader), NULL);
    run_expect(&run, 0);
    clock_reader_expect_all(reader, 0);
    snapshot_expect(&before, reader->pid);
}

static void a_shape_is_added_to_the_offset(void **state)
{
    (void)state;
    struct child *reader = victim_start("clock_reader", "4", NULL);
    struct run run = skewctl_run("inject", "-p", pid_text(reader), "--offset", "-1h", "--step",
                                 "0:2h,1h:1s", "--ramp", "1h/1us", "-o", "json", NULL);
    run_expect(&run, 0);
    assert_string_equal(json_query(run.out, ".injections[0].skew"),
                        "-1h ramp=1h/1us step=0s:2h,1h:1s");
    assert_string_equal(json_query(run.out, ".injections[0].skew_ns"), "-3600000000000");
    clock_reader_expect_all(reader, 2 * HOUR);
    run = skewctl_run("recover", "-p", pid_text(reader), NULL);
    run_expect(&run, 0);
    clock_reader_expect_all(reader, 0);
}

/* Every kind gets through the read-back of inject and of update, many times over. */
static void every_kind_is_verified(void **state)
{
    (void)state;
    static const char *const parts[][2] = {
        {"--rate", "+200ppm"},      {"--ramp", "-500ms/10m"}, {"--smear", "1s"},
        {"--strobe", "200ms/10us"}, {"--sine", "250ms/1s"},   {"--sine", "1h/1us"},
        {"--jitter", "5ms,seed=7"}, {"--jitter", "1h/1us"},   {"--step", "100us:1h,200us:-2h"},
        {"--rate", "200"},          {"--strobe", "-1h/1ms"}};
    struct child *idle = victim_start("idle", NULL);
    struct snapshot before = snapshot_take(idle->pid);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            inject(idle, parts[i][0], parts[i][1]);
            if (round == 0) {
                struct run run = skewctl_run("recover", "-p", pid_text(idle), NULL);
                run_expect(&run, 0);
            }
        }
    }
    struct run run = skewctl_run("recover", "-p", pid_text(idle), NULL);
    run_expect(&run, 0);
    snapshot_expect(&before, idle->pid);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *option, *value;
        int code;
    } refusals[] = {{"--rate", "-1", 2},          {"--rate", "1000", 2},
                    {"--ramp", "1s", 2},          {"--rate", "500", 2},
                    {"--ramp", "-100000d/1s", 2}, {"--ramp", "-40000d/1s", 2},
                    {"--jitter", "1ms,7", 2}};
    struct child *reader = victim_start("clock_reader", "4", NULL);
    struct snapshot before = snapshot_take(reader->pid);
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct run run = skewctl_run("inject", "-p", pid_text(reader), refusals[i].option,
                                     refusals[i].value, NULL);
        run_expect(&run, refusals[i].code);
    }
    struct run run = skewctl_run("inject", "-p", pid_text(reader), "--clock", "monotonic",
                                 "--strobe", "1s/1s", NULL);
    run_expect(&run, 3);
    snapshot_expect(&before, reader->pid);
    run =
        skewctl_run("inject", "-p", pid_text(reader), "--clock", "monotonic", "--rate", "0", NULL);
    run_expect(&run, 0);
    assert_null(strstr(run.err, "goes back"));
    /* What is behind when it ends jumps forward, what is ahead jumps back. */
    static const struct {
        const char *option, *value;
        bool back;
    } ends[] = {{"--rate", "0.5", false}, {"--rate", "2", true}, {"--offset", "1h", true}};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        run = skewctl_run("inject", "-p", pid_text(reader), "--clock", "monotonic", ends[i].option,
                          ends[i].value, "--for", "1h", NULL);
        run_expect(&run, 0);
        bool told = strstr(run.err, "clock monotonic goes back when the skew ends") != NULL;
        assert_int_equal(told, ends[i].back);
    }
    run = skewctl_run("inject", "-p", pid_text(reader), "--clock", "monotonic,realtime", "--strobe",
                      "1s/1s", "--force", NULL);
    run_expect(&run, 0);
    assert_non_null(strstr(run.err, "clock monotonic goes back with this"));
    run = skewctl_run("recover", "-p", pid_text(reader), NULL);
    run_expect(&run, 0);
    snapshot_expect(&before, reader->pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(a_rate_drifts_and_is_put_back),
        harness_test(a_shape_is_added_to_the_offset),
        harness_test(every_kind_is_verified),
        harness_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests_name("shapes in programs", tests, NULL, NULL);
}
