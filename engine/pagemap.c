/*
 * pagemap.c - tells pages that were never touched from pages in use.
 *
 * Reading a page through /proc/PID/mem counts as touching it: who wants to know
 * has to ask here first.
 */
#include "engine/pagemap.h"

#include <fcntl.h>

#include "engine/scope.h"

#define PAGE   4096
#define IN_USE (UINT64_C(3) << 62) /* present, or swapped out */

bool pagemap_untouched(const struct target *target, uint64_t address, size_t size)
{
    scoped_descriptor pagemap = target_file_open(target, "pagemap", O_RDONLY);
    for (uint64_t at = address; at < address + size; at += PAGE) {
        uint64_t entry;
        if (pagemap < 0 || pread(pagemap, &entry, sizeof entry,
                                 (off_t)(at / PAGE * sizeof entry)) != sizeof entry) {
            return false;
        }
        if ((entry & IN_USE) != 0) {
            return false;
        }
    }
    return true;
}
