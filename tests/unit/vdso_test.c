/*
 * vdso_test.c - this kernel's vDSO is read as the dynamic linker reads it,
 * damaged ones are refused or at least read within bounds, and what differs in
 * a live one is told apart: a jump, a stub, or something foreign.
 */
#include "engine/vdso.h"

#include "harness.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#define PAGE 0x1000

static struct vdso own;

static int own_open(void **state)
{
    struct skew_error error = {0};
    (void)state;
    return vdso_own(&own, &error) == SKEW_OK ? 0 : -1;
}

static int own_close(void **state)
{
    (void)state;
    vdso_release(&own);
    return 0;
}

static void own_vdso_is_as_the_linker_sees_it(void **state)
{
    (void)state;
    uint64_t base = getauxval(AT_SYSINFO_EHDR);
    assert_memory_equal(own.bytes, (const void *)(uintptr_t)base, own.size);
    void *handle = dlopen("linux-vdso.so.1", RTLD_NOW | RTLD_NOLOAD);
    assert_non_null(handle);
    for (int f = 0; f < ARCH_FUNCTION_COUNT; f++) {
        void *symbol = dlsym(handle, arch_function_symbol((enum arch_function)f));
        assert_int_equal((uint64_t)(uintptr_t)symbol - base, own.functions[f].offset);
    }
    dlclose(handle);
}

/* What the comment of vdso_parse promises of any vDSO that it accepts. */
static void assert_in_bounds(const struct vdso *vdso)
{
    assert_true(vdso->text_offset <= vdso->size);
    assert_true(vdso->text_size <= vdso->size - vdso->text_offset);
    for (int f = 0; f < ARCH_FUNCTION_COUNT; f++) {
        size_t patch = vdso->functions[f].patch;
        assert_true(vdso->functions[f].offset >= vdso->text_offset);
        assert_true(patch >= vdso->functions[f].offset);
        assert_true(patch + ARCH_PATCH_SIZE <= vdso->text_offset + vdso->text_size);
        assert_true(patch + ARCH_PATCH_SIZE <= vdso->functions[f].offset + vdso->functions[f].size);
        assert_int_equal(patch / PAGE, (patch + ARCH_PATCH_SIZE - 1) / PAGE);
    }
    size_t slots = vdso_stub_slots(vdso);
    assert_true(slots >= 1);
    assert_true(vdso->slack_offset >= vdso->text_offset + vdso->text_size);
    assert_true(vdso_stub_offset(vdso, slots - 1) + ARCH_STUB_SIZE <= vdso->size);
    for (size_t i = vdso->slack_offset; i < vdso->size; i++)
        assert_int_equal(vdso->bytes[i], 0);
}

static void own_vdso_is_in_bounds(void **state)
{
    (void)state;
    assert_in_bounds(&own);
}

static void assert_refused(const uint8_t *bytes, size_t size)
{
    struct vdso vdso;
    struct skew_error error = {0};
    assert_int_equal(vdso_parse(bytes, size, &vdso, &error), SKEW_REFUSED);
    assert_true(*error.message && *error.advice);
    assert_null(vdso.bytes);
}

static uint8_t *own_copy(void)
{
    return memcpy(harness_memory(own.size), own.bytes, own.size);
}

static void wrong_sizes_are_refused(void **state)
{
    (void)state;
    uint8_t *large = harness_memory(VDSO_SIZE_MAX + PAGE);
    memcpy(large, own.bytes, own.size);
    assert_refused(large, 0);
    assert_refused(large, 1);
    assert_refused(large, own.size - 1);
    assert_refused(large, VDSO_SIZE_MAX + PAGE);
    /* Cut in half, the section headers are gone. */
    if (own.size > PAGE)
        assert_refused(large, PAGE);
}

static void what_is_no_vdso_is_refused(void **state)
{
    (void)state;
    uint8_t *bytes = own_copy();
    memset(bytes, 0, own.size);
    assert_refused(bytes, own.size);
    bytes = own_copy();
    bytes[EI_CLASS] = ELFCLASS32;
    assert_refused(bytes, own.size);
    bytes = own_copy();
    ((Elf64_Ehdr *)bytes)->e_shoff = own.size;
    assert_refused(bytes, own.size);
    bytes = own_copy();
    ((Elf64_Ehdr *)bytes)->e_shoff = UINT64_MAX - 16;
    assert_refused(bytes, own.size);
    bytes = own_copy();
    bytes[own.size - 1] = 1;
    assert_refused(bytes, own.size);
}

static void a_missing_function_is_refused(void **state)
{
    (void)state;
    for (int f = 0; f < ARCH_FUNCTION_COUNT; f++) {
        const char *name = arch_function_symbol((enum arch_function)f);
        uint8_t *bytes = own_copy();
        char *found = memmem(bytes, own.size, name, strlen(name) + 1);
        assert_non_null(found);
        found[strlen(name) - 1] ^= 1;
        assert_refused(bytes, own.size);
    }
}

