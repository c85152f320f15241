/*
 * shape.c - what shapes show, and what can be known of that beforehand; see shape.h.
 *
 * Promise: pure computation on integers, the same on every machine.
 */
#include "engine/shape.h"

#include <string.h>

#include "asm/x86_64/layout.h"

typedef unsigned __int128 wide;

__int128 shape_part_slope(const struct shape_part *part)
{
    if (part->kind == SHAPE_RATE) {
        return (__int128)((wide)part->amount << 64 | part->detail);
    }
    /* Rounded up: so much less than 2^-64 in excess, for less than 2^64 ns, is not a nanosecond. */
    int64_t amount = part->kind == SHAPE_SMEAR ? -part->amount : part->amount;
    __int128 scaled = (__int128)((wide)amount << 64);
    return scaled / part->span + (scaled > 0 && scaled % part->span != 0);
}

wide shape_frequency(int64_t period)
{
    return ~(wide)0 / (uint64_t)period + 1;
}

/* In 2^-64 nanoseconds, modulo 2^128. */
static wide linear(const struct shape_part *part, int64_t elapsed)
{
    switch ((enum shape_kind)part->kind) {
    case SHAPE_RATE:
        return (wide)shape_part_slope(part) * (wide)elapsed;
    case SHAPE_RAMP:
    case SHAPE_SMEAR:
        elapsed = elapsed < 0 ? 0 : elapsed;
        elapsed = elapsed > part->span ? part->span : elapsed;
        return (wide)shape_part_slope(part) * (wide)elapsed;
    case SHAPE_STEP:
        return elapsed < part->span ? 0 : (wide)part->amount << 64;
    case SHAPE_STROBE:
    case SHAPE_SINE:
    case SHAPE_JITTER:
    case SHAPE_KIND_COUNT:
        break;
    }
    return 0;
}

/* The upper half of a product of fixed point numbers: of 2^-a and 2^-b, in 2^(64 - a - b). */
static int64_t product(int64_t one, int64_t other)
{
    return (int64_t)(((__int128)one * other) >> 64);
}

int64_t shape_amplitude(int64_t amount)
{
    const int64_t leading = INT64_C(5729994958264270656); /* 75 */
    return (int64_t)(((__int128)amount * leading) >> 50);
}

/*
 * The waves are folded onto the half around the zero where one rises; there, for v from -1
 * to 1, sin(v pi / 2) is v times a polynomial of u = v^2, interpolated at Chebyshev's points.
 * Of the fourth degree in u, it is its leading coefficient, which the amplitude has been multiplied
 * with, times
 *     (y + b) (y - 32 u + c) + d    where    y = (u + a) u
 * which takes fewer multiplications one after the other than any other way (Knuth, The Art of
 * Computer Programming, volume 2, 4.6.4; 32 where he has -1 keeps the constants small). The
 * comments tell the fractional bits.
 */
static __int128 sine(int64_t amplitude, uint64_t phase)
{
    int64_t falling = (int64_t)(phase + (UINT64_C(1) << 62)) >> 63;
    int64_t v = (int64_t)(phase * 2);                                                      /* 63 */
    int64_t u = product(v, v);                                                             /* 62 */
    int64_t y = product(u + SHAPE_SINE_A, u >> 8);                                         /* 52 */
    int64_t slope = product(y + SHAPE_SINE_B, y - (u >> 5) + SHAPE_SINE_C) + SHAPE_SINE_D; /* 40 */
    int64_t scaled = product(v ^ falling, shape_amplitude(amplitude));                     /* 24 */
    return (__int128)scaled * slope;                                                       /* 64 */
}

