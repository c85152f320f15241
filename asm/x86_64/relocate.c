/*
 * relocate.c - makes a copy of the vDSO's text work at another address.
 *
 * Promise: every instruction is decoded; an operand that this code does not
 * fully understand fails the relocation instead of being guessed at.
 * The rule (Intel SDM vol. 2, 2.2.1.6): a RIP-relative operand is moved back by
 * the distance the text moved, unless it points into the text itself, which
 * moved along. Branches must stay within the text.
 */
#include "asm/arch.h"

#include <string.h>

#include <Zydis/Zydis.h>

static bool relocation_fail(struct arch_relocation *relocation, size_t where, const char *reason)
{
    relocation->reason = reason;
    relocation->where = where;
    return false;
}

static bool operand_relocate(const struct arch_text *text,
                             const ZydisDecodedInstruction *instruction,
                             const ZydisDecodedOperand *operand, size_t offset, int64_t moved,
                             uint8_t *copy, struct arch_relocation *relocation)
{
    /* Offsets from the start of the vDSO serve as addresses: only distances matter. */
    ZyanU64 target;
    if (!ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(instruction, operand, offset, &target))) {
        return true;
    }
    /* Such an address is cut to 32 bits (2.2.1.3), so distances do not tell where it leads. */
    if (operand->type == ZYDIS_OPERAND_TYPE_MEMORY && instruction->address_width != 64) {
        return relocation_fail(relocation, offset, "an address that is not 64 bits wide");
    }
    bool inside = target >= text->text_offset && target < text->text_offset + text->text_size;
    if (inside) {
        return true;
    }
    if (operand->type != ZYDIS_OPERAND_TYPE_MEMORY) {
        return relocation_fail(relocation, offset, "a branch leaves the text");
    }
    if (instruction->raw.disp.size != 32) {
        return relocation_fail(relocation, offset, "a displacement that is not 32 bits wide");
    }
    int64_t distance = instruction->raw.disp.value - moved;
    if (distance != (int32_t)distance) {
        return relocation_fail(relocation, offset, "the copy is too far from its data");
    }
    int32_t displacement = (int32_t)distance;
    memcpy(copy + (offset - text->text_offset) + instruction->raw.disp.offset, &displacement,
           sizeof displacement);
    relocation->adjusted++;
    return true;
}

bool arch_text_relocate(const struct arch_text *text, uint8_t *copy,
                        struct arch_relocation *relocation)
{
    *relocation = (struct arch_relocation){0};
    if (text->text_offset > text->vdso_size ||
        text->text_size > text->vdso_size - text->text_offset) {
        return relocation_fail(relocation, 0, "the text lies outside the vDSO");
    }
    memcpy(copy, text->vdso + text->text_offset, text->text_size);

    ZydisDecoder decoder;
    if (!ZYAN_SUCCESS(
            ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64))) {
        return relocation_fail(relocation, 0, "the decoder does not start");
    }
    int64_t moved = (int64_t)(text->text_address - (text->vdso_address + text->text_offset));
    size_t end = text->text_offset + text->text_size;
    for (size_t offset = text->text_offset; offset < end;) {
        ZydisDecodedInstruction instruction;
        ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
        if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, text->vdso + offset, end - offset,
                                                 &instruction, operands))) {
            return relocation_fail(relocation, offset, "an instruction that does not decode");
        }
        if (instruction.attributes & ZYDIS_ATTRIB_IS_RELATIVE) {
            for (int i = 0; i < instruction.operand_count_visible; i++) {
                if (!operand_relocate(text, &instruction, &operands[i], offset, moved, copy,
                                      relocation)) {
                    return false;
                }
            }
        }
        relocation->instructions++;
        offset += instruction.length;
    }
    return true;
}
