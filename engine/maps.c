/*
 * maps.c - reads and searches a process's memory map.
 *
 * Promise: text that the kernel would not have written is refused, never
 * half understood.
 */
#include "engine/maps.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "engine/error.h"
#include "engine/privilege.h"
#include "engine/scope.h"

#define PAGE               UINT64_C(0x1000)
#define ADDRESS_SPACE_LOW  UINT64_C(0x100000000) /* the low 4 GiB belong to 32-bit tricks */
#define GROWTH             UINT64_C(0x40000000)  /* left to a stack or heap to grow into */
#define ADDRESS_SPACE_HIGH UINT64_C(0x7ffffffff000)

/* One hexadecimal or decimal number as the kernel prints it: no sign, no prefix, no space. */
static bool number_parse(const char **text, int base, char end, uint64_t *value)
{
    char *rest;
    if (!isxdigit((unsigned char)**text) || (*text)[1] == 'x') {
        return false;
    }
    errno = 0;
    *value = strtoull(*text, &rest, base);
    if (errno != 0 || *rest != end) {
        return false;
    }
    *text = rest + 1;
    return true;
}

static bool permissions_parse(const char **text, char permissions[5])
{
    static const char *const allowed[] = {"r-", "w-", "x-", "ps"};
    for (int i = 0; i < 4; i++) {
        if ((*text)[i] == '\0' || strchr(allowed[i], (*text)[i]) == NULL) {
            return false;
        }
        permissions[i] = (*text)[i];
    }
    permissions[4] = '\0';
    *text += 4;
    return *(*text)++ == ' ';
}

/* start-end permissions offset major:minor inode [spaces name] */
static bool mapping_parse(const char *line, struct mapping *mapping)
{
    uint64_t device;
    char inode[24] = "";
    *mapping = (struct mapping){0};
    if (!number_parse(&line, 16, '-', &mapping->start) ||
        !number_parse(&line, 16, ' ', &mapping->end) || mapping->start >= mapping->end ||
        mapping->start % PAGE != 0 || mapping->end % PAGE != 0 ||
        !permissions_parse(&line, mapping->permissions) ||
        !number_parse(&line, 16, ' ', &mapping->offset) || !number_parse(&line, 16, ':', &device) ||
        !number_parse(&line, 16, ' ', &device)) {
        return false;
    }
    size_t digits = strspn(line, "0123456789");
    if (digits == 0 || digits >= sizeof inode || (line[digits] != ' ' && line[digits] != '\n')) {
        return false;
    }
    memcpy(inode, line, digits);
    mapping->inode = strtoull(inode, NULL, 10);
    line += digits;
    line += strspn(line, " ");
    size_t length = strcspn(line, "\n");
    if (length >= sizeof mapping->name) {
        length = sizeof mapping->name - 1;
    }
    memcpy(mapping->name, line, length);
    return true;
}

bool maps_parse(const char *text, struct maps *maps)
{
    *maps = (struct maps){0};
    size_t lines = 0;
    for (const char *c = text; *c != '\0'; c++) {
        lines += *c == '\n';
    }
    maps->rows = calloc(lines + 1, sizeof *maps->rows);
    if (maps->rows == NULL) {
        return false;
    }
    uint64_t previous = 0;
    for (const char *line = text; *line != '\0';) {
        const char *end = strchr(line, '\n');
        struct mapping *row = &maps->rows[maps->count];
        if (end == NULL || !mapping_parse(line, row) || row->start < previous) {
            maps_release(maps);
            return false;
        }
        previous = row->end;
        maps->count++;
        line = end + 1;
    }
    return true;
}

/* Reads all of a file of unknown size; the caller frees. */
static char *file_slurp(int file)
{
    size_t capacity = 1 << 16, length = 0;
    char *text = malloc(capacity);
    while (text != NULL) {
        ssize_t got = read(file, text + length, capacity - length - 1);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            int errnum = errno;
            free(text);
            errno = errnum;
            return NULL;
        }
        if (got == 0) {
            text[length] = '\0';
            return text;
        }
        length += (size_t)got;
        if (capacity - length < PAGE) {
            capacity *= 2;
            char *larger = realloc(text, capacity);
            if (larger == NULL) {
                free(text);
            }
            text = larger;
        }
    }
    errno = ENOMEM;
    return NULL;
}

