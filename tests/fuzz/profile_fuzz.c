/*
 * profile_fuzz.c - any bytes as a profile. What is accepted has strings alone, each of which can be
 * read as what it is for, or refused; what is not accepted leaves one line that says why.
 */
#include "cli/profile.h"
#include "engine/duration.h"
#include "engine/shape_text.h"
#include "engine/timestamp.h"

#include "tests/fuzz/fuzz.h"

static void values_check(const struct profile *profile)
{
    struct shape shape = {0};
    struct skew_error error;
    const char *problem;
    int64_t number;
    uint64_t clocks;
    for (int kind = 0; kind < SHAPE_KIND_COUNT; kind++) {
        if (profile->values[kind] != NULL) {
            shape_value_parse((enum shape_kind)kind, profile->values[kind], &shape, &problem);
        }
    }
    fuzz_check(shape_valid(&shape));
    const char *const *values = profile->values;
    if (values[SKEW_OPTION_OFFSET] != NULL) {
        duration_parse(values[SKEW_OPTION_OFFSET], &number, &problem);
    }
    if (values[SKEW_OPTION_AT] != NULL) {
        timestamp_parse(values[SKEW_OPTION_AT], &number, &problem);
    }
    if (values[SKEW_OPTION_CLOCK] != NULL) {
        skew_clocks_parse(values[SKEW_OPTION_CLOCK], &clocks, &error);
    }
    fuzz_check(profile->name == NULL || strlen(profile->name) < PROFILE_SIZE_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    char problem[PROFILE_PROBLEM_SIZE] = "";
    struct profile profile;
    char *text = fuzz_text(input, size);
    if (profile_parse(text, size, &profile, problem)) {
        fuzz_check(profile.document != NULL);
        values_check(&profile);
        profile_free(&profile);
    } else {
        fuzz_check(memchr(problem, '\0', sizeof problem) != NULL && *problem != '\0');
        fuzz_check(profile.document == NULL);
    }
    free(text);
    return 0;
}
