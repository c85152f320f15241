/*
 * duration_test.c - durations: what is read, what is refused, and that writing
 * and reading undo each other.
 */
#include "engine/duration.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND DURATION_SECOND_NS
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

struct reading {
    const char *text;
    int64_t nanoseconds;
};

static void assert_reads(const char *text, int64_t expected)
{
    const char *problem = "";
    int64_t read = 0;

    if (!duration_parse(text, &read, &problem))
        fail_msg("'%s' is refused: %s", text, problem);
    if (read != expected)
        fail_msg("'%s' reads as %" PRId64 ", not %" PRId64, text, read, expected);
}

static void test_valid(void **state)
{
    static const struct reading readings[] = {
        {"0", 0},
        {"-0", 0},
        {"+0", 0},
        {"0s", 0},
        {"-0.0h", 0},
        {"1ns", 1},
        {"1us", 1000},
        {"1\u00b5s", 1000},
        {"1\u03bcs", 1000},
        {"250ms", 250000000},
        {"1s", SECOND},
        {"-5m", -5 * MINUTE},
        {"+1h30m", HOUR + 30 * MINUTE},
        {"1d", DAY},
        {"2w3d", 17 * DAY},
        {"1.5h", HOUR + 30 * MINUTE},
        {".5s", SECOND / 2},
        {"5.s", 5 * SECOND},
        {"-10m100ns", -(10 * MINUTE + 100)},
        {"1m1m", 2 * MINUTE},
        {"1ns1h", HOUR + 1},
        {"0.1d", DAY / 10},
        {"0.3s", 300000000},
        {"0.000000001s", 1},
        {"1.0000000000000000000000000000s", SECOND},
        {"000000000000000000000000000001s", SECOND},
        /* 2^-16 of a week is a whole number of nanoseconds, and no finer part is. */
        {"0.0000152587890625w", 7 * DAY / 65536},
        {"9007199.254740993s", INT64_C(9007199254740993)}, /* 2^53 + 1 */
    };

    (void)state;
    for (size_t i = 0; i < sizeof readings / sizeof *readings; i++)
        assert_reads(readings[i].text, readings[i].nanoseconds);
}

static void test_limits(void **state)
{
    (void)state;
    assert_reads("9223372036854775807ns", INT64_MAX);
    assert_reads("-9223372036854775808ns", INT64_MIN);
    assert_reads("2562047h47m16.854775807s", INT64_MAX);
    assert_reads("-2562047h47m16.854775808s", INT64_MIN);
    assert_reads("106751d", 106751 * DAY);
}

static void test_invalid(void **state)
{
    static const struct {
        const char *text;
        const char *problem;
    } refusals[] = {
        {"", "missing"},
        {"-", "missing"},
        {"+", "missing"},
        {"--5m", "missing"},
        {"+-5m", "missing"},
        {".", "missing"},
        {".s", "missing"},
        {"m", "missing"},
        {"abc", "missing"},
        {" 5m", "missing"},
        {"5m ", "missing"},
        {"5m-1s", "missing"},
        {"5m\n", "missing"},
        {"1,5h", "no such unit"},
        {"1", "lacks its unit"},
        {"00", "lacks its unit"},
        {"1h30", "lacks its unit"},
        {"1.5.5s", "lacks its unit"},
        {"5 m", "no such unit"},
        {"5M", "no such unit"},
        {"5y", "no such unit"},
        {"5min", "missing"}, /* 5m, then "in" */
        {"1e3s", "no such unit"},
        {"0x10s", "no such unit"},
        {"\xff", "missing"},
        {"1\xc2", "no such unit"},
        {"0.5ns", "finer"},
        {"1.0000000001s", "finer"},
        {"0.00000762939453125w", "finer"}, /* 2^-17 of a week */
        {"0.333333333333333333h", "finer"},
        {"9223372036854775808ns", "292 years"},
        {"-9223372036854775809ns", "292 years"},
        {"18446744073709551616ns", "292 years"},
        {"18446744073709551616s", "292 years"},
        {"99999999999999999999999999999999999ns", "292 years"},
        {"106752d", "292 years"},
        {"106751d23h47m16.854775808s", "292 years"},
        {"9223372036s1s", "292 years"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const char *problem = NULL;
        int64_t untouched = 4711;

        if (duration_parse(refusals[i].text, &untouched, &problem))
            fail_msg("'%s' is read as %" PRId64, refusals[i].text, untouched);
        assert_int_equal(untouched, 4711);
        assert_non_null(problem);
        if (!strstr(problem, refusals[i].problem))
            fail_msg("'%s' is refused with '%s', not '%s'", refusals[i].text, problem,
                     refusals[i].problem);
    }
}

static void test_format(void **state)
{
    static const struct reading writings[] = {
        {"0s", 0},
        {"1ns", 1},
        {"-1ns", -1},
        {"1.5us", 1500},
        {"250ms", 250000000},
        {"1.000000001s", SECOND + 1},
        {"-5m", -5 * MINUTE},
        {"1h30m", 90 * MINUTE},
        {"1m30s", 90 * SECOND},
        {"-10m100ns", -(10 * MINUTE + 100)},
        {"14d", 14 * DAY},
        {"106751d23h47m16.854775807s", INT64_MAX},
        {"-106751d23h47m16.854775808s", INT64_MIN},
    };

    (void)state;
    for (size_t i = 0; i < sizeof writings / sizeof *writings; i++) {
        char text[DURATION_TEXT_MAX];
        assert_string_equal(duration_format(writings[i].nanoseconds, text), writings[i].text);
    }
}

static void assert_round_trip(int64_t nanoseconds)
{
    char text[DURATION_TEXT_MAX];

    memset(text, '?', sizeof text);
    duration_format(nanoseconds, text);
    assert_non_null(memchr(text, '\0', sizeof text));
    assert_reads(text, nanoseconds);
}

static void test_round_trip(void **state)
{
    uint64_t bits = UINT64_C(0x9e3779b97f4a7c15);

    (void)state;
    for (int i = 0; i < 200000; i++) {
        /* xorshift64, Marsaglia: the same values in every run. */
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        /* Of every magnitude, of either sign, and with trailing decimal zeros. */
        int64_t value = (int64_t)bits >> (i % 64);
        assert_round_trip(value);
        assert_round_trip(value / 1000000 * 1000000);
        assert_round_trip(value / MINUTE * MINUTE);
    }
    for (int64_t near = 0; near < 1000; near++) {
        assert_round_trip(INT64_MAX - near);
        assert_round_trip(INT64_MIN + near);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),      cmocka_unit_test(test_limits),
        cmocka_unit_test(test_invalid),    cmocka_unit_test(test_format),
        cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
