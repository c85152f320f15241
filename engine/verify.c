/*
 * verify.c - reads the time back through the target's own three entry points.
 *
 * Promise: a measurement is what the program itself would have seen, between
 * two reads of the true time by the same thread; it is accepted only if an
 * instant between these two explains it, on whichever side of the deadline that is.
 *
 * The readback runs on the scratch stack of the image and writes only into the
 * image. For death and signals in it see remote.c.
 */
#include <errno.h>
#include <sys/syscall.h>
#include <time.h>

#include "engine/error.h"
#include "engine/memory.h"
#include "engine/private.h"
#include "engine/remote.h"
#include "engine/slew.h"

#define SECOND      INT64_C(1000000000)
#define MICROSECOND INT64_C(1000)

int64_t realtime_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * SECOND + now.tv_nsec;
}

uint64_t verification_clock(uint64_t clocks)
{
    const uint64_t alarms =
        SKEW_CLOCK_BIT(CLOCK_REALTIME_ALARM) | SKEW_CLOCK_BIT(CLOCK_BOOTTIME_ALARM);
    uint64_t plain = clocks & ~alarms;
    return (uint64_t)__builtin_ctzll(plain != 0 ? plain : clocks);
}

/* stop window begins */

size_t verification_calls(uint64_t clock, bool reads_by_call,
                          struct permit_call calls[VERIFICATION_CALLS_MAX])
{
    size_t count = 0;
    /* The stub ends with a call that does nothing: munmap(2) of no bytes. */
    calls[count++] = (struct permit_call){.number = SYS_munmap};
    if (reads_by_call || clock == CLOCK_REALTIME_ALARM || clock == CLOCK_BOOTTIME_ALARM) {
        calls[count++] = (struct permit_call){.number = SYS_clock_gettime, .arguments = {clock}};
    }
    if (reads_by_call) {
        calls[count++] =
            (struct permit_call){.number = SYS_clock_gettime, .arguments = {CLOCK_REALTIME}};
        calls[count++] = (struct permit_call){.number = SYS_gettimeofday};
    }
    return count;
}

static bool within(int64_t value, int64_t low, int64_t high)
{
    return value >= low && value <= high;
}

/*
 * Whether some true instant from `low` to `high` explains what was seen: with offset
 * and shape added, if that clock's deadline was still to come at that instant, and cut
 * off to whole units.
 */
struct expectation {
    int64_t offset;
    int64_t deadline;
    int64_t unit;
    const struct image_skew *bent; /* NULL where an offset is all */
    clockid_t clock;
};

/* With a shape or a slew: whether it lies within what these may show from `low` to `last`. */
static bool shaped(__int128 first, __int128 end, int64_t low, __int128 last,
                   const struct expectation *expected)
{
    const struct image_skew *skew = expected->bent;
    int64_t from, to, beginning = skew->beginning_ns[expected->clock];
    if (last < low || __builtin_sub_overflow(low, beginning, &from) ||
        __builtin_sub_overflow((int64_t)last, beginning, &to)) {
        return false;
    }
    struct shape_extent extent = shape_extent(&skew->shape, from, to);
    /* What is left of a slew only shrinks; rounded together with the rest it is one less or more.
     */
    int64_t before = (int64_t)(slew_rest(&skew->slew, expected->clock, low) >> 64);
    int64_t after = (int64_t)(slew_rest(&skew->slew, expected->clock, (int64_t)last) >> 64);
    extent.lowest += (before < after ? before : after) - 1;
    extent.highest += (before < after ? after : before) + 1;
    return end >= beginning + extent.lowest && first <= beginning + extent.highest;
}

static bool explained(int64_t seen, int64_t low, int64_t high, struct expectation expected)
{
    /* The target's own reads may be anything: no sum of these may overflow. */
    __int128 first = (__int128)seen - expected.offset, end = first + expected.unit - 1;
    __int128 last = expected.deadline - (__int128)1 < high ? expected.deadline - (__int128)1 : high;
    bool skewed = expected.bent != NULL ? shaped(first, end, low, last, &expected)
                                        : (first > low ? first : low) <= (end < last ? end : last);

    first = seen;
    end = first + expected.unit - 1;
    __int128 from = expected.deadline > low ? expected.deadline : low;
    bool neutral = (first > from ? first : from) <= (end < high ? end : high);
    return (skewed || neutral) && seen % expected.unit == 0;
}

/* The middle of the two true reads is the best guess at the true time of the skewed one. */
static struct skew_measurement measurement(int64_t skewed, int64_t before, int64_t after,
                                           int64_t granularity)
{
    int64_t half = (after - before) / 2;
    return (struct skew_measurement){.valid = true,
                                     .offset_ns = skewed - (before + half),
                                     .uncertainty_ns = (after - before) - half + granularity};
}

