/*
 * verify.c - reads the time back through the target's own three entry points.
 *
 * Promise: a measurement is what the program itself would have seen, between
 * two reads of the true time by the same thread; it is accepted only if no
 * instant between these two explains any other skew.
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

static int64_t floor_to(int64_t value, int64_t unit)
{
    int64_t rest = value % unit;
    return value - (rest < 0 ? rest + unit : rest);
}

static bool within(int64_t value, int64_t low, int64_t high)
{
    return value >= low && value <= high;
}

/* The target's own reads may be anything; a sum that is too large fits nothing, rightly. */
static int64_t sum(int64_t time, int64_t offset)
{
    int64_t result;
    return __builtin_add_overflow(time, offset, &result) ? INT64_MAX : result;
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
    int64_t clock_offset = skew->clocks & SKEW_CLOCK_BIT(verification->clock) ? offset : 0;
    int64_t real_offset = skew->clocks & SKEW_CLOCK_BIT(CLOCK_REALTIME) ? offset : 0;

    verification->clock_gettime =
        measurement(readback->clock_ns, readback->clock_before_ns, readback->clock_after_ns, 0);
    verification->gettimeofday = measurement(readback->gettimeofday_ns, readback->true_before_ns,
                                             readback->true_after_ns, MICROSECOND);
    verification->time = measurement(readback->time_s * SECOND, readback->time_true_s * SECOND,
                                     readback->time_true_s * SECOND, SECOND);

    *what = "clock_gettime";
    if (!within(readback->clock_nanoseconds, 0, SECOND - 1) ||
        !within(readback->clock_ns, sum(readback->clock_before_ns, clock_offset),
                sum(readback->clock_after_ns, clock_offset))) {
        return false;
    }
    *what = "gettimeofday";
    if (!within(readback->gettimeofday_microseconds, 0, SECOND / MICROSECOND - 1) ||
        !within(readback->gettimeofday_ns,
                floor_to(readback->true_before_ns + real_offset, MICROSECOND),
                readback->true_after_ns + real_offset)) {
        return false;
    }
    *what = "time";
    return within(readback->time_s * SECOND,
                  floor_to(readback->time_true_s * SECOND + real_offset, SECOND),
                  readback->true_after_ns + real_offset);
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
