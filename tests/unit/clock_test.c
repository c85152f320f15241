/*
 * clock_test.c - sets of clocks as text, and how far clocks may be shifted.
 */
#include "engine/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)
#define YEAR   (365 * 86400 * SECOND)

static const char all_names[] = "realtime,monotonic,monotonic_raw,realtime_coarse,monotonic_coarse,"
                                "boottime,realtime_alarm,boottime_alarm,tai";

static void assert_parses(const char *names, uint64_t expected)
{
    struct skew_error error = {0};
    uint64_t clocks = 0;

    if (skew_clocks_parse(names, &clocks, &error) != SKEW_OK)
        fail_msg("'%s' is refused: %s", names, error.message);
    assert_true(clocks == expected);
}

static void test_default(void **state)
{
    char text[64];

    (void)state;
    assert_parses("realtime,realtime_coarse,tai", skew_clocks_default());
    assert_string_equal(skew_clocks_format(skew_clocks_default(), text, sizeof text),
                        "realtime,realtime_coarse,tai");
}

static void test_parse(void **state)
{
    (void)state;
    assert_parses("realtime", SKEW_CLOCK_BIT(CLOCK_REALTIME));
    assert_parses("tai", SKEW_CLOCK_BIT(CLOCK_TAI));
    assert_parses("monotonic_raw,monotonic",
                  SKEW_CLOCK_BIT(CLOCK_MONOTONIC) | SKEW_CLOCK_BIT(CLOCK_MONOTONIC_RAW));
    assert_parses("boottime,boottime", SKEW_CLOCK_BIT(CLOCK_BOOTTIME));
    /* clockid_t 0, 1, 4 to 9 and 11. */
    assert_parses(all_names, UINT64_C(0xbf3));
}

static void test_parse_refuses(void **state)
{
    static const struct {
        const char *names;
        const char *message;
        const char *advice;
    } refusals[] = {
        {"", "is empty", all_names},
        {",", "is empty", all_names},
        {"realtime,", "is empty", all_names},
        {",realtime", "is empty", all_names},
        {"realtime,,tai", "is empty", all_names},
        {"REALTIME", "no clock 'REALTIME'", all_names},
        {"CLOCK_REALTIME", "no clock 'CLOCK_REALTIME'", all_names},
        {"real", "no clock 'real'", all_names},
        {"realtimes", "no clock 'realtimes'", all_names},
        {" realtime", "no clock ' realtime'", all_names},
        {"tai,0", "no clock '0'", all_names},
        {"realtime,process_cputime_id", "process_cputime_id' measures work", ""},
        {"thread_cputime_id", "thread_cputime_id' measures work", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct skew_error error = {0};
        uint64_t untouched = 4711;

        assert_int_equal(skew_clocks_parse(refusals[i].names, &untouched, &error), SKEW_USAGE);
        assert_int_equal(error.code, SKEW_USAGE);
        assert_true(untouched == 4711);
        if (!strstr(error.message, refusals[i].message))
            fail_msg("'%s': '%s'", refusals[i].names, error.message);
        if (!strstr(error.advice, refusals[i].advice))
            fail_msg("'%s': '%s'", refusals[i].names, error.advice);
    }
}

static void test_parse_long_name(void **state)
{
    char names[100000];
    struct skew_error error = {0};
    uint64_t clocks = 0;

    (void)state;
    memset(names, 'x', sizeof names);
    names[sizeof names - 1] = '\0';
    assert_int_equal(skew_clocks_parse(names, &clocks, &error), SKEW_USAGE);
    assert_non_null(strstr(error.advice, all_names));
}

/* Every set is written so that it reads as itself. */
static void test_round_trip(void **state)
{
    static const clockid_t ids[] = {0, 1, 4, 5, 6, 7, 8, 9, 11};
    char text[sizeof all_names];

    (void)state;
    for (unsigned subset = 1; subset < 1U << 9; subset++) {
        uint64_t clocks = 0;
        for (unsigned i = 0; i < 9; i++)
            if (subset & 1U << i)
                clocks |= SKEW_CLOCK_BIT(ids[i]);
        assert_parses(skew_clocks_format(clocks, text, sizeof text), clocks);
    }
    assert_string_equal(text, all_names);
}

/* A buffer that is too small gets whole names only, and is terminated. */
static void test_format_small(void **state)
{
    char text[24];

    (void)state;
    for (size_t size = 1; size <= sizeof text; size++) {
        memset(text, '?', sizeof text);
        skew_clocks_format(skew_clocks_default(), text, size);
        const char *expected = size > 8 ? "realtime" : "";
        assert_string_equal(text, expected);
    }
    assert_string_equal(skew_clocks_format(0, text, sizeof text), "");
    *text = '?';
    skew_clocks_format(skew_clocks_default(), text, 0);
    assert_int_equal(*text, '?');
}

static int64_t clock_read(clockid_t id)
{
    struct timespec now;

    assert_int_equal(clock_gettime(id, &now), 0);
    return now.tv_sec * SECOND + now.tv_nsec;
}

static void assert_range(uint64_t clocks, int64_t offset_ns, const char *clock)
{
    struct skew_error error = {0};
    enum skew_code code = clock_range_check(clocks, offset_ns, (struct clock_shift){0}, &error);

    if (!clock) {
        assert_int_equal(code, SKEW_OK);
        return;
    }
    assert_int_equal(code, SKEW_USAGE);
    assert_int_equal(error.code, SKEW_USAGE);
    if (!strstr(error.message, clock))
        fail_msg("'%s' does not name %s", error.message, clock);
}

static void test_range(void **state)
{
    uint64_t realtime = SKEW_CLOCK_BIT(CLOCK_REALTIME);
    uint64_t monotonic = SKEW_CLOCK_BIT(CLOCK_MONOTONIC);
    int64_t now = clock_read(CLOCK_REALTIME);
    int64_t up = clock_read(CLOCK_MONOTONIC);

    (void)state;
    assert_range(skew_clocks_default(), 0, NULL);
    assert_range(skew_clocks_default(), -300 * SECOND, NULL);
    assert_range(0, INT64_MIN, NULL);

    /* Clocks go on while this runs, so the edges are an hour wide. */
    assert_range(realtime, -now, NULL);
    assert_range(realtime, -now - 3600 * SECOND, "clock realtime below 0");
    assert_range(realtime, INT64_MIN, "clock realtime below 0");
    assert_range(realtime, INT64_MAX - YEAR - now - 3600 * SECOND, NULL);
    assert_range(realtime, INT64_MAX - YEAR - now + 1, "clock realtime beyond");
    assert_range(realtime, INT64_MAX, "clock realtime beyond");

    assert_range(monotonic, -up, NULL);
    assert_range(monotonic, -up - 3600 * SECOND, "clock monotonic below 0");
    assert_range(monotonic | realtime, -up - 3600 * SECOND, "clock monotonic below 0");
    assert_range(monotonic, INT64_MAX, "clock monotonic beyond");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default),       cmocka_unit_test(test_parse),
        cmocka_unit_test(test_parse_refuses), cmocka_unit_test(test_parse_long_name),
        cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_format_small),
        cmocka_unit_test(test_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
