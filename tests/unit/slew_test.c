/*
 * slew_test.c - what is left of a slew, and that no clock steps back where one begins: for any
 * old and new skew, at any pace, for readers on either side of the switch.
 */
#include "engine/slew.h"

#include "engine/deadline.h"
#include "engine/private.h"
#include "engine/shape_text.h"

#include "harness.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECOND       INT64_C(1000000000)
#define SETTLE       (SECOND / 10)
#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct clock_shift same = {.known = true};

/* Numbers that are the same in every run (Marsaglia's xorshift). */
static uint64_t random_state = UINT64_C(88172645463325252);
static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static int64_t random_within(int64_t least, int64_t most)
{
    return least + (int64_t)(random_next() % (uint64_t)(most - least + 1));
}

static uint64_t pace_of(const char *text)
{
    uint64_t pace = 0;
    const char *problem = NULL;
    if (!shape_pace_parse(text, &pace, &problem))
        fail_msg("'%s' is refused: %s", text, problem);
    return pace;
}

/* A skew whose shape began so long before now. */
static struct image_skew skew_of(int64_t offset, const char *text, int64_t ago)
{
    struct image_skew skew =
        image_skew_from(SKEW_CLOCK_BIT(CLOCK_REALTIME) | SKEW_CLOCK_BIT(CLOCK_MONOTONIC) |
                            SKEW_CLOCK_BIT(CLOCK_TAI),
                        offset, NULL);
    const char *problem;
    if (!shape_parse(text, &skew.shape, &problem))
        fail_msg("'%s' is refused: %s", text, problem);
    if (skew.shape.count != 0)
        clock_readings_at(realtime_now() - ago, same, 0, skew.beginning_ns);
    return skew;
}

static void a_pace_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t pace;
    } paces[] = {{"1ppm", UINT64_C(18446744073710)},
                 {"0.000001", UINT64_C(18446744073710)},
                 {"1000ppb", UINT64_C(18446744073710)},
                 {"500ppm", UINT64_C(9223372036854776)},
                 {"50%", UINT64_C(1) << 63},
                 {"0.5", UINT64_C(1) << 63},
                 {".25", UINT64_C(1) << 62}};
    static const char *const wrong[] = {"",           "0",   "1",      "2",   "100%",
                                        "-500ppm",    "+5%", "0.9ppm", "ppm", "0.5x",
                                        "1000000ppm", "1.5", "999ppb", "5 %", "0.0000009"};
    for (size_t i = 0; i < COUNT(paces); i++)
        if (pace_of(paces[i].text) != paces[i].pace)
            fail_msg("'%s' is read as %llu", paces[i].text,
                     (unsigned long long)pace_of(paces[i].text));
    assert_true(pace_of("99.9999%") > UINT64_MAX / 1000000 * 999998);
    for (size_t i = 0; i < COUNT(wrong); i++) {
        uint64_t pace = 4711;
        const char *problem = NULL;
        if (shape_pace_parse(wrong[i], &pace, &problem))
            fail_msg("'%s' is read", wrong[i]);
        assert_int_equal(pace, 4711);
        assert_non_null(problem);
    }
}

static void what_is_left_shrinks_to_nothing(void **state)
{
    (void)state;
    struct image_slew slew = {
        .pace = pace_of("0.5"), .begin_ns = {1000, 1000}, .amount_ns = {101, -101}};
    const __int128 one = (__int128)1 << 64;
    for (clockid_t clock = 0; clock < 2; clock++) {
        int sign = clock == 0 ? 1 : -1;
        assert_true(slew_rest(&slew, clock, INT64_MIN) == sign * 101 * one);
        assert_true(slew_rest(&slew, clock, 1000) == sign * 101 * one);
        assert_true(slew_rest(&slew, clock, 1001) == sign * (101 * one - one / 2));
        assert_true(slew_rest(&slew, clock, 1201) == sign * one / 2);
        assert_true(slew_rest(&slew, clock, 1202) == 0);
        assert_true(slew_rest(&slew, clock, INT64_MAX) == 0);
    }
    slew.amount_ns[0] = INT64_MAX;
    assert_true(slew_rest(&slew, 0, 0) == INT64_MAX * one);
}

/* What is shown of a clock. */
static __int128 shows(const struct image_skew *skew, clockid_t clock, int64_t reading)
{
    return (__int128)reading + skew_difference(skew, clock, reading);
}

static int64_t reading_of(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * SECOND + now.tv_nsec;
}

/*
 * Readers that saw the old skew up to the switch, and readers that see the new one, with true
 * readings from before it on. `jump` is the most that the clock may get ahead by.
 */
