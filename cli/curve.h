/*
 * curve.h - how far a skewed clock is from the true one, over a span of time, as so many columns
 * of a picture can show it without a lie.
 *
 * What changes slowly is a line, whose steps are at their very instant: two points at the same
 * time. What changes more often than columns can show is a band, of the least and the greatest
 * value in each column. Those are of 128 instants spread at random (the same ones each time) over
 * each column, so that no period can hide between them, besides all single events.
 */
#ifndef SKEWCTL_CLI_CURVE_H
#define SKEWCTL_CLI_CURVE_H

#include "engine/slew.h"

struct skew_course {
    struct shape shape;
    int64_t offset_ns;
    int64_t
        end_ns; /* after the beginning, when the clock becomes true again; INT64_MAX for never */
    struct image_slew slew; /* that of CLOCK_REALTIME, by the time after the beginning */
};

/* What is added to the true time when that much of it has passed. */
int64_t skew_course_difference(const struct skew_course *course, int64_t elapsed);

struct curve_point {
    int64_t elapsed; /* of a band the beginning of its column */
    int64_t low, high;
};
struct curve {
    bool band;
    struct curve_point *points; /* in the order of time; of a line low and high are the same */
    size_t count;
};

/*
 * 1.5 ramps, ten periods, a hundred noises, the last step or the slew and a fifth more: the longest
 * of these.
 */
int64_t skew_course_span(const struct skew_course *course);

/*
 * False where the skewed clock would leave the 292 years that its picture can have: then the span
 * is too long.
 */
bool skew_course_fits(const struct skew_course *course, int64_t span);

/* False without memory. Otherwise the caller frees it with curve_free(). */
bool curve_make(const struct skew_course *course, int64_t span, size_t columns,
                struct curve *curve);
void curve_free(struct curve *curve);

#endif