/* No damage makes it read or promise anything outside the image. */
static void damaged_images_stay_in_bounds(void **state)
{
    (void)state;
    srandom(3);
    size_t headers = ((const Elf64_Ehdr *)own.bytes)->e_shoff;
    for (int i = 0; i < 5000; i++) {
        struct keep *mark = harness_mark();
        uint8_t *bytes = own_copy();
        for (long changes = 1 + random() % 4; changes > 0; changes--) {
            /* Mostly where the structure is: the ELF header, symbols, section headers. */
            size_t range = random() % 2 ? 0x600 : own.slack_offset - headers;
            size_t base = range == 0x600 ? 0 : headers;
            bytes[base + (size_t)random() % range] = (uint8_t)random();
        }
        struct vdso vdso;
        struct skew_error error = {0};
        if (vdso_parse(bytes, own.size, &vdso, &error) == SKEW_OK) {
            assert_in_bounds(&vdso);
            vdso_release(&vdso);
        } else {
            assert_null(vdso.bytes);
            assert_true(*error.message);
        }
        harness_release(mark);
    }
}

#define ADDRESS UINT64_C(0x7fff00000000)
#define IMAGE   UINT64_C(0x7fff00100000)

static struct vdso_difference compared(const uint8_t *live)
{
    struct vdso_difference difference;
    vdso_compare(&own, live, ADDRESS, &difference);
    return difference;
}

static void a_pristine_vdso_differs_in_nothing(void **state)
{
    (void)state;
    struct vdso_difference difference = compared(own.bytes);
    assert_true(difference.pristine);
    assert_false(difference.foreign || difference.stubs);
    for (int f = 0; f < ARCH_FUNCTION_COUNT; f++)
        assert_false(difference.patched[f]);
}

static void jumps_are_told(void **state)
{
    (void)state;
    for (int f = 0; f < ARCH_FUNCTION_COUNT; f++) {
        uint8_t *live = own_copy();
        size_t patch = own.functions[f].patch;
        assert_true(arch_patch_build(ADDRESS + patch, IMAGE, live + patch));
        struct vdso_difference difference = compared(live);
        assert_false(difference.pristine || difference.foreign);
        for (int other = 0; other < ARCH_FUNCTION_COUNT; other++)
            assert_int_equal(difference.patched[other], other == f);
        assert_int_equal(difference.target[f], IMAGE);
        /* Anything else there is not ours. */
        live[patch] = 0xcc;
        difference = compared(live);
        assert_true(difference.foreign);
        assert_int_equal(difference.foreign_offset, patch);
        assert_false(difference.patched[f]);
    }
}

/* What a write from the end, or a clearing from the beginning, leaves when it is cut short. */
static void ends_of_stubs_are_told(void **state)
{
    (void)state;
    const arch_registers registers = {.rip = 0x1234567, .rsp = 0x7654321};
    /* The image's address; no page's; another process's; none. */
    const uint64_t notes[] = {IMAGE, IMAGE + 8, IMAGE / 2, 0};
    for (size_t from = sizeof(uint64_t); from < ARCH_STUB_SIZE; from += sizeof(uint64_t))
        for (size_t n = 0; n < sizeof notes / sizeof *notes; n++) {
            uint8_t *live = own_copy(), stub[ARCH_STUB_SIZE] = {0};
            uint8_t *slot = live + vdso_stub_offset(&own, 0);
            arch_stub_build(&registers, stub);
            memcpy(stub + VDSO_NOTE_OFFSET, &notes[n], sizeof notes[n]);
            memcpy(slot + from, stub + from, ARCH_STUB_SIZE - from);
            static const uint8_t zeroes[ARCH_STUB_SIZE];
            bool nothing = memcmp(slot, zeroes, ARCH_STUB_SIZE) == 0;
            struct vdso_difference difference = compared(live);
            assert_int_equal(difference.stubs, n == 0);
            assert_int_equal(difference.foreign, n != 0 && !nothing);
            if (n == 0)
                assert_int_equal(difference.note, IMAGE);
            /* In front of where the note is there is nothing but a stub. */
            slot[VDSO_NOTE_OFFSET - 1] ^= 1;
            assert_true(compared(live).foreign);
        }
}

static void stubs_are_told(void **state)
{
    (void)state;
    arch_registers registers = {.rip = 0x401000, .eflags = 0x202, .cs = 0x33};
    for (size_t slot = 0; slot < vdso_stub_slots(&own); slot++) {
        uint8_t *live = own_copy(), stub[ARCH_STUB_SIZE];
        size_t length = arch_stub_build(&registers, stub), offset = vdso_stub_offset(&own, slot);
        memcpy(live + offset, stub, length);
        struct vdso_difference difference = compared(live);
        assert_true(difference.stubs);
        assert_false(difference.pristine || difference.foreign);
        live[offset + length] = 1;
        difference = compared(live);
        assert_true(difference.foreign);
        assert_false(difference.stubs);
    }
}

static void every_foreign_byte_is_noticed(void **state)
{
    (void)state;
    uint8_t *live = own_copy();
    for (size_t i = 0; i < own.size; i++) {
        live[i] ^= 0x40;
        struct vdso_difference difference = compared(live);
        assert_true(difference.foreign);
        assert_int_equal(difference.foreign_offset, i);
        assert_false(difference.pristine);
        live[i] ^= 0x40;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(own_vdso_is_as_the_linker_sees_it),
        harness_test(own_vdso_is_in_bounds),
        harness_test(wrong_sizes_are_refused),
        harness_test(what_is_no_vdso_is_refused),
        harness_test(a_missing_function_is_refused),
        harness_test(damaged_images_stay_in_bounds),
        harness_test(a_pristine_vdso_differs_in_nothing),
        harness_test(jumps_are_told),
        harness_test(stubs_are_told),
        harness_test(ends_of_stubs_are_told),
        harness_test(every_foreign_byte_is_noticed),
    };
    return cmocka_run_group_tests_name("vdso", tests, own_open, own_close);
}
