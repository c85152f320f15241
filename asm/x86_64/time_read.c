/*
 * time_read.c - finds instructions by which code learns the time without the vDSO.
 *
 * Promise: what is found by arch_time_read_at() is such an instruction if the start it
 * was given is one. Cost: candidates are found by their bytes, and only around those is
 * anything decoded, so that text is passed over at the speed of memchr(3).
 *
 * Not found: a call whose number comes from elsewhere, as in syscall(2), and one that
 * is jumped to from where the number is set.
 */
#include "asm/arch.h"

#include <string.h>
#include <sys/syscall.h>

#include <Zydis/Zydis.h>

/* That many instructions before a call are searched for its number. */
#define NUMBER_LOOKBACK 16
/* So many starts are tried; this many have to agree. */
#define GUESSES      16
#define GUESSES_WANT 12

size_t arch_time_candidate(const uint8_t *code, size_t size, size_t from)
{
    while (from + 1 < size) {
        /* All three begin with 0f. */
        const uint8_t *found = memchr(code + from, 0x0f, size - 1 - from);
        if (found == NULL) {
            return size;
        }
        from = (size_t)(found - code);
        bool counter = found[1] == 0x31;
        bool counter_and_processor = found[1] == 0x01 && from + 2 < size && found[2] == 0xf9;
        bool call = found[1] == 0x05;
        if (counter || counter_and_processor || call) {
            return from;
        }
        from++;
    }
    return size;
}

static bool is_accumulator(ZydisRegister name)
{
    return ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, name) == ZYDIS_REGISTER_RAX;
}

/* What the instruction leaves in the accumulator; false if it leaves it alone. */
static bool accumulator_after(const ZydisDecodedInstruction *instruction,
                              const ZydisDecodedOperand *operands, int64_t *value)
{
    /* Behind a branch that is always taken, other code begins. */
    if (instruction->meta.category == ZYDIS_CATEGORY_CALL ||
        instruction->meta.category == ZYDIS_CATEGORY_RET ||
        instruction->meta.category == ZYDIS_CATEGORY_UNCOND_BR) {
        *value = -1;
        return true;
    }
    for (int i = 0; i < instruction->operand_count; i++) {
        if (operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
            (operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0 &&
            is_accumulator(operands[i].reg.value)) {
            bool constant = instruction->mnemonic == ZYDIS_MNEMONIC_MOV &&
                            operands[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
                            operands[i].size >= 32;
            *value = constant ? operands[1].imm.value.s : -1;
            return true;
        }
    }
    return false;
}

static bool asks_for_time(const ZydisDecoder *decoder, const uint8_t *code, size_t size,
                          const size_t *starts, size_t count)
{
    int64_t number = -1;
    for (size_t i = 0; i < count; i++) {
        ZydisDecodedInstruction instruction;
        ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
        if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(decoder, code + starts[i], size - starts[i],
                                                 &instruction, operands))) {
            continue;
        }
        accumulator_after(&instruction, operands, &number);
    }
    return number == SYS_clock_gettime || number == SYS_gettimeofday || number == SYS_time;
}

enum arch_time_read arch_time_read_at(const uint8_t *code, size_t size, size_t start, size_t at)
{
    ZydisDecoder decoder;
    size_t starts[NUMBER_LOOKBACK];
    size_t count = 0;
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    for (size_t offset = start; offset <= at;) {
        ZydisDecodedInstruction instruction;
        if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, code + offset,
                                                        size - offset, &instruction))) {
            offset++;
            continue;
        }
        if (offset + instruction.length <= at) {
            if (count == NUMBER_LOOKBACK) {
                memmove(starts, starts + 1, sizeof starts - sizeof *starts);
                count--;
            }
            starts[count++] = offset;
            offset += instruction.length;
            continue;
        }
        if (instruction.mnemonic == ZYDIS_MNEMONIC_RDTSC ||
            instruction.mnemonic == ZYDIS_MNEMONIC_RDTSCP) {
            return ARCH_TIME_COUNTER;
        }
        return instruction.mnemonic == ZYDIS_MNEMONIC_SYSCALL &&
                       asks_for_time(&decoder, code, size, starts, count)
                   ? ARCH_TIME_CALL
                   : ARCH_TIME_NONE;
    }
    return ARCH_TIME_NONE;
}

enum arch_time_read arch_time_read_guess(const uint8_t *code, size_t size, size_t at)
{
    unsigned votes[ARCH_TIME_CALL + 1] = {0};
    size_t first = at > ARCH_TIME_LOOKBACK ? at - ARCH_TIME_LOOKBACK : 0;
    for (size_t i = 0; i < GUESSES; i++) {
        size_t start = first + i < at ? first + i : at;
        votes[arch_time_read_at(code, size, start, at)]++;
    }
    for (int kind = ARCH_TIME_COUNTER; kind <= ARCH_TIME_CALL; kind++) {
        if (votes[kind] >= GUESSES_WANT) {
            return (enum arch_time_read)kind;
        }
    }
    return ARCH_TIME_NONE;
}
