/*
 * relocate_fuzz.c - any bytes as the text of a vDSO, moved by any distance. Of
 * a copy that is made: the same instructions at the same places, differing in
 * displacements alone, and each operand that is relative to the instruction
 * points to the same place as before, or to the same offset of the moved text.
 *
 * Input: 4 bytes of distance in pages, 2 of the text's offset, then the text.
 */
#include "asm/arch.h"

#include <Zydis/Zydis.h>

#include "tests/fuzz/fuzz.h"

#define ADDRESS  UINT64_C(0x7fff12345000)
#define VDSO_MAX 0x8000

struct decoded {
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

static void decode(const uint8_t *bytes, size_t size, struct decoded *decoded)
{
    ZydisDecoder decoder;
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    fuzz_check(ZYAN_SUCCESS(
        ZydisDecoderDecodeFull(&decoder, bytes, size, &decoded->instruction, decoded->operands)));
}

static bool operand_check(const struct arch_text *text, const struct decoded *original,
                          const struct decoded *copy, int index, size_t offset)
{
    const uint64_t here = text->vdso_address + text->text_offset, there = text->text_address;
    ZyanU64 from, to;
    bool relative = ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(
        &original->instruction, &original->operands[index], here + offset, &from));
    fuzz_check(relative == ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(
                               &copy->instruction, &copy->operands[index], there + offset, &to)));
    if (!relative)
        return false;
    bool inside = from - here < text->text_size;
    fuzz_check(inside ? to - there == from - here : to == from);
    return !inside;
}

static void copy_check(const struct arch_text *text, const uint8_t *copy,
                       const struct arch_relocation *relocation)
{
    const uint8_t *original = text->vdso + text->text_offset;
    size_t instructions = 0, outside = 0;
    for (size_t offset = 0; offset < text->text_size; instructions++) {
        struct decoded before, after;
        decode(original + offset, text->text_size - offset, &before);
        decode(copy + offset, text->text_size - offset, &after);
        const size_t length = before.instruction.length;
        fuzz_check(after.instruction.length == length);
        bool moved = false;
        if (before.instruction.attributes & ZYDIS_ATTRIB_IS_RELATIVE)
            for (int i = 0; i < before.instruction.operand_count_visible; i++)
                moved |= operand_check(text, &before, &after, i, offset);
        uint8_t expected[ZYDIS_MAX_INSTRUCTION_LENGTH];
        memcpy(expected, original + offset, length);
        if (moved)
            memcpy(expected + before.instruction.raw.disp.offset,
                   copy + offset + before.instruction.raw.disp.offset, sizeof(int32_t));
        fuzz_check(memcmp(copy + offset, expected, length) == 0);
        outside += moved;
        offset += length;
    }
    fuzz_check(relocation->instructions == instructions && relocation->adjusted == outside);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    int32_t pages;
    uint16_t text_offset;
    const size_t head = sizeof pages + sizeof text_offset;
    if (size < head || size - head > VDSO_MAX)
        return 0;
    memcpy(&pages, input, sizeof pages);
    memcpy(&text_offset, input + sizeof pages, sizeof text_offset);
    const size_t text_size = size - head;
    text_offset %= VDSO_MAX;

    uint8_t *vdso = calloc(1, text_offset + text_size + 1);
    uint8_t *copy = malloc(text_size + 1);
    fuzz_check(vdso != NULL && copy != NULL);
    memcpy(vdso + text_offset, input + head, text_size);
    const struct arch_text text = {
        .vdso = vdso,
        .vdso_size = text_offset + text_size,
        .vdso_address = ADDRESS,
        .text_offset = text_offset,
        .text_size = text_size,
        /* Half as far again as a displacement reaches. */
        .text_address = ADDRESS + text_offset + (uint64_t)(pages % 0xc0000 * INT64_C(0x1000)),
    };
    struct arch_relocation relocation;
    if (arch_text_relocate(&text, copy, &relocation))
        copy_check(&text, copy, &relocation);
    else
        fuzz_check(relocation.reason != NULL && relocation.where < text.vdso_size);
    free(copy);
    free(vdso);
    return 0;
}
