/*
 * timestamp.h - instants as text: those of RFC 3339, as in "2027-02-28T23:59:50Z" or
 * "2027-03-01 00:59:50.25+01:00", and seconds since 1970 as date(1) takes them, as in
 * "@1999999999" or "@-0.5".
 *
 * The calendar is the Gregorian one, also where it was not in use. Seconds are those of
 * POSIX, of which every day has 86400, so there is no second 60. A time
 * without its zone is refused, since it would mean something else on each machine, and nothing or
 * two instants where the clocks are set to or from summer time.
 */
#ifndef SKEWCTL_ENGINE_TIMESTAMP_H
#define SKEWCTL_ENGINE_TIMESTAMP_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Reads the whole of `text` as nanoseconds since 1970-01-01T00:00:00Z, of which 64 bits reach from
 * 1677-09-21T00:12:43.145224192Z to 2262-04-11T23:47:16.854775807Z. Where it is no such
 * text, returns false, leaves *nanoseconds alone and points *problem at a literal that says
 * what is wrong.
 */
bool timestamp_parse(const char *text, int64_t *nanoseconds, const char **problem);

#endif
