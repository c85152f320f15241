/*
 * function_starts.c - reads the search table of .eh_frame_hdr; see function_starts.h.
 *
 * Promise: every read stays within what the file has and within TABLE_MAX bytes of memory.
 * A table that is not in order finds wrong starts, never anything beyond it.
 */
#include "engine/function_starts.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TABLE_MAX (16U << 20)

/* Encodings of DWARF exception headers: four bytes, unsigned or signed and from the table. */
#define ENCODED_UDATA4         0x03
#define ENCODED_DATAREL_SDATA4 0x3b

static bool file_read(int file, uint64_t offset, void *bytes, size_t size)
{
    return offset <= INT64_MAX && pread(file, bytes, size, (off_t)offset) == (ssize_t)size;
}

/* version, three encodings, a pointer to .eh_frame, a count, and the table. */
static bool table_read(int file, const Elf64_Phdr *header, struct function_starts *starts)
{
    struct {
        uint8_t version, pointer, count_encoding, table_encoding;
        int32_t eh_frame;
        uint32_t count;
    } head;
    if (header->p_filesz < sizeof head || !file_read(file, header->p_offset, &head, sizeof head) ||
        head.version != 1 || (head.pointer & 0x0f) != (ENCODED_DATAREL_SDATA4 & 0x0f) ||
        head.count_encoding != ENCODED_UDATA4 || head.table_encoding != ENCODED_DATAREL_SDATA4) {
        return false;
    }
    size_t size = (size_t)head.count * 2 * sizeof *starts->table;
    if (head.count == 0 || size > TABLE_MAX || size > header->p_filesz - sizeof head) {
        return false;
    }
    starts->table = malloc(size);
    if (starts->table == NULL ||
        !file_read(file, header->p_offset + sizeof head, starts->table, size)) {
        return false;
    }
    starts->count = head.count;
    starts->base = header->p_vaddr;
    return true;
}

static void segment_add(const Elf64_Phdr *header, struct function_starts *starts)
{
    size_t room = sizeof starts->segments / sizeof *starts->segments;
    if (starts->segment_count < room && (header->p_flags & PF_X) != 0) {
        starts->segments[starts->segment_count++] = (struct function_segment){
            .offset = header->p_offset, .address = header->p_vaddr, .size = header->p_filesz};
    }
}

bool function_starts_read(int file, struct function_starts *starts)
{
    Elf64_Ehdr elf;
    *starts = (struct function_starts){0};
    if (!file_read(file, 0, &elf, sizeof elf) || memcmp(elf.e_ident, ELFMAG, SELFMAG) != 0 ||
        elf.e_ident[EI_CLASS] != ELFCLASS64 || elf.e_ident[EI_DATA] != ELFDATA2LSB ||
        elf.e_phentsize != sizeof(Elf64_Phdr)) {
        return false;
    }
    bool found = false;
    for (unsigned i = 0; i < elf.e_phnum; i++) {
        Elf64_Phdr header;
        if (elf.e_phoff > INT64_MAX / 2 ||
            !file_read(file, elf.e_phoff + i * sizeof header, &header, sizeof header)) {
            break;
        }
        if (header.p_type == PT_LOAD) {
            segment_add(&header, starts);
        } else if (header.p_type == PT_GNU_EH_FRAME && !found) {
            found = table_read(file, &header, starts);
        }
    }
    if (!found || starts->segment_count == 0) {
        function_starts_release(starts);
    }
    return starts->count != 0;
}

void function_starts_release(struct function_starts *starts)
{
    free(starts->table);
    *starts = (struct function_starts){0};
}

bool function_start_find(const struct function_starts *starts, uint64_t offset, uint64_t *start)
{
    for (size_t s = 0; s < starts->segment_count; s++) {
        const struct function_segment *segment = &starts->segments[s];
        uint64_t within = offset - segment->offset;
        if (offset < segment->offset || within >= segment->size) {
            continue;
        }
        int64_t wanted = (int64_t)(segment->address + within - starts->base);
        size_t low = 0, high = starts->count;
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            if (starts->table[2 * middle] <= wanted) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        if (low == 0) {
            return false;
        }
        uint64_t back = (uint64_t)wanted - (uint64_t)(int64_t)starts->table[2 * (low - 1)];
        *start = offset - back;
        return back <= within;
    }
    return false;
}
