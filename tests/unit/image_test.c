/*
 * image_test.c - the image: what is built is recognised, nothing else is, and
 * every prefix of an update leaves a whole skew, the old or the new.
 */
#include "engine/image.h"

#include "harness.h"

#include <stdlib.h>
#include <string.h>

#define ADDRESS UINT64_C(0x7fff00000000)
#define PLACE   UINT64_C(0x7fff00100000)
#define SECOND  INT64_C(1000000000)

static const uint8_t id[IMAGE_ID_SIZE] = {1, 2, 3};
static struct vdso own;

static int own_open(void **state)
{
    struct skew_error error = {0};
    (void)state;
    return vdso_own(&own, &error) == SKEW_OK ? 0 : -1;
}

static int own_close(void **state)
{
    (void)state;
    vdso_release(&own);
    return 0;
}

static enum skew_code build(uint64_t address, const struct image_skew *skew, struct image *image,
                            struct skew_error *error)
{
    return image_build(&own, ADDRESS, address, id, skew, 5, image, error);
}

static void skews_are_normal(void **state)
{
    (void)state;
    static const int64_t offsets[] = {0,
                                      1,
                                      -1,
                                      SECOND,
                                      -SECOND,
                                      SECOND - 1,
                                      -SECOND + 1,
                                      -300 * SECOND,
                                      SECOND / 4,
                                      INT64_MAX,
                                      INT64_MIN,
                                      -SECOND - 1,
                                      1 - SECOND * 600};
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        struct image_skew skew = image_skew_from(3, offsets[i], NULL);
        assert_int_equal(skew.clocks, 3);
        assert_true(skew.nanoseconds < (uint64_t)SECOND);
        assert_true((__int128)skew.seconds * SECOND + (__int128)skew.nanoseconds == offsets[i]);
        assert_int_equal(image_skew_offset(&skew), offsets[i]);
    }
}

static void an_image_is_complete(void **state)
{
    (void)state;
    const struct image_skew skew = image_skew_from(0x21, -300 * SECOND + 7, NULL);
    struct image image;
    struct skew_error error = {0};
    assert_int_equal(build(PLACE, &skew, &image, &error), SKEW_OK);
    assert_int_equal(image.size, image_size_for(&own));
    assert_int_equal(image.data_size, image_data_size());
    assert_int_equal(image.size % 0x1000, 0);
    assert_int_equal(image.data_size % 0x1000, 0);
    assert_memory_equal(image.data, &image.header, sizeof image.header);
    assert_true(image_header_valid(&image.header, &own, ADDRESS, PLACE));
    struct image_skew parsed;
    assert_true(image_parameters_parse(image.data + image_parameters_offset(), &parsed));
    assert_int_equal(image_skew_offset(&parsed), -300 * SECOND + 7);
    assert_int_equal(parsed.clocks, 0x21);
    for (int f = 0; f < ARCH_FUNCTION_COUNT; f++) {
        const struct image_patch *patch = &image.header.patches[f];
        uint64_t target;
        assert_true(arch_patch_parse(patch->address, patch->patched, &target));
        assert_int_equal(target, PLACE + image.data_size + arch_shim_entry((enum arch_function)f));
        assert_int_equal(image_address_of_entry(target, (enum arch_function)f), PLACE);
        assert_memory_equal(patch->original, own.bytes + (patch->address - ADDRESS),
                            ARCH_PATCH_SIZE);
    }
    image_release(&image);
    assert_null(image.data);
    assert_null(image.code);
}

static void the_reach_is_kept(void **state)
{
    (void)state;
    const struct image_skew skew = image_skew_from(1, 1, NULL);
    static const int64_t near[] = {0x2000, -0x40000, (int64_t)IMAGE_REACH - 0x40000,
                                   -(int64_t)IMAGE_REACH};
    static const int64_t far[] = {INT64_C(0x80000000), -INT64_C(0x80030000), INT64_C(0x100000000),
                                  INT64_C(0x10000000000)};
    struct image image;
    struct skew_error error = {0};
    for (size_t i = 0; i < sizeof near / sizeof *near; i++) {
        assert_int_equal(build(ADDRESS + (uint64_t)near[i], &skew, &image, &error), SKEW_OK);
        image_release(&image);
    }
    for (size_t i = 0; i < sizeof far / sizeof *far; i++) {
        assert_int_not_equal(build(ADDRESS + (uint64_t)far[i], &skew, &image, &error), SKEW_OK);
        assert_true(*error.message);
        assert_null(image.data);
        assert_null(image.code);
    }
}

static void every_byte_of_a_header_counts(void **state)
{
    (void)state;
    const struct image_skew skew = image_skew_from(1, 1, NULL);
    struct image image;
    struct skew_error error = {0};
    assert_int_equal(build(PLACE, &skew, &image, &error), SKEW_OK);
    struct image_header header = image.header;
    image_release(&image);
    for (size_t i = 0; i < sizeof header; i++) {
        ((uint8_t *)&header)[i] ^= 0x10;
        if (image_header_valid(&header, &own, ADDRESS, PLACE))
            fail_msg("byte %zu of the header does not count", i);
        ((uint8_t *)&header)[i] ^= 0x10;
    }
    assert_true(image_header_valid(&header, &own, ADDRESS, PLACE));
    assert_false(image_header_valid(&header, &own, ADDRESS + 0x1000, PLACE));
    assert_false(image_header_valid(&header, &own, ADDRESS, PLACE + 0x1000));
}

static void write_apply(uint8_t *parameters, const struct image_write *write)
{
    size_t offset = write->offset - image_parameters_offset();
    assert_true(write->size > 0 && write->size <= sizeof write->bytes);
    assert_true(offset + write->size <= IMAGE_PARAMETERS_SIZE);
    memcpy(parameters + offset, write->bytes, write->size);
}

