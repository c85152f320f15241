/*
 * pagemap.h - has anybody ever used these pages?
 */
#ifndef SKEWCTL_ENGINE_PAGEMAP_H
#define SKEWCTL_ENGINE_PAGEMAP_H

#include "engine/target.h"

/*
 * True if no page of the range, which must be mapped, was ever read or written
 * (/proc/PID/pagemap, admin-guide/mm/pagemap.rst of the kernel). False also
 * where that cannot be told. May be used during a stop.
 */
bool pagemap_untouched(const struct target *target, uint64_t address, size_t size);

/*
 * The same; but a process that has locked its memory (mlockall(2)) has all pages
 * from the start, so there it is enough that they hold nothing but zeroes.
 * `memory` is a descriptor of memory.h.
 */
bool pagemap_blank(const struct target *target, int memory, uint64_t address, size_t size);

#endif
