/*
 * image_fuzz.c - any bytes where a target's memory should hold the data of an
 * image: the header, the parameters, the results of a readback. What a target
 * holds is its own choice. No header passes that was made for another place; an
 * update of parameters that read well reads back as the update.
 */
#include "engine/image.h"
#include "engine/shape_text.h"

#include "tests/fuzz/fuzz.h"

#define ADDRESS UINT64_C(0x7fff12345000)
#define IMAGE   UINT64_C(0x7fff12369000)
#define PAGE    0x1000

static void header_check(const uint8_t *input)
{
    static uint8_t bytes[PAGE];
    const struct vdso vdso = {.bytes = bytes, .size = sizeof bytes, .text_size = 0x100};
    struct image_header header;
    memcpy(&header, input, sizeof header);
    if (image_header_valid(&header, &vdso, ADDRESS, IMAGE)) {
        fuzz_check(header.image_address == IMAGE && header.vdso_address == ADDRESS);
        fuzz_check(!image_header_valid(&header, &vdso, ADDRESS, IMAGE + PAGE));
        fuzz_check(!image_header_valid(&header, &vdso, ADDRESS + PAGE, IMAGE));
        header.created_ns ^= 1;
        fuzz_check(!image_header_valid(&header, &vdso, ADDRESS, IMAGE));
    }
}

static void parameters_check(const uint8_t *input)
{
    uint8_t parameters[IMAGE_PARAMETERS_SIZE];
    struct image_skew skew;
    memcpy(parameters, input, sizeof parameters);
    if (!image_parameters_parse(parameters, &skew))
        return;
    fuzz_check(skew.nanoseconds < 1000000000);
    struct image_skew again = image_skew_from(skew.clocks, image_skew_offset(&skew), NULL);
    if (again.seconds == skew.seconds)
        fuzz_check(again.nanoseconds == skew.nanoseconds);

    struct image_skew next = image_skew_from(5, -1500000000, NULL);
    const char *problem;
    if (input[0] & 1)
        fuzz_check(shape_parse("rate=1.0002 sine=1s/1h step=1s:2s", &next.shape, &problem));
    if (input[0] & 2)
        next.slew = (struct image_slew){
            .pace = UINT64_MAX, .begin_ns = {1, 0, -1}, .amount_ns = {INT64_MIN, 7}};
    struct image_write writes[IMAGE_UPDATE_WRITES];
    image_update_plan(parameters, &next, writes);
    for (int i = 0; i < IMAGE_UPDATE_WRITES; i++) {
        struct image_skew seen;
        size_t offset = writes[i].offset - image_parameters_offset();
        fuzz_check(writes[i].size <= sizeof writes[i].bytes);
        fuzz_check(offset <= sizeof parameters && writes[i].size <= sizeof parameters - offset);
        memcpy(parameters + offset, writes[i].bytes, writes[i].size);
        fuzz_check(image_parameters_parse(parameters, &seen));
        const struct image_skew *expected = i < IMAGE_UPDATE_WRITES - 1 ? &skew : &next;
        fuzz_check(seen.clocks == expected->clocks && seen.seconds == expected->seconds &&
                   seen.nanoseconds == expected->nanoseconds);
        fuzz_check(memcmp(&seen.deadlines, &expected->deadlines, sizeof seen.deadlines) == 0);
        fuzz_check(shape_equal(&seen.shape, &expected->shape));
        fuzz_check(memcmp(&seen.slew, &expected->slew, sizeof seen.slew) == 0);
    }
}

/* What an input lacks is zero. */
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    uint8_t padded[IMAGE_PARAMETERS_SIZE] = {0};
    _Static_assert(sizeof padded >= sizeof(struct image_header) &&
                       sizeof padded >= IMAGE_READBACK_RESULTS_SIZE,
                   "enough for each");
    memcpy(padded, input, size < sizeof padded ? size : sizeof padded);
    header_check(padded);
    parameters_check(padded);
    struct image_readback readback;
    image_readback_parse(padded, &readback);
    return 0;
}
