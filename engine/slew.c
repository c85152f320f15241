/*
 * slew.c - see slew.h.
 *
 * old(t) and new(t) are what a clock shows at its true reading t. A reader takes t first and
 * then sees which skew is in force, so around the switch at w old(t) is shown for some t up
 * to w, and new(t) for any t, also for one far before w, if the thread was delayed. A read that
 * follows another has a t that is not below the other's, and sees the new skew if that did. So
 * nobody sees a step back if, besides neither going back by itself,
 *     new(t) >= old(t) for each t up to w.                                           (1)
 * With D for what they add but for the slew, and S for the slew, that is S >= D_old - D_new.
 *
 * S is a constant, `amount`, until HOLD after it was planned, and what it loses it loses
 * after that. It is the distance D_old - D_new at the planning, plus its greatest excess
 * over that within SETTLE before and behind it, as far as the shapes slide or wave (`surplus`).
 * So (1) holds for t from SETTLE before the planning up to w if w comes within SETTLE of it. The
 * selector is written only if half of that is left, else all is planned anew
 * (slew_timely_before); a skewctl that the kernel halts for the other half between two system
 * calls finds out and says so (slew_timely_after).
 *
 * - From an offset to an offset D_old - D_new does not change: the clock goes on from the very
 *   nanosecond, (1) holds for every t however long a thread was delayed, and until w is HOLD
 *   behind the planning.
 * - From or to a shape that slides or waves, a read that began before the switch must not be
 *   delayed by more than SETTLE. The clock jumps forward by the surplus, and by what the distance
 *   shrinks until w: at most twice SETTLE times the difference of the two rates, as 40 us for
 *   200 ppm, and a fifth of a second for 2.
 * - Strobe, jitter and steps are jumps, and those back are their own. They are in the
 *   distance at the planning, but not in the surplus, which would be a jump by all of their amount.
 *   The shape must have begun for readers of the coarse clocks as well: slew_await_beginning().
 * - A slew that has not ended is a part of D_old, so the next begins where it stands.
 * - A deadline of the old skew that passes within SETTLE is a jump of its own; at that of the
 *   new the clock jumps to the true time, whatever is left of the slew.
 *
 * Behind w the new clock runs at its own rate less the pace, if it is ahead; slew_check() asks
 * for a pace that leaves it not below 0. All is rounded down once, in the sum (shape.h).
 *
 * All clocks' readings are those of one instant to within half the time of a read
 * (deadline.c), which the surplus covers, as it changes no more than a rate in that time.
 */
#include "engine/slew.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "engine/deadline.h"
#include "engine/duration.h"
#include "engine/error.h"
#include "engine/private.h"

#define MILLISECOND INT64_C(1000000)
#define SETTLE      INT64_C(100000000)
#define HOLD        (1000 * MILLISECOND)
/* A tick of the slowest kernel, three times. */
#define BEGINNING (30 * MILLISECOND)

typedef unsigned __int128 wide;

static uint64_t size_of(int64_t amount)
{
    return amount < 0 ? -(uint64_t)amount : (uint64_t)amount;
}

__int128 slew_rest(const struct image_slew *slew, clockid_t clock, int64_t reading_ns)
{
    int64_t amount = slew->amount_ns[clock], begin = slew->begin_ns[clock];
    wide size = (wide)size_of(amount) << 64;
    uint64_t since = reading_ns > begin ? (uint64_t)reading_ns - (uint64_t)begin : 0;
    wide gone = (wide)since * slew->pace;
    __int128 rest = gone < size ? (__int128)(size - gone) : 0;
    return amount < 0 ? -rest : rest;
}

int64_t slew_end(const struct image_slew *slew, clockid_t clock)
{
    wide size = (wide)size_of(slew->amount_ns[clock]) << 64;
    wide takes = slew->pace == 0 ? 0 : size / slew->pace + (size % slew->pace != 0);
    int64_t end;
    if (takes > INT64_MAX || __builtin_add_overflow(slew->begin_ns[clock], (int64_t)takes, &end)) {
        return INT64_MAX;
    }
    return end;
}

static bool chosen(const struct image_skew *skew, clockid_t clock)
{
    return clock >= 0 && clock < IMAGE_CLOCK_COUNT && (skew->clocks & SKEW_CLOCK_BIT(clock)) != 0;
}

int64_t skew_difference(const struct image_skew *skew, clockid_t clock, int64_t reading_ns)
{
    if (!chosen(skew, clock) || reading_ns >= skew->deadlines.at_ns[clock]) {
        return 0;
    }
    __int128 rest = skew->slew.pace != 0 ? slew_rest(&skew->slew, clock, reading_ns) : 0;
    int64_t elapsed = (int64_t)((uint64_t)reading_ns - (uint64_t)skew->beginning_ns[clock]);
    return (int64_t)((uint64_t)image_skew_offset(skew) +
                     (uint64_t)shape_difference_plus(&skew->shape, elapsed, rest));
}

static bool slides(const struct shape_part *part)
{
    return part->kind == SHAPE_RATE || part->kind == SHAPE_RAMP || part->kind == SHAPE_SMEAR;
}

