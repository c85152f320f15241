/*
 * shape_text.h - shapes as text, in the words of the command line:
 *
 *   rate=1.0002  or +200ppm, -0.5%, 30ppb, and only these with a sign; 0 freezes
 *   ramp=-500ms/10m
 *   smear=1s/1d  or 1s alone, over a day; negative where a second is left out
 *   strobe=200ms/10ms
 *   sine=250ms/1m
 *   jitter=5ms/1ms,seed=7  or without the seed, 0, or the time between changes, 1ms
 *   step=30s:250ms,1m:-250ms
 *
 * separated by spaces. Durations are those of duration.h. A rate has at most 18 decimals.
 */
#ifndef SKEWCTL_ENGINE_SHAPE_TEXT_H
#define SKEWCTL_ENGINE_SHAPE_TEXT_H

#include "engine/shape.h"

/* The word in front of the sign of equality. */
const char *shape_kind_name(enum shape_kind kind);

/*
 * Adds what `value`, the text behind that sign, says. False, with a literal that says why and the
 * shape unchanged, where it is no such text or shape_add() refuses it.
 */
bool shape_value_parse(enum shape_kind kind, const char *value, struct shape *shape,
                       const char **problem);

/* The whole of `text`, which may be empty. Likewise. */
bool shape_parse(const char *text, struct shape *shape, const char **problem);

/*
 * A pace, as of a slew: 500ppm, 5% or 0.05, from 1ppm to less than 1, in 2^-64. Likewise.
 */
bool shape_pace_parse(const char *text, uint64_t *pace, const char **problem);

/*
 * Writes the shortest form that reads back as this shape, if any text does: a rate that none does
 * is rounded. Returns buffer.
 */
#define SHAPE_TEXT_MAX 1280
const char *shape_format(const struct shape *shape, char buffer[static SHAPE_TEXT_MAX]);

#endif
