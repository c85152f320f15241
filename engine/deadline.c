/*
 * deadline.c - turns an instant into readings of every clock; see deadline.h.
 */
#include "engine/deadline.h"

#include <time.h>

#include "engine/clock.h"
#include "engine/error.h"
#include "engine/private.h"

#define SECOND  INT64_C(1000000000)
#define SAMPLES 16

static int64_t nanoseconds(const struct timespec *time)
{
    return time->tv_sec * SECOND + time->tv_nsec;
}

/*
 * How far a clock is ahead of CLOCK_REALTIME. Each reading between two of the other
 * leaves a range; what all leave is narrower than the time that one read takes.
 */
static bool distance_read(clockid_t clock, int64_t *distance)
{
    int64_t low = INT64_MIN, high = INT64_MAX;
    for (int i = 0; i < SAMPLES; i++) {
        struct timespec before, between, after;
        clock_gettime(CLOCK_REALTIME, &before);
        if (clock_gettime(clock, &between) != 0) {
            return false;
        }
        clock_gettime(CLOCK_REALTIME, &after);
        int64_t least = nanoseconds(&between) - nanoseconds(&after);
        int64_t most = nanoseconds(&between) - nanoseconds(&before);
        bool agrees = least <= high && most >= low;
        /* CLOCK_REALTIME was set meanwhile, or the clocks part: the newest counts. */
        low = agrees && low > least ? low : least;
        high = agrees && high < most ? high : most;
    }
    *distance = low + (high - low) / 2;
    return true;
}

/* The clock that a clock shows, whether in coarse steps or with an alarm; -1 for no time. */
static clockid_t clock_shown(clockid_t clock)
{
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_REALTIME_ALARM:
        return CLOCK_REALTIME;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
        return CLOCK_MONOTONIC;
    case CLOCK_BOOTTIME:
    case CLOCK_BOOTTIME_ALARM:
        return CLOCK_BOOTTIME;
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_TAI:
        return clock;
    default:
        return -1;
    }
}

/* Whole seconds, as adjtimex(2) keeps it. */
static int64_t seconds_nearest(int64_t distance)
{
    return (distance + (distance < 0 ? -SECOND : SECOND) / 2) / SECOND * SECOND;
}

/* A reading that no clock can show any more, or never could, is as good as the nearest. */
static int64_t reading_at(int64_t deadline_ns, int64_t distance)
{
    int64_t reading;
    if (__builtin_add_overflow(deadline_ns, distance, &reading)) {
        return IMAGE_NEVER;
    }
    return reading < 0 ? 0 : reading;
}

void clock_readings_at(int64_t instant_ns, struct clock_shift shift, int64_t unknown,
                       int64_t readings[IMAGE_CLOCK_COUNT])
{
    int64_t ahead[IMAGE_CLOCK_COUNT] = {0};
    bool known[IMAGE_CLOCK_COUNT] = {[CLOCK_REALTIME] = true};
    for (clockid_t clock = 0; clock < IMAGE_CLOCK_COUNT; clock++) {
        if (clock_shown(clock) == clock && clock != CLOCK_REALTIME) {
            known[clock] = distance_read(clock, &ahead[clock]);
        }
    }
    ahead[CLOCK_TAI] = seconds_nearest(ahead[CLOCK_TAI]);
    for (clockid_t clock = 0; clock < IMAGE_CLOCK_COUNT; clock++) {
        clockid_t shown = clock_shown(clock);
        readings[clock] = shown >= 0 && known[shown]
                              ? reading_at(instant_ns, ahead[shown] + clock_shift_of(clock, shift))
                              : unknown;
    }
}

enum skew_code skew_from_request(const struct target *target, const struct skew_request *request,
                                 struct image_skew *skew, struct skew_error *error)
{
    struct image_deadlines deadlines;
    *skew = image_skew_from(request->clocks, request->offset_ns, NULL);
    if (request->deadline_ns == 0 && request->shape.count == 0 && request->slew_pace == 0) {
        return SKEW_OK;
    }
    const uint64_t shifted = SKEW_CLOCK_BIT(CLOCK_MONOTONIC) | SKEW_CLOCK_BIT(CLOCK_MONOTONIC_RAW) |
                             SKEW_CLOCK_BIT(CLOCK_MONOTONIC_COARSE) |
                             SKEW_CLOCK_BIT(CLOCK_BOOTTIME) | SKEW_CLOCK_BIT(CLOCK_BOOTTIME_ALARM);
    struct clock_shift shift = clock_shift_read(target);
    if (!shift.known && (request->clocks & shifted) != 0) {
        error_set(error, SKEW_REFUSED, target->pid, 0, "set deadline",
                  "how far its time namespace shifts the monotonic and boot time clocks cannot be "
                  "read, so their skew would begin or end at the wrong time");
        error_advise(error, "leave these clocks out, or let an offset alone end with recover");
        return SKEW_REFUSED;
    }
    if (request->deadline_ns != 0) {
        clock_readings_at(request->deadline_ns, shift, IMAGE_NEVER, deadlines.at_ns);
        *skew = image_skew_from(request->clocks, request->offset_ns, &deadlines);
    }
    if (request->shape.count != 0) {
        skew->shape = request->shape;
        clock_readings_at(request->begin_ns, shift, 0, skew->beginning_ns);
    }
    return SKEW_OK;
}

bool skew_is_requested(const struct image_skew *skew, const struct skew_request *request)
{
    bool slews = request->slew_pace != 0;
    return (skew->clocks == request->clocks || (slews && request->clocks == 0)) &&
           (slews || skew->slew.pace == 0) && image_skew_offset(skew) == request->offset_ns &&
           image_skew_deadline(skew) == request->deadline_ns &&
           shape_equal(&skew->shape, &request->shape) &&
           (request->shape.count == 0 || image_skew_begin(skew) == request->begin_ns);
}

bool deadline_passed(int64_t deadline_ns)
{
    return deadline_ns != 0 && deadline_ns <= realtime_now();
}

enum skew_code deadline_check(const struct skew_request *request, struct skew_error *error)
{
    if (request->deadline_ns >= 0 && !deadline_passed(request->deadline_ns)) {
        return SKEW_OK;
    }
    error_set(error, SKEW_USAGE, 0, 0, "set deadline",
              "the skew would have ended before it begins");
    error_advise(error, "let it end later");
    return SKEW_USAGE;
}
