/*
 * duration.h - signed spans of time as text, in the manner of Go's
 * time.ParseDuration: "-5m", "+1h30m", "250ms", "1.5h", "-10m100ns".
 *
 * Units are w, d, h, m, s, ms, us (or µs) and ns; a day has 24 hours. All
 * arithmetic is on integers, and what cannot be said exactly in nanoseconds is
 * refused, so duration_parse() undoes duration_format() for every int64_t.
 */
#ifndef SKEWCTL_ENGINE_DURATION_H
#define SKEWCTL_ENGINE_DURATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DURATION_SECOND_NS INT64_C(1000000000)

/* Enough for any value, with its terminator. */
#define DURATION_TEXT_MAX 40

/*
 * Reads the whole of `text`. Where that is no duration, returns false, leaves
 * *nanoseconds alone and points *problem at a literal that says what is wrong.
 */
bool duration_parse(const char *text, int64_t *nanoseconds, const char **problem);

/*
 * Writes the shortest exact form: "-5m", "1h30m", "1.5s", "0s". Positive values
 * carry no sign, and w is not used. Returns buffer.
 */
const char *duration_format(int64_t nanoseconds, char buffer[static DURATION_TEXT_MAX]);

#endif
