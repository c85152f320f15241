/*
 * patch.c - the jump that is written over the first bytes of a vDSO function.
 *
 * Promise: five bytes, the size of the smallest function that any kernel's
 * vDSO has, and never over a landing pad.
 */
#include "asm/arch.h"

#include <string.h>

#define OPCODE_JUMP 0xe9

static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};

size_t arch_patch_offset(const uint8_t *entry, size_t size)
{
    if (size >= sizeof endbr64 && memcmp(entry, endbr64, sizeof endbr64) == 0) {
        return sizeof endbr64;
    }
    return 0;
}

bool arch_patch_build(uint64_t address, uint64_t target, uint8_t patch[ARCH_PATCH_SIZE])
{
    int64_t distance = (int64_t)(target - (address + ARCH_PATCH_SIZE));
    if (distance != (int32_t)distance) {
        return false;
    }
    int32_t displacement = (int32_t)distance;
    patch[0] = OPCODE_JUMP;
    memcpy(patch + 1, &displacement, sizeof displacement);
    return true;
}

bool arch_patch_parse(uint64_t address, const uint8_t *bytes, uint64_t *target)
{
    if (bytes[0] != OPCODE_JUMP) {
        return false;
    }
    int32_t displacement;
    memcpy(&displacement, bytes + 1, sizeof displacement);
    *target = address + ARCH_PATCH_SIZE + (uint64_t)(int64_t)displacement;
    return true;
}

const char *arch_function_symbol(enum arch_function function)
{
    static const char *const symbols[ARCH_FUNCTION_COUNT] = {
        [ARCH_CLOCK_GETTIME] = "__vdso_clock_gettime",
        [ARCH_GETTIMEOFDAY] = "__vdso_gettimeofday",
        [ARCH_TIME] = "__vdso_time",
    };
    return symbols[function];
}
