/*
 * curve.c - sampling a skew; see curve.h.
 */
#include "cli/curve.h"

#include <stdlib.h>
#include <time.h>

#include "engine/duration.h"

/* A line, as long as each of its changes has that many columns on average. */
#define COLUMNS_PER_CHANGE 4
#define COLUMNS_PER_WAVE   16
#define SAMPLES_PER_COLUMN 128
#define EVENTS_PER_COLUMN  32

#define SPAN_MAX       (INT64_C(1) << 61)
#define SPAN_CONSTANT  (60 * DURATION_SECOND_NS)
#define SPAN_RATE      (3600 * DURATION_SECOND_NS)
#define DIFFERENCE_MAX (INT64_C(1) << 62)
#define SINGLE_EVENTS  (SHAPE_PARTS_MAX + 3)

int64_t skew_course_difference(const struct skew_course *course, int64_t elapsed)
{
    if (elapsed >= course->end_ns) {
        return 0;
    }
    __int128 slewing =
        course->slew.pace != 0 ? slew_rest(&course->slew, CLOCK_REALTIME, elapsed) : 0;
    return course->offset_ns + shape_difference_plus(&course->shape, elapsed, slewing);
}

static __int128 part_span(const struct shape_part *part)
{
    __int128 span = part->span;
    switch ((enum shape_kind)part->kind) {
    case SHAPE_RAMP:
    case SHAPE_SMEAR:
        return span * 3 / 2;
    case SHAPE_STROBE:
        return span * 20;
    case SHAPE_SINE:
        return span * 10;
    case SHAPE_JITTER:
        return span * 100;
    case SHAPE_STEP:
        return span * 6 / 5;
    case SHAPE_RATE:
    case SHAPE_KIND_COUNT:
        break;
    }
    return 0;
}

int64_t skew_course_span(const struct skew_course *course)
{
    __int128 longest = course->end_ns == INT64_MAX ? 0 : (__int128)course->end_ns * 6 / 5;
    bool rate = false;
    if (course->slew.pace != 0) {
        __int128 slew = (__int128)slew_end(&course->slew, CLOCK_REALTIME) * 6 / 5;
        longest = slew > longest ? slew : longest;
    }
    for (size_t i = 0; i < course->shape.count; i++) {
        __int128 span = part_span(&course->shape.parts[i]);
        longest = span > longest ? span : longest;
        rate = rate || course->shape.parts[i].kind == SHAPE_RATE;
    }
    if (longest <= 0) {
        longest = rate ? SPAN_RATE : SPAN_CONSTANT;
    }
    return longest > SPAN_MAX ? SPAN_MAX : (int64_t)longest;
}

bool skew_course_fits(const struct skew_course *course, int64_t span)
{
    struct shape_extent extent = shape_extent(&course->shape, 0, span);
    int64_t slew = course->slew.amount_ns[CLOCK_REALTIME];
    return span <= SPAN_MAX &&
           extent.lowest + course->offset_ns + (slew < 0 ? slew : 0) > -DIFFERENCE_MAX &&
           extent.highest + course->offset_ns + (slew > 0 ? slew : 0) < DIFFERENCE_MAX;
}

static bool is_repeated(const struct shape_part *part)
{
    return part->kind == SHAPE_STROBE || part->kind == SHAPE_JITTER;
}

static bool is_band(const struct skew_course *course, int64_t span, size_t columns)
{
    __int128 changes = 0;
    for (size_t i = 0; i < course->shape.count; i++) {
        const struct shape_part *part = &course->shape.parts[i];
        if (is_repeated(part)) {
            changes += span / part->span;
        }
        if (part->kind == SHAPE_SINE &&
            (__int128)span * COLUMNS_PER_WAVE > (__int128)part->span * (__int128)columns) {
            return true;
        }
    }
    return changes * COLUMNS_PER_CHANGE > (__int128)columns;
}

/* When something happens once; returns how many there are. */
static size_t single_events(const struct skew_course *course, int64_t events[SINGLE_EVENTS])
{
    size_t count = 0;
    for (size_t i = 0; i < course->shape.count; i++) {
        const struct shape_part *part = &course->shape.parts[i];
        if (part->kind == SHAPE_RAMP || part->kind == SHAPE_SMEAR || part->kind == SHAPE_STEP) {
            events[count++] = part->span;
        }
    }
    if (course->end_ns != INT64_MAX) {
        events[count++] = course->end_ns;
    }
    const int64_t corners[] = {course->slew.begin_ns[CLOCK_REALTIME],
                               slew_end(&course->slew, CLOCK_REALTIME)};
    for (size_t i = 0; course->slew.pace != 0 && i < 2; i++) {
        if (corners[i] > 0) {
            events[count++] = corners[i];
        }
    }
    return count;
}

static int64_t column_begin(int64_t span, size_t columns, size_t column)
{
    return (int64_t)((__int128)span * (__int128)column / (__int128)columns);
}

static int64_t min_of(int64_t one, int64_t other)
{
    return one < other ? one : other;
}

