/*
 * slew.h - approaching a skew, or the true time, at a pace instead of jumping to it.
 *
 * A clock that is slewed shows the new skew plus what the old one was ahead of it when the
 * skew changed, and that slides to nothing at the pace asked for: nanoseconds in each
 * true one, from 1 ppm to less than 1. Each clock has an amount of its own, since clocks
 * part: MONOTONIC_RAW is not slewed by the kernel, CLOCK_REALTIME may be set, and one that was not
 * skewed before has no old skew.
 *
 * Promise: no read shows an earlier time than one that returned before it began, by any
 * threads, on a clock that neither the old nor the new skew makes go back by itself. Why that
 * holds, and within which limits, is said in slew.c.
 */
#ifndef SKEWCTL_ENGINE_SLEW_H
#define SKEWCTL_ENGINE_SLEW_H

#include "engine/clock.h"
#include "engine/image.h"

/* How often a slew is planned before the machine is taken for too busy. */
#define SLEW_TRIES 50

/* What is left of a clock's slew at a true reading of that clock, in 2^-64 nanoseconds. */
__int128 slew_rest(const struct image_slew *slew, clockid_t clock, int64_t reading_ns);

/* The true reading of the clock at which nothing is left; INT64_MAX where that is never. */
int64_t slew_end(const struct image_slew *slew, clockid_t clock);

/* What a skew adds to a clock at a true reading of it: the reference of the shim. */
int64_t skew_difference(const struct image_skew *skew, clockid_t clock, int64_t reading_ns);

/*
 * Fills in the slew that leads from `before`, which is in force, to `after`, at that pace, from
 * `true_ns` (realtime_now()) on; none where there is nothing to be slewed. To be put in force at
 * once: see slew_timely_before(). False where a distance does not fit into 64 bits. Pure
 * computation, but for reading the other clocks.
 */
bool slew_plan(const struct image_skew *before, uint64_t pace, struct clock_shift shift,
               int64_t true_ns, struct image_skew *after);

/*
 * Whether a slew planned at that time (monotonic_now()) may still be put in force. Before the
 * write that does it: there must be time left for that. After it: nobody can have read a step
 * back.
 */
bool slew_timely_before(int64_t planned_ns);
bool slew_timely_after(int64_t planned_ns);

/*
 * Whether the skew can be slewed to from `before` at that pace, and the slew for it as of now.
 * SKEW_REFUSED where a clock that is skewed would not be any more, and so would jump, where
 * it would take more than 292 years of difference, or, unless forced, where the clock would go
 * back because the new skew makes it too slow for the pace.
 */
enum skew_code slew_check(const struct image_skew *before, const struct skew_request *request,
                          struct clock_shift shift, struct image_skew *after,
                          struct skew_error *error);

/*
 * Waits until the coarse clocks show that the request's shape has begun, at most 30 ms: what
 * a shape does at its beginning is then no part of the slew's.
 */
void slew_await_beginning(const struct skew_request *request);

/* A note for who put a slew in force too late: slew_timely_after(). */
void slew_report_late(struct skew_report *report);

/* The same as slew_check() of a process that is not skewed yet. */
enum skew_code slew_foretell(const struct skew_request *request, struct skew_report *report,
                             struct skew_error *error);

/* Puts into a report what is left, and a note that says so; nothing where nothing is. */
void slew_report(const struct image_skew *skew, struct clock_shift shift,
                 struct skew_report *report);

#endif