/* So that seeds that differ little give noise that does not. */
uint64_t shape_seed(uint64_t seed)
{
    seed += UINT64_C(0x9e3779b97f4a7c15);
    seed = (seed ^ seed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    seed = (seed ^ seed >> 27) * UINT64_C(0x94d049bb133111eb);
    return seed ^ seed >> 31;
}

/* A hash of the number of the quantum: nothing need be remembered. */
static int64_t noise(const struct shape_part *part, int64_t elapsed)
{
    uint64_t hash = (uint64_t)(elapsed / part->span) + shape_seed(part->detail);
    hash *= UINT64_C(0xbf58476d1ce4e5b9);
    hash ^= hash >> 32;
    hash *= UINT64_C(0x94d049bb133111eb);
    hash ^= hash >> 29;
    hash *= UINT64_C(0x9e3779b97f4a7c15);
    return (int64_t)((wide)hash * ((uint64_t)part->amount * 2 + 1) >> 64) - part->amount;
}

/* In 2^-64 nanoseconds, modulo 2^128. */
static wide periodic(const struct shape_part *part, int64_t elapsed)
{
    if (elapsed < 0) {
        return 0;
    }
    switch ((enum shape_kind)part->kind) {
    case SHAPE_STROBE:
        return elapsed / part->span % 2 == 0 ? (wide)part->amount << 64 : 0;
    case SHAPE_SINE:
        return (wide)sine(part->amount,
                          (uint64_t)(shape_frequency(part->span) * (uint64_t)elapsed >> 64));
    case SHAPE_JITTER:
        return (wide)noise(part, elapsed) << 64;
    case SHAPE_RATE:
    case SHAPE_RAMP:
    case SHAPE_SMEAR:
    case SHAPE_STEP:
    case SHAPE_KIND_COUNT:
        break;
    }
    return 0;
}

int64_t shape_difference(const struct shape *shape, int64_t elapsed)
{
    return shape_difference_plus(shape, elapsed, 0);
}

int64_t shape_difference_plus(const struct shape *shape, int64_t elapsed, __int128 more)
{
    wide exact = (wide)more;
    for (size_t i = 0; i < shape->count; i++) {
        exact += linear(&shape->parts[i], elapsed) + periodic(&shape->parts[i], elapsed);
    }
    return (int64_t)(uint64_t)(exact >> 64);
}

static bool within(int64_t value, int64_t low, int64_t high)
{
    return value >= low && value <= high;
}

static const char *part_problem(const struct shape_part *part)
{
    static const char *const span = "its time is too short or too long";
    static const char *const amount = "its amount is too large";
    if (part->kind >= SHAPE_KIND_COUNT) {
        return "there is no such part";
    }
    if (part->kind == SHAPE_RATE) {
        return part->span != 0 || part->amount < -1 || part->amount >= SHAPE_RATE_MAX - 1
                   ? "a rate is from 0 to less than 1000"
                   : NULL;
    }
    if (part->detail != 0 && part->kind != SHAPE_JITTER) {
        return "only noise has a seed";
    }
    bool repeated =
        part->kind == SHAPE_STROBE || part->kind == SHAPE_SINE || part->kind == SHAPE_JITTER;
    int64_t shortest = repeated ? SHAPE_PERIODIC_MIN : part->kind != SHAPE_STEP;
    if (!within(part->span, shortest, SHAPE_SPAN_MAX)) {
        return span;
    }
    int64_t most = part->kind == SHAPE_SINE ? SHAPE_AMPLITUDE_MAX : SHAPE_AMOUNT_MAX;
    if (!within(part->amount, -most, most)) {
        return amount;
    }
    return part->kind == SHAPE_JITTER && part->amount < 0 ? "noise goes both ways: its amount has "
                                                            "no sign"
                                                          : NULL;
}

bool shape_add(struct shape *shape, const struct shape_part *part, const char **problem)
{
    size_t at = shape->count, steps = 0;
    *problem = part_problem(part);
    for (size_t i = 0; i < shape->count; i++) {
        const struct shape_part *other = &shape->parts[i];
        if (other->kind == part->kind && part->kind != SHAPE_STEP) {
            *problem = "there is one already";
        }
        steps += other->kind == SHAPE_STEP;
        bool behind =
            other->kind > part->kind || (other->kind == part->kind && other->span > part->span);
        if (behind && at == shape->count) {
            at = i;
        }
    }
    if (*problem == NULL && part->kind == SHAPE_STEP && steps == SHAPE_STEPS_MAX) {
        *problem = "there are more steps than 7";
    }
    if (*problem != NULL) {
        return false;
    }
    memmove(&shape->parts[at + 1], &shape->parts[at], (shape->count - at) * sizeof *part);
    shape->parts[at] = *part;
    shape->count++;
    return true;
}

bool shape_valid(const struct shape *shape)
{
    struct shape again = {0};
    const char *problem;
    if (shape->count > SHAPE_PARTS_MAX) {
        return false;
    }
    for (size_t i = 0; i < shape->count; i++) {
        if (!shape_add(&again, &shape->parts[i], &problem)) {
            return false;
        }
    }
    return shape_equal(&again, shape);
}

bool shape_equal(const struct shape *one, const struct shape *other)
{
    return one->count == other->count &&
           memcmp(one->parts, other->parts, one->count * sizeof *one->parts) == 0;
}

static const struct shape_part *part_find(const struct shape *shape, enum shape_kind kind)
{
    for (size_t i = 0; i < shape->count; i++) {
        if (shape->parts[i].kind == kind) {
            return &shape->parts[i];
        }
    }
    return NULL;
}

/* Beyond that no clock goes back or forward any faster, for what is asked. */
#define PACE_MOST ((__int128)1 << 125)

/* How fast the clock runs just behind an instant but for what is periodic, in 2^-64. */
static __int128 pace(const struct shape *shape, int64_t elapsed)
{
    __int128 sum = (__int128)1 << 64;
    for (size_t i = 0; i < shape->count; i++) {
        const struct shape_part *part = &shape->parts[i];
        bool sliding = (part->kind == SHAPE_RAMP || part->kind == SHAPE_SMEAR) && elapsed >= 0 &&
                       elapsed < part->span;
        if (part->kind == SHAPE_RATE || sliding) {
            __int128 slope = shape_part_slope(part);
            slope = slope > PACE_MOST ? PACE_MOST : slope < -PACE_MOST ? -PACE_MOST : slope;
            sum += slope;
        }
    }
    return sum;
}

static __int128 pace_least(const struct shape *shape)
{
    __int128 least = pace(shape, -1), now = pace(shape, 0);
    least = now < least ? now : least;
    for (size_t i = 0; i < shape->count; i++) {
        now = pace(shape, shape->parts[i].span);
        least = now < least ? now : least;
    }
    return least;
}

bool shape_goes_back(const struct shape *shape)
{
    return shape_goes_back_held(shape, 0);
}

bool shape_goes_back_held(const struct shape *shape, uint64_t held)
{
    const struct shape_part *strobe = part_find(shape, SHAPE_STROBE);
    const struct shape_part *jitter = part_find(shape, SHAPE_JITTER);
    const struct shape_part *wave = part_find(shape, SHAPE_SINE);
    __int128 least = pace_least(shape) - held;
    bool back = least < 0 || (strobe != NULL && strobe->amount != 0) ||
                (jitter != NULL && jitter->amount != 0);
    for (size_t i = 0; i < shape->count; i++) {
        back |= shape->parts[i].kind == SHAPE_STEP && shape->parts[i].amount < 0;
    }
    if (wave != NULL && wave->amount != 0) {
        /* The wave falls by at most 2 pi amplitudes per period; a little more is allowed for. */
        __int128 amplitude = wave->amount < 0 ? -wave->amount : wave->amount;
        __int128 falls = (amplitude * 6284 + wave->span / 1000 + 1) << 40;
        /* Divided, as a pace times a period may take more than 128 bits. */
        back |= least >> 24 <= (falls - 1) / ((__int128)wave->span * 1000);
    }
    return back;
}

/* How much further the clock is by all but the periodic parts. */
static __int128 progress(const struct shape *shape, int64_t elapsed)
{
    __int128 sum = elapsed;
    for (size_t i = 0; i < shape->count; i++) {
        const struct shape_part *part = &shape->parts[i];
        if (part->kind == SHAPE_RATE) {
            sum += (__int128)part->amount * elapsed;
            sum += ((__int128)(part->detail >> 1) * elapsed) >> 63;
        } else {
            sum += (int64_t)(linear(part, elapsed) >> 64);
        }
    }
    return sum;
}

static void extent_include(struct shape_extent *extent, const struct shape *shape, int64_t elapsed)
{
    __int128 now = progress(shape, elapsed);
    extent->lowest = now < extent->lowest ? now : extent->lowest;
    extent->highest = now > extent->highest ? now : extent->highest;
}

struct shape_extent shape_extent(const struct shape *shape, int64_t from, int64_t to)
{
    /* Between the places where some part begins or ends it is a straight line. */
    struct shape_extent extent = {progress(shape, from), progress(shape, from)};
    extent_include(&extent, shape, to);
    for (size_t i = 0; i < shape->count; i++) {
        const int64_t corners[] = {0, shape->parts[i].span - 1, shape->parts[i].span};
        for (size_t c = 0; c < sizeof corners / sizeof *corners; c++) {
            if (within(corners[c], from, to)) {
                extent_include(&extent, shape, corners[c]);
            }
        }
    }
    for (size_t i = 0; i < shape->count; i++) {
        const struct shape_part *part = &shape->parts[i];
        int64_t size = part->amount < 0 ? -part->amount : part->amount;
        size += part->kind == SHAPE_SINE ? size / 100000000 : 0;
        bool both = part->kind == SHAPE_SINE || part->kind == SHAPE_JITTER;
        bool strobe = part->kind == SHAPE_STROBE;
        extent.lowest -= both || (strobe && part->amount < 0) ? size : 0;
        extent.highest += both || (strobe && part->amount > 0) ? size : 0;
    }
    /* What was rounded down part by part; without a part nothing was. */
    extent.lowest -= (int64_t)shape->count;
    extent.highest += (int64_t)shape->count;
    return extent;
}
