/*
 * shape_fuzz.c - any text as a shape. What is accepted is within the limits, is written in
 * a form that reads back the same and is its own shortest form, and can be asked for
 * all that is known of shapes.
 */
#include "engine/shape_program.h"
#include "engine/shape_text.h"

#include "tests/fuzz/fuzz.h"

static void shape_check(const struct shape *shape)
{
    char text[SHAPE_TEXT_MAX], again[SHAPE_TEXT_MAX];
    struct shape_program program;
    struct shape parsed;
    const char *problem = NULL;
    fuzz_check(shape_valid(shape));
    fuzz_check(shape_format(shape, text) == text);
    fuzz_check(memchr(text, '\0', sizeof text) != NULL);
    fuzz_check(shape_parse(text, &parsed, &problem) && shape_equal(&parsed, shape));
    fuzz_check(strcmp(shape_format(&parsed, again), text) == 0);

    shape_program_make(shape, 0, &program);
    bool ends = false;
    for (size_t i = 0; i < SHAPE_SEGMENTS_MAX; i++)
        ends |= program.segments[i].last == INT64_MAX;
    fuzz_check(ends);
    struct shape_extent extent = shape_extent(shape, 0, INT64_C(31536000) * 1000000000);
    fuzz_check(extent.lowest <= extent.highest);
    if (extent.lowest > -(__int128)INT64_MAX / 2 && extent.highest < INT64_MAX / 2) {
        for (int64_t at = 0; at < INT64_C(31536000) * 1000000000; at = at * 3 + 7919) {
            int64_t now = shape_difference(shape, at) + at;
            fuzz_check(now >= extent.lowest && now <= extent.highest);
        }
    }
    shape_goes_back(shape);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    char *text = fuzz_text(input, size);
    struct shape shape = {.count = 4711};
    const char *problem = NULL;
    if (shape_parse(text, &shape, &problem)) {
        shape_check(&shape);
    } else {
        fuzz_check(problem != NULL && *problem != '\0');
        fuzz_check(shape.count == 4711);
    }
    free(text);
    return 0;
}
