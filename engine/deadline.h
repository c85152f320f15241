/*
 * deadline.h - when a skew ends by itself, in the terms of each clock.
 *
 * A deadline is one instant, asked for as a reading of CLOCK_REALTIME. What ends the
 * skew of a clock is that clock's own true reading (asm/x86_64/shim.S), so the
 * instant is turned into readings of all of them when it is set. After that each
 * clock counts by itself:
 *   - REALTIME, its coarse and alarm twins, gettimeofday and time end when the
 *     machine's wall clock, stepped or slewed meanwhile or not, shows the deadline; and
 *     where it is set back to before it, it is before it;
 *   - TAI ends with them to the nanosecond: it is whole seconds ahead;
 *   - MONOTONIC ends after as many of its own seconds. It does not count time that
 *     the machine was suspended for, which BOOTTIME and REALTIME do;
 *   - MONOTONIC_RAW likewise: it is not slewed, so it may be up to 500 ppm off.
 * On a machine that neither sleeps nor has its clock set they all end at one instant.
 */
#ifndef SKEWCTL_ENGINE_DEADLINE_H
#define SKEWCTL_ENGINE_DEADLINE_H

#include "engine/clock.h"
#include "engine/image.h"
#include "engine/target.h"

/*
 * The skew that is asked for, with its deadlines as the target's clocks will show
 * them. SKEW_REFUSED where it is to end by itself and the target's time namespace
 * cannot be looked at, so that the end cannot be told on a clock of the set.
 */
enum skew_code skew_from_request(const struct target *target, const struct skew_request *request,
                                 struct image_skew *skew, struct skew_error *error);

/*
 * What each clock of a process, whose clocks are shifted so, truly shows at an instant of
 * CLOCK_REALTIME in nanoseconds; `unknown` for one that cannot be told.
 */
void clock_readings_at(int64_t instant_ns, struct clock_shift shift, int64_t unknown,
                       int64_t readings[IMAGE_CLOCK_COUNT]);

/* Whether a skew is the one asked for, approached or reached, by whomever and whenever it was set.
 */
bool skew_is_requested(const struct image_skew *skew, const struct skew_request *request);

/* SKEW_USAGE for a deadline that no clock has before it, or that has passed. */
enum skew_code deadline_check(const struct skew_request *request, struct skew_error *error);

/* Whether the true CLOCK_REALTIME has reached it; 0 is never. */
bool deadline_passed(int64_t deadline_ns);

#endif
