/*
 * clock.h - what the engine, beyond the public skew_clocks_*() functions,
 * needs to know about the clocks themselves.
 */
#ifndef SKEWCTL_ENGINE_CLOCK_H
#define SKEWCTL_ENGINE_CLOCK_H

#include "engine/skewctl.h"

/*
 * Whether every clock of the set, read now, would still show a time from 0 to
 * one year before INT64_MAX nanoseconds with offset_ns (nanoseconds) added.
 * SKEW_USAGE, naming the clock and the limit, where one would not;
 * SKEW_REFUSED where this kernel has no such clock, clock_gettime(2).
 */
enum skew_code clock_range_check(uint64_t clocks, int64_t offset_ns, struct skew_error *error);

#endif
