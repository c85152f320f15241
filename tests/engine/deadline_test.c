/*
 * deadline_test.c - a skew that ends by itself: with no skewctl there to end it, on
 * every clock, whatever was there before, and put back by the next skewctl.
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80 /* Linux 5.6 */
#endif

#define SECOND INT64_C(1000000000)
#define HOUR   (3600 * SECOND)
/* Longer than an inject and a look at the clocks take on a busy machine. */
#define WHILE_MS 3000

static const char *pid_text(const struct child *child)
{
    return harness_format("%d", child->pid);
}

/* Injects with these options, and fails unless it succeeds; the JSON. */
static const char *inject(const struct child *child, const char *offset, const char *duration)
{
    struct run run = duration != NULL ? skewctl_run("inject", "-p", pid_text(child), "--offset",
                                                    offset, "--for", duration, "-o", "json", NULL)
                                      : skewctl_run("inject", "-p", pid_text(child), "--offset",
                                                    offset, "-o", "json", NULL);
    run_expect(&run, 0);
    return run.out;
}

static const char *milliseconds(int count)
{
    return harness_format("%dms", count);
}

static const char *list(void)
{
    struct run run = skewctl_run("list", "-o", "json", NULL);
    run_expect(&run, 0);
    return run.out;
}

static void listed_expect(const char *json, const char *filter, const char *value)
{
    assert_string_equal(json_query(json, filter), value);
}

/*
 * Waits until a deadline of WHILE_MS set by a command that began at `start`, of
 * harness_monotonic_ns(), and took that long has passed, with a tick of the coarse clocks.
 */
static void ended_await(int64_t elapsed_ns, int64_t start)
{
    int64_t end = start + elapsed_ns + (WHILE_MS + 50) * INT64_C(1000000);
    int64_t left = end - harness_monotonic_ns();
    if (left > 0)
        harness_sleep_ms((int)(left / 1000000) + 1);
}

/* The reader shows the skew; a machine so busy that its end has come cannot tell. */
static void skewed_expect(struct child *reader, const char *entry, int64_t offset, int64_t start)
{
    struct skew_range range = clock_reader_measure(reader, entry);
    if (harness_monotonic_ns() - start > (WHILE_MS - 200) * INT64_C(1000000))
        return;
    if (range.low_ns > offset || range.high_ns < offset)
        fail_msg("%s is off by %" PRId64 " to %" PRId64 " ns", entry, range.low_ns, range.high_ns);
}

static void it_ends_by_itself(void **state)
{
    (void)state;
    struct child *reader = victim_start("clock_reader", "4", NULL);
    struct snapshot before = snapshot_take(reader->pid);
    size_t code = observe_code_mappings(reader->pid);
    clock_reader_allow(reader, "realtime", -HOUR);
    int64_t start = harness_monotonic_ns(), realtime = harness_realtime_ns();
    const char *json = inject(reader, "-1h", milliseconds(WHILE_MS));
    int64_t elapsed = harness_monotonic_ns() - start;
    listed_expect(json, ".injections[0].state", "active");
    /* The deadline is the duration after the start of the command. */
    const char *filter = ".injections[0].deadline | sub(\"\\\\.[0-9]*\"; \"\") | fromdate";
    int64_t deadline = strtoll(json_query(json, filter), NULL, 10);
    int64_t earliest = realtime + WHILE_MS * INT64_C(1000000);
    assert_in_range(deadline, earliest / SECOND, (earliest + elapsed) / SECOND);
    skewed_expect(reader, "clock_gettime 0", -HOUR, start);
    skewed_expect(reader, "gettimeofday", -HOUR, start);
    skewed_expect(reader, "time", -HOUR, start);

    ended_await(elapsed, start);
    clock_reader_forbid(reader, "realtime", -HOUR);
    victim_check_progress(reader, 50);
    clock_reader_expect_all(reader, 0);
    assert_int_equal(observe_code_mappings(reader->pid), code + 1);

    listed_expect(list(), ".injections | length", "0");
    snapshot_expect(&before, reader->pid);
    victim_check_progress(reader, 50);
    struct run run = skewctl_run("list", "--all", "-o", "json", NULL);
    listed_expect(run.out, ".injections[0].state", "recovered");
}

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