static void switch_check(const struct image_skew *before, const struct image_skew *after,
                         int64_t jump, const char *what)
{
    static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_TAI};
    for (size_t c = 0; c < COUNT(clocks); c++) {
        clockid_t clock = clocks[c];
        int64_t planned =
            after->slew.pace != 0 ? after->slew.begin_ns[clock] - SECOND : reading_of(clock);
        int64_t switched = planned + random_within(0, SETTLE - 1);
        for (int n = 0; n < 300; n++) {
            int64_t last = random_within(planned - SETTLE + 1, switched);
            int64_t first =
                n % 3 == 0 ? last
                : n % 3 == 1
                    ? random_within(last, switched)
                    : last + (int64_t)(random_next() >> 1 >> random_next() % 63) % (4000 * SECOND);
            if (shows(after, clock, first) < shows(before, clock, last))
                fail_msg("%s: clock %d steps back by %lld ns, %lld ns after the plan", what, clock,
                         (long long)(shows(before, clock, last) - shows(after, clock, first)),
                         (long long)(first - planned));
            /* And from then on. */
            int64_t later = first + random_within(0, 40);
            if (first >= planned && shows(after, clock, later) < shows(after, clock, first))
                fail_msg("%s: clock %d goes back %lld ns after the plan", what, clock,
                         (long long)(first - planned));
        }
        __int128 ahead = shows(after, clock, switched) - shows(before, clock, switched);
        if (ahead < 0 || ahead > jump)
            fail_msg("%s: clock %d jumps by %lld ns", what, clock, (long long)ahead);
    }
}

static const struct {
    const char *shape;
    int64_t ago;   /* since it began */
    double excess; /* most that it gains or loses */
} steady[] = {
    {"", 0, 0},
    {"rate=1.0002", 100 * SECOND, 0.0002},
    {"rate=3", 5 * SECOND, 2},
    {"rate=0", 5 * SECOND, 1},
    {"rate=0.9 ramp=-50ms/1s", SECOND / 2, 0.2},
    {"ramp=-500ms/10m", 0, 0.001},
    {"ramp=100ms/1s", SECOND + 50000000, 0.1},
    {"smear=1s/100s", 99950000000, 0.01},
    {"sine=250ms/1m", 15 * SECOND, 0.03},
    {"rate=2 sine=-10ms/1s", 700000000, 1.07},
};
static const char *const paces[] = {"1ppm", "500ppm", "0.05", "50%", "0.999"};

static void no_clock_steps_back(void **state)
{
    (void)state;
    for (int round = 0; round < 3000; round++) {
        size_t o = random_next() % COUNT(steady), n = random_next() % COUNT(steady);
        uint64_t pace = pace_of(paces[random_next() % COUNT(paces)]);
        struct image_skew before =
            skew_of(random_within(-SECOND, SECOND) * (1 << random_next() % 20), steady[o].shape,
                    steady[o].ago);
        struct image_skew after =
            skew_of(random_within(-SECOND, SECOND) * (1 << random_next() % 20), steady[n].shape,
                    round % 2 ? 0 : steady[n].ago);
        const struct skew_request request = {.slew_pace = pace};
        struct skew_error error = {0};
        /* In the midst of another slew, around its beginning or its end. */
        if (round % 3 == 0 && o == 0) {
            int64_t now[IMAGE_CLOCK_COUNT];
            before.slew.pace = pace_of("0.3");
            clock_readings_at(realtime_now(), same, 0, now);
            for (int clock = 0; clock < IMAGE_CLOCK_COUNT; clock++) {
                before.slew.begin_ns[clock] = now[clock] - random_within(-SETTLE, SETTLE);
                before.slew.amount_ns[clock] = random_within(-30, 30) * 1000000;
            }
        }
        if (slew_check(&before, &request, same, &after, &error) != SKEW_OK) {
            /* The pace was too much for that shape; another one may do. */
            assert_true(n != 0);
            continue;
        }
        double most = (steady[o].excess + steady[n].excess + 0.3) * (double)SETTLE * 2 + 1e6;
        bool plain = o == 0 && n == 0 && before.slew.pace == 0;
        switch_check(&before, &after, plain ? 0 : (int64_t)most,
                     harness_format("'%s' to '%s'", steady[o].shape, steady[n].shape));
    }
}

