/*
 * maps_fuzz.c - any text as /proc/PID/maps. Of what is accepted: rows ascend and
 * do not overlap, searches agree with a search from end to end, and a gap that
 * is found is one.
 */
#include "engine/maps.h"

#include "tests/fuzz/fuzz.h"

#define PAGE 0x1000

static const struct mapping *find_slowly(const struct maps *maps, uint64_t address)
{
    for (size_t i = 0; i < maps->count; i++)
        if (maps->rows[i].start <= address && address < maps->rows[i].end)
            return &maps->rows[i];
    return NULL;
}

static bool free_slowly(const struct maps *maps, uint64_t start, uint64_t end)
{
    for (size_t i = 0; i < maps->count; i++)
        if (maps->rows[i].start < end && start < maps->rows[i].end)
            return false;
    return true;
}

static void searches_check(const struct maps *maps, uint64_t address)
{
    const struct mapping *row = find_slowly(maps, address);
    fuzz_check(maps_find(maps, address) == row);
    if (address > UINT64_MAX - PAGE)
        return;
    fuzz_check(maps_anonymous(maps, address, address + 1, "rw-p") ==
               (row != NULL && row->inode == 0 && *row->name == '\0' &&
                strcmp(row->permissions, "rw-p") == 0));
    fuzz_check(maps_free(maps, address, address + PAGE) ==
               free_slowly(maps, address, address + PAGE));
}

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

static void gap_check(const struct maps *maps, const struct mapping *near, size_t size,
                      uint64_t reach)
{
    uint64_t gap = maps_gap_find(maps, near->start, near->end, size, reach);
    if (gap == 0)
        return;
    fuzz_check(gap % PAGE == 0);
    fuzz_check(free_slowly(maps, gap - PAGE, gap + size + PAGE));
    fuzz_check(distance(gap, near->start) <= reach && distance(gap, near->end) <= reach);
    fuzz_check(distance(gap + size, near->start) <= reach &&
               distance(gap + size, near->end) <= reach);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct maps maps;
    char *text = fuzz_text(input, size);
    if (!maps_parse(text, &maps)) {
        fuzz_check(maps.rows == NULL && maps.count == 0);
        free(text);
        return 0;
    }
    uint64_t previous = 0;
    for (size_t i = 0; i < maps.count; i++) {
        const struct mapping *row = &maps.rows[i];
        fuzz_check(row->start >= previous && row->end > row->start);
        fuzz_check(strlen(row->permissions) == 4);
        fuzz_check(memchr(row->name, '\0', sizeof row->name) != NULL);
        previous = row->end;
        searches_check(&maps, row->start);
        searches_check(&maps, row->end);
        searches_check(&maps, row->start - 1);
        gap_check(&maps, row, 0x23000, UINT64_C(0x7ff00000));
        gap_check(&maps, row, PAGE, 0x10000);
    }
    const struct mapping *vdso = maps_find_special(&maps, "[vdso]");
    fuzz_check(vdso == NULL || (vdso->inode == 0 && strcmp(vdso->name, "[vdso]") == 0));
    maps_release(&maps);
    free(text);
    return 0;
}