/* Backwards, so that no clock goes back when it ends. */
static void every_clock_ends(struct child *reader)
{
    struct snapshot before = snapshot_take(reader->pid);
    clock_reader_allow(reader, "realtime", -SECOND);
    clock_reader_allow(reader, "monotonic", -SECOND);
    int64_t start = harness_monotonic_ns();
    struct run run = skewctl_run(
        "inject", "-p", pid_text(reader), "--offset", "-1s", "--for", milliseconds(WHILE_MS),
        "--clock", "realtime,monotonic,monotonic_raw,realtime_coarse,monotonic_coarse,boottime,tai",
        NULL);
    run_expect(&run, 0);
    for (size_t i = 0; i < CLOCKS; i++)
        skewed_expect(reader, harness_format("clock_gettime %d", clocks[i].id), -SECOND, start);
    ended_await(run.elapsed_ns, start);
    for (size_t i = 0; i < CLOCKS; i++)
        clock_reader_expect(reader, harness_format("clock_gettime %d", clocks[i].id), 0);
    clock_reader_expect_all(reader, 0);
    listed_expect(list(), ".injections | length", "0");
    snapshot_expect(&before, reader->pid);
    victim_check_progress(reader, 50);
}

static void every_clock_of_a_program_ends(void **state)
{
    (void)state;
    every_clock_ends(victim_start("clock_reader", "2", NULL));
}

static bool write_file(const char *path, const char *text)
{
    int file = open(path, O_WRONLY);
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

static void every_clock_ends_in_a_time_namespace(void **state)
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
    every_clock_ends(reader);
}

/* An update sets a deadline, moves it, and takes it away. */
static void an_update_changes_the_deadline(void **state)
{
    (void)state;
    struct child *reader = victim_start("clock_reader", "4", NULL);
    struct snapshot before = snapshot_take(reader->pid);
    clock_reader_allow(reader, "realtime", -HOUR);
    int64_t start = harness_monotonic_ns();
    const char *json = inject(reader, "-1h", NULL);
    listed_expect(json, ".injections[0].deadline", "null");
    json = inject(reader, "-1h", milliseconds(WHILE_MS)); /* set */
    assert_string_not_equal(json_query(json, ".injections[0].deadline"), "null");
    bool before_end = harness_monotonic_ns() - start < WHILE_MS * INT64_C(1000000);
    json = inject(reader, "-1h", "1h"); /* moved */
    if (before_end)
        listed_expect(json, ".injections[0].updated", "true");
    clock_reader_forbid(reader, "realtime", 0);
    ended_await(harness_monotonic_ns() - start, start);
    clock_reader_expect_all(reader, -HOUR);
    victim_check_progress(reader, 50);
    json = inject(reader, "-1h", NULL); /* taken away */
    listed_expect(json, ".injections[0].updated", "true");
    listed_expect(json, ".injections[0].deadline", "null");
    listed_expect(list(), ".injections[0].deadline", "null");

    clock_reader_allow(reader, "realtime", 0);
    start = harness_monotonic_ns();
    inject(reader, "-1h", milliseconds(WHILE_MS)); /* and set again */
    ended_await(harness_monotonic_ns() - start, start);
    clock_reader_forbid(reader, "realtime", -HOUR);
    clock_reader_expect_all(reader, 0);
    victim_check_progress(reader, 50);
    listed_expect(list(), ".injections | length", "0");
    snapshot_expect(&before, reader->pid);
}

/*
 * Deadlines that pass at any moment of an inject or an update: it is refused before
 * anything is touched, or done. No read-back takes the end for a fault.
 */
