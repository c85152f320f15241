/*
 * scan.h - is anybody inside a range of code, so that it may not change?
 */
#ifndef SKEWCTL_ENGINE_SCAN_H
#define SKEWCTL_ENGINE_SCAN_H

#include "engine/maps.h"
#include "engine/stop.h"

struct scan_range {
    uint64_t start; /* the first address that counts as inside */
    uint64_t end;   /* the first that no longer does */
};
#define SCAN_RANGES_MAX 4

struct scanner {
    struct tracer *tracer;
    const struct maps *maps; /* read before the stop: where stacks end */
    struct scan_range ranges[SCAN_RANGES_MAX];
    size_t range_count;
    struct scan_range scratch; /* the readback's stack: who is on it is inside; may be empty */
    size_t processors;         /* settle.h: how many threads may run at a time */
    uint8_t *buffer;           /* SCAN_BUFFER_SIZE bytes, allocated before the stop */
};
#define SCAN_BUFFER_SIZE 0x10000

enum scan_result {
    SCAN_OUTSIDE,
    SCAN_INSIDE,      /* its program counter is: it will leave within nanoseconds of running */
    SCAN_INTERRUPTED, /* a signal handler is to return into it: it leaves when that returns */
    SCAN_UNKNOWN,     /* too much stack to look through, and it may be in a handler */
};

/* Looks at a thread at an event stop. Reads only. */
enum scan_result scan_tracee(struct scanner *scanner, const struct tracee *tracee);

#endif