static bool in_force(const uint8_t *parameters, const struct image_skew *skew)
{
    struct image_skew parsed;
    assert_true(image_parameters_parse(parameters, &parsed));
    return memcmp(&parsed, skew, sizeof parsed) == 0;
}

/* Updates that are cut off anywhere, then made again: never anything but old or new. */
static void any_prefix_of_an_update_is_whole(void **state)
{
    (void)state;
    struct image_skew before = image_skew_from(1, -300 * SECOND, NULL);
    struct image image;
    struct skew_error error = {0};
    assert_int_equal(build(PLACE, &before, &image, &error), SKEW_OK);
    uint8_t *parameters = image.data + image_parameters_offset();
    srandom(5);
    for (int i = 0; i < 2000; i++) {
        const struct image_skew after =
            image_skew_from((uint64_t)random(), (int64_t)random() * random(), NULL);
        struct image_write writes[IMAGE_UPDATE_WRITES];
        image_update_plan(parameters, &after, writes);
        int count = (int)(random() % (IMAGE_UPDATE_WRITES + 1));
        for (int w = 0; w < count; w++) {
            write_apply(parameters, &writes[w]);
            assert_true(in_force(parameters, w + 1 == IMAGE_UPDATE_WRITES ? &after : &before));
        }
        if (count == IMAGE_UPDATE_WRITES)
            before = after;
        assert_true(in_force(parameters, &before));
    }
    image_release(&image);
}

static void bad_parameters_are_refused(void **state)
{
    (void)state;
    const struct image_skew skew = image_skew_from(1, -1, NULL);
    struct image image;
    struct image_skew parsed;
    struct skew_error error = {0};
    assert_int_equal(build(PLACE, &skew, &image, &error), SKEW_OK);
    uint8_t *parameters = image.data + image_parameters_offset();
    int accepted = 0;
    for (int selector = 0; selector < 256; selector++) {
        parameters[0] = (uint8_t)selector;
        accepted += image_parameters_parse(parameters, &parsed);
    }
    assert_int_equal(accepted, 2);
    const struct image_skew broken = {.clocks = 1, .seconds = 0, .nanoseconds = SECOND};
    struct image_write writes[IMAGE_UPDATE_WRITES];
    parameters[0] = 0;
    image_update_plan(parameters, &broken, writes);
    for (int w = 0; w < IMAGE_UPDATE_WRITES; w++)
        write_apply(parameters, &writes[w]);
    assert_false(image_parameters_parse(parameters, &parsed));
    image_release(&image);
}

/* Whoever owns the target may have written what he likes over its image. */
static void skews_beyond_64_bits_are_refused(void **state)
{
    (void)state;
    static const struct image_skew beyond[] = {
        {.seconds = INT64_MAX},
        {.seconds = INT64_MIN},
        {.seconds = INT64_MAX / SECOND, .nanoseconds = 854775808},
        {.seconds = INT64_MIN / SECOND - 1, .nanoseconds = 145224191},
    };
    static const struct image_skew just_within[] = {
        {.seconds = INT64_MAX / SECOND, .nanoseconds = 854775807},
        {.seconds = INT64_MIN / SECOND - 1, .nanoseconds = 145224192},
    };
    uint8_t parameters[IMAGE_PARAMETERS_SIZE] = {0};
    struct image_write writes[IMAGE_UPDATE_WRITES];
    struct image_skew parsed;
    for (size_t i = 0; i < sizeof beyond / sizeof *beyond; i++) {
        image_update_plan(parameters, &beyond[i], writes);
        for (int w = 0; w < IMAGE_UPDATE_WRITES; w++)
            write_apply(parameters, &writes[w]);
        assert_false(image_parameters_parse(parameters, &parsed));
    }
    for (size_t i = 0; i < sizeof just_within / sizeof *just_within; i++) {
        image_update_plan(parameters, &just_within[i], writes);
        for (int w = 0; w < IMAGE_UPDATE_WRITES; w++)
            write_apply(parameters, &writes[w]);
        assert_true(image_parameters_parse(parameters, &parsed));
        assert_int_equal(image_skew_offset(&parsed), i == 0 ? INT64_MAX : INT64_MIN);
    }
}

/* Words of the results that are times: a whole second, then a fraction, or a second alone. */
static void readbacks_of_no_clock_have_not_succeeded(void **state)
{
    (void)state;
    static const int64_t wild[] = {INT64_MAX, INT64_MIN, -1, INT64_C(1) << 40};
    int64_t results[IMAGE_READBACK_RESULTS_SIZE / sizeof(int64_t)] = {0};
    struct image_readback readback;
    image_readback_parse((const uint8_t *)results, &readback);
    assert_true(readback.succeeded);
    /* All but the last word, the status, and what lies unused behind it. */
    for (size_t word = 0; word < 14; word++)
        for (size_t i = 0; i < sizeof wild / sizeof *wild; i++) {
            results[word] = wild[i];
            image_readback_parse((const uint8_t *)results, &readback);
            if (readback.succeeded)
                fail_msg("word %zu may be %lld", word, (long long)wild[i]);
            results[word] = 0;
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(skews_beyond_64_bits_are_refused),
        harness_test(readbacks_of_no_clock_have_not_succeeded),
        harness_test(skews_are_normal),
        harness_test(an_image_is_complete),
        harness_test(the_reach_is_kept),
        harness_test(every_byte_of_a_header_counts),
        harness_test(any_prefix_of_an_update_is_whole),
        harness_test(bad_parameters_are_refused),
    };
    return cmocka_run_group_tests_name("image", tests, own_open, own_close);
}
