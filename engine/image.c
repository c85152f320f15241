/*
 * image.c - builds an image, recognises one, and reads and plans changes of
 * its parameters.
 *
 * Promise: pure computation. What is built here is complete before the target
 * is stopped; what is recognised here has passed every check that its bytes
 * allow.
 */
#include "engine/image.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "asm/x86_64/layout.h"
#include "engine/error.h"
#include "engine/shape_program.h"

#define MAGIC            "skewctl"
#define VERSION          3
#define NANOSECONDS      INT64_C(1000000000)
#define FIRST_GENERATION 2
#define IN_PAGE          ((uint64_t)IMAGE_PAGE - 1)

_Static_assert(sizeof(struct image_header) <= IMAGE_PARAMETERS, "the header must fit");
_Static_assert(IMAGE_PARAMETERS_SIZE >= PARAMETERS_SLOTS + 2 * PARAMETERS_SLOT_STRIDE,
               "both slots must fit");
_Static_assert(IMAGE_PARAMETERS + IMAGE_PARAMETERS_SIZE <= IMAGE_READBACK &&
                   SLOT_SIZE <= PARAMETERS_SLOT_STRIDE &&
                   PARAMETERS_SLOT_STRIDE / PARAMETERS_WORD <= UINT8_MAX,
               "two slots that a byte tells apart");
_Static_assert(IMAGE_CLOCK_COUNT == SLOT_CLOCK_COUNT &&
                   SLOT_DEADLINE_NANOSECONDS ==
                       SLOT_DEADLINE_SECONDS + SLOT_CLOCK_COUNT * PARAMETERS_WORD &&
                   SLOT_BEGINNING ==
                       SLOT_DEADLINE_NANOSECONDS + SLOT_CLOCK_COUNT * PARAMETERS_WORD &&
                   SLOT_PROGRAM == SLOT_BEGINNING + SLOT_CLOCK_COUNT * PARAMETERS_WORD,
               "one word per clock");
#define AT_WORD(word, offset) (offsetof(struct shape_program, word) == (offset))
_Static_assert(
    AT_WORD(periodic, PROGRAM_PERIODIC) && AT_WORD(strobe_low, PROGRAM_STROBE_LOW) &&
        AT_WORD(strobe_high, PROGRAM_STROBE_HIGH) &&
        AT_WORD(strobe_amount, PROGRAM_STROBE_AMOUNT) && AT_WORD(sine_low, PROGRAM_SINE_LOW) &&
        AT_WORD(sine_high, PROGRAM_SINE_HIGH) && AT_WORD(sine_amplitude, PROGRAM_SINE_AMPLITUDE) &&
        AT_WORD(jitter_low, PROGRAM_JITTER_LOW) && AT_WORD(jitter_high, PROGRAM_JITTER_HIGH) &&
        AT_WORD(jitter_seed, PROGRAM_JITTER_SEED) && AT_WORD(jitter_range, PROGRAM_JITTER_RANGE) &&
        AT_WORD(jitter_lowest, PROGRAM_JITTER_LOWEST) && AT_WORD(segments, PROGRAM_SEGMENTS) &&
        sizeof(struct shape_segment) == SEGMENT_SIZE &&
        offsetof(struct shape_segment, last) == SEGMENT_LAST &&
        offsetof(struct shape_segment, value_low) == SEGMENT_VALUE_LOW &&
        offsetof(struct shape_segment, value_high) == SEGMENT_VALUE_HIGH &&
        offsetof(struct shape_segment, slope_low) == SEGMENT_SLOPE_LOW &&
        offsetof(struct shape_segment, slope_high) == SEGMENT_SLOPE_HIGH,
    "a program is written as it lies in the image");
