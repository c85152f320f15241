/*
 * maps_test.c - memory maps: what is read and what is refused, what lies where,
 * and that a gap which is found is one.
 */
#include "engine/maps.h"

#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE  UINT64_C(0x1000)
#define REACH UINT64_C(0x7ff00000)

static const char ordinary[] =
    "00400000-0040b000 r-xp 00000000 fe:00 1234567                            /usr/bin/cat\n"
    "0040b000-0040c000 rw-p 0000b000 fe:00 1234567                            /usr/bin/a b\\012c\n"
    "01f3e000-01f5f000 rw-p 00000000 00:00 0                                  [heap]\n"
    "7f0000000000-7f0000021000 rw-p 00000000 00:00 0 \n"
    "7f0000021000-7f0000022000 ---p 00000000 00:00 0 \n"
    "7f0000022000-7f0000023000 rw-s 00000000 00:01 9                          [vdso]\n"
    "7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]\n"
    "7ffc000f0000-7ffc000f4000 r--p 00000000 00:00 0                          [vvar]\n"
    "7ffc000f4000-7ffc000f6000 r-xp 00000000 00:00 0                          [vdso]\n"
    "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n";

static void ordinary_maps_are_read(void **state)
{
    (void)state;
    struct maps maps;
    assert_true(maps_parse(ordinary, &maps));
    assert_int_equal(maps.count, 10);
    assert_int_equal(maps.rows[0].start, 0x400000);
    assert_int_equal(maps.rows[0].end, 0x40b000);
    assert_int_equal(maps.rows[0].inode, 1234567);
    assert_string_equal(maps.rows[0].permissions, "r-xp");
    assert_string_equal(maps.rows[0].name, "/usr/bin/cat");
    assert_string_equal(maps.rows[1].name, "/usr/bin/a b\\012c");
    assert_string_equal(maps.rows[3].name, "");
    assert_int_equal(maps.rows[9].start, UINT64_C(0xffffffffff600000));

    assert_ptr_equal(maps_find(&maps, 0x400000), &maps.rows[0]);
    assert_ptr_equal(maps_find(&maps, 0x40afff), &maps.rows[0]);
    assert_ptr_equal(maps_find(&maps, 0x40b000), &maps.rows[1]);
    assert_null(maps_find(&maps, 0x40c000));
    assert_null(maps_find(&maps, 0));
    assert_null(maps_find(&maps, UINT64_MAX));
    /* A file of that name is not the vDSO. */
    assert_ptr_equal(maps_find_special(&maps, "[vdso]"), &maps.rows[8]);
    assert_null(maps_find_special(&maps, "[vds"));

    assert_true(maps_anonymous(&maps, 0x7f0000000000, 0x7f0000021000, "rw-p"));
    assert_true(maps_anonymous(&maps, 0x7f0000001000, 0x7f0000002000, "rw-p"));
    assert_false(maps_anonymous(&maps, 0x7f0000000000, 0x7f0000021001, "rw-p"));
    assert_false(maps_anonymous(&maps, 0x7f0000000000, 0x7f0000021000, "r-xp"));
    assert_false(maps_anonymous(&maps, 0x1f3e000, 0x1f5f000, "rw-p"));
    assert_false(maps_anonymous(&maps, 0x50000000, 0x50001000, "rw-p"));

    assert_true(maps_free(&maps, 0x40c000, 0x1f3e000));
    assert_false(maps_free(&maps, 0x40bfff, 0x1f3e000));
    assert_false(maps_free(&maps, 0x40c000, 0x1f3e001));
    assert_true(maps_free(&maps, UINT64_C(0xffffffffff601000), UINT64_MAX));
    maps_release(&maps);
    assert_null(maps.rows);
}

static void empty_maps_are_maps(void **state)
{
    (void)state;
    struct maps maps;
    assert_true(maps_parse("", &maps));
    assert_int_equal(maps.count, 0);
    assert_null(maps_find(&maps, 0x1000));
    assert_true(maps_free(&maps, 0, UINT64_MAX));
    maps_release(&maps);
}

