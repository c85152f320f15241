/*
 * shape_test.c - shapes against arithmetic of their own: fractions where the engine has
 * fixed point, the C library's sine where it has a polynomial; and what is foretold of
 * them against what they do.
 */
#include "engine/shape_text.h"

#include "harness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SECOND       INT64_C(1000000000)
#define MINUTE       (60 * SECOND)
#define DAY          (86400 * SECOND)
#define YEAR         (INT64_C(31556952) * SECOND)
#define COUNT(array) (sizeof(array) / sizeof *(array))

typedef __int128 wide;

static struct shape shape_of(const char *text)
{
    struct shape shape;
    const char *problem = "";
    if (!shape_parse(text, &shape, &problem))
        fail_msg("'%s' is refused: %s", text, problem);
    return shape;
}

static uint64_t random_state = UINT64_C(88172645463325252);
static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* Up to 200 years before and behind, of any order of magnitude. */
static int64_t random_time(void)
{
    int64_t time = (int64_t)(random_next() >> 1 >> random_next() % 63) % (200 * YEAR);
    return random_next() & 1 ? time : -time;
}

/* Rounded down. */
static wide quotient(wide dividend, wide divisor)
{
    wide whole = dividend / divisor;
    return whole - (dividend % divisor < 0);
}

static void assert_difference(const char *text, int64_t elapsed, wide low, wide high)
{
    const struct shape shape = shape_of(text);
    int64_t seen = shape_difference(&shape, elapsed);
    if (seen < low || seen > high)
        fail_msg("%s adds %lld at %lld: %lld below or %lld above", text, (long long)seen,
                 (long long)elapsed, (long long)(low - seen), (long long)(seen - high));
}

/* Excess over 1, as a fraction that 64 bits hold. */
static const struct rate {
    const char *text;
    int64_t numerator, denominator;
} rates[] = {
    {"rate=+200ppm", 2, 10000},
    {"rate=1.0002", 2, 10000},
    {"rate=-200ppm", -2, 10000},
    {"rate=0.9998", -2, 10000},
    {"rate=0", -1, 1},
    {"rate=-100%", -1, 1},
    {"rate=1", 0, 1},
    {"rate=+0ppm", 0, 1},
    {"rate=1.9", 9, 10},
    {"rate=0.5", -1, 2},
    {"rate=30ppb", 3, 100000000},
    {"rate=-0.5%", -5, 1000},
    {"rate=0.333333333", -666666667, 1000000000},
    {"rate=1.000000000000000001", 1, INT64_C(1000000000000000000)},
};

static void a_rate_is_right_over_200_years(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rates); i++)
        for (int n = 0; n < 20000; n++) {
            const struct rate *rate = &rates[i];
            int64_t elapsed = n == 0 ? 200 * YEAR : n == 1 ? -200 * YEAR : random_time();
            wide exact = quotient((wide)elapsed * rate->numerator, rate->denominator);
            /* Of a fraction that 2^-64 does not divide, a last nanosecond may not be reached. */
            bool whole = rate->denominator <= 2;
            assert_difference(rate->text, elapsed, exact - !whole, exact + !whole);
        }
}

static void a_fast_rate_is_exact_too(void **state)
{
    (void)state;
    for (int n = 0; n < 1000; n++) {
        int64_t elapsed = random_time() / 1000;
        assert_difference("rate=999", elapsed, (wide)elapsed * 998, (wide)elapsed * 998);
    }
}