/* Nanosecond by nanosecond: what is rounded by itself and then added up would. */
static void no_wave_goes_back_while_it_is_slewed_to(void **state)
{
    (void)state;
    static const struct {
        const char *shape, *pace;
    } waves[] = {{"sine=250ms/1m", "0.9"},
                 {"sine=250ms/1m rate=0.5", "0.47"},
                 {"sine=-159ms/1s", "500ppm"},
                 {"sine=4h/7919d", "0.99"},
                 {"rate=2 sine=-10ms/1s", "0.999"}};
    for (size_t i = 0; i < COUNT(waves); i++) {
        struct image_skew skew = skew_of(0, waves[i].shape, 0);
        int64_t begin = skew.beginning_ns[CLOCK_REALTIME];
        assert_false(shape_goes_back_held(&skew.shape, pace_of(waves[i].pace)));
        skew.slew = (struct image_slew){.pace = pace_of(waves[i].pace)};
        skew.slew.begin_ns[CLOCK_REALTIME] = begin;
        skew.slew.amount_ns[CLOCK_REALTIME] = 7000 * SECOND;
        for (int n = 0; n < 200; n++) {
            int64_t reading = begin + random_within(0, 1000 * SECOND);
            for (int64_t last = reading + 500; reading < last; reading++)
                if (shows(&skew, CLOCK_REALTIME, reading + 1) <
                    shows(&skew, CLOCK_REALTIME, reading))
                    fail_msg("'%s' goes back %lld ns after its beginning", waves[i].shape,
                             (long long)(reading - begin));
        }
    }
}

static void each_clock_has_its_own_slew(void **state)
{
    (void)state;
    struct image_skew before = image_skew_from(SKEW_CLOCK_BIT(CLOCK_REALTIME), 5 * SECOND, NULL);
    struct image_skew after = image_skew_from(
        SKEW_CLOCK_BIT(CLOCK_REALTIME) | SKEW_CLOCK_BIT(CLOCK_MONOTONIC), 3 * SECOND, NULL);
    assert_true(slew_plan(&before, pace_of("0.1"), same, realtime_now(), &after));
    assert_true(after.slew.amount_ns[CLOCK_REALTIME] == 2 * SECOND);
    assert_true(after.slew.amount_ns[CLOCK_MONOTONIC] == -3 * SECOND);
    struct skew_report report = {0};
    slew_report(&after, same, &report);
    assert_in_range(report.slew_left_ns, 30 * SECOND, 32 * SECOND);
    assert_true(report.slew_rest_ns == -3 * SECOND);
    /* Where nothing differs there is none, and reads are as fast as ever. */
    assert_true(slew_plan(&after, pace_of("0.1"), same, realtime_now(), &after));
    before = image_skew_from(3, 7, NULL);
    after = before;
    assert_true(slew_plan(&before, pace_of("0.1"), same, realtime_now(), &after));
    assert_int_equal(after.slew.pace, 0);
}

static void what_cannot_be_slewed_is_refused(void **state)
{
    (void)state;
    struct skew_request request = {.slew_pace = pace_of("0.2")};
    struct skew_error error = {0};
    struct image_skew before = skew_of(SECOND, "", 0), after = skew_of(0, "rate=0.1", 0);
    assert_int_equal(slew_check(&before, &request, same, &after, &error), SKEW_REFUSED);
    assert_non_null(strstr(error.message, "pace"));
    request.force = true;
    assert_int_equal(slew_check(&before, &request, same, &after, &error), SKEW_OK);
    request.force = false;
    after = skew_of(0, "rate=0.2", 0);
    request.slew_pace = pace_of("0.19");
    assert_int_equal(slew_check(&before, &request, same, &after, &error), SKEW_OK);

    after = image_skew_from(SKEW_CLOCK_BIT(CLOCK_REALTIME), 0, NULL);
    assert_int_equal(slew_check(&before, &request, same, &after, &error), SKEW_REFUSED);
    assert_non_null(strstr(error.message, "clock monotonic"));
    before = image_skew_from(before.clocks, 0, NULL);
    assert_int_equal(slew_check(&before, &request, same, &after, &error), SKEW_OK);

    before = image_skew_from(1, INT64_MAX, NULL);
    after = image_skew_from(1, -2, NULL);
    assert_int_equal(slew_check(&before, &request, same, &after, &error), SKEW_REFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(a_pace_is_read),
        harness_test(what_is_left_shrinks_to_nothing),
        harness_test(no_clock_steps_back),
        harness_test(no_wave_goes_back_while_it_is_slewed_to),
        harness_test(each_clock_has_its_own_slew),
        harness_test(what_cannot_be_slewed_is_refused),
    };
    return cmocka_run_group_tests_name("slews", tests, NULL, NULL);
}
