/*
 * curve_test.c - what a picture of a skew is made of: steps at their very instant, nothing that
 * hides between two columns, and axes with round steps.
 */
#include "cli/chart.h"
#include "engine/duration.h"
#include "engine/shape_text.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define SECOND      DURATION_SECOND_NS
#define MILLISECOND (SECOND / 1000)
#define HOUR        (3600 * SECOND)
#define DAY         (24 * HOUR)

static struct skew_course course_of(const char *text)
{
    struct skew_course course = {.end_ns = INT64_MAX};
    const char *problem = "";

    if (!shape_parse(text, &course.shape, &problem))
        fail_msg("'%s' is refused: %s", text, problem);
    return course;
}

static struct curve curve_of(const struct skew_course *course, int64_t span, size_t columns,
                             bool band)
{
    struct curve curve;

    assert_true(curve_make(course, span, columns, &curve));
    assert_int_equal(curve.band, band);
    assert_int_equal(curve.points[0].elapsed, 0);
    for (size_t i = 0; i < curve.count; i++) {
        assert_true(curve.points[i].low <= curve.points[i].high);
        assert_true(i == 0 || curve.points[i].elapsed >= curve.points[i - 1].elapsed);
        assert_true(curve.points[i].elapsed <= span);
    }
    return curve;
}

/* That it goes from one value to the other at that very instant, and nowhere else by so much. */
static void assert_jump(const struct curve *curve, int64_t instant, int64_t from, int64_t to)
{
    size_t jumps = 0;

    for (size_t i = 1; i < curve->count; i++) {
        const struct curve_point *before = &curve->points[i - 1], *point = &curve->points[i];
        if (before->low == from && point->low == to) {
            assert_int_equal(before->elapsed, instant);
            assert_int_equal(point->elapsed, instant);
            jumps++;
        }
    }
    assert_int_equal(jumps, 1);
}

static void steps_are_at_their_instant(void **state)
{
    struct skew_course course = course_of("step=10.000000001s:1s,13s:-3s");
    struct curve curve = curve_of(&course, 20 * SECOND, 97, false);

    (void)state;
    assert_jump(&curve, 10 * SECOND + 1, 0, SECOND);
    assert_jump(&curve, 13 * SECOND, SECOND, -2 * SECOND);
    assert_int_equal(curve.points[curve.count - 1].elapsed, 20 * SECOND);
    curve_free(&curve);
}

static void slow_changes_are_all_there(void **state)
{
    struct skew_course course = course_of("strobe=1s/1s");
    struct curve curve = curve_of(&course, 20 * SECOND, 100, false);
    size_t jumps = 0;

    (void)state;
    for (size_t i = 1; i < curve.count; i++)
        if (curve.points[i].low != curve.points[i - 1].low) {
            assert_int_equal(curve.points[i].elapsed % SECOND, 0);
            assert_int_equal(curve.points[i].elapsed, curve.points[i - 1].elapsed);
            jumps++;
        }
    assert_int_equal(jumps, 20);
    curve_free(&curve);
}

static void it_ends_with_for(void **state)
{
    struct skew_course course = course_of("ramp=10s/10s");
    course.offset_ns = HOUR;
    course.end_ns = 5 * SECOND + 7;
    struct curve curve = curve_of(&course, 20 * SECOND, 100, false);

    (void)state;
    assert_jump(&curve, 5 * SECOND + 7, HOUR + 5 * SECOND + 6, 0);
    for (size_t i = 0; i < curve.count && curve.points[i].elapsed < course.end_ns; i++)
        assert_int_equal(curve.points[i].low - HOUR, curve.points[i].elapsed);
    curve_free(&curve);
}

/* What the curve shows at an instant that is a column's beginning, or an event. */
static int64_t shown_at(const struct curve *curve, int64_t elapsed)
{
    for (size_t i = 0; i < curve->count; i++)
        if (curve->points[i].elapsed == elapsed)
            return curve->points[i].low;
    fail_msg("there is no point at %" PRId64, elapsed);
    return 0;
}

static void a_slew_has_its_corners(void **state)
{
    struct skew_course course = course_of("");
    course.offset_ns = -HOUR;
    course.slew.pace = UINT64_C(1) << 63;
    course.slew.begin_ns[0] = SECOND + 3;
    course.slew.amount_ns[0] = 2 * SECOND;
    struct curve curve = curve_of(&course, 10 * SECOND, 100, false);

    (void)state;
    assert_int_equal(skew_course_span(&course), (5 * SECOND + 3) * 6 / 5);
    assert_int_equal(shown_at(&curve, 0), -HOUR + 2 * SECOND);
    assert_int_equal(shown_at(&curve, SECOND + 3), -HOUR + 2 * SECOND);
    assert_int_equal(shown_at(&curve, 3 * SECOND), -HOUR + SECOND + 1);
    assert_int_equal(shown_at(&curve, 5 * SECOND + 3), -HOUR);
    assert_int_equal(shown_at(&curve, 10 * SECOND), -HOUR);
    curve_free(&curve);
    /* One that has begun before the picture does, and one that gets too far. */
    course.slew.begin_ns[0] = -2 * SECOND;
    curve = curve_of(&course, 10 * SECOND, 100, false);
    assert_int_equal(shown_at(&curve, 0), -HOUR + SECOND);
    assert_int_equal(shown_at(&curve, 2 * SECOND), -HOUR);
    curve_free(&curve);
    assert_true(skew_course_fits(&course, SECOND));
    course.slew.amount_ns[0] = INT64_MIN;
    assert_false(skew_course_fits(&course, SECOND));
    course.slew.amount_ns[0] = INT64_MAX;
    assert_false(skew_course_fits(&course, SECOND));
}