_Static_assert(SLOT_SHAPE == SLOT_PROGRAM + sizeof(struct shape_program) &&
                   SLOT_SLEW_PACE == SLOT_SHAPE + sizeof(struct shape) &&
                   SLOT_SLEW_BEGINNING == SLOT_SLEW_PACE + PARAMETERS_WORD &&
                   SLOT_SLEW_AMOUNT == SLOT_SLEW_BEGINNING + SLOT_CLOCK_COUNT * PARAMETERS_WORD &&
                   SLOT_SIZE == SLOT_SLEW_AMOUNT + SLOT_CLOCK_COUNT * PARAMETERS_WORD &&
                   SLOT_CLOCK_COUNT <= SLOT_SHAPED,
               "program, shape and slew must fit");
_Static_assert(IMAGE_WRITE_MAX == SLOT_SIZE - SLOT_CLOCKS, "all of a slot but its generation");
_Static_assert(IMAGE_READBACK_RESULTS_SIZE == READBACK_SIZE - READBACK_RESULTS,
               "the results must fit");

struct image_skew image_skew_from(uint64_t clocks, int64_t offset_ns,
                                  const struct image_deadlines *deadlines)
{
    struct image_skew skew = {.clocks = clocks, .seconds = offset_ns / NANOSECONDS};
    int64_t rest = offset_ns % NANOSECONDS;
    if (rest < 0) {
        rest += NANOSECONDS;
        skew.seconds--;
    }
    skew.nanoseconds = (uint64_t)rest;
    for (int clock = 0; clock < IMAGE_CLOCK_COUNT; clock++) {
        skew.deadlines.at_ns[clock] = deadlines != NULL ? deadlines->at_ns[clock] : IMAGE_NEVER;
    }
    return skew;
}

static __int128 skew_offset_whole(const struct image_skew *skew)
{
    return (__int128)skew->seconds * NANOSECONDS + (int64_t)skew->nanoseconds;
}

int64_t image_skew_offset(const struct image_skew *skew)
{
    return (int64_t)skew_offset_whole(skew);
}

int64_t image_skew_deadline(const struct image_skew *skew)
{
    int64_t at_ns = skew->deadlines.at_ns[CLOCK_REALTIME];
    return at_ns == IMAGE_NEVER ? 0 : at_ns;
}

int64_t image_skew_begin(const struct image_skew *skew)
{
    return skew->shape.count == 0 ? 0 : skew->beginning_ns[CLOCK_REALTIME];
}

size_t image_data_size(void)
{
    return IMAGE_SHIM;
}

/* The copy keeps its offset within the page, and with it the alignment of its functions. */
static size_t text_offset_in_image(const struct vdso *vdso)
{
    return IMAGE_TEXT + (vdso->text_offset & IN_PAGE);
}

size_t image_size_for(const struct vdso *vdso)
{
    return (text_offset_in_image(vdso) + vdso->text_size + IN_PAGE) & ~IN_PAGE;
}