/* Without what jumps or waves. */
static struct image_skew smooth(const struct image_skew *skew)
{
    struct image_skew kept = *skew;
    kept.shape = (struct shape){0};
    for (size_t i = 0; i < skew->shape.count; i++) {
        if (slides(&skew->shape.parts[i])) {
            kept.shape.parts[kept.shape.count++] = skew->shape.parts[i];
        }
    }
    return kept;
}

/* At most how far a wave gets within SETTLE: it climbs by 2 pi amplitudes per period. */
static __int128 wave_travel(const struct image_skew *skew)
{
    for (size_t i = 0; i < skew->shape.count; i++) {
        const struct shape_part *part = &skew->shape.parts[i];
        if (part->kind == SHAPE_SINE && part->amount != 0) {
            __int128 amplitude = (__int128)size_of(part->amount);
            __int128 climbs = amplitude * SETTLE / part->span * 6284 / 1000;
            return (climbs < amplitude * 2 ? climbs : amplitude * 2) + amplitude / 10000000 + 2;
        }
    }
    return 0;
}

/* How much further the old skew is than the new one within SETTLE than it is now. */
struct distance {
    const struct image_skew *before, *after;
    clockid_t clock;
    int64_t now;
    __int128 most;
};

static __int128 distance_at(const struct distance *distance, int64_t reading)
{
    return (__int128)skew_difference(distance->before, distance->clock, reading) -
           skew_difference(distance->after, distance->clock, reading);
}

static void distance_include(struct distance *distance, int64_t reading)
{
    if (reading < distance->now - SETTLE || reading > distance->now + SETTLE) {
        return;
    }
    __int128 there = distance_at(distance, reading);
    distance->most = there > distance->most ? there : distance->most;
}

/* Where a straight line ends and another begins, and the last nanosecond before. */
static void corner_include(struct distance *distance, int64_t reading)
{
    if (reading > 0) {
        distance_include(distance, reading - 1);
        distance_include(distance, reading);
    }
}

static void corners_include(struct distance *distance, const struct image_skew *skew)
{
    clockid_t clock = distance->clock;
    for (size_t i = 0; i < skew->shape.count; i++) {
        int64_t end;
        corner_include(distance, skew->beginning_ns[clock]);
        if (!__builtin_add_overflow(skew->beginning_ns[clock], skew->shape.parts[i].span, &end)) {
            corner_include(distance, end);
        }
    }
    corner_include(distance, skew->slew.begin_ns[clock]);
    corner_include(distance, slew_end(&skew->slew, clock));
    corner_include(distance, skew->deadlines.at_ns[clock]);
}

/* Whether a smooth skew may change within SETTLE. */
static bool moves(const struct image_skew *skew, clockid_t clock, int64_t now)
{
    return skew->shape.count != 0 || slew_rest(&skew->slew, clock, now - SETTLE) != 0;
}

static __int128 surplus(const struct image_skew *before, const struct image_skew *after,
                        clockid_t clock, int64_t now)
{
    const struct image_skew old = smooth(before), new = smooth(after);
    struct distance distance = {.before = &old, .after = &new, .clock = clock, .now = now};
    __int128 present = distance_at(&distance, now);
    distance.most = present;
    distance_include(&distance, now - SETTLE);
    distance_include(&distance, now + SETTLE);
    corners_include(&distance, &old);
    corners_include(&distance, &new);
    /* Between corners each of the two may be a nanosecond off the line, having been rounded. */
    bool rounded = moves(&old, clock, now) || moves(&new, clock, now);
    return distance.most - present + (rounded ? 2 : 0) +
           (chosen(before, clock) ? wave_travel(before) : 0) +
           (chosen(after, clock) ? wave_travel(after) : 0);
}

bool slew_plan(const struct image_skew *before, uint64_t pace, struct clock_shift shift,
               int64_t true_ns, struct image_skew *after)
{
    struct image_slew slew = {.pace = pace};
    int64_t now[IMAGE_CLOCK_COUNT];
    bool any = false;
    after->slew = (struct image_slew){0};
    clock_readings_at(true_ns, shift, 0, now);
    for (clockid_t clock = 0; clock < IMAGE_CLOCK_COUNT; clock++) {
        if (!chosen(after, clock)) {
            continue;
        }
        __int128 amount = (__int128)skew_difference(before, clock, now[clock]) -
                          skew_difference(after, clock, now[clock]) +
                          surplus(before, after, clock, now[clock]);
        if (amount > INT64_MAX || amount < -(__int128)INT64_MAX) {
            return false;
        }
        slew.amount_ns[clock] = (int64_t)amount;
        slew.begin_ns[clock] = now[clock] + HOLD;
        any = any || amount != 0;
    }
    after->slew = any ? slew : after->slew;
    return true;
}

bool slew_timely_before(int64_t planned_ns)
{
    return monotonic_now() - planned_ns < SETTLE / 2;
}

bool slew_timely_after(int64_t planned_ns)
{
    return monotonic_now() - planned_ns <= SETTLE;
}

/* The first clock of the set. */
static const char *clock_name(uint64_t clocks, char *buffer, size_t size)
{
    return skew_clocks_format(clocks & -clocks, buffer, size);
}

