/*
 * maps.h - /proc/PID/maps (proc_pid_maps(5)) as an array of rows.
 */
#ifndef SKEWCTL_ENGINE_MAPS_H
#define SKEWCTL_ENGINE_MAPS_H

#include "engine/target.h"

struct mapping {
    uint64_t start;
    uint64_t end;
    char permissions[5]; /* "r-xp" */
    uint64_t offset;     /* in the file, of the first byte */
    uint64_t inode;      /* 0 for memory that is no file's */
    char name[32];       /* the beginning of it; "" for anonymous memory */
};

struct maps {
    struct mapping *rows; /* ascending; for free(3), see maps_release */
    size_t count;
};

/* Reads and parses. SKEW_NOT_PERMITTED where the caller may not trace the process. */
enum skew_code maps_read(const struct target *target, struct maps *maps, struct skew_error *error);
/* Parses text; returns false on a line that is none of maps' or where memory ran out. */
bool maps_parse(const char *text, struct maps *maps);
void maps_release(struct maps *maps);

/* The row that holds an address, or NULL. May be used during a stop. */
const struct mapping *maps_find(const struct maps *maps, uint64_t address);
/* The row with that exact name that is backed by no file, or NULL. */
const struct mapping *maps_find_special(const struct maps *maps, const char *name);
/* True if every byte of the range lies in anonymous rows with these permissions. */
bool maps_anonymous(const struct maps *maps, uint64_t start, uint64_t end, const char *permissions);
/* True if no row has a byte in the range. */
bool maps_free(const struct maps *maps, uint64_t start, uint64_t end);

/*
 * An address for `size` bytes with an unmapped page on each side, all of it
 * within `reach` of every byte of [near_start, near_end). Prefers the nearest
 * gap above, then below, and stays out of the way of a growing stack or heap.
 * Returns 0 where there is none.
 */
uint64_t maps_gap_find(const struct maps *maps, uint64_t near_start, uint64_t near_end, size_t size,
                       uint64_t reach);

#endif
