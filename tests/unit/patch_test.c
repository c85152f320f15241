/*
 * patch_test.c - the jump over the first bytes of a function: what is built is
 * recognised, reaches exactly as far as it can, and spares landing pads.
 */
#include "asm/arch.h"

#include "harness.h"

#include <stdlib.h>
#include <string.h>

#define ADDRESS UINT64_C(0x7fff12345678)

static void assert_reaches(uint64_t address, uint64_t target)
{
    uint8_t patch[ARCH_PATCH_SIZE];
    uint64_t parsed = 0;
    assert_true(arch_patch_build(address, target, patch));
    assert_int_equal(patch[0], 0xe9);
    assert_true(arch_patch_parse(address, patch, &parsed));
    assert_int_equal(parsed, target);
}

static void what_is_built_is_parsed(void **state)
{
    (void)state;
    srandom(1);
    for (int i = 0; i < 10000; i++) {
        uint64_t address = (uint64_t)random() << 16 ^ (uint64_t)random();
        assert_reaches(address, address + ARCH_PATCH_SIZE + (uint64_t)(int32_t)(random() << 1));
    }
}

static void the_reach_is_exact(void **state)
{
    (void)state;
    const uint64_t end = ADDRESS + ARCH_PATCH_SIZE;
    uint8_t patch[ARCH_PATCH_SIZE];
    assert_reaches(ADDRESS, end);
    assert_reaches(ADDRESS, end + INT32_MAX);
    assert_reaches(ADDRESS, end + (uint64_t)INT32_MIN);
    assert_false(arch_patch_build(ADDRESS, end + INT32_MAX + 1, patch));
    assert_false(arch_patch_build(ADDRESS, end + (uint64_t)INT32_MIN - 1, patch));
    assert_false(arch_patch_build(ADDRESS, end + (UINT64_C(1) << 32), patch));
}

static void other_bytes_are_no_patch(void **state)
{
    (void)state;
    uint8_t bytes[ARCH_PATCH_SIZE] = {0};
    for (int opcode = 0; opcode < 256; opcode++) {
        uint64_t target;
        bytes[0] = (uint8_t)opcode;
        assert_int_equal(arch_patch_parse(ADDRESS, bytes, &target), opcode == 0xe9);
    }
}

static void a_landing_pad_is_spared(void **state)
{
    (void)state;
    static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa, 0x55};
    static const uint8_t endbr32[] = {0xf3, 0x0f, 0x1e, 0xfb, 0x55};
    static const uint8_t push[] = {0x55, 0xf3, 0x0f, 0x1e, 0xfa};
    assert_int_equal(arch_patch_offset(endbr64, sizeof endbr64), 4);
    assert_int_equal(arch_patch_offset(endbr64, 4), 4);
    assert_int_equal(arch_patch_offset(endbr64, 3), 0);
    assert_int_equal(arch_patch_offset(endbr32, sizeof endbr32), 0);
    assert_int_equal(arch_patch_offset(push, sizeof push), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(what_is_built_is_parsed),
        harness_test(the_reach_is_exact),
        harness_test(other_bytes_are_no_patch),
        harness_test(a_landing_pad_is_spared),
    };
    return cmocka_run_group_tests_name("patch", tests, NULL, NULL);
}
