/*
 * relocate_test.c - the copy of a vDSO's text does what the original does:
 * checked instruction by instruction with a decoder, over this kernel's vDSO and
 * all of those stored beside the source folder, at several distances.
 */
#include "engine/image.h"

#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <Zydis/Zydis.h>

#define ADDRESS UINT64_C(0x7fff12345000)

static const int64_t distances[] = {0x100000, -0x100000, 0x24000, 0x7fe00000, -0x7fe00000};

static struct arch_text text_make(const struct vdso *vdso, int64_t moved)
{
    return (struct arch_text){
        .vdso = vdso->bytes,
        .vdso_size = vdso->size,
        .vdso_address = ADDRESS,
        .text_offset = vdso->text_offset,
        .text_size = vdso->text_size,
        .text_address = ADDRESS + vdso->text_offset + (uint64_t)moved,
    };
}

struct decoded {
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

static void decode(const uint8_t *bytes, size_t size, struct decoded *decoded)
{
    ZydisDecoder decoder;
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    assert_true(ZYAN_SUCCESS(
        ZydisDecoderDecodeFull(&decoder, bytes, size, &decoded->instruction, decoded->operands)));
}

/* Both refer to the same place: the same offset of the text, or the same address outside. */
static bool operand_check(const struct arch_text *text, const struct decoded *original,
                          const struct decoded *copy, int index, size_t offset)
{
    const uint64_t here = text->vdso_address + text->text_offset, there = text->text_address;
    ZyanU64 from, to;
    bool relative = ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(
        &original->instruction, &original->operands[index], here + offset, &from));
    assert_int_equal(
        relative, ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(&copy->instruction, &copy->operands[index],
                                                        there + offset, &to)));
    if (!relative)
        return false;
    bool inside = from >= here && from < here + text->text_size;
    if (inside)
        assert_int_equal(to - there, from - here);
    else
        assert_int_equal(to, from);
    return !inside;
}

static void copy_check(const struct arch_text *text, const uint8_t *copy,
                       const struct arch_relocation *relocation)
{
    const uint8_t *original = text->vdso + text->text_offset;
    size_t instructions = 0, outside = 0;
    for (size_t offset = 0; offset < text->text_size;) {
        struct decoded before, after;
        decode(original + offset, text->text_size - offset, &before);
        decode(copy + offset, text->text_size - offset, &after);
        const size_t length = before.instruction.length;
        assert_int_equal(after.instruction.length, length);
        bool moved = false;
        if (before.instruction.attributes & ZYDIS_ATTRIB_IS_RELATIVE)
            for (int i = 0; i < before.instruction.operand_count_visible; i++)
                moved |= operand_check(text, &before, &after, i, offset);
        /* But for a displacement that had to change, all bytes are the same. */
        uint8_t expected[ZYDIS_MAX_INSTRUCTION_LENGTH];
        memcpy(expected, original + offset, length);
        if (moved)
            memcpy(expected + before.instruction.raw.disp.offset,
                   copy + offset + before.instruction.raw.disp.offset, sizeof(int32_t));
        assert_memory_equal(copy + offset, expected, length);
        outside += moved;
        instructions++;
        offset += length;
    }
    assert_int_equal(relocation->instructions, instructions);
    assert_int_equal(relocation->adjusted, outside);
    assert_true(outside > 0);
}

static void vdso_check(const struct vdso *vdso)
{
    uint8_t *copy = harness_memory(vdso->text_size);
    for (size_t i = 0; i < sizeof distances / sizeof *distances; i++) {
        const struct arch_text text = text_make(vdso, distances[i]);
        struct arch_relocation relocation;
        if (!arch_text_relocate(&text, copy, &relocation))
            fail_msg("%s at 0x%zx", relocation.reason, relocation.where);
        copy_check(&text, copy, &relocation);
    }
    assert_true(vdso_stub_slots(vdso) >= 1);
    assert_true(arch_stub_length() <= ARCH_STUB_SIZE);

    const struct image_skew skew = image_skew_from(skew_clocks_default(), 1, NULL);
    static const uint8_t id[IMAGE_ID_SIZE] = {1};
    struct skew_error error = {0};
    for (size_t i = 0; i < sizeof distances / sizeof *distances; i++) {
        struct image image;
        uint64_t address = ADDRESS + (uint64_t)distances[i];
        assert_int_equal(image_build(vdso, ADDRESS, address, id, &skew, 1, &image, &error),
                         SKEW_OK);
        assert_true(image_header_valid(&image.header, vdso, ADDRESS, address));
        image_release(&image);
    }
}