/* Their periods are a column's width, a half or the double of it, so that equal steps would see
   the same phase each time. */
static void no_period_hides(void **state)
{
    static const struct {
        const char *text;
        int64_t low, high; /* what each column gets to, at least */
    } shapes[] = {
        {"strobe=200ms/10ms", 0, 200 * MILLISECOND},
        {"strobe=-200ms/5ms", -200 * MILLISECOND, 0},
        {"strobe=200ms/20us", 0, 200 * MILLISECOND},
        {"strobe=200ms/1us", 0, 200 * MILLISECOND},
        {"sine=250ms/20ms", -240 * MILLISECOND, 240 * MILLISECOND},
        {"sine=250ms/10us", -240 * MILLISECOND, 240 * MILLISECOND},
        {"jitter=5ms/100us,seed=7", -4 * MILLISECOND, 4 * MILLISECOND},
        {"jitter=5ms/1us", -4 * MILLISECOND, 4 * MILLISECOND},
    };

    (void)state;
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        struct skew_course course = course_of(shapes[s].text);
        struct curve curve = curve_of(&course, 2 * SECOND, 100, true);
        int64_t most = course.shape.parts[0].amount < 0 ? -course.shape.parts[0].amount
                                                        : course.shape.parts[0].amount;
        assert_int_equal(curve.count, 100);
        for (size_t i = 0; i < curve.count; i++) {
            if (curve.points[i].low > shapes[s].low || curve.points[i].high < shapes[s].high)
                fail_msg("%s: column %zu has %" PRId64 " to %" PRId64, shapes[s].text, i,
                         curve.points[i].low, curve.points[i].high);
            assert_true(curve.points[i].low >= -most - 2 && curve.points[i].high <= most + 2);
        }
        curve_free(&curve);
    }
}

/* In the noise, a single step is in its column from both sides, and in no other. */
static void a_step_in_a_band(void **state)
{
    struct skew_course course = course_of("jitter=1us/1us step=1.01s:1h");
    struct curve curve = curve_of(&course, 2 * SECOND, 100, true);

    (void)state;
    for (size_t i = 0; i < curve.count; i++) {
        assert_int_equal(curve.points[i].low < HOUR / 2, i <= 50);
        assert_int_equal(curve.points[i].high > HOUR / 2, i >= 50);
    }
    curve_free(&curve);
}

static void spans_and_their_limits(void **state)
{
    static const struct {
        const char *text;
        int64_t span;
    } spans[] = {
        {"", 60 * SECOND},
        {"rate=2", HOUR},
        {"ramp=1s/10m", 900 * SECOND},
        {"smear=1s", DAY * 3 / 2},
        {"rate=2 strobe=1s/10ms", 200 * MILLISECOND},
        {"sine=1s/1m", 600 * SECOND},
        {"jitter=1s/1ms", 100 * MILLISECOND},
        {"step=10s:1s,20s:1s", 24 * SECOND},
        {"step=0:1s", 60 * SECOND},
        {"strobe=1s/20000d", INT64_C(1) << 61},
    };

    (void)state;
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) {
        struct skew_course course = course_of(spans[i].text);
        assert_int_equal(skew_course_span(&course), spans[i].span);
        assert_true(skew_course_fits(&course, spans[i].span));
    }
    struct skew_course course = course_of("rate=900");
    assert_true(skew_course_fits(&course, 50 * DAY));
    assert_false(skew_course_fits(&course, 100 * DAY));
    course = course_of("");
    course.offset_ns = INT64_MAX - 5;
    assert_false(skew_course_fits(&course, SECOND));
    course.end_ns = 10 * SECOND;
    assert_int_equal(skew_course_span(&course), 12 * SECOND);
    /* Fewer nanoseconds than columns. */
    course = course_of("rate=0");
    struct curve curve = curve_of(&course, 3, 1000, false);
    assert_int_equal(curve.points[curve.count - 1].low, -3);
    curve_free(&curve);
}

static void steps_of_axes_are_round(void **state)
{
    static const struct {
        int64_t range;
        int count;
        int64_t step;
    } steps[] = {
        {10, 11, 1},
        {10, 10, 2},
        {SECOND, 5, 500 * MILLISECOND},
        {60 * SECOND, 7, 10 * SECOND},
        {60 * SECOND, 5, 15 * SECOND},
        {HOUR, 7, 600 * SECOND},
        {HOUR, 3, 1800 * SECOND},
        {DAY, 10, 3 * HOUR},
        {DAY, 3, 12 * HOUR},
        {10 * DAY, 6, 2 * DAY},
        {1000 * DAY, 6, 200 * DAY},
    };

    (void)state;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        assert_int_equal(chart_step(steps[i].range, steps[i].count), steps[i].step);
    for (int64_t range = 1; range < INT64_MAX / 3; range += range / 3 + 1)
        for (int count = 1; count < 40; count++)
            assert_true(range / chart_step(range, count) < count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_are_at_their_instant),
        cmocka_unit_test(slow_changes_are_all_there),
        cmocka_unit_test(it_ends_with_for),
        cmocka_unit_test(a_slew_has_its_corners),
        cmocka_unit_test(no_period_hides),
        cmocka_unit_test(a_step_in_a_band),
        cmocka_unit_test(spans_and_their_limits),
        cmocka_unit_test(steps_of_axes_are_round),
    };
    return cmocka_run_group_tests_name("pictures of skews", tests, NULL, NULL);
}
