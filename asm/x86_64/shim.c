/*
 * shim.c - hands out the bytes of shim.S and links them to the copied text.
 */
#include "asm/arch.h"

#include <string.h>

#include "asm/x86_64/layout.h"

extern const uint8_t skew_shim_begin[], skew_shim_end[];
extern const uint8_t skew_shim_clock_gettime[], skew_shim_gettimeofday[], skew_shim_time[];

/* One entry of the table that the assembler collects. */
struct shim_call {
    uint32_t end; /* offset of the byte behind the branch; its displacement ends there */
    uint32_t function;
};
extern const struct shim_call skew_shim_calls[], skew_shim_calls_end[];

const uint8_t *arch_shim_bytes(size_t *size)
{
    *size = (size_t)(skew_shim_end - skew_shim_begin);
    return skew_shim_begin;
}

size_t arch_shim_entry(enum arch_function function)
{
    const uint8_t *const entries[ARCH_FUNCTION_COUNT] = {
        [ARCH_CLOCK_GETTIME] = skew_shim_clock_gettime,
        [ARCH_GETTIMEOFDAY] = skew_shim_gettimeofday,
        [ARCH_TIME] = skew_shim_time,
    };
    return (size_t)(entries[function] - skew_shim_begin);
}

bool arch_shim_link(uint8_t *shim, uint64_t shim_address,
                    const uint64_t copies[ARCH_FUNCTION_COUNT])
{
    for (const struct shim_call *call = skew_shim_calls; call < skew_shim_calls_end; call++) {
        int64_t distance = (int64_t)(copies[call->function] - (shim_address + call->end));
        if (distance != (int32_t)distance) {
            return false;
        }
        int32_t displacement = (int32_t)distance;
        memcpy(shim + call->end - sizeof displacement, &displacement, sizeof displacement);
    }
    return true;
}