static void other_text_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "\n",
        "garbage\n",
        "00400000-0040b000 r-xp 00000000 fe:00 1",
        "00400000-0040b000 r-xp 00000000 fe:00\n",
        "00400000-0040b000 r-x 00000000 fe:00 1\n",
        "00400000-0040b000 r-xpp 00000000 fe:00 1\n",
        "00400000 0040b000 r-xp 00000000 fe:00 1\n",
        "0040b000-0040b000 r-xp 00000000 fe:00 1\n",
        "0040b000-00400000 r-xp 00000000 fe:00 1\n",
        "00400000-0040b000 r-xp 00000000 fe:00 1\n0040a000-0040c000 r-xp 00000000 fe:00 1\n",
        "00400000-0040b000 r-xp 00000000 fe:00 1\n00100000-00200000 r-xp 00000000 fe:00 1\n",
        "00400000-0040b000 r-xp 00000000 fe:00 1\n\n",
        "00400000-0040b000 r-xp 00000000 fe:00 1\n00400000-0040b000 r-xp 00000000 fe:00 1\n",
        "00400001-0040b000 r-xp 00000000 fe:00 1\n",
        "00400000-0040bfff r-xp 00000000 fe:00 1\n",
        "11112222333344445-11112222333344446 r-xp 00000000 fe:00 1\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct maps maps;
        if (maps_parse(texts[i], &maps))
            fail_msg("accepted: %s", texts[i]);
        assert_null(maps.rows);
    }
}

/* Cut anywhere but behind a line, it is refused; never half understood. */
static void truncated_text_is_refused(void **state)
{
    (void)state;
    for (size_t length = 1; length < sizeof ordinary - 1; length++) {
        struct maps maps;
        bool accepted = maps_parse(harness_format("%.*s", (int)length, ordinary), &maps);
        assert_int_equal(accepted, ordinary[length - 1] == '\n');
        maps_release(&maps);
    }
}

static void own_maps_are_read(void **state)
{
    (void)state;
    struct target target;
    struct maps maps;
    struct skew_error error = {0};
    assert_int_equal(target_open(getpid(), &target, &error), SKEW_OK);
    assert_int_equal(maps_read(&target, &maps, &error), SKEW_OK);
    target_close(&target);
    const struct mapping *here = maps_find(&maps, (uint64_t)(uintptr_t)own_maps_are_read);
    const struct mapping *stack = maps_find(&maps, (uint64_t)(uintptr_t)&maps);
    assert_non_null(here);
    assert_int_equal(here->permissions[2], 'x');
    assert_int_not_equal(here->inode, 0);
    assert_non_null(stack);
    assert_int_equal(stack->permissions[1], 'w');
    maps_release(&maps);
}

static uint64_t random_below(uint64_t limit)
{
    return ((uint64_t)random() << 31 ^ (uint64_t)random()) % limit;
}

/* Rows with gaps of all sizes around a vDSO. Returns the vDSO's row. */
static size_t layout_random(struct maps *maps, struct mapping *rows, size_t count)
{
    static const uint64_t gaps[] = {0, 0, PAGE, 0x20000, 0x30000, 0x100000, 0x50000000, 0x90000000};
    uint64_t address =
        UINT64_C(0x7e0000000000) + random_below(0x10000000) * PAGE / 16 / PAGE * PAGE;
    size_t vdso = random_below(count);
    for (size_t i = 0; i < count; i++) {
        address += gaps[random_below(sizeof gaps / sizeof *gaps)];
        rows[i] = (struct mapping){.start = address, .permissions = "rw-p"};
        address += (1 + random_below(64)) * PAGE;
        if (random_below(8) == 0)
            strcpy(rows[i].name, random_below(2) ? "[stack]" : "[heap]");
        if (i == vdso) {
            address = rows[i].start + 2 * PAGE;
            strcpy(rows[i].name, "[vdso]");
        }
        rows[i].end = address;
    }
    *maps = (struct maps){.rows = rows, .count = count};
    return vdso;
}

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