static void a_ramp_slides_and_stays(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t amount, span;
    } ramps[] = {
        {"ramp=-500ms/10m", -SECOND / 2, 10 * MINUTE},
        {"ramp=500ms/10m", SECOND / 2, 10 * MINUTE},
        {"ramp=1h/1s", 3600 * SECOND, SECOND},
        {"ramp=-1ns/73d", -1, 73 * DAY},
        {"ramp=7ns/3ns", 7, 3},
        {"ramp=-7ns/3ns", -7, 3},
        {"ramp=36500d/26000d", 36500 * DAY, 26000 * DAY},
        {"ramp=-36500d/26687d", -36500 * DAY, 26687 * DAY},
        {"smear=1s", -SECOND, DAY},
        {"smear=-1s/20h", SECOND, DAY / 6 * 5},
        {"ramp=0/1s", 0, SECOND},
    };
    for (size_t i = 0; i < COUNT(ramps); i++) {
        int64_t amount = ramps[i].amount, span = ramps[i].span;
        assert_difference(ramps[i].text, -1, 0, 0);
        assert_difference(ramps[i].text, -200 * YEAR, 0, 0);
        assert_difference(ramps[i].text, 0, 0, 0);
        assert_difference(ramps[i].text, span, amount, amount);
        assert_difference(ramps[i].text, span + 1, amount, amount);
        assert_difference(ramps[i].text, 200 * YEAR, amount, amount);
        for (int n = 0; n < 5000; n++) {
            int64_t elapsed = llabs(random_time()) % span;
            wide exact = quotient((wide)amount * elapsed, span);
            /* Only where a slope that ends in 2^-64 cannot tell them apart may the next be seen. */
            assert_difference(ramps[i].text, elapsed, exact, exact + (elapsed > INT64_C(1) << 40));
        }
    }
}

static void a_strobe_changes_at_its_nanosecond(void **state)
{
    (void)state;
    static const int64_t halves[] = {1000, 1001, SECOND / 100, 3 * SECOND + 1, INT64_C(1) << 61};
    for (size_t i = 0; i < COUNT(halves); i++) {
        const char *text = harness_format("strobe=-200ms/%lldns", (long long)halves[i]);
        assert_difference(text, -1, 0, 0);
        for (int n = 0; n < 5000; n++) {
            int64_t elapsed = llabs(random_time());
            if (n % 2)
                elapsed = elapsed / halves[i] * halves[i] - n % 3 + 1;
            wide exact = elapsed >= 0 && elapsed / halves[i] % 2 == 0 ? -SECOND / 5 : 0;
            assert_difference(text, elapsed, exact, exact);
        }
    }
}

static void a_sine_is_one(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t amplitude, period;
    } waves[] = {{"sine=250ms/60s", SECOND / 4, 60 * SECOND},
                 {"sine=-250ms/60s", -SECOND / 4, 60 * SECOND},
                 {"sine=1ns/1us", 1, 1000},
                 {"sine=4h/7919d", 4 * 3600 * SECOND, 7919 * DAY},
                 {"sine=4h53m/1s", (4 * 60 + 53) * MINUTE, SECOND}};
    for (size_t i = 0; i < COUNT(waves); i++) {
        long double allowed = 7e-9L * (long double)llabs(waves[i].amplitude) + 1;
        assert_difference(waves[i].text, -1, 0, 0);
        for (int n = 0; n < 20000; n++) {
            int64_t elapsed = llabs(random_time());
            if (n % 4 == 0)
                elapsed = waves[i].period / 4 * (n / 4 % 9);
            long double exact = (long double)waves[i].amplitude *
                                sinl(2 * acosl(-1) * (long double)(elapsed % waves[i].period) /
                                     (long double)waves[i].period);
            assert_difference(waves[i].text, elapsed, (wide)floorl(exact - allowed),
                              (wide)ceill(exact + allowed));
        }
    }
}

#define DRAWS 100000
static void jitter_is_noise(void **state)
{
    (void)state;
    static const char *const texts[] = {"jitter=1us/1us,seed=7", "jitter=1us/1us,seed=8",
                                        "jitter=1us/1ms", "jitter=1us/1h,seed=7"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        const struct shape shape = shape_of(texts[i]), same = shape_of(texts[i]);
        int64_t span = shape.parts[0].span, before = 0;
        unsigned seen[20] = {0};
        double sum = 0, squares = 0, neighbours = 0;
        assert_int_equal(shape_difference(&shape, -1), 0);
        for (int64_t n = 0; n < DRAWS; n++) {
            int64_t value = shape_difference(&shape, n * span);
            assert_in_range(value + 1000, 0, 2000);
            assert_int_equal(value, shape_difference(&same, n * span + span - 1));
            sum += (double)value;
            squares += (double)(value * value);
            neighbours += (double)(value * before);
            before = value;
            seen[(value + 1000) * 20 / 2001]++;
        }
        /* Of a uniform distribution these are off by more than 5 deviations once in 10^6. */
        double variance = 1000.0 * 1001 / 3;
        assert_true(fabs(sum / DRAWS) < 5 * sqrt(variance / DRAWS));
        assert_true(fabs(squares / DRAWS / variance - 1) < 5 * sqrt(0.8 / DRAWS));
        assert_true(fabs(neighbours / DRAWS / variance) < 5 / sqrt(DRAWS));
        for (size_t s = 0; s < COUNT(seen); s++)
            assert_true(fabs(seen[s] - DRAWS / 20.0) < 5 * sqrt(DRAWS / 20.0));
    }
    const struct shape one = shape_of(texts[0]), other = shape_of(texts[1]);
    unsigned equal = 0;
    for (int64_t n = 0; n < 2001; n++)
        equal += shape_difference(&one, n * 1000) == shape_difference(&other, n * 1000);
    assert_in_range(equal, 0, 20);
}

