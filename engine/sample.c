/*
 * sample.c - what the clocks of a skewed process show right now, computed from outside.
 *
 * Promise: the process is neither stopped nor written into. The parameters are read before and
 * after the clocks, and only if they are the same counts what was read: a generation that
 * has not changed (asm/x86_64/layout.h) means that this skew was in force throughout.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/clock.h"
#include "engine/error.h"
#include "engine/memory.h"
#include "engine/private.h"
#include "engine/skew_row.h"
#include "engine/slew.h"

#define SECOND     INT64_C(1000000000)
#define TAKE_TRIES 50
/* In which a recover that has restored the clocks puts back the rest. */
#define SETTLE_NS 10000000

struct skew_sampler {
    struct vdso vdso;
    pid_t pid;
    struct look look; /* the last one that found it skewed */
};

static bool clock_read(clockid_t clock, int64_t *reading)
{
    struct timespec now;
    if (clock_gettime(clock, &now) != 0) {
        return false;
    }
    *reading = now.tv_sec * SECOND + now.tv_nsec;
    return true;
}

/* Nothing between the first clock and the last but reading them. */
static void clocks_read(uint64_t clocks, struct skew_sample *sample)
{
    int64_t before = 0, after = 0;
    sample->count = 0;
    clock_read(CLOCK_MONOTONIC, &before);
    clock_read(CLOCK_REALTIME, &sample->now_ns);
    for (clockid_t clock = 0; clock < IMAGE_CLOCK_COUNT; clock++) {
        if ((clocks & SKEW_CLOCK_BIT(clock)) != 0) {
            struct skew_reading *reading = &sample->readings[sample->count++];
            *reading = (struct skew_reading){.clock = clock};
            reading->known = clock_read(clock, &reading->true_ns);
            /* One instant is meant, of which the deadline is ahead or not. */
            sample->now_ns = clock == CLOCK_REALTIME ? reading->true_ns : sample->now_ns;
        }
    }
    clock_read(CLOCK_MONOTONIC, &after);
    sample->spread_ns = after - before;
}

/* Whether a time namespace may shift it. */
static bool clock_shiftable(clockid_t clock)
{
    return clock_shift_of(clock, (struct clock_shift){1, 1, true}) != 0;
}

/* Whether the clock is skewed when it truly shows that. */
static bool skew_applies(const struct image_skew *skew, clockid_t clock, int64_t true_ns)
{
    return (skew->clocks & SKEW_CLOCK_BIT(clock)) != 0 && true_ns < skew->deadlines.at_ns[clock];
}

static void readings_finish(const struct image_skew *skew, struct clock_shift shift,
                            struct skew_sample *sample)
{
    for (size_t i = 0; i < sample->count; i++) {
        struct skew_reading *reading = &sample->readings[i];
        reading->known = reading->known && (shift.known || !clock_shiftable(reading->clock));
        if (!reading->known) {
            reading->true_ns = 0;
            continue;
        }
        reading->true_ns += clock_shift_of(reading->clock, shift);
        reading->skewed = skew_applies(skew, reading->clock, reading->true_ns);
        reading->shown_ns =
            (int64_t)((uint64_t)reading->true_ns +
                      (uint64_t)skew_difference(skew, reading->clock, reading->true_ns));
    }
}

/* False where the skew was changed meanwhile, or the program is no more. */
static bool sample_try(const struct look *look, uint64_t clocks, struct skew_sample *sample)
{
    uint8_t before[IMAGE_PARAMETERS_SIZE], after[IMAGE_PARAMETERS_SIZE];
    struct image_skew skew;
    if (!look_parameters_read(look->memory, look->image_address, &skew, before)) {
        return false;
    }
    if (clocks == 0) {
        clocks = skew.clocks | SKEW_CLOCK_BIT(CLOCK_REALTIME);
    }
    clocks_read(clocks, sample);
    if (!memory_read(look->memory, look->image_address + image_parameters_offset(), after,
                     sizeof after) ||
        memcmp(before, after, sizeof before) != 0) {
        return false;
    }
    struct clock_shift shift = clock_shift_read(&look->target);
    readings_finish(&skew, shift, sample);
    struct skew_report *report = &sample->report;
    const struct skew_request shown = request_from_image(&skew);
    report_skew(&shown, report);
    slew_report(&skew, shift, report);
    bool over = report->deadline_ns != 0 && report->deadline_ns <= sample->now_ns;
    report->state = over ? SKEW_STATE_EXPIRED : SKEW_STATE_ACTIVE;
    return true;
}

static void report_begin(const struct look *look, struct skew_report *report)
{
    *report = (struct skew_report){.pid = look->target.pid,
                                   .threads = look->target.threads,
                                   .created_ns = look->header.created_ns};
    memcpy(report->command, look->target.command, sizeof report->command);
    report->image =
        (struct skew_image){.address = look->image_address, .vdso_address = look->vdso_address};
    memcpy(report->image.id, look->header.id, sizeof report->image.id);
}

