/*
 * timestamp_fuzz.c - any text as an instant. What is accepted is the same instant when it is
 * written as seconds since 1970, and as the C library writes the second that it is in.
 */
#include "engine/duration.h"
#include "engine/timestamp.h"

#include <inttypes.h>
#include <time.h>

#include "tests/fuzz/fuzz.h"

static void instant_check(int64_t nanoseconds)
{
    /* Rounded down. */
    int64_t within = nanoseconds % DURATION_SECOND_NS;
    within += within < 0 ? DURATION_SECOND_NS : 0;
    time_t seconds = nanoseconds / DURATION_SECOND_NS - (nanoseconds % DURATION_SECOND_NS < 0);
    char text[64];
    size_t length;
    struct tm utc;
    int64_t parsed;
    const char *problem = NULL;

    fuzz_check(gmtime_r(&seconds, &utc) != NULL);
    length = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text + length, sizeof text - length, ".%09" PRId64 "Z", within);
    fuzz_check(timestamp_parse(text, &parsed, &problem) && parsed == nanoseconds);

    uint64_t size = nanoseconds < 0 ? -(uint64_t)nanoseconds : (uint64_t)nanoseconds;
    snprintf(text, sizeof text, "@%s%" PRIu64 ".%09" PRIu64, nanoseconds < 0 ? "-" : "",
             size / (uint64_t)DURATION_SECOND_NS, size % (uint64_t)DURATION_SECOND_NS);
    fuzz_check(timestamp_parse(text, &parsed, &problem) && parsed == nanoseconds);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    char *text = fuzz_text(input, size);
    int64_t nanoseconds = 4711;
    const char *problem = NULL;
    if (timestamp_parse(text, &nanoseconds, &problem)) {
        instant_check(nanoseconds);
    } else {
        fuzz_check(problem != NULL && *problem != '\0');
        fuzz_check(nanoseconds == 4711);
    }
    free(text);
    if (size >= sizeof nanoseconds) {
        memcpy(&nanoseconds, input, sizeof nanoseconds);
        instant_check(nanoseconds);
    }
    return 0;
}