static void steps_add_up(void **state)
{
    (void)state;
    const char *text = "step=30s:250ms,1m:-1s,30s:1ns";
    static const struct {
        int64_t elapsed, shown;
    } places[] = {{-1, 0},
                  {0, 0},
                  {30 * SECOND - 1, 0},
                  {30 * SECOND, SECOND / 4 + 1},
                  {MINUTE - 1, SECOND / 4 + 1},
                  {MINUTE, SECOND / 4 + 1 - SECOND},
                  {200 * YEAR, SECOND / 4 + 1 - SECOND}};
    for (size_t i = 0; i < COUNT(places); i++)
        assert_difference(text, places[i].elapsed, places[i].shown, places[i].shown);
    assert_difference("step=0:5s", 0, 5 * SECOND, 5 * SECOND);
}

/* Linear parts and waves are rounded together. */
static void parts_add_up(void **state)
{
    (void)state;
    const struct shape all = shape_of("rate=1.0002 ramp=-500ms/10m smear=1s strobe=200ms/10ms "
                                      "sine=250ms/60s jitter=5ms,seed=7 step=30s:250ms");
    const struct shape rest = shape_of("strobe=200ms/10ms sine=250ms/60s jitter=5ms,seed=7 "
                                       "step=30s:250ms");
    for (int n = 0; n < 20000; n++) {
        int64_t elapsed = random_time();
        wide slid = elapsed < 0 ? 0 : elapsed < 10 * MINUTE ? elapsed : 10 * MINUTE;
        wide smeared = elapsed < 0 ? 0 : elapsed < DAY ? elapsed : DAY;
        /* Of 2 / 10^4, -1 / 1200 and -1 / 86400 the common denominator is 2160000. */
        wide exact = quotient((wide)elapsed * 432 - slid * 1800 - smeared * 25, 2160000);
        int64_t others = shape_difference(&rest, elapsed);
        int64_t seen = shape_difference(&all, elapsed) - others;
        assert_in_range(seen - (int64_t)exact + 1, 0, 2);
    }
}

static const struct {
    const char *text;
    bool back;
} courses[] = {
    {"", false},
    {"rate=0", false},
    {"rate=0.0001", false},
    {"rate=1000ppm", false},
    {"ramp=1s/1ns", false},
    {"ramp=-1s/1s", false},
    {"ramp=-1001ms/1s", true},
    {"ramp=-1001ms/1s rate=2", false},
    {"ramp=-1s/1s rate=0.99", true},
    {"smear=1s", false},
    {"smear=-1s", false},
    {"smear=1s/1s", false},
    {"smear=1001ms/1s", true},
    {"smear=1s/1500ms ramp=-1s/1500ms", true},
    {"strobe=1ms/10ms", true},
    {"strobe=-1ms/10ms", true},
    {"strobe=0/1ms", false},
    {"sine=250ms/60s", false},
    {"sine=159ms/1s", false},
    {"sine=160ms/1s", true},
    {"sine=-160ms/1s", true},
    {"sine=160ms/1s rate=1.1", false},
    {"sine=100ms/1s rate=0.5", true},
    {"sine=1ms/1s rate=0", true},
    {"jitter=5ms", true},
    {"jitter=0", false},
    {"step=1s:1s", false},
    {"step=1s:-1ms", true},
    {"step=1s:1s,2s:-1ms", true},
};

/* Looks for the most that it falls back within some seconds, in steps of 50 us. */
static bool seen_to_go_back(const struct shape *shape)
{
    int64_t highest = INT64_MIN;
    for (int64_t at = -SECOND; at < 4 * SECOND; at += 50000) {
        int64_t now = at + shape_difference(shape, at);
        if (now < highest)
            return true;
        highest = now;
    }
    return false;
}

