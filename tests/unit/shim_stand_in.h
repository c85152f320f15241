/*
 * shim_stand_in.h - the shim of a built image, linked to stand-ins for the vDSO's
 * functions that show whatever time a test sets.
 */
#ifndef SKEWCTL_TESTS_SHIM_STAND_IN_H
#define SKEWCTL_TESTS_SHIM_STAND_IN_H

#include "engine/image.h"

#include "harness.h"

#include <sys/time.h>
#include <time.h>

#define SECOND INT64_C(1000000000)

typedef long entry_function(uintptr_t first, uintptr_t second);
struct placed {
    uint8_t *at; /* the image, writable */
    size_t size;
    entry_function *entries[ARCH_FUNCTION_COUNT];
};
extern struct placed placed;

/* Set-up and teardown of a group of tests. */
int place(void **state);
int unplace(void **state);

void true_time_set(int64_t now_ns);
/* As skewctl does it: write by write. */
void skew_set(const struct image_skew *skew);

/* What the functions show, in nanoseconds, after a check that it is a time at all. */
__int128 read_clock_gettime(clockid_t clock);
__int128 read_gettimeofday(struct timezone *zone);
__int128 read_time(void);

/* Rounded down. */
__int128 floor_to(__int128 value, int64_t unit);

#endif