static enum skew_code leaving_check(const struct image_skew *before, const struct image_skew *after,
                                    struct skew_error *error)
{
    uint64_t leaving = before->clocks & ~after->clocks;
    bool neutral =
        before->shape.count == 0 && before->slew.pace == 0 && image_skew_offset(before) == 0;
    char name[32];
    if (leaving == 0 || neutral) {
        return SKEW_OK;
    }
    error_set(error, SKEW_REFUSED, 0, 0, "slew",
              "clock %s is skewed and would not be any more, so it would jump",
              clock_name(leaving, name, sizeof name));
    error_advise(error, "leave --clock out, to keep the clocks as they are, or recover --slew");
    return SKEW_REFUSED;
}

enum skew_code slew_check(const struct image_skew *before, const struct skew_request *request,
                          struct clock_shift shift, struct image_skew *after,
                          struct skew_error *error)
{
    enum skew_code code = leaving_check(before, after, error);
    if (code != SKEW_OK) {
        return code;
    }
    if (!request->force && !shape_goes_back(&after->shape) &&
        shape_goes_back_held(&after->shape, request->slew_pace)) {
        error_set(error, SKEW_REFUSED, 0, 0, "slew",
                  "the new skew makes the clocks so slow that they would go back at this pace");
        error_advise(error, "take a smaller pace, or use --force");
        return SKEW_REFUSED;
    }
    if (!slew_plan(before, request->slew_pace, shift, realtime_now(), after)) {
        error_set(error, SKEW_REFUSED, 0, 0, "slew",
                  "the two skews are further apart than can be slewed");
        error_advise(error, "leave --slew out");
        return SKEW_REFUSED;
    }
    return SKEW_OK;
}

void slew_await_beginning(const struct skew_request *request)
{
    int64_t left = request->begin_ns + BEGINNING - realtime_now();
    if (request->slew_pace != 0 && request->shape.count != 0 && left > 0 && left <= BEGINNING) {
        nanosleep(&(struct timespec){.tv_nsec = left}, NULL);
    }
}

static const struct clock_shift no_shift = {.known = true};

enum skew_code slew_foretell(const struct skew_request *request, struct skew_report *report,
                             struct skew_error *error)
{
    struct image_skew after = image_skew_from(report->clocks, request->offset_ns, NULL);
    const struct image_skew before = image_skew_from(report->clocks, 0, NULL);
    after.shape = request->shape;
    clock_readings_at(request->begin_ns, no_shift, 0, after.beginning_ns);
    enum skew_code code = slew_check(&before, request, no_shift, &after, error);
    if (code == SKEW_OK) {
        slew_report(&after, no_shift, report);
    }
    return code;
}

void slew_report_late(struct skew_report *report)
{
    strncpy(report->note, "the machine was so busy that a clock may have stepped back at once",
            sizeof report->note - 1);
}

/* To what a person reads of it: upwards, so that it is not promised too early. */
static int64_t rounded_up(int64_t duration)
{
    int64_t place = duration < DURATION_SECOND_NS ? MILLISECOND : DURATION_SECOND_NS;
    return duration > INT64_MAX - place ? duration : (duration + place - 1) / place * place;
}

void slew_report(const struct image_skew *skew, struct clock_shift shift,
                 struct skew_report *report)
{
    int64_t now[IMAGE_CLOCK_COUNT];
    char left[DURATION_TEXT_MAX];
    int64_t last = INT64_MIN, instant = realtime_now();
    report->slew_left_ns = report->slew_rest_ns = 0;
    report->slew_pace = 0;
    if (skew->slew.pace == 0 || deadline_passed(image_skew_deadline(skew))) {
        return;
    }
    clock_readings_at(instant, shift, 0, now);
    for (clockid_t clock = 0; clock < IMAGE_CLOCK_COUNT; clock++) {
        int64_t end = slew_end(&skew->slew, clock), behind = now[clock] - BEGINNING;
        if (!chosen(skew, clock) || skew->slew.amount_ns[clock] == 0) {
            continue;
        }
        int64_t takes_from_now = end == INT64_MAX ? end : end - now[clock];
        if (takes_from_now > last) {
            last = takes_from_now;
            report->slew_pace = skew->slew.pace;
            report->slew_amount_ns = skew->slew.amount_ns[clock];
            report->slew_sliding_ns = instant + (skew->slew.begin_ns[clock] - now[clock]);
        }
        if (end <= behind) {
            continue;
        }
        /* A coarse clock gets there a tick after the fine one. */
        int64_t takes = end == INT64_MAX ? end : end - behind;
        if (takes > report->slew_left_ns) {
            report->slew_left_ns = takes;
            report->slew_rest_ns = (int64_t)(slew_rest(&skew->slew, clock, now[clock]) >> 64);
        }
    }
    if (report->slew_left_ns == INT64_MAX) {
        snprintf(report->note, sizeof report->note, "slewing, for more than 292 years");
    } else if (report->slew_left_ns != 0) {
        snprintf(report->note, sizeof report->note, "slewing, %s left",
                 duration_format(rounded_up(report->slew_left_ns), left));
    }
}