static uint64_t fnv1a(const void *bytes, size_t size)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ ((const uint8_t *)bytes)[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static uint64_t header_checksum(const struct image_header *header)
{
    return fnv1a(header, offsetof(struct image_header, checksum));
}

/* Whether a program shows it, rather than an addition. */
static bool skew_bent(const struct image_skew *skew)
{
    return skew->shape.count != 0 || skew->slew.pace != 0;
}

/* Which clocks the slot says are skewed, by an offset or by a program. */
static uint64_t slot_clocks(const struct image_skew *skew)
{
    uint64_t clocks = skew->clocks & UINT32_MAX;
    return skew_bent(skew) ? clocks << SLOT_SHAPED : clocks;
}

static struct shape_program program_of(const struct image_skew *skew)
{
    struct shape_program program = {0};
    if (skew_bent(skew)) {
        shape_program_make(&skew->shape, image_skew_offset(skew), &program);
        program.periodic |= skew->slew.pace != 0 ? SHAPE_PERIODIC_SLEW : 0;
    }
    return program;
}

/* Between the beginning of the slew, as the clock reads then, and as time elapsed. */
static void slew_fill(uint8_t *slot, const struct image_skew *skew)
{
    memcpy(slot + SLOT_SLEW_PACE, &skew->slew.pace, sizeof skew->slew.pace);
    memcpy(slot + SLOT_SLEW_AMOUNT, skew->slew.amount_ns, sizeof skew->slew.amount_ns);
    for (size_t clock = 0; clock < IMAGE_CLOCK_COUNT; clock++) {
        uint64_t elapsed =
            (uint64_t)skew->slew.begin_ns[clock] - (uint64_t)skew->beginning_ns[clock];
        elapsed = skew->slew.pace != 0 ? elapsed : 0;
        memcpy(slot + SLOT_SLEW_BEGINNING + clock * sizeof elapsed, &elapsed, sizeof elapsed);
    }
}

static void slew_read(const uint8_t *slot, struct image_skew *skew)
{
    skew->slew = (struct image_slew){0};
    memcpy(&skew->slew.pace, slot + SLOT_SLEW_PACE, sizeof skew->slew.pace);
    if (skew->slew.pace == 0) {
        return;
    }
    memcpy(skew->slew.amount_ns, slot + SLOT_SLEW_AMOUNT, sizeof skew->slew.amount_ns);
    for (size_t clock = 0; clock < IMAGE_CLOCK_COUNT; clock++) {
        uint64_t elapsed;
        memcpy(&elapsed, slot + SLOT_SLEW_BEGINNING + clock * sizeof elapsed, sizeof elapsed);
        skew->slew.begin_ns[clock] = (int64_t)(elapsed + (uint64_t)skew->beginning_ns[clock]);
    }
}

static void shape_fill(uint8_t *slot, const struct image_skew *skew)
{
    const struct shape_program program = program_of(skew);
    memcpy(slot + SLOT_BEGINNING, skew->beginning_ns, sizeof skew->beginning_ns);
    memcpy(slot + SLOT_PROGRAM, &program, sizeof program);
    memcpy(slot + SLOT_SHAPE, &skew->shape, sizeof skew->shape);
    slew_fill(slot, skew);
}

/* False where the program is not that of the shape. */
static bool shape_read(const uint8_t *slot, struct image_skew *skew)
{
    memcpy(skew->beginning_ns, slot + SLOT_BEGINNING, sizeof skew->beginning_ns);
    memcpy(&skew->shape, slot + SLOT_SHAPE, sizeof skew->shape);
    slew_read(slot, skew);
    if (skew->shape.count == 0) {
        skew->shape = (struct shape){0};
    } else if (!shape_valid(&skew->shape)) {
        return false;
    }
    if (!skew_bent(skew)) {
        return true;
    }
    const struct shape_program program = program_of(skew);
    return memcmp(&program, slot + SLOT_PROGRAM, sizeof program) == 0;
}

static void slot_fill(uint8_t *slot, uint64_t generation, const struct image_skew *skew)
{
    memcpy(slot + SLOT_GENERATION, &generation, sizeof generation);
    const uint64_t clocks = slot_clocks(skew);
    memcpy(slot + SLOT_CLOCKS, &clocks, sizeof clocks);
    memcpy(slot + SLOT_SECONDS, &skew->seconds, sizeof skew->seconds);
    memcpy(slot + SLOT_NANOSECONDS, &skew->nanoseconds, sizeof skew->nanoseconds);
    for (size_t clock = 0; clock < IMAGE_CLOCK_COUNT; clock++) {
        int64_t at_ns = skew->deadlines.at_ns[clock];
        int64_t seconds = at_ns == IMAGE_NEVER ? INT64_MAX : at_ns / NANOSECONDS;
        int64_t rest = at_ns == IMAGE_NEVER ? 0 : at_ns % NANOSECONDS;
        memcpy(slot + SLOT_DEADLINE_SECONDS + clock * sizeof seconds, &seconds, sizeof seconds);
        memcpy(slot + SLOT_DEADLINE_NANOSECONDS + clock * sizeof rest, &rest, sizeof rest);
    }
    shape_fill(slot, skew);
}

/* False for what slot_fill never writes. */
static bool deadlines_read(const uint8_t *slot, struct image_deadlines *deadlines)
{
    for (size_t clock = 0; clock < IMAGE_CLOCK_COUNT; clock++) {
        int64_t seconds, rest;
        memcpy(&seconds, slot + SLOT_DEADLINE_SECONDS + clock * sizeof seconds, sizeof seconds);
        memcpy(&rest, slot + SLOT_DEADLINE_NANOSECONDS + clock * sizeof rest, sizeof rest);
        if (seconds < 0 || rest < 0 || rest >= NANOSECONDS) {
            return false;
        }
        int64_t at_ns = IMAGE_NEVER;
        if (seconds != INT64_MAX && (__builtin_mul_overflow(seconds, NANOSECONDS, &at_ns) ||
                                     __builtin_add_overflow(at_ns, rest, &at_ns))) {
            return false;
        }
        deadlines->at_ns[clock] = at_ns;
    }
    return true;
}

static enum skew_code code_build(const struct vdso *vdso, uint64_t vdso_address,
                                 struct image *image, struct skew_error *error)
{
    size_t shim_size;
    const uint8_t *shim = arch_shim_bytes(&shim_size);
    if (shim_size > IMAGE_TEXT - IMAGE_SHIM) {
        return error_set(error, SKEW_FAILED, 0, 0, "build image", "the shim outgrew its page");
    }
    memcpy(image->code, shim, shim_size);

    struct arch_text text = {
        .vdso = vdso->bytes,
        .vdso_size = vdso->size,
        .vdso_address = vdso_address,
        .text_offset = vdso->text_offset,
        .text_size = vdso->text_size,
        .text_address = image->address + text_offset_in_image(vdso),
    };
    struct arch_relocation relocation;
    if (!arch_text_relocate(&text, image->code + (text_offset_in_image(vdso) - IMAGE_SHIM),
                            &relocation)) {
        return error_set(error, SKEW_REFUSED, 0, 0, "relocate vDSO",
                         "the kernel's vDSO cannot be copied: %s at offset 0x%zx",
                         relocation.reason, relocation.where);
    }
    uint64_t copies[ARCH_FUNCTION_COUNT];
    for (int f = 0; f < ARCH_FUNCTION_COUNT; f++) {
        copies[f] = text.text_address + (vdso->functions[f].offset - vdso->text_offset);
    }
    if (!arch_shim_link(image->code, image->address + IMAGE_SHIM, copies)) {
        return error_set(error, SKEW_FAILED, 0, 0, "link shim",
                         "the shim is too far from the copy");
    }
    return SKEW_OK;
}

static enum skew_code header_build(const struct vdso *vdso, struct image *image,
                                   struct skew_error *error)
{
    struct image_header *header = &image->header;
    for (int f = 0; f < ARCH_FUNCTION_COUNT; f++) {
        struct image_patch *patch = &header->patches[f];
        patch->address = header->vdso_address + vdso->functions[f].patch;
        memcpy(patch->original, vdso->bytes + vdso->functions[f].patch, ARCH_PATCH_SIZE);
        uint64_t entry = image->address + IMAGE_SHIM + arch_shim_entry((enum arch_function)f);
        if (!arch_patch_build(patch->address, entry, patch->patched)) {
            return error_set(error, SKEW_FAILED, 0, 0, "build patch",
                             "the image is too far from the vDSO");
        }
    }
    header->checksum = header_checksum(header);
    return SKEW_OK;
}

enum skew_code image_build(const struct vdso *vdso, uint64_t vdso_address, uint64_t address,
                           const uint8_t id[IMAGE_ID_SIZE], const struct image_skew *skew,
                           int64_t created_ns, struct image *image, struct skew_error *error)
{
    *image = (struct image){.address = address,
                            .size = image_size_for(vdso),
                            .data_size = image_data_size(),
                            .header = {.magic = MAGIC,
                                       .version = VERSION,
                                       .size = sizeof(struct image_header),
                                       .image_address = address,
                                       .image_size = image_size_for(vdso),
                                       .vdso_address = vdso_address,
                                       .vdso_size = vdso->size,
                                       .created_ns = created_ns}};
    memcpy(image->header.id, id, IMAGE_ID_SIZE);
    image->data = calloc(1, IMAGE_DATA_USED);
    image->code = calloc(1, image->size - image->data_size);
    if (image->data == NULL || image->code == NULL) {
        image_release(image);
        return error_set(error, SKEW_FAILED, 0, 0, "build image", "out of memory");
    }
    enum skew_code code = code_build(vdso, vdso_address, image, error);
    if (code == SKEW_OK) {
        code = header_build(vdso, image, error);
    }
    if (code != SKEW_OK) {
        image_release(image);
        return code;
    }
    memcpy(image->data, &image->header, sizeof image->header);
    slot_fill(image->data + IMAGE_PARAMETERS + PARAMETERS_SLOTS, FIRST_GENERATION, skew);
    return SKEW_OK;
}

void image_release(struct image *image)
{
    free(image->data);
    free(image->code);
    *image = (struct image){0};
}

bool image_header_valid(const struct image_header *header, const struct vdso *vdso,
                        uint64_t vdso_address, uint64_t address)
{
    if (memcmp(header->magic, MAGIC, sizeof header->magic) != 0 || header->version != VERSION ||
        header->size != sizeof *header || header->checksum != header_checksum(header) ||
        header->image_address != address || header->image_size != image_size_for(vdso) ||
        header->vdso_address != vdso_address || header->vdso_size != vdso->size) {
        return false;
    }
    for (int f = 0; f < ARCH_FUNCTION_COUNT; f++) {
        const struct image_patch *patch = &header->patches[f];
        if (patch->address != vdso_address + vdso->functions[f].patch ||
            memcmp(patch->original, vdso->bytes + vdso->functions[f].patch, ARCH_PATCH_SIZE) != 0) {
            return false;
        }
    }
    return true;
}

uint64_t image_address_of_entry(uint64_t target, enum arch_function function)
{
    return target - IMAGE_SHIM - arch_shim_entry(function);
}

size_t image_parameters_offset(void)
{
    return IMAGE_PARAMETERS;
}

/* Where the slot in force begins. */
static size_t slot_in_force(const uint8_t *parameters)
{
    return PARAMETERS_SLOTS + (size_t)parameters[PARAMETERS_SELECTOR] * PARAMETERS_WORD;
}

bool image_parameters_parse(const uint8_t *parameters, struct image_skew *skew)
{
    size_t offset = slot_in_force(parameters);
    if (offset != PARAMETERS_SLOTS && offset != PARAMETERS_SLOTS + PARAMETERS_SLOT_STRIDE) {
        return false;
    }
    const uint8_t *slot = parameters + offset;
    uint64_t clocks;
    memcpy(&clocks, slot + SLOT_CLOCKS, sizeof clocks);
    memcpy(&skew->seconds, slot + SLOT_SECONDS, sizeof skew->seconds);
    memcpy(&skew->nanoseconds, slot + SLOT_NANOSECONDS, sizeof skew->nanoseconds);
    if (!deadlines_read(slot, &skew->deadlines) || skew->nanoseconds >= (uint64_t)NANOSECONDS ||
        skew_offset_whole(skew) != image_skew_offset(skew) || !shape_read(slot, skew)) {
        return false;
    }
    skew->clocks = skew_bent(skew) ? clocks >> SLOT_SHAPED : clocks;
    return clocks == slot_clocks(skew);
}

static void write_plan(struct image_write *write, size_t offset, const void *bytes, size_t size)
{
    write->offset = offset;
    write->size = size;
    memcpy(write->bytes, bytes, size);
}

void image_update_plan(const uint8_t *parameters, const struct image_skew *skew,
                       struct image_write writes[IMAGE_UPDATE_WRITES])
{
    uint8_t selector =
        parameters[PARAMETERS_SELECTOR] == 0 ? PARAMETERS_SLOT_STRIDE / PARAMETERS_WORD : 0;
    size_t slot = PARAMETERS_SLOTS + (size_t)selector * PARAMETERS_WORD;
    uint64_t generation;
    memcpy(&generation, parameters + slot + SLOT_GENERATION, sizeof generation);
    /* Odd while it is written; an update that died here left it odd already. */
    uint64_t writing = generation | 1, written = writing + 1;
    uint8_t values[PARAMETERS_SLOT_STRIDE];
    slot_fill(values, written, skew);

    size_t at = IMAGE_PARAMETERS + slot;
    write_plan(&writes[0], at + SLOT_GENERATION, &writing, sizeof writing);
    write_plan(&writes[1], at + SLOT_CLOCKS, values + SLOT_CLOCKS, SLOT_SIZE - SLOT_CLOCKS);
    write_plan(&writes[2], at + SLOT_GENERATION, &written, sizeof written);
    write_plan(&writes[3], IMAGE_PARAMETERS + PARAMETERS_SELECTOR, &selector, sizeof selector);
}

size_t image_readback_offset(void)
{
    return IMAGE_READBACK;
}

size_t image_readback_results_offset(void)
{
    return IMAGE_READBACK + READBACK_RESULTS;
}

_Static_assert(offsetof(struct image_readback_request, clock) == READBACK_CLOCK &&
                   offsetof(struct image_readback_request, stub) == READBACK_STUB &&
                   offsetof(struct image_readback_request, entries[ARCH_CLOCK_GETTIME]) ==
                       READBACK_CLOCK_GETTIME_ENTRY &&
                   offsetof(struct image_readback_request, entries[ARCH_GETTIMEOFDAY]) ==
                       READBACK_GETTIMEOFDAY_ENTRY &&
                   offsetof(struct image_readback_request, entries[ARCH_TIME]) ==
                       READBACK_TIME_ENTRY,
               "the request is written as it lies in the image");

static int64_t word_read(const uint8_t *results, size_t offset)
{
    int64_t word;
    memcpy(&word, results + (offset - READBACK_RESULTS), sizeof word);
    return word;
}

/*
 * The results lie in the target's memory, so they may be anything: what no
 * clock shows is told before it is calculated with. An hour is left to what 64
 * bits of nanoseconds hold, so that a fraction may be out of its range for the
 * caller to see, but not by far.
 */
#define SECONDS_MAX  (INT64_MAX / NANOSECONDS - 3600)
#define FRACTION_MAX INT32_MAX

static bool seconds_read(const uint8_t *results, size_t offset, int64_t *seconds)
{
    *seconds = word_read(results, offset);
    return *seconds >= 0 && *seconds <= SECONDS_MAX;
}

/* Seconds and a fraction in `unit` nanoseconds. */
static bool time_read(const uint8_t *results, size_t offset, int64_t unit, int64_t *nanoseconds,
                      int64_t *fraction)
{
    int64_t seconds;
    *fraction = word_read(results, offset + sizeof seconds);
    if (!seconds_read(results, offset, &seconds) || *fraction < 0 || *fraction > FRACTION_MAX) {
        return false;
    }
    *nanoseconds = seconds * NANOSECONDS + *fraction * unit;
    return true;
}

void image_readback_parse(const uint8_t *results, struct image_readback *readback)
{
    int64_t fraction;
    *readback = (struct image_readback){0};
    readback->succeeded =
        word_read(results, READBACK_STATUS) == 0 &&
        time_read(results, READBACK_TRUE_BEFORE, 1, &readback->true_before_ns, &fraction) &&
        time_read(results, READBACK_TRUE_AFTER, 1, &readback->true_after_ns, &fraction) &&
        time_read(results, READBACK_CLOCK_BEFORE, 1, &readback->clock_before_ns, &fraction) &&
        time_read(results, READBACK_CLOCK_AFTER, 1, &readback->clock_after_ns, &fraction) &&
        time_read(results, READBACK_CLOCK_SKEWED, 1, &readback->clock_ns,
                  &readback->clock_nanoseconds) &&
        time_read(results, READBACK_GETTIMEOFDAY, 1000, &readback->gettimeofday_ns,
                  &readback->gettimeofday_microseconds) &&
        seconds_read(results, READBACK_TIME, &readback->time_s) &&
        seconds_read(results, READBACK_TIME_TRUE, &readback->time_true_s);
}
