/*
 * shape.h - skews that are more than an offset: a drift, a slide, a strobe, a wave, noise, steps.
 *
 * A shape is a function of the true time that has passed on the very clock that is read
 * since the shape began, `elapsed` nanoseconds, and of nothing else; so a reader needs no second
 * clock and no memory, all that have the same shape show the same, and it is
 * repeatable. It is the sum of its parts, of which all but steps occur at most once:
 *
 *   rate    the clock runs at a ratio of its true pace; 0 freezes it
 *   ramp    slides by `amount` within `span`, then stays
 *   smear   the same for a leap second, told by its sign: an inserted one holds the clock back
 *   strobe  `amount` and nothing in turn, each for `span`
 *   sine    a wave of that amplitude and period
 *   jitter  noise, uniform in +-`amount`, anew after each `span`; of a seed
 *   step    `amount` from `span` after the beginning on
 *
 * Before its beginning (the machine's clock was set back) a rate goes on as it does behind
 * it, so that a frozen clock stays frozen, and the other parts are 0.
 *
 * Exactness: rate, ramp, smear and sine have 64 fractional bits and are added before they are
 * rounded down together, once: a rate is within a nanosecond of the decimal number it
 * was given as over 290 years, and a ramp ends exactly where it should. Strobe, jitter and
 * step change at their very nanosecond. The sine is defined in fixed point (shape.c) and
 * within 7e-9 of its amplitude, and a nanosecond, of the true one. asm/x86_64/shim.S shows
 * the same to the nanosecond as shape_difference().
 */
#ifndef SKEWCTL_ENGINE_SHAPE_H
#define SKEWCTL_ENGINE_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the order in which the parts of a shape lie and are written. */
enum shape_kind {
    SHAPE_RATE,
    SHAPE_RAMP,
    SHAPE_SMEAR,
    SHAPE_STROBE,
    SHAPE_SINE,
    SHAPE_JITTER,
    SHAPE_STEP,
    SHAPE_KIND_COUNT
};

struct shape_part {
    uint64_t kind;
    int64_t amount; /* nanoseconds; of a rate the whole part of its excess over 1 */
    int64_t span;   /* nanoseconds; of a rate 0 */
    uint64_t
        detail; /* of a rate the fraction of its excess over 1, in 2^-64; the seed of a jitter */
};

#define SHAPE_STEPS_MAX 7
#define SHAPE_PARTS_MAX (SHAPE_STEP + SHAPE_STEPS_MAX)
struct shape {
    uint64_t count; /* 0: a constant */
    struct shape_part parts[SHAPE_PARTS_MAX];
};

#define SHAPE_RATE_MAX      1000               /* times its true pace */
#define SHAPE_AMOUNT_MAX    (INT64_C(1) << 62) /* 146 years */
#define SHAPE_AMPLITUDE_MAX (INT64_C(1) << 44) /* 4.8 hours */
#define SHAPE_SPAN_MAX      (INT64_C(1) << 61) /* 73 years */
#define SHAPE_PERIODIC_MIN  INT64_C(1000)      /* of the spans of strobe, sine and jitter */

/*
 * Adds a part in its place. False, with a literal that says why, where it is out of
 * these limits, or there is one already.
 */
bool shape_add(struct shape *shape, const struct shape_part *part, const char **problem);
/* True for what shape_add() alone has made. */
bool shape_valid(const struct shape *shape);
bool shape_equal(const struct shape *one, const struct shape *other);

/*
 * What the shape adds to the true time: the reference. Exact where the sum, and that
 * of any of its parts, is below 2^63.
 */
int64_t shape_difference(const struct shape *shape, int64_t elapsed);
/* With `more`, in 2^-64 nanoseconds, which is rounded down together with all else. */
int64_t shape_difference_plus(const struct shape *shape, int64_t elapsed, __int128 more);

/*
 * Whether a clock with this shape may show an earlier time than it did before, for
 * as long as the true one does not.
 */
bool shape_goes_back(const struct shape *shape);
/* The same where the clock is held back besides, by so much of the true pace, in 2^-64. */
bool shape_goes_back_held(const struct shape *shape, uint64_t held);

/*
 * Limits of how much further the clock with this shape is than the true one was at the beginning,
 * while `from` to `to` nanoseconds have passed: those of periodic parts are what they ever are.
 */
struct shape_extent {
    __int128 lowest, highest;
};
struct shape_extent shape_extent(const struct shape *shape, int64_t from, int64_t to);

/* The excess over 1 of a rate, or the slope of a ramp or smear, in 2^-64. */
__int128 shape_part_slope(const struct shape_part *part);
/* 2^128 / period, rounded up: times a number of nanoseconds, these are periods in 2^-128. */
unsigned __int128 shape_frequency(int64_t period);
/* The amplitude of a sine times the leading coefficient of its polynomial, in 2^-25. */
int64_t shape_amplitude(int64_t amount);
/* What is added to the number of a quantum before it is hashed. */
uint64_t shape_seed(uint64_t seed);

#endif