static void point_include(const struct skew_course *course, int64_t elapsed,
                          struct curve_point *point)
{
    int64_t value = skew_course_difference(course, elapsed);
    point->low = value < point->low ? value : point->low;
    point->high = value > point->high ? value : point->high;
}

/* An instant that lies between `from` and `to`, and the one before it. */
static void event_include(const struct skew_course *course, int64_t event, int64_t from, int64_t to,
                          struct curve_point *point)
{
    if (event > from && event <= to) {
        point_include(course, event - 1, point);
    }
    if (event >= from && event < to) {
        point_include(course, event, point);
    }
}

/* splitmix64, Vigna: spread evenly, and the same in every run. */
static uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static struct curve_point column_sample(const struct skew_course *course, int64_t from, int64_t to,
                                        uint64_t *state)
{
    struct curve_point point = {.elapsed = from, .low = INT64_MAX, .high = INT64_MIN};
    int64_t events[SINGLE_EVENTS];
    size_t count = single_events(course, events);
    int64_t width = to > from ? to - from : 1;
    point_include(course, from, &point);
    point_include(course, from + width - 1, &point);
    for (size_t i = 0; i < count; i++) {
        event_include(course, events[i], from, to, &point);
    }
    for (size_t i = 0; i < course->shape.count; i++) {
        const struct shape_part *part = &course->shape.parts[i];
        if (is_repeated(part) && width / part->span < EVENTS_PER_COLUMN) {
            for (int64_t at = from / part->span * part->span; at <= to; at += part->span) {
                event_include(course, at, from, to, &point);
            }
        }
    }
    for (int i = 0; i < SAMPLES_PER_COLUMN; i++) {
        __int128 share = ((__int128)i << 32) + (uint32_t)random_next(state);
        point_include(course,
                      from + (int64_t)((__int128)(width - 1) * share / SAMPLES_PER_COLUMN >> 32),
                      &point);
    }
    return point;
}

static bool band_make(const struct skew_course *course, int64_t span, size_t columns,
                      struct curve *curve)
{
    uint64_t state = 0;
    curve->points = calloc(columns, sizeof *curve->points);
    if (curve->points == NULL) {
        return false;
    }
    for (size_t i = 0; i < columns; i++) {
        curve->points[i] = column_sample(course, column_begin(span, columns, i),
                                         column_begin(span, columns, i + 1), &state);
    }
    curve->count = columns;
    return true;
}

static int instants_compare(const void *one, const void *other)
{
    int64_t a = *(const int64_t *)one, b = *(const int64_t *)other;
    return (a > b) - (a < b);
}

static void point_add(struct curve *curve, int64_t elapsed, int64_t value)
{
    curve->points[curve->count++] =
        (struct curve_point){.elapsed = elapsed, .low = value, .high = value};
}

/* Both values at an event, where they differ. */
static void event_add(struct curve *curve, const struct skew_course *course, int64_t event)
{
    int64_t old = skew_course_difference(course, event > 0 ? event - 1 : 0);
    int64_t new = skew_course_difference(course, event);
    if (old != new) {
        point_add(curve, event, old);
    }
    point_add(curve, event, new);
}

/* Every column's beginning, for what is no straight line, and every event from both sides. */
static bool line_make(const struct skew_course *course, int64_t span, size_t columns,
                      struct curve *curve)
{
    /* is_band() was false. */
    size_t most = SINGLE_EVENTS + columns / COLUMNS_PER_CHANGE, count, next = 0;
    int64_t *events = calloc(most, sizeof *events);
    curve->points = calloc(2 * most + columns + 1, sizeof *curve->points);
    if (events == NULL || curve->points == NULL) {
        free(events);
        curve_free(curve);
        return false;
    }
    count = single_events(course, events);
    for (size_t i = 0; i < course->shape.count; i++) {
        const struct shape_part *part = &course->shape.parts[i];
        if (is_repeated(part)) {
            for (int64_t number = 1; number <= span / part->span; number++) {
                events[count++] = number * part->span;
            }
        }
    }
    qsort(events, count, sizeof *events, instants_compare);
    for (size_t i = 0; i <= columns; i++) {
        int64_t begin = column_begin(span, columns, i);
        bool there = false;
        for (; next < count && events[next] <= begin; next++) {
            event_add(curve, course, events[next]);
            there = events[next] == begin;
        }
        if (!there) {
            point_add(curve, begin, skew_course_difference(course, begin));
        }
    }
    free(events);
    return true;
}

bool curve_make(const struct skew_course *course, int64_t span, size_t columns, struct curve *curve)
{
    /* A nanosecond is the least that there is to be seen. */
    columns = (size_t)min_of((int64_t)columns, span);
    *curve = (struct curve){.band = is_band(course, span, columns)};
    return curve->band ? band_make(course, span, columns, curve)
                       : line_make(course, span, columns, curve);
}

void curve_free(struct curve *curve)
{
    free(curve->points);
    *curve = (struct curve){0};
}
