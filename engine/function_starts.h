/*
 * function_starts.h - where functions begin in an ELF file, also in a stripped one.
 */
#ifndef SKEWCTL_ENGINE_FUNCTION_STARTS_H
#define SKEWCTL_ENGINE_FUNCTION_STARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Code in the file, and the address at which it is to be loaded. */
struct function_segment {
    uint64_t offset, address, size;
};

/* All zero where the file tells of none. */
struct function_starts {
    int32_t *table; /* pairs: of a start, ascending, and of what unwinds it; for free(3) */
    size_t count;
    uint64_t base; /* the address that the table's numbers are counted from */
    struct function_segment segments[8];
    size_t segment_count;
};

/*
 * Reads the table of PT_GNU_EH_FRAME, which the unwinder of C++ searches (Linux Standard
 * Base, 10.6.2). False where there is none, or none that can be searched. Any file will do:
 * nothing is believed of it. Released with function_starts_release().
 */
bool function_starts_read(int file, struct function_starts *starts);
void function_starts_release(struct function_starts *starts);

/*
 * The last start at or before an offset in the file, as an offset in it. False where
 * none is known in that part of the file.
 */
bool function_start_find(const struct function_starts *starts, uint64_t offset, uint64_t *start);

#endif
