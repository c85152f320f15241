/*
 * clocks_test.c - which clocks move and by how much: every entry point, every
 * kind of offset, each clock by its name, and all that must not move (promises
 * P7 and P9).
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80 /* Linux 5.6 */
#endif

#define MICROSECOND INT64_C(1000)
#define MILLISECOND INT64_C(1000000)
#define SECOND      INT64_C(1000000000)
#define MINUTE      (60 * SECOND)
#define HOUR        (60 * MINUTE)

/* What inject says it measured is what it was asked for, to the granularity of each entry. */
static void expect_measured(const char *json, int64_t offset)
{
    static const struct {
        const char *name;
        int64_t granularity;
    } entries[] = {{"clock_gettime", 0}, {"gettimeofday", MICROSECOND}, {"time", SECOND}};
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        const char *name = entries[i].name;
        const char *filter = harness_format(
            ".injections[0] | \"\\(.measured_%s_ns) \\(.measured_%s_uncertainty_ns)\"", name, name);
        const char *found = json_query(json, filter);
        int64_t measured, uncertainty;
        if (sscanf(found, "%" SCNd64 " %" SCNd64, &measured, &uncertainty) != 2)
            fail_msg("%s was not measured: %s", name, found);
        int64_t slack = uncertainty + entries[i].granularity;
        if (measured < offset - slack || measured > offset + slack)
            fail_msg("%s measured as %" PRId64 " +- %" PRId64 " ns where %" PRId64 " was due", name,
                     measured, uncertainty, offset);
    }
}

static const struct {
    const char *text;
    int64_t offset;
} offsets[] = {
    {"-5m", -5 * MINUTE},         {"+1h30m", HOUR + 30 * MINUTE},
    {"250ms", 250 * MILLISECOND}, {"-10m100ns", -10 * MINUTE - 100},
    {"-999999999ns", -999999999}, {"2w1d", 15 * 24 * HOUR},
    {"1.5s", 1500 * MILLISECOND},
};

static void offsets_of_all_kinds_by_update(void **state)
{
    (void)state;
    struct child *reader = victim_start("clock_reader", "4", NULL);
    struct snapshot before = snapshot_take(reader->pid), injected = {0};
    const char *id = NULL;
    int64_t last = 0;
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        clock_reader_allow(reader, "realtime", offsets[i].offset);
        const char *json = skewctl_inject(reader->pid, offsets[i].text);
        clock_reader_forbid(reader, "realtime", last);
        last = offsets[i].offset;
        expect_measured(json, last);
        assert_string_equal(json_query(json, ".injections[0].skew_ns"),
                            harness_format("%" PRId64, last));
        assert_string_equal(json_query(json, ".injections[0].updated"), i ? "true" : "false");
        /* No second image, no second patch, no second row. */
        if (i == 0) {
            injected = snapshot_take(reader->pid);
            id = json_query(json, ".injections[0].id");
        }
        snapshot_expect(&injected, reader->pid);
        assert_string_equal(json_query(json, ".injections[0].id"), id);
        clock_reader_expect_all(reader, last);
        victim_check_progress(reader, 50);
    }
    clock_reader_allow(reader, "realtime", 0);
    skewctl_recover(reader->pid);
    clock_reader_forbid(reader, "realtime", last);
    victim_check_progress(reader, 50);
    snapshot_expect(&before, reader->pid);
}

static void less_than_a_microsecond(void **state)
{
    (void)state;
    struct child *reader = victim_start("clock_reader", NULL);
    /* Far enough from zero to be told apart even by slow system calls. */
    clock_reader_allow(reader, "realtime", 900);
    skewctl_inject(reader->pid, "900ns");
    struct skew_range range = clock_reader_measure(reader, "clock_gettime 0");
    skew_range_expect(range, 900, SECOND);
    victim_check_progress(reader, 50);
    skewctl_recover(reader->pid);
    if (range.high_ns - range.low_ns > 1700)
        harness_skip("system calls here take too long to tell 900 ns from none");
    assert_true(range.low_ns > 0);
}

/* Every clock that tells time, by its name on the command line and in clock_gettime(2). */
static const struct {
    const char *name;
    clockid_t id;
} clocks[] = {
    {"realtime", CLOCK_REALTIME},
    {"monotonic", CLOCK_MONOTONIC},
    {"monotonic_raw", CLOCK_MONOTONIC_RAW},
    {"realtime_coarse", CLOCK_REALTIME_COARSE},
    {"monotonic_coarse", CLOCK_MONOTONIC_COARSE},
    {"boottime", CLOCK_BOOTTIME},
    {"tai", CLOCK_TAI},
};
#define CLOCKS (sizeof clocks / sizeof *clocks)

static void expect_clocks(struct child *reader, uint64_t skewed, int64_t offset)
{
    for (size_t i = 0; i < CLOCKS; i++)
        clock_reader_expect(reader, harness_format("clock_gettime %d", clocks[i].id),
                            skewed >> clocks[i].id & 1 ? offset : 0);
    clock_reader_expect(reader, harness_format("clock_gettime %d", CLOCK_PROCESS_CPUTIME_ID), 0);
    clock_reader_expect(reader, harness_format("clock_gettime %d", CLOCK_THREAD_CPUTIME_ID), 0);
}