static void own_vdso_is_copied(void **state)
{
    (void)state;
    struct vdso vdso;
    struct skew_error error = {0};
    assert_int_equal(vdso_own(&vdso, &error), SKEW_OK);
    vdso_check(&vdso);
    vdso_release(&vdso);
}

/* ../shared/vdso as seen from the source folder, of which this file knows its place. */
static const char *stored_folder(void)
{
    static const char place[] = "/tests/unit/";
    const char *end = strstr(__FILE__, place);
    return end ? harness_format("%.*s/../shared/vdso", (int)(end - __FILE__), __FILE__)
               : "../shared/vdso";
}

static void stored_vdsos_are_copied(void **state)
{
    (void)state;
    const char *folder = stored_folder();
    DIR *stored = opendir(folder);
    if (!stored)
        harness_skip("no vDSOs of other kernels in %s", folder);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(stored));) {
        if (strncmp(entry->d_name, "x86_64-", 7) != 0)
            continue;
        size_t size;
        const char *bytes =
            harness_file_read(harness_format("%s/%s", folder, entry->d_name), &size);
        assert_non_null(bytes);
        struct vdso vdso;
        struct skew_error error = {0};
        printf("%s\n", entry->d_name);
        if (vdso_parse(bytes, size, &vdso, &error) != SKEW_OK)
            fail_msg("%s", error.message);
        vdso_check(&vdso);
        vdso_release(&vdso);
        count++;
    }
    closedir(stored);
    assert_true(count > 0);
}

static struct arch_relocation relocated(const uint8_t *code, size_t size, int64_t moved, bool works)
{
    uint8_t vdso[64] = {0}, copy[64];
    memcpy(vdso + 16, code, size);
    const struct arch_text text = {.vdso = vdso,
                                   .vdso_size = sizeof vdso,
                                   .vdso_address = ADDRESS,
                                   .text_offset = 16,
                                   .text_size = size,
                                   .text_address = ADDRESS + 16 + (uint64_t)moved};
    struct arch_relocation relocation;
    assert_int_equal(arch_text_relocate(&text, copy, &relocation), works);
    assert_int_equal(relocation.reason != NULL, !works);
    return relocation;
}

static void what_cannot_be_copied_is_refused(void **state)
{
    (void)state;
    static const uint8_t fine[] = {0x90, 0x8b, 0x05, 0x00, 0x01, 0x00, 0x00, 0xc3};
    assert_int_equal(relocated(fine, sizeof fine, 0x1000, true).adjusted, 1);
    assert_int_equal(relocated(fine, sizeof fine, INT64_C(0x80000100), true).instructions, 3);
    assert_int_equal(relocated(fine, sizeof fine, INT64_C(0x80000101), false).where, 17);
    assert_int_equal(relocated(fine, sizeof fine, -INT64_C(0x7fffff00), false).where, 17);
    static const uint8_t branch[] = {0x90, 0xeb, 0x40};
    assert_int_equal(relocated(branch, sizeof branch, 0x1000, false).where, 17);
    static const uint8_t call[] = {0xe8, 0xf0, 0xff, 0xff, 0xff};
    assert_int_equal(relocated(call, sizeof call, 0x1000, false).where, 16);
    static const uint8_t loop[] = {0x90, 0x90, 0xeb, 0xfc};
    assert_int_equal(relocated(loop, sizeof loop, 0x1000, true).adjusted, 0);
    static const uint8_t invalid[] = {0x90, 0x06};
    assert_int_equal(relocated(invalid, sizeof invalid, 0x1000, false).where, 17);
    static const uint8_t cut[] = {0x8b, 0x05, 0x00, 0x01};
    assert_int_equal(relocated(cut, sizeof cut, 0x1000, false).where, 16);
    /* lea -9(%eip), %eax: below 4 GiB, so not in the text, wherever that lies. */
    static const uint8_t narrow[] = {0x90, 0x90, 0x67, 0x8d, 0x05, 0xf7, 0xff, 0xff, 0xff};
    assert_int_equal(relocated(narrow, sizeof narrow, 0x1000, false).where, 18);

    struct arch_relocation relocation;
    const uint8_t vdso[16] = {0};
    uint8_t copy[16];
    struct arch_text text = {.vdso = vdso, .vdso_size = 16, .text_offset = 8, .text_size = 9};
    assert_false(arch_text_relocate(&text, copy, &relocation));
    text.text_offset = 17;
    text.text_size = 0;
    assert_false(arch_text_relocate(&text, copy, &relocation));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(own_vdso_is_copied),
        harness_test(stored_vdsos_are_copied),
        harness_test(what_cannot_be_copied_is_refused),
    };
    return cmocka_run_group_tests_name("relocation", tests, NULL, NULL);
}
