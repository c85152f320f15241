/*
 * timestamp_test.c - instants: what is read, what is refused, and that the calendar is the C
 * library's.
 */
#include "engine/timestamp.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)

static void assert_reads(const char *text, int64_t expected)
{
    const char *problem = "";
    int64_t read = 0;

    if (!timestamp_parse(text, &read, &problem))
        fail_msg("'%s' is refused: %s", text, problem);
    if (read != expected)
        fail_msg("'%s' reads as %" PRId64 ", not %" PRId64, text, read, expected);
}

/* The numbers are those of date -u -d TEXT +%s%N of GNU coreutils. */
static void test_valid(void **state)
{
    static const struct {
        const char *text;
        int64_t nanoseconds;
    } readings[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01T00:00:00+00:00", 0},
        {"1970-01-01T00:00:00-00:00", 0},
        {"1970-01-01T01:00:00+01:00", 0},
        {"1969-12-31T18:30:00-05:30", 0},
        {"1969-12-31T23:59:59.999999999Z", -1},
        {"2027-02-28T23:59:50Z", 1803859190 * SECOND},
        {"2027-02-28t23:59:50z", 1803859190 * SECOND},
        {"2027-02-28 23:59:50Z", 1803859190 * SECOND},
        {"2027-03-01T00:59:50.25+01:00", 1803859190 * SECOND + SECOND / 4},
        {"2027-02-28T23:59:50.1000000000000Z", 1803859190 * SECOND + SECOND / 10},
        {"2024-02-29T12:00:00Z", 1709208000 * SECOND},
        {"2000-02-29T00:00:00Z", 951782400 * SECOND},
        {"2000-03-01T00:00:00Z", 951868800 * SECOND},
        {"1900-03-01T00:00:00Z", -2203891200 * SECOND},
        {"2016-12-31T23:59:59Z", 1483228799 * SECOND},
        {"2017-01-01T00:00:00Z", 1483228800 * SECOND},
        {"2038-01-19T03:14:07Z", INT32_MAX * SECOND},
        {"2262-04-11T23:47:16.854775807Z", INT64_MAX},
        {"2262-04-12T23:46:16.854775807+23:59", INT64_MAX},
        {"1677-09-21T00:12:43.145224192Z", INT64_MIN},
        {"@0", 0},
        {"@-0", 0},
        {"@1999999999", 1999999999 * SECOND},
        {"@+1999999999.000000001", 1999999999 * SECOND + 1},
        {"@-0.5", -SECOND / 2},
        {"@-1.25", -SECOND - SECOND / 4},
        {"@0000000000000000000000001", SECOND},
        {"@9223372036.854775807", INT64_MAX},
        {"@-9223372036.854775808", INT64_MIN},
    };

    (void)state;
    for (size_t i = 0; i < sizeof readings / sizeof *readings; i++)
        assert_reads(readings[i].text, readings[i].nanoseconds);
}

static void test_invalid(void **state)
{
    static const struct {
        const char *text;
        const char *problem;
    } refusals[] = {
        {"", "form"},
        {"now", "form"},
        {"-5m", "form"},
        {"1999999999", "form"},
        {" 2027-02-28T23:59:50Z", "form"},
        {"2027-02-28T23:59Z", "form"},
        {"2027-2-28T23:59:50Z", "form"},
        {"20270228T235950Z", "form"},
        {"12027-02-28T23:59:50Z", "form"},
        {"-2027-02-28T23:59:50Z", "form"},
        {"2027-02-28_23:59:50Z", "form"},
        {"2027-02-28T+3:59:50Z", "form"},
        {"2027-02-28", "without a time"},
        {"2027-02-28T23:59:50", "lacks its zone"},
        {"2027-02-28T23:59:50.5", "lacks its zone"},
        {"2027-02-28T23:59:50,5Z", "zone"},
        {"2027-02-28T23:59:50 Z", "zone"},
        {"2027-02-28T23:59:50Z ", "zone"},
        {"2027-02-28T23:59:50+1:00", "zone"},
        {"2027-02-28T23:59:50+0100", "zone"},
        {"2027-02-28T23:59:50+01", "zone"},
        {"2027-02-28T23:59:50+01:00Z", "zone"},
        {"2027-02-28T23:59:50CET", "zone"},
        {"2027-02-28T23:59:50+24:00", "a day or more"},
        {"2027-02-28T23:59:50-01:60", "60 minutes"},
        {"2027-00-28T23:59:50Z", "no such month"},
        {"2027-13-28T23:59:50Z", "no such month"},
        {"2027-02-29T23:59:50Z", "no such day"},
        {"2027-04-31T23:59:50Z", "no such day"},
        {"2027-04-00T23:59:50Z", "no such day"},
        {"2100-02-29T00:00:00Z", "no such day"},
        {"2027-02-28T24:00:00Z", "no such time"},
        {"2027-02-28T23:60:00Z", "no such time"},
        {"2027-02-28T23:59:61Z", "no such time"},
        {"2016-12-31T23:59:60Z", "leap second"},
        {"2027-02-28T23:59:50.Z", "behind its point"},
        {"2027-02-28T23:59:50.0000000001Z", "finer"},
        {"2262-04-11T23:47:16.854775808Z", "1677 to 2262"},
        {"2262-04-11T23:47:16.854775807-00:01", "1677 to 2262"},
        {"1677-09-21T00:12:43.145224191Z", "1677 to 2262"},
        {"0000-01-01T00:00:00Z", "1677 to 2262"},
        {"9999-12-31T23:59:59Z", "1677 to 2262"},
        {"@", "behind its @"},
        {"@-", "behind its @"},
        {"@+-1", "behind its @"},
        {"@.5", "behind its @"},
        {"@ 1", "behind its @"},
        {"@1.", "behind its point"},
        {"@1s", "nothing else"},
        {"@1 ", "nothing else"},
        {"@1e9", "nothing else"},
        {"@1.0000000001", "finer"},
        {"@9223372036.854775808", "1677 to 2262"},
        {"@-9223372036.854775809", "1677 to 2262"},
        {"@9223372036854775808", "1677 to 2262"},
        {"@99999999999999999999999999", "1677 to 2262"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const char *problem = NULL;
        int64_t untouched = 4711;

        if (timestamp_parse(refusals[i].text, &untouched, &problem))
            fail_msg("'%s' is read as %" PRId64, refusals[i].text, untouched);
        assert_int_equal(untouched, 4711);
        assert_non_null(problem);
        if (!strstr(problem, refusals[i].problem))
            fail_msg("'%s' is refused with '%s', not '%s'", refusals[i].text, problem,
                     refusals[i].problem);
    }
}

/* Every day that is within range, at a time of its own, as gmtime_r(3) has it. */
static void test_calendar(void **state)
{
    (void)state;
    for (int64_t day = -106751; day <= 106750; day++) {
        time_t seconds = day * 86400 + (day * 7919 % 86400 + 86400) % 86400;
        struct tm utc;
        char text[32];

        assert_non_null(gmtime_r(&seconds, &utc));
        assert_true(strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc) > 0);
        assert_reads(text, seconds * SECOND);
        snprintf(text, sizeof text, "@%" PRId64, (int64_t)seconds);
        assert_reads(text, seconds * SECOND);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_calendar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
