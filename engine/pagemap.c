/*
 * pagemap.c - tells pages that were never touched from pages in use.
 *
 * Reading a page through /proc/PID/mem counts as touching it: who wants to know
 * has to ask here first.
 */
#include "engine/pagemap.h"

#include <fcntl.h>

#include "engine/memory.h"
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

static bool memory_locked(const struct target *target)
{
    char text[4096];
    uint64_t kilobytes;
    return proc_file_read(target->directory, "status", text, sizeof text) > 0 &&
           status_field_parse(text, "VmLck", 10, &kilobytes) && kilobytes > 0;
}

bool pagemap_blank(const struct target *target, int memory, uint64_t address, size_t size)
{
    static const uint8_t zeroes[PAGE];
    if (pagemap_untouched(target, address, size)) {
        return true;
    }
    if (!memory_locked(target)) {
        return false;
    }
    for (size_t done = 0; done < size; done += PAGE) {
        if (!memory_equals(memory, address + done, zeroes, PAGE)) {
            return false;
        }
    }
    return true;
}