static void gaps_are_gaps(void **state)
{
    (void)state;
    srandom(7);
    int found = 0;
    for (int i = 0; i < 20000; i++) {
        struct mapping rows[24];
        struct maps maps;
        const struct mapping *vdso = &rows[layout_random(&maps, rows, 1 + random_below(24))];
        size_t size = (1 + random_below(64)) * PAGE;
        uint64_t reach = random_below(3) ? REACH : 0x200000;
        uint64_t address = maps_gap_find(&maps, vdso->start, vdso->end, size, reach);
        if (address == 0)
            continue;
        found++;
        assert_int_equal(address % PAGE, 0);
        assert_true(maps_free(&maps, address - PAGE, address + size + PAGE));
        const uint64_t ours[] = {address, address + size};
        const uint64_t theirs[] = {vdso->start, vdso->end};
        for (int a = 0; a < 2; a++)
            for (int b = 0; b < 2; b++)
                assert_true(distance(ours[a], theirs[b]) <= reach);
    }
    assert_true(found > 1000);
}

static struct mapping row_make(uint64_t start, uint64_t end, const char *name)
{
    struct mapping row = {.start = start, .end = end, .permissions = "r-xp"};
    strcpy(row.name, name);
    return row;
}

static uint64_t gap_find(struct mapping *rows, size_t count, size_t vdso, size_t size)
{
    struct maps maps = {.rows = rows, .count = count};
    return maps_gap_find(&maps, rows[vdso].start, rows[vdso].end, size, REACH);
}

static void the_only_gap_is_found(void **state)
{
    (void)state;
    const uint64_t low = UINT64_C(0x7f0000000000), size = 0x24000;
    /* All taken for 4 GiB on both sides but one gap that fits exactly. */
    struct mapping rows[] = {
        row_make(low - 0x100000000, low, ""),
        row_make(low, low + 0x2000, "[vdso]"),
        row_make(low + 0x2000 + size + 2 * PAGE, low + 0x100000000, ""),
    };
    assert_int_equal(gap_find(rows, 3, 1, size), low + 0x2000 + PAGE);
    rows[2].start -= PAGE;
    assert_int_equal(gap_find(rows, 3, 1, size), 0);
    /* The same below. */
    rows[2].start = rows[1].end;
    rows[0].end = low - size - 2 * PAGE;
    assert_int_equal(gap_find(rows, 3, 1, size), low - size - PAGE);
    rows[0].end += PAGE;
    assert_int_equal(gap_find(rows, 3, 1, size), 0);
}

static void a_stack_keeps_room_to_grow(void **state)
{
    (void)state;
    const uint64_t low = UINT64_C(0x7f0000000000), size = 0x24000;
    /* The gap between vDSO and stack is large enough, but the stack grows into it. */
    struct mapping rows[] = {
        row_make(low - 0x100000000, low, ""),
        row_make(low, low + 0x2000, "[vdso]"),
        row_make(low + 0x10000000, low + 0x10020000, "[stack]"),
        row_make(low + 0x10020000, low + 0x100000000, ""),
    };
    assert_int_equal(gap_find(rows, 4, 1, size), 0);
    rows[2].name[0] = '\0';
    assert_int_equal(gap_find(rows, 4, 1, size), low + 0x2000 + PAGE);
}

/* prctl(PR_SET_MM) lets a program call anything its stack or its heap. */
static void room_to_grow_ends_with_the_address_space(void **state)
{
    (void)state;
    const uint64_t low = UINT64_C(0x100000000), high = UINT64_C(0xffffffffff600000);
    struct mapping rows[] = {
        row_make(0x600000, 0x700000, "[stack]"),
        row_make(low - 0x2000, low, "[vdso]"),
        row_make(low, low + 0x100000000, ""),
    };
    assert_int_equal(gap_find(rows, 3, 1, 0x24000), 0);
    rows[0] = row_make(low, low + 0x100000000, "");
    rows[1] = row_make(high - 0x2000, high, "[vdso]");
    rows[2] = row_make(high, high + 0x1000, "[heap]");
    assert_int_equal(gap_find(rows, 3, 1, 0x24000), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(ordinary_maps_are_read),
        harness_test(empty_maps_are_maps),
        harness_test(other_text_is_refused),
        harness_test(truncated_text_is_refused),
        harness_test(own_maps_are_read),
        harness_test(gaps_are_gaps),
        harness_test(the_only_gap_is_found),
        harness_test(a_stack_keeps_room_to_grow),
        harness_test(room_to_grow_ends_with_the_address_space),
    };
    return cmocka_run_group_tests_name("maps", tests, NULL, NULL);
}
