/* See victim.h. */
#include "victim.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *victim_path(const char *name)
{
    const char *built = harness_format("%s/%s", TESTS_VICTIMS, name);
    if (access(built, R_OK) == 0)
        return built;
    const char *source = harness_format("%s/%s", TESTS_VICTIM_SOURCES, name);
    return access(source, R_OK) == 0 ? source : NULL;
}

struct child *victim_start(const char *name, ...)
{
    const char *argv[16] = {victim_path(name)};
    if (!argv[0])
        fail_msg("the victim %s was not built", name);
    va_list arguments;
    va_start(arguments, name);
    for (size_t count = 1; count < 15; count++) {
        argv[count] = va_arg(arguments, const char *);
        if (!argv[count])
            break;
    }
    va_end(arguments);
    struct child *victim = child_start(argv, NULL);
    assert_string_equal(child_line(victim, HARNESS_DEADLINE_MS), "ready");
    return victim;
}

int64_t victim_check(struct child *victim)
{
    const char *answer = child_ask(victim, "check");
    int64_t progress;
    if (sscanf(answer, "ok %" SCNd64, &progress) != 1)
        fail_msg("process %d: %s", victim->pid, answer);
    return progress;
}

void victim_check_progress(struct child *victim, int64_t more)
{
    int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    int64_t start = victim_check(victim);
    while (victim_check(victim) < start + more) {
        if (harness_monotonic_ns() > end)
            fail_msg("process %d does not get on", victim->pid);
        harness_sleep_ms(2);
    }
}

void clock_reader_allow(struct child *reader, const char *clock, int64_t offset_ns)
{
    const char *line = harness_format("allow %s %" PRId64, clock, offset_ns);
    assert_string_equal(child_ask(reader, line), "ok");
}

void clock_reader_forbid(struct child *reader, const char *clock, int64_t offset_ns)
{
    const char *line = harness_format("forbid %s %" PRId64, clock, offset_ns);
    assert_string_equal(child_ask(reader, line), "ok");
}

void clock_reader_between(struct child *reader, int64_t lowest_ns, int64_t highest_ns)
{
    const char *line = harness_format("between %" PRId64 " %" PRId64, lowest_ns, highest_ns);
    assert_string_equal(child_ask(reader, line), "ok");
}

struct skew_range clock_reader_measure(struct child *reader, const char *entry)
{
    struct skew_range range;
    const char *answer = child_ask(reader, harness_format("measure %s", entry));
    if (sscanf(answer, "%" SCNd64 " %" SCNd64, &range.low_ns, &range.high_ns) != 2)
        fail_msg("process %d, measuring %s: %s", reader->pid, entry, answer);
    return range;
}

void clock_reader_expect(struct child *reader, const char *entry, int64_t offset_ns)
{
    /* How finely the entries can be told on a machine under load. */
    int64_t width = strcmp(entry, "time") == 0 ? INT64_C(2000000000) : INT64_C(100000000);
    skew_range_expect(clock_reader_measure(reader, entry), offset_ns, width);
}

void clock_reader_expect_all(struct child *reader, int64_t offset_ns)
{
    clock_reader_expect(reader, "clock_gettime 0", offset_ns);
    clock_reader_expect(reader, "gettimeofday", offset_ns);
    clock_reader_expect(reader, "time", offset_ns);
}

struct skew_range ticker_measure(struct child *ticker)
{
    struct skew_range range = {INT64_MIN, INT64_MAX};
    for (int i = 0; i < 20; i++) {
        int64_t before = harness_realtime_ns();
        const char *answer = child_ask(ticker, "now");
        int64_t after = harness_realtime_ns(), now;
        if (sscanf(answer, "%" SCNd64, &now) != 1)
            fail_msg("process %d said \"%s\" where a time was due", ticker->pid, answer);
        if (now - after > range.low_ns)
            range.low_ns = now - after;
        if (now - before < range.high_ns)
            range.high_ns = now - before;
    }
    return range;
}

void skew_range_expect(struct skew_range range, int64_t offset_ns, int64_t width_ns)
{
    if (offset_ns < range.low_ns || offset_ns > range.high_ns)
        fail_msg("offset %" PRId64 " ns where %" PRId64 "..%" PRId64 " was measured", offset_ns,
                 range.low_ns, range.high_ns);
    if (range.high_ns - range.low_ns > width_ns)
        fail_msg("measured only to within %" PRId64 "..%" PRId64 " ns", range.low_ns,
                 range.high_ns);
}
