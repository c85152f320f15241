/*
 * clock.h - what the engine, beyond the public skew_clocks_*() functions,
 * needs to know about the clocks themselves.
 */
#ifndef SKEWCTL_ENGINE_CLOCK_H
#define SKEWCTL_ENGINE_CLOCK_H

#include "engine/skewctl.h"

/*
 * How much further than the caller's own a process's clocks are, in nanoseconds
 * (time_namespaces(7)).
 */
struct target;
struct clock_shift {
    int64_t monotonic_ns;
    int64_t boottime_ns;
    bool known; /* or it could not be told, and is zero */
};
struct clock_shift clock_shift_read(const struct target *target);
/* That of one clock. */
int64_t clock_shift_of(clockid_t clock, struct clock_shift shift);

/*
 * Whether every clock of the set, read now and shifted, would still show a time
 * from 0 to one year before INT64_MAX nanoseconds with offset_ns (nanoseconds)
 * added. SKEW_USAGE, naming the clock and the limit, where one would not;
 * SKEW_REFUSED where this kernel has no such clock, clock_gettime(2).
 */
enum skew_code clock_range_check(uint64_t clocks, int64_t offset_ns, struct clock_shift shift,
                                 struct skew_error *error);

/*
 * The same for a shape that begins now, for a year; and SKEW_REFUSED, unless forced, where it
 * would make a clock of the set go back that is never to do so.
 */
enum skew_code clock_shape_check(uint64_t clocks, int64_t offset_ns, const struct shape *shape,
                                 struct clock_shift shift, bool force, struct skew_error *error);

/*
 * True if the vDSO cannot read this machine's clock source by itself, or that is
 * not known: then each read of a fine clock is a system call.
 */
bool clock_reads_by_call(void);

#endif
