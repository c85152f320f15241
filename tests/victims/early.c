/*
 * early - reads the clock in its first constructor, before main() and before any other
 * code of its own. It answers
 *     first   that time, in nanoseconds since 1970
 */
#include "dialogue.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static struct timespec first;

__attribute__((constructor)) static void read_clock(void)
{
    clock_gettime(CLOCK_REALTIME, &first);
}

static void answer_line(const char *line, char *answer, size_t size)
{
    if (strcmp(line, "first") == 0)
        snprintf(answer, size, "%" PRId64,
                 (int64_t)first.tv_sec * INT64_C(1000000000) + first.tv_nsec);
    else
        snprintf(answer, size, strcmp(line, "check") == 0 ? "ok 0" : "bad command");
}

int main(void)
{
    dialogue_open();
    for (;;)
        dialogue_poll(-1, answer_line);
}
