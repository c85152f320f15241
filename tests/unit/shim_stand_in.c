/*
 * shim_stand_in.c - see shim_stand_in.h.
 */
#include "shim_stand_in.h"

#include "asm/x86_64/layout.h"

#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * Stand-ins, in the place of the copied text: clock_gettime stores `seconds` and
 * `nanoseconds` as they stand in its code, gettimeofday is asked for the time zone alone
 * and does nothing, time returns and stores `seconds`.
 *     movabs seconds, %rax; mov %rax, (%rsi); movabs nanoseconds, %rax;
 *     mov %rax, 8(%rsi); xor %eax, %eax; ret
 *     xor %eax, %eax; ret
 *     movabs seconds, %rax; test %rdi, %rdi; jz 1f; mov %rax, (%rdi); 1: ret
 */
static const uint8_t stores_timespec[] = {0x48, 0xb8, 0,    0,    0,    0,    0, 0,    0,    0,
                                          0x48, 0x89, 0x06, 0x48, 0xb8, 0,    0, 0,    0,    0,
                                          0,    0,    0,    0x48, 0x89, 0x46, 8, 0x31, 0xc0, 0xc3},
                     does_nothing[] = {0x31, 0xc0, 0xc3},
                     returns_seconds[] = {0x48, 0xb8, 0,    0,    0, 0,    0,    0,    0,   0,
                                          0x48, 0x85, 0xff, 0x74, 3, 0x48, 0x89, 0x07, 0xc3};
#define AT_SECONDS     2
#define AT_NANOSECONDS 15
#define STAND_IN       0x40 /* bytes from one to the next */

struct placed placed;

static uint8_t *stand_in(enum arch_function function)
{
    return placed.at + IMAGE_TEXT + (size_t)function * STAND_IN;
}

void true_time_set(int64_t now_ns)
{
    const int64_t seconds = now_ns / SECOND, rest = now_ns % SECOND;
    memcpy(stand_in(ARCH_CLOCK_GETTIME) + AT_SECONDS, &seconds, sizeof seconds);
    memcpy(stand_in(ARCH_CLOCK_GETTIME) + AT_NANOSECONDS, &rest, sizeof rest);
    memcpy(stand_in(ARCH_TIME) + AT_SECONDS, &seconds, sizeof seconds);
}

int place(void **state)
{
    (void)state;
    struct vdso vdso;
    struct target self;
    struct maps maps;
    struct image image;
    struct skew_error error = {0};
    uint64_t own = getauxval(AT_SYSINFO_EHDR);
    const struct image_skew none = image_skew_from(skew_clocks_default(), 0, NULL);
    static const uint8_t id[IMAGE_ID_SIZE] = {7};
    if (vdso_own(&vdso, &error) != SKEW_OK || target_open(getpid(), &self, &error) != SKEW_OK ||
        maps_read(&self, &maps, &error) != SKEW_OK)
        return -1;
    uint64_t address =
        maps_gap_find(&maps, own, own + vdso.size, image_size_for(&vdso), IMAGE_REACH);
    if (address == 0 || image_build(&vdso, own, address, id, &none, 1, &image, &error) != SKEW_OK)
        return -1;
    placed.size = image.size;
    placed.at = mmap((void *)(uintptr_t)address, image.size, PROT_READ | PROT_WRITE | PROT_EXEC,
                     MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (placed.at == MAP_FAILED)
        return -1;
    memcpy(placed.at, image.data, IMAGE_DATA_USED);
    memcpy(placed.at + image.data_size, image.code, image.size - image.data_size);
    memcpy(stand_in(ARCH_CLOCK_GETTIME), stores_timespec, sizeof stores_timespec);
    memcpy(stand_in(ARCH_GETTIMEOFDAY), does_nothing, sizeof does_nothing);
    memcpy(stand_in(ARCH_TIME), returns_seconds, sizeof returns_seconds);
    uint64_t copies[ARCH_FUNCTION_COUNT];
    for (int f = 0; f < ARCH_FUNCTION_COUNT; f++) {
        copies[f] = (uint64_t)(uintptr_t)stand_in((enum arch_function)f);
        placed.entries[f] = (entry_function *)(uintptr_t)(address + image.data_size +
                                                          arch_shim_entry((enum arch_function)f));
    }
    bool linked = arch_shim_link(placed.at + IMAGE_SHIM, address + IMAGE_SHIM, copies);
    image_release(&image);
    maps_release(&maps);
    target_close(&self);
    vdso_release(&vdso);
    return linked ? 0 : -1;
}

int unplace(void **state)
{
    (void)state;
    return munmap(placed.at, placed.size);
}

void skew_set(const struct image_skew *skew)
{
    struct image_write writes[IMAGE_UPDATE_WRITES];
    image_update_plan(placed.at + image_parameters_offset(), skew, writes);
    for (int i = 0; i < IMAGE_UPDATE_WRITES; i++)
        memcpy(placed.at + writes[i].offset, writes[i].bytes, writes[i].size);
}

__int128 floor_to(__int128 value, int64_t unit)
{
    __int128 rest = value % unit;
    return value - (rest < 0 ? rest + unit : rest);
}

__int128 read_clock_gettime(clockid_t clock)
{
    struct timespec now = {-1, -1};
    assert_int_equal((int)placed.entries[ARCH_CLOCK_GETTIME]((uintptr_t)clock, (uintptr_t)&now), 0);
    assert_in_range(now.tv_nsec, 0, SECOND - 1);
    return (__int128)now.tv_sec * SECOND + now.tv_nsec;
}

__int128 read_gettimeofday(struct timezone *zone)
{
    struct timeval now = {-1, -1};
    assert_int_equal((int)placed.entries[ARCH_GETTIMEOFDAY]((uintptr_t)&now, (uintptr_t)zone), 0);
    assert_in_range(now.tv_usec, 0, 999999);
    return (__int128)now.tv_sec * SECOND + now.tv_usec * INT64_C(1000);
}

__int128 read_time(void)
{
    time_t stored = -1, now = placed.entries[ARCH_TIME]((uintptr_t)&stored, 0);
    assert_int_equal(now, stored);
    assert_int_equal(now, placed.entries[ARCH_TIME](0, 0));
    return (__int128)now * SECOND;
}