static void it_may_end_during_the_inject(void **state)
{
    (void)state;
    struct child *reader = victim_start("clock_reader", "2", NULL);
    struct snapshot before = snapshot_take(reader->pid);
    const char *pid = pid_text(reader);
    clock_reader_allow(reader, "realtime", -HOUR);
    struct run warm = skewctl_run("inject", "-p", pid, "--offset", "-1h", NULL);
    run_expect(&warm, 0);
    enum { ROUNDS = 40 };
    unsigned done = 0;
    for (int round = 1; round <= ROUNDS; round++) {
        struct keep *mark = harness_mark();
        const char *duration =
            harness_format("%" PRId64 "ns", warm.elapsed_ns * 3 / 2 * round / ROUNDS);
        /* Every other time the process is injected already. */
        if (round % 2 == 0) {
            struct run put = skewctl_run("inject", "-p", pid, "--offset", "-1h", NULL);
            run_expect(&put, 0);
        }
        struct run run =
            skewctl_run("inject", "-p", pid, "--offset", "-1h", "--for", duration, NULL);
        if (run.code != 2)
            run_expect(&run, 0);
        done += run.code == 0;
        struct run recovered = skewctl_run("recover", "--all", NULL);
        run_expect(&recovered, 0);
        harness_release(mark);
    }
    if (done == 0)
        harness_skip("every inject here took longer than the one before all");
    clock_reader_forbid(reader, "realtime", -HOUR);
    victim_check_progress(reader, 50);
    snapshot_expect(&before, reader->pid);
}

/* Killed as soon as the skew shows: whatever was not done, the skew ends. */
static void it_ends_though_skewctl_was_killed(void **state)
{
    (void)state;
    struct child *reader = victim_start("clock_reader", NULL);
    struct snapshot before = snapshot_take(reader->pid);
    clock_reader_allow(reader, "realtime", -HOUR);
    int64_t start = harness_monotonic_ns();
    struct child *skewctl =
        child_start(skewctl_arguments("inject", "-p", pid_text(reader), "--offset", "-1h", "--for",
                                      milliseconds(WHILE_MS), NULL),
                    NULL);
    while (clock_reader_measure(reader, "gettimeofday").low_ns > -HOUR / 2 &&
           harness_monotonic_ns() - start < WHILE_MS * INT64_C(1000000))
        continue;
    int64_t elapsed = harness_monotonic_ns() - start;
    child_kill(skewctl);
    ended_await(elapsed, start);
    clock_reader_forbid(reader, "realtime", -HOUR);
    clock_reader_expect_all(reader, 0);
    victim_check_progress(reader, 50);
    struct run run = skewctl_run("recover", "--crashed", NULL);
    run_expect(&run, 0);
    snapshot_expect(&before, reader->pid);
    listed_expect(list(), ".injections | length", "0");
}

/* Each command that opens the journal puts back what has ended, whoever it is about. */
static void any_command_puts_it_back(void **state)
{
    (void)state;
    struct child *other = victim_start("clock_reader", NULL);
    const char *const commands[][6] = {
        {"inject", "-p", pid_text(other), "--offset", "-1h", NULL},
        {"recover", "-p", pid_text(other), NULL},
        {"list", NULL},
    };
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        struct child *reader = victim_start("clock_reader", NULL);
        struct snapshot before = snapshot_take(reader->pid);
        clock_reader_allow(reader, "realtime", -HOUR);
        clock_reader_allow(other, "realtime", -HOUR);
        int64_t start = harness_monotonic_ns();
        inject(reader, "-1h", "1500ms");
        int64_t elapsed = harness_monotonic_ns() - start;
        ended_await(elapsed, start - (WHILE_MS - 1500) * INT64_C(1000000));
        const char *const *words = commands[i];
        struct run run = skewctl_run(words[0], words[1], words[2], words[3], words[4], NULL);
        run_expect(&run, 0);
        assert_string_equal(run.err, "");
        snapshot_expect(&before, reader->pid);
    }
}

