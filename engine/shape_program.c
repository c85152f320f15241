/*
 * shape_program.c - makes a shape's program; see shape_program.h.
 *
 * What is linear is added up, per stretch of time, into one straight line: its value at
 * elapsed 0, were it as long, is exact modulo 2^128, and so is what it shows wherever that
 * fits in 64 bits. For the multiplication with a frequency see shape_frequency(): it is in
 * excess by less than 2^-128, so the upper 64 bits of a product with any elapsed time are the
 * number of whole periods, and the next 64 bits tell their halves, exactly.
 */
#include "engine/shape_program.h"

#include <string.h>

#include "asm/x86_64/layout.h"

typedef unsigned __int128 wide;

/* A part from one of its corners on: what it adds there, and how it goes on. */
static void line_add(const struct shape_part *part, int64_t from, wide *value, wide *slope)
{
    bool slides = part->kind == SHAPE_RAMP || part->kind == SHAPE_SMEAR;
    if (part->kind == SHAPE_RATE || (slides && from >= 0 && from < part->span)) {
        *slope += (wide)shape_part_slope(part);
    } else if (slides && from >= part->span) {
        *value += (wide)shape_part_slope(part) * (wide)part->span;
    } else if (part->kind == SHAPE_STEP && from >= part->span) {
        *value += (wide)part->amount << 64;
    }
}

static struct shape_segment segment_make(const struct shape *shape, int64_t offset_ns, int64_t from,
                                         int64_t last)
{
    wide value = (wide)offset_ns << 64, slope = (wide)1 << 64;
    for (size_t i = 0; i < shape->count; i++) {
        line_add(&shape->parts[i], from, &value, &slope);
    }
    uint64_t low = (uint64_t)slope, high = (uint64_t)(slope >> 64);
    return (struct shape_segment){.last = last,
                                  .value_low = (uint64_t)value,
                                  .value_high = (int64_t)(value >> 64),
                                  .slope_low = (int64_t)low,
                                  .slope_high = (int64_t)(high + (low >> 63))};
}

/* The next corner behind an instant; INT64_MAX for none. */
static int64_t corner_next(const struct shape *shape, int64_t from)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < shape->count; i++) {
        const struct shape_part *part = &shape->parts[i];
        bool slides = part->kind == SHAPE_RAMP || part->kind == SHAPE_SMEAR;
        if (slides && from < 0) {
            next = 0;
        }
        if ((slides || part->kind == SHAPE_STEP) && part->span > from && part->span < next) {
            next = part->span;
        }
    }
    return next;
}

static void periodic_add(const struct shape_part *part, struct shape_program *program)
{
    if (part->kind == SHAPE_STROBE) {
        wide frequency = shape_frequency(part->span * 2);
        program->periodic |= SHAPE_PERIODIC_STROBE;
        program->strobe_low = (uint64_t)frequency;
        program->strobe_high = (uint64_t)(frequency >> 64);
        program->strobe_amount = part->amount;
    } else if (part->kind == SHAPE_SINE) {
        wide frequency = shape_frequency(part->span);
        program->periodic |= SHAPE_PERIODIC_SINE;
        program->sine_low = (uint64_t)frequency;
        program->sine_high = (uint64_t)(frequency >> 64);
        program->sine_amplitude = shape_amplitude(part->amount);
    } else if (part->kind == SHAPE_JITTER) {
        wide frequency = shape_frequency(part->span);
        program->periodic |= SHAPE_PERIODIC_JITTER;
        program->jitter_low = (uint64_t)frequency;
        program->jitter_high = (uint64_t)(frequency >> 64);
        program->jitter_seed = shape_seed(part->detail);
        program->jitter_range = (uint64_t)part->amount * 2 + 1;
        program->jitter_lowest = -part->amount;
    }
}

void shape_program_make(const struct shape *shape, int64_t offset_ns, struct shape_program *program)
{
    memset(program, 0, sizeof *program);
    int64_t from = INT64_MIN;
    for (size_t i = 0; i < SHAPE_SEGMENTS_MAX; i++) {
        int64_t next = corner_next(shape, from);
        int64_t last = next == INT64_MAX ? INT64_MAX : next - 1;
        program->segments[i] = segment_make(shape, offset_ns, from, last);
        if (next == INT64_MAX) {
            break;
        }
        from = next;
    }
    for (size_t i = 0; i < shape->count; i++) {
        periodic_add(&shape->parts[i], program);
    }
}