static void going_back_is_foretold(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(courses); i++) {
        const struct shape shape = shape_of(courses[i].text);
        if (shape_goes_back(&shape) != courses[i].back)
            fail_msg("'%s' is said to go %s", courses[i].text, courses[i].back ? "on" : "back");
        if (seen_to_go_back(&shape) != courses[i].back)
            fail_msg("'%s' goes %s", courses[i].text, courses[i].back ? "on" : "back");
    }
}

static void what_does_not_go_back_never_does(void **state)
{
    (void)state;
    static const char *const texts[] = {"ramp=-999999999ns/1s",
                                        "rate=0.333333334 smear=1s/3s step=1s:1ns",
                                        "sine=-159ms/1s step=500ms:1s", "ramp=-1s/1s smear=-1s/3s"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        const struct shape shape = shape_of(texts[i]);
        if (shape_goes_back(&shape))
            fail_msg("%s is said to go back", texts[i]);
        for (int n = 0; n < 200000; n++) {
            int64_t at = (int64_t)(random_next() % (5 * SECOND)) - SECOND;
            int64_t later = at + 1 + (int64_t)(random_next() >> random_next() % 60) % 1000;
            later = later <= at ? at + 1 : later;
            assert_true(later + shape_difference(&shape, later) >=
                        at + shape_difference(&shape, at));
        }
    }
}

static void the_extent_holds(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "rate=2",
                                        "rate=0",
                                        "rate=0.5 ramp=-1h/10m step=1h:2h,2h:-3h",
                                        "smear=1s",
                                        "strobe=-1m/1s",
                                        "sine=1m/1h",
                                        "jitter=1m/1s rate=1.1",
                                        "ramp=-1d/1h rate=3"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        const struct shape shape = shape_of(texts[i]);
        const int64_t from = i % 2 ? -SECOND : 0, span = 3 * 3600 * SECOND;
        struct shape_extent extent = shape_extent(&shape, from, span);
        wide low = from + shape_difference(&shape, from), high = low;
        for (int n = 0; n < 100000; n++) {
            int64_t at = n == 0 ? span : from + (int64_t)(random_next() % (uint64_t)(span - from));
            wide now = (wide)at + shape_difference(&shape, at);
            low = now < low ? now : low;
            high = now > high ? now : high;
        }
        assert_true(extent.lowest <= low && extent.highest >= high);
        /* And it is not much wider than what is seen. */
        assert_true(low - extent.lowest <= 2 * MINUTE && extent.highest - high <= 2 * MINUTE);
    }
}

static void texts_are_read_and_written(void **state)
{
    (void)state;
    static const struct {
        const char *text, *written;
    } texts[] = {
        {"", ""},
        {"rate=1.0002", "rate=1.0002"},
        {"rate=+200ppm", "rate=1.0002"},
        {"rate=-200ppm", "rate=0.9998"},
        {"rate=.5", "rate=0.5"},
        {"rate=2.000000000000000000000", "rate=2"},
        {"rate=0.100000000000000001", "rate=0.100000000000000001"},
        {"rate=999.999999999999999999", "rate=999.999999999999999999"},
        {"rate=100%", "rate=2"},
        {"rate=99800%", "rate=999"},
        {"rate=1ppb", "rate=1.000000001"},
        {"ramp=-500ms/10m", "ramp=-500ms/10m"},
        {"smear=1s", "smear=1s/1d"},
        {"strobe=0.2s/10000us", "strobe=200ms/10ms"},
        {"sine=250ms/60s", "sine=250ms/1m"},
        {"jitter=5ms", "jitter=5ms/1ms,seed=0"},
        {"jitter=5ms,seed=7", "jitter=5ms/1ms,seed=7"},
        {"jitter=5ms/2us,seed=18446744073709551615", "jitter=5ms/2us,seed=18446744073709551615"},
        {"step=60s:-250ms,30s:+250ms", "step=30s:250ms,1m:-250ms"},
        {"step=1s:1s rate=2 step=1s:2s", "rate=2 step=1s:1s,1s:2s"},
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        char text[SHAPE_TEXT_MAX];
        const struct shape shape = shape_of(texts[i].text);
        assert_true(shape_valid(&shape));
        assert_string_equal(shape_format(&shape, text), texts[i].written);
        const struct shape again = shape_of(text);
        assert_true(shape_equal(&shape, &again));
    }
}