static void default_is_the_realtime_family(void **state)
{
    (void)state;
    struct child *reader = victim_start("clock_reader", NULL);
    skewctl_inject(reader->pid, "-5m");
    expect_clocks(reader, 1U << CLOCK_REALTIME | 1U << CLOCK_REALTIME_COARSE | 1U << CLOCK_TAI,
                  -5 * MINUTE);
    skewctl_recover(reader->pid);
    expect_clocks(reader, 0, 0);
}

static void each_clock_alone(void **state)
{
    (void)state;
    struct child *reader = victim_start("clock_reader", NULL);
    const char *pid = harness_format("%d", reader->pid);
    for (size_t i = 0; i < CLOCKS; i++) {
        struct run run = skewctl_run("inject", "-p", pid, "--offset", "+1h30m", "--clock",
                                     clocks[i].name, "-o", "json", NULL);
        run_expect(&run, 0);
        assert_string_equal(json_query(run.out, ".injections[0].clocks"), clocks[i].name);
        expect_clocks(reader, UINT64_C(1) << clocks[i].id, HOUR + 30 * MINUTE);
        bool realtime = clocks[i].id == CLOCK_REALTIME;
        clock_reader_expect(reader, "gettimeofday", realtime ? HOUR + 30 * MINUTE : 0);
        clock_reader_expect(reader, "time", realtime ? HOUR + 30 * MINUTE : 0);
    }
    skewctl_recover(reader->pid);
}

static void monotonic_keeps_its_order(void **state)
{
    (void)state;
    struct child *reader = victim_start("clock_reader", "8", NULL);
    clock_reader_allow(reader, "monotonic", 5 * MINUTE);
    struct run run = skewctl_run("inject", "-p", harness_format("%d", reader->pid), "--offset",
                                 "5m", "--clock", "monotonic", NULL);
    run_expect(&run, 0);
    clock_reader_forbid(reader, "monotonic", 0);
    victim_check_progress(reader, 200);
    clock_reader_allow(reader, "monotonic", 0);
    skewctl_recover(reader->pid);
    clock_reader_forbid(reader, "monotonic", 5 * MINUTE);
    victim_check_progress(reader, 200);
}

static void odd_arguments_end_as_before(void **state)
{
    (void)state;
    struct child *victim = victim_start("pointers", NULL);
    const char *before = child_ask(victim, "probe");
    skewctl_inject(victim->pid, "-5m");
    assert_string_equal(child_ask(victim, "probe"), before);
    skewctl_inject(victim->pid, "-5m100ns");
    assert_string_equal(child_ask(victim, "probe"), before);
    skewctl_recover(victim->pid);
    assert_string_equal(child_ask(victim, "probe"), before);
}

static bool write_file(const char *path, const char *text)
{
    int file = open(path, O_WRONLY | O_CLOEXEC);
    bool written = file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text);
    if (file >= 0)
        close(file);
    return written;
}

/* In the child, before exec, which takes it into the namespace. Async-signal-safe. */
static void enter_time_namespace(void *shifts)
{
    if (unshare(CLONE_NEWTIME) != 0 || !write_file("/proc/self/timens_offsets", shifts))
        _exit(125);
}

/*
 * With clocks of its own a process is skewed by the same; what would be senseless outside
 * may be right there, and the other way round.
 */
static void in_a_time_namespace(void **state)
{
    (void)state;
    static char shifts[] = "monotonic 864000 500000000\nboottime 1728000 0\n";
    struct start how = {.before_exec = enter_time_namespace, .argument = shifts};
    struct child *reader =
        child_start((const char *const[]){victim_path("clock_reader"), NULL}, &how);
    for (int tries = 0; tries < 20 && child_alive(reader); tries++)
        harness_sleep_ms(5);
    if (!child_alive(reader))
        harness_skip("no time namespace can be made here");
    assert_string_equal(child_line(reader, HARNESS_DEADLINE_MS), "ready");
    struct stat own, theirs;
    if (stat("/proc/self/ns/time", &own) != 0 ||
        stat(harness_format("/proc/%d/ns/time", reader->pid), &theirs) != 0 ||
        own.st_ino == theirs.st_ino)
        harness_skip("a new program does not enter the namespace with this kernel");
    struct snapshot before = snapshot_take(reader->pid);
    const char *pid = harness_format("%d", reader->pid);
    /* Further back than the clock of this test stands, unless the machine is up for long. */
    clock_reader_allow(reader, "monotonic", -200 * HOUR);
    struct run run = skewctl_run("inject", "-p", pid, "--offset", "-200h", "--clock",
                                 "monotonic,boottime", NULL);
    run_expect(&run, 0);
    clock_reader_expect(reader, harness_format("clock_gettime %d", CLOCK_MONOTONIC), -200 * HOUR);
    clock_reader_expect(reader, harness_format("clock_gettime %d", CLOCK_BOOTTIME), -200 * HOUR);
    clock_reader_expect(reader, harness_format("clock_gettime %d", CLOCK_REALTIME), 0);
    victim_check_progress(reader, 50);
    run = skewctl_run("inject", "-p", pid, "--offset", "-20000h", "--clock", "monotonic", NULL);
    run_expect_error(&run, 2);
    skewctl_recover(reader->pid);
    snapshot_expect(&before, reader->pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(offsets_of_all_kinds_by_update),
        harness_test(less_than_a_microsecond),
        harness_test(default_is_the_realtime_family),
        harness_test(each_clock_alone),
        harness_test(monotonic_keeps_its_order),
        harness_test(odd_arguments_end_as_before),
        harness_test(in_a_time_namespace),
    };
    return cmocka_run_group_tests_name("clocks", tests, NULL, NULL);
}