static bool verification_judge(struct verification *verification,
                               const struct image_readback *readback, const char **what)
{
    const struct image_skew *skew = &verification->skew;
    int64_t offset = image_skew_offset(skew);
    bool bent = skew->shape.count != 0 || skew->slew.pace != 0;
    bool clock_bent = bent && verification->clock < IMAGE_CLOCK_COUNT &&
                      (skew->clocks & SKEW_CLOCK_BIT(verification->clock)) != 0;
    const struct expectation clock = {
        .offset = skew->clocks & SKEW_CLOCK_BIT(verification->clock) ? offset : 0,
        .deadline = verification->clock < IMAGE_CLOCK_COUNT
                        ? skew->deadlines.at_ns[verification->clock]
                        : IMAGE_NEVER,
        .unit = 1,
        .bent = clock_bent ? skew : NULL,
        .clock = (clockid_t)verification->clock};
    struct expectation real = {
        .offset = skew->clocks & SKEW_CLOCK_BIT(CLOCK_REALTIME) ? offset : 0,
        .deadline = skew->deadlines.at_ns[CLOCK_REALTIME],
        .unit = MICROSECOND,
        .bent = bent && (skew->clocks & SKEW_CLOCK_BIT(CLOCK_REALTIME)) != 0 ? skew : NULL,
        .clock = CLOCK_REALTIME};

    verification->clock_gettime =
        measurement(readback->clock_ns, readback->clock_before_ns, readback->clock_after_ns, 0);
    verification->gettimeofday = measurement(readback->gettimeofday_ns, readback->true_before_ns,
                                             readback->true_after_ns, MICROSECOND);
    verification->time = measurement(readback->time_s * SECOND, readback->time_true_s * SECOND,
                                     readback->time_true_s * SECOND, SECOND);

    *what = "clock_gettime";
    if (!within(readback->clock_nanoseconds, 0, SECOND - 1) ||
        !explained(readback->clock_ns, readback->clock_before_ns, readback->clock_after_ns,
                   clock)) {
        return false;
    }
    *what = "gettimeofday";
    if (!within(readback->gettimeofday_microseconds, 0, SECOND / MICROSECOND - 1) ||
        !explained(readback->gettimeofday_ns, readback->true_before_ns, readback->true_after_ns,
                   real)) {
        return false;
    }
    *what = "time";
    real.unit = SECOND;
    return explained(readback->time_s * SECOND, readback->time_true_s * SECOND,
                     readback->true_after_ns, real);
}

static enum skew_code verification_error(const struct remote *remote, int errnum,
                                         const char *message, struct skew_error *error)
{
    return error_set_plain(error, SKEW_FAILED, remote->tracer->target->pid, remote->tracee->tid,
                           errnum, "read back", message);
}

enum skew_code verification_run(struct verification *verification, struct remote *remote,
                                const struct image_header *header, const struct vdso *vdso,
                                struct skew_error *error)
{
    int memory = remote->tracer->memory;
    struct image_readback_request request = {.clock = verification->clock, .stub = remote->stub};
    for (int f = 0; f < ARCH_FUNCTION_COUNT; f++) {
        request.entries[f] = header->vdso_address + vdso->functions[f].offset;
    }
    if (!memory_write(remote->tracer, header->image_address + image_readback_offset(), &request,
                      sizeof request)) {
        return verification_error(remote, errno, "cannot write into the image", error);
    }
    int64_t before = realtime_now();
    enum skew_code code = remote_readback(remote, header->image_address, error);
    int64_t after = realtime_now();
    if (code != SKEW_OK) {
        return code;
    }
    uint8_t results[IMAGE_READBACK_RESULTS_SIZE];
    if (!memory_read(memory, header->image_address + image_readback_results_offset(), results,
                     sizeof results)) {
        return verification_error(remote, errno, "cannot read from the image", error);
    }
    struct image_readback readback;
    image_readback_parse(results, &readback);
    if (!readback.succeeded) {
        return verification_error(remote, 0, "a clock read in the target failed", error);
    }
    if (!within(readback.true_before_ns, before, after) ||
        !within(readback.true_after_ns, before, after)) {
        return verification_error(remote, 0, "the copy of the clock code shows a wrong time",
                                  error);
    }
    const char *what;
    if (!verification_judge(verification, &readback, &what)) {
        error_set_plain(error, SKEW_FAILED, remote->tracer->target->pid, remote->tracee->tid, 0,
                        what, "a clock read in the target does not show the skew asked for");
        return SKEW_FAILED;
    }
    return SKEW_OK;
}

/* stop window ends */