enum skew_code maps_read(const struct target *target, struct maps *maps, struct skew_error *error)
{
    *maps = (struct maps){0};
    scoped_descriptor file = target_file_open(target, "maps", O_RDONLY);
    if (file < 0) {
        enum skew_code code = error_set(error, error_code_for(errno), target->pid, errno,
                                        "read maps", "cannot read its memory map");
        if (code == SKEW_NOT_PERMITTED) {
            privilege_advise(error);
        }
        return code;
    }
    scoped_memory char *text = file_slurp(file);
    if (text == NULL) {
        return error_set(error, error_code_for(errno), target->pid, errno, "read maps",
                         "cannot read its memory map");
    }
    if (!maps_parse(text, maps)) {
        return error_set(error, SKEW_FAILED, target->pid, 0, "read maps",
                         "its memory map is not as proc(5) describes it");
    }
    return SKEW_OK;
}

void maps_release(struct maps *maps)
{
    free(maps->rows);
    *maps = (struct maps){0};
}

/* The first row that ends behind the address. */
static size_t row_after(const struct maps *maps, uint64_t address)
{
    size_t low = 0, high = maps->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (maps->rows[middle].end > address) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

const struct mapping *maps_find(const struct maps *maps, uint64_t address)
{
    size_t index = row_after(maps, address);
    if (index == maps->count || maps->rows[index].start > address) {
        return NULL;
    }
    return &maps->rows[index];
}

const struct mapping *maps_find_special(const struct maps *maps, const char *name)
{
    for (size_t i = 0; i < maps->count; i++) {
        if (maps->rows[i].inode == 0 && strcmp(maps->rows[i].name, name) == 0) {
            return &maps->rows[i];
        }
    }
    return NULL;
}

bool maps_anonymous(const struct maps *maps, uint64_t start, uint64_t end, const char *permissions)
{
    for (uint64_t address = start; address < end;) {
        const struct mapping *row = maps_find(maps, address);
        if (row == NULL || row->inode != 0 || row->name[0] != '\0' ||
            strcmp(row->permissions, permissions) != 0) {
            return false;
        }
        address = row->end;
    }
    return true;
}

bool maps_free(const struct maps *maps, uint64_t start, uint64_t end)
{
    size_t index = row_after(maps, start);
    return index == maps->count || maps->rows[index].start >= end;
}

static uint64_t distance_between(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

uint64_t maps_gap_find(const struct maps *maps, uint64_t near_start, uint64_t near_end, size_t size,
                       uint64_t reach)
{
    uint64_t best = 0, best_distance = UINT64_MAX;
    uint64_t gap_start = ADDRESS_SPACE_LOW;
    for (size_t i = 0; i <= maps->count; i++) {
        const struct mapping *above = i < maps->count ? &maps->rows[i] : NULL;
        const struct mapping *below = i > 0 ? &maps->rows[i - 1] : NULL;
        if (below != NULL && below->end > gap_start) {
            gap_start = below->end;
        }
        uint64_t gap_end = above != NULL ? above->start : ADDRESS_SPACE_HIGH;
        if (gap_end > ADDRESS_SPACE_HIGH) {
            gap_end = ADDRESS_SPACE_HIGH;
        }
        if (above != NULL && strcmp(above->name, "[stack]") == 0) {
            gap_end = gap_end > GROWTH ? gap_end - GROWTH : 0;
        }
        if (below != NULL && strcmp(below->name, "[heap]") == 0 && gap_start < ADDRESS_SPACE_HIGH) {
            gap_start += GROWTH;
        }
        if (gap_end < gap_start || gap_end - gap_start < size + 2 * PAGE) {
            continue;
        }
        /* Next to the vDSO's side of the gap, so that the rest of the gap stays whole. */
        bool gap_above = gap_start >= near_end;
        uint64_t address = gap_above ? gap_start + PAGE : gap_end - PAGE - size;
        uint64_t farthest = distance_between(address, near_end);
        if (distance_between(address + size, near_start) > farthest) {
            farthest = distance_between(address + size, near_start);
        }
        if (farthest > reach) {
            continue;
        }
        uint64_t distance = gap_above ? farthest : farthest + reach;
        if (distance < best_distance) {
            best = address;
            best_distance = distance;
        }
    }
    return best;
}