static void what_is_no_shape_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *problem;
    } texts[] = {
        {" ", "no such part"},
        {"rate", "no such part"},
        {"=1", "no such part"},
        {"rates=1", "no such part"},
        {"rate=1 ", "no such part"},
        {"rate=1  ramp=1s/1s", "no such part"},
        {"rate=", "missing"},
        {"rate=.", "missing"},
        {"rate=-1", "with a sign"},
        {"rate=+200", "with a sign"},
        {"rate=+0", "with a sign"},
        {"rate=-101%", "from 0"},
        {"rate=1000", "from 0"},
        {"rate=99900%", "from 0"},
        {"rate=99999999999999999999999999999", "from 0"},
        {"rate=1.0000000000000000001", "18 decimals"},
        {"rate=0.0000000001ppb", "18 decimals"},
        {"rate=1.0002x", "ppm"},
        {"rate=1e3", "ppm"},
        {"rate=1.2.3", "ppm"},
        {"rate=1 rate=1", "already"},
        {"ramp=1s", "lacks"},
        {"ramp=1s/0", "too short"},
        {"ramp=1s/-1s", "too short"},
        {"ramp=1s/1s,seed=7", "missing"},
        {"ramp=/1s", "missing"},
        {"ramp=53376d/1s", "too large"},
        {"ramp=1s/26689d", "too long"},
        {"strobe=1s/999ns", "too short"},
        {"sine=5h/1m", "too large"},
        {"jitter=-1ms", "no sign"},
        {"jitter=1ms,seed=", "seed"},
        {"jitter=1ms,7", "seed"},
        {"jitter=1ms,seed=18446744073709551616", "2^64"},
        {"jitter=1ms,seed=-1", "2^64"},
        {"step=", "missing"},
        {"step=1s", "lacks"},
        {"step=1s:1s,", "missing"},
        {"step=-1s:1s", "too short"},
        {"step=1s:1s,1s:1s,1s:1s,1s:1s,1s:1s,1s:1s,1s:1s,1s:1s", "more steps"},
        {"ramp=10000000000000000000000000000000000000000000000000000000000000ns/1s", "too long"},
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct shape shape = {.count = 4711};
        const char *problem = NULL;
        if (shape_parse(texts[i].text, &shape, &problem))
            fail_msg("'%s' is read", texts[i].text);
        assert_int_equal(shape.count, 4711);
        if (!strstr(problem, texts[i].problem))
            fail_msg("'%s' is refused with '%s'", texts[i].text, problem);
    }
}

static void what_nobody_made_is_not_valid(void **state)
{
    (void)state;
    const struct shape good = shape_of("rate=2 ramp=1s/1s");
    struct shape bad = good;
    assert_true(shape_valid(&bad));
    bad.count = SHAPE_PARTS_MAX + 1;
    assert_false(shape_valid(&bad));
    bad = good;
    bad.parts[0] = good.parts[1];
    bad.parts[1] = good.parts[0];
    assert_false(shape_valid(&bad));
    bad = good;
    bad.parts[1].kind = SHAPE_KIND_COUNT;
    assert_false(shape_valid(&bad));
    bad = good;
    bad.parts[1].detail = 1;
    assert_false(shape_valid(&bad));
    bad = good;
    bad.parts[1].amount = INT64_MIN;
    assert_false(shape_valid(&bad));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(a_rate_is_right_over_200_years),
        harness_test(a_fast_rate_is_exact_too),
        harness_test(a_ramp_slides_and_stays),
        harness_test(a_strobe_changes_at_its_nanosecond),
        harness_test(a_sine_is_one),
        harness_test(jitter_is_noise),
        harness_test(steps_add_up),
        harness_test(parts_add_up),
        harness_test(going_back_is_foretold),
        harness_test(what_does_not_go_back_never_does),
        harness_test(the_extent_holds),
        harness_test(texts_are_read_and_written),
        harness_test(what_is_no_shape_is_refused),
        harness_test(what_nobody_made_is_not_valid),
    };
    return cmocka_run_group_tests_name("shapes", tests, NULL, NULL);
}
