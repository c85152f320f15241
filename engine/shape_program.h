/*
 * shape_program.h - a shape and an offset as the shim computes them: constants that a reader
 * multiplies with, laid out as in the image (asm/x86_64/layout.h).
 */
#ifndef SKEWCTL_ENGINE_SHAPE_PROGRAM_H
#define SKEWCTL_ENGINE_SHAPE_PROGRAM_H

#include "engine/shape.h"

/* Behind each part of a ramp, a smear, and each step, and what is before all. */
#define SHAPE_SEGMENTS_MAX (5 + SHAPE_STEPS_MAX)

/* In force up to and with `last`. */
struct shape_segment {
    int64_t last;       /* elapsed nanoseconds */
    uint64_t value_low; /* what is shown is the upper half of value + elapsed * slope, */
    int64_t value_high; /* where value has 64 fractional bits */
    int64_t slope_low;  /* and the slope, 1 for the true pace, as well: these are signed, */
    int64_t slope_high; /* so this is 1 more where slope_low is negative */
};

struct shape_program {
    uint64_t periodic;                /* which of these are there: SHAPE_PERIODIC_... of layout.h */
    uint64_t strobe_low, strobe_high; /* periods per nanosecond, in 2^-128 */
    int64_t strobe_amount;
    uint64_t sine_low, sine_high;
    int64_t sine_amplitude;           /* shape_amplitude() of it */
    uint64_t jitter_low, jitter_high; /* quanta per nanosecond */
    uint64_t jitter_seed;
    uint64_t jitter_range;
    int64_t jitter_lowest;
    struct shape_segment segments[SHAPE_SEGMENTS_MAX];
};

/* All unused words are zero, so that equal shapes have equal programs. */
void shape_program_make(const struct shape *shape, int64_t offset_ns,
                        struct shape_program *program);

#endif