static void watch_over(struct skew_sample *sample, enum skew_state state, const char *why)
{
    sample->count = 0;
    sample->now_ns = realtime_now();
    sample->report.state = state;
    strncpy(sample->report.note, why, sizeof sample->report.note - 1);
}

/* What became of a process that was skewed and is not; `look` is NULL where it cannot be told. */
static bool end_tell(const struct skew_sampler *sampler, const struct look *look,
                     struct skew_sample *sample)
{
    uint8_t byte;
    if (!target_alive(&sampler->look.target)) {
        watch_over(sample, SKEW_STATE_GONE, "it has exited");
    } else if (!memory_read(sampler->look.memory, sampler->look.vdso_address, &byte, sizeof byte)) {
        watch_over(sample, SKEW_STATE_GONE, "it executes another program, which is not skewed");
    } else if (look == NULL) {
        return false;
    } else if (look->situation == SITUATION_CLEAN) {
        watch_over(sample, SKEW_STATE_RECOVERED, "it was recovered, its clocks are true again");
    } else if (look->situation == SITUATION_FOREIGN) {
        watch_over(sample, SKEW_STATE_RECOVERED,
                   "something other than skewctl has changed its vDSO");
    } else {
        watch_over(sample, SKEW_STATE_DRAINING,
                   "its clocks are true again, and it is not put back entirely");
    }
    return true;
}

/* A process whose leader has exited is looked at through a thread that may exit as well. */
static enum skew_code look_again(const struct skew_sampler *sampler, struct look *look,
                                 struct skew_error *error)
{
    enum skew_code code;
    int tries = 0;
    do {
        code = look_open(&sampler->vdso, sampler->pid, sampler->look.image_address, look, error);
    } while (code == SKEW_NOT_FOUND && ++tries < TAKE_TRIES && target_alive(&sampler->look.target));
    return code;
}

/* Whether another look may tell more than this one, which found no skew in force. */
static bool settling(const struct look *look)
{
    static const struct timespec pause = {.tv_nsec = SETTLE_NS};
    return look->situation == SITUATION_PARTIAL && nanosleep(&pause, NULL) == 0;
}

enum skew_code skew_sampler_take(struct skew_sampler *sampler, uint64_t clocks,
                                 struct skew_sample *sample, struct skew_error *error)
{
    for (int left = TAKE_TRIES; left > 0; left--) {
        struct look look;
        report_begin(&sampler->look, &sample->report);
        enum skew_code code = look_again(sampler, &look, error);
        if (code != SKEW_OK) {
            return end_tell(sampler, NULL, sample) ? SKEW_OK : code;
        }
        bool same = look.target.start_time == sampler->look.target.start_time;
        if (same && look.skewed) {
            look_close(&sampler->look);
            sampler->look = look;
            report_begin(&sampler->look, &sample->report);
            if (sample_try(&sampler->look, clocks, sample)) {
                return SKEW_OK;
            }
            continue;
        }
        bool over = (left == 1 || !same || !settling(&look)) &&
                    end_tell(sampler, same ? &look : NULL, sample);
        look_close(&look);
        if (over) {
            return SKEW_OK;
        }
    }
    return error_set(error, SKEW_FAILED, sampler->pid, 0, "take sample",
                     "its skew changes faster than it can be read");
}

static enum skew_code injected_check(const struct look *look, struct skew_error *error)
{
    if (look->skewed) {
        return SKEW_OK;
    }
    if (look->situation == SITUATION_FOREIGN) {
        error_set(error, SKEW_NOT_FOUND, look->target.pid, 0, "find skew",
                  "something other than skewctl has changed its vDSO");
        error_advise(error, "skewctl scan tells what it is");
        return SKEW_NOT_FOUND;
    }
    error_set(error, SKEW_NOT_FOUND, look->target.pid, 0, "find skew",
              "it is not injected, so its clocks are true");
    error_advise(error, "skewctl list shows who is");
    return SKEW_NOT_FOUND;
}

enum skew_code skew_sampler_open(pid_t pid, struct skew_sampler **sampler, struct skew_error *error)
{
    struct skew_sampler *opened = calloc(1, sizeof *opened);
    if (opened == NULL) {
        return error_set(error, SKEW_FAILED, pid, 0, "watch", "out of memory");
    }
    opened->pid = pid;
    enum skew_code code = vdso_own(&opened->vdso, error);
    if (code == SKEW_OK) {
        code = look_open(&opened->vdso, pid, 0, &opened->look, error);
        if (code == SKEW_OK) {
            code = injected_check(&opened->look, error);
            if (code != SKEW_OK) {
                look_close(&opened->look);
            }
        }
        if (code != SKEW_OK) {
            vdso_release(&opened->vdso);
        }
    }
    if (code != SKEW_OK) {
        error->pid = pid;
        free(opened);
        return code;
    }
    *sampler = opened;
    return SKEW_OK;
}

int skew_sampler_descriptor(const struct skew_sampler *sampler)
{
    return sampler->look.target.pidfd;
}

void skew_sampler_close(struct skew_sampler *sampler)
{
    if (sampler == NULL) {
        return;
    }
    look_close(&sampler->look);
    vdso_release(&sampler->vdso);
    free(sampler);
}
