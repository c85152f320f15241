/*
 * duration_fuzz.c - any text as a span of time. What is accepted is written in
 * a form that reads back the same and is its own shortest form; and so is every
 * number of nanoseconds.
 */
#include "engine/duration.h"

#include "tests/fuzz/fuzz.h"

static void number_check(int64_t nanoseconds)
{
    char text[DURATION_TEXT_MAX], again[DURATION_TEXT_MAX];
    int64_t parsed;
    const char *problem = NULL;
    fuzz_check(duration_format(nanoseconds, text) == text);
    fuzz_check(memchr(text, '\0', sizeof text) != NULL);
    fuzz_check(duration_parse(text, &parsed, &problem) && parsed == nanoseconds);
    fuzz_check(strcmp(duration_format(parsed, again), text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    char *text = fuzz_text(input, size);
    int64_t nanoseconds = 4711;
    const char *problem = NULL;
    if (duration_parse(text, &nanoseconds, &problem)) {
        number_check(nanoseconds);
    } else {
        fuzz_check(problem != NULL && *problem != '\0');
        fuzz_check(nanoseconds == 4711);
    }
    free(text);
    if (size >= sizeof nanoseconds) {
        memcpy(&nanoseconds, input, sizeof nanoseconds);
        number_check(nanoseconds);
    }
    return 0;
}