/* All members at the same instant, those forked later too, and with them the group. */
static void a_group_ends(void **state)
{
    (void)state;
    struct child *parent = victim_start("idle", NULL), *reader = victim_start("clock_reader", NULL);
    struct snapshot before = snapshot_take(reader->pid);
    int64_t start = harness_monotonic_ns();
    struct run run = skewctl_run("inject", "--tree", pid_text(parent), "--tree", pid_text(reader),
                                 "--offset", "-1h", "--for", milliseconds(WHILE_MS), NULL);
    run_expect(&run, 0);
    int64_t elapsed = harness_monotonic_ns() - start;
    pid_t child = (pid_t)atoi(child_ask(parent, "spawn") + strlen("ok "));
    ended_await(elapsed, start);
    const char *left = list();
    assert_string_equal(json_query(left, "[.injections[] | select(.group == \"g1\")] | length"),
                        "0");
    snapshot_expect(&before, reader->pid);
    assert_int_equal(observe_code_mappings(child), 0);
    /* The next with the same words is another group. */
    run = skewctl_run("inject", "--tree", pid_text(parent), "--tree", pid_text(reader), "--offset",
                      "-1h", "-o", "json", NULL);
    run_expect(&run, 0);
    assert_string_equal(json_query(run.out, ".injections[0].group"), "g2");
    run = skewctl_run("recover", "--id", "g2", NULL);
    run_expect(&run, 0);
    snapshot_expect(&before, reader->pid);
}

/* What cannot be put back is said, and listed as ended; what was asked for is done. */
static void what_cannot_be_put_back_is_said(void **state)
{
    (void)state;
    struct child *reader = victim_start("clock_reader", NULL);
    struct snapshot before = snapshot_take(reader->pid);
    clock_reader_allow(reader, "realtime", -HOUR);
    int64_t start = harness_monotonic_ns();
    inject(reader, "-1h", "1500ms");
    int64_t elapsed = harness_monotonic_ns() - start;
    assert_int_equal(ptrace(PTRACE_SEIZE, reader->pid, 0, 0), 0);
    ended_await(elapsed, start - (WHILE_MS - 1500) * INT64_C(1000000));
    struct run run = skewctl_run("list", "-o", "json", NULL);
    run_expect(&run, 0);
    assert_non_null(strstr(run.err, "its skew has ended"));
    listed_expect(run.out, ".injections[0].state", "expired");
    listed_expect(run.out, ".injections[0].deadline == null", "false");
    run = skewctl_run("list", NULL);
    assert_non_null(strstr(run.out, "UNTIL"));
    assert_int_equal(ptrace(PTRACE_INTERRUPT, reader->pid, 0, 0), 0);
    assert_int_equal(waitpid(reader->pid, NULL, __WALL), reader->pid);
    assert_int_equal(ptrace(PTRACE_DETACH, reader->pid, 0, 0), 0);
    listed_expect(list(), ".injections | length", "0");
    snapshot_expect(&before, reader->pid);
}

static void no_other_time_makes_sense(void **state)
{
    (void)state;
    struct child *reader = victim_start("clock_reader", NULL);
    struct snapshot before = snapshot_take(reader->pid);
    static const char *const senseless[] = {"0s", "-5s", "5", "", "soon", "292y", "15000w"};
    for (size_t i = 0; i < sizeof senseless / sizeof *senseless; i++) {
        struct run run = skewctl_run("inject", "-p", pid_text(reader), "--offset", "-1h", "--for",
                                     senseless[i], NULL);
        run_expect_error(&run, 2);
    }
    struct run run = skewctl_run("inject", "-p", pid_text(reader), "--offset", "-1h", "--for", "1s",
                                 "--for", "2s", NULL);
    run_expect_error(&run, 2);
    run = skewctl_run("recover", "-p", pid_text(reader), "--for", "1s", NULL);
    run_expect_error(&run, 2);
    run = skewctl_run("inject", "-p", pid_text(reader), "--offset", "-1h", "--for", "1m",
                      "--dry-run", "-o", "json", NULL);
    run_expect(&run, 0);
    assert_string_not_equal(json_query(run.out, ".injections[0].deadline"), "null");
    snapshot_expect(&before, reader->pid);
    run = skewctl_run("list", NULL);
    assert_null(strstr(run.out, "UNTIL"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(it_ends_by_itself),
        harness_test(every_clock_of_a_program_ends),
        harness_test(every_clock_ends_in_a_time_namespace),
        harness_test(an_update_changes_the_deadline),
        harness_test(it_may_end_during_the_inject),
        harness_test(it_ends_though_skewctl_was_killed),
        harness_test(any_command_puts_it_back),
        harness_test(a_group_ends),
        harness_test(what_cannot_be_put_back_is_said),
        harness_test(no_other_time_makes_sense),
    };
    return cmocka_run_group_tests_name("deadlines", tests, NULL, NULL);
}
