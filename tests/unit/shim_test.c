/*
 * shim_test.c - the shim's instructions keep what its source file claims: every
 * path through them is followed with a decoder. shim_run_test.c runs them.
 */
#include "asm/arch.h"
#include "asm/x86_64/layout.h"

#include "harness.h"

#include <string.h>

#include <Zydis/Zydis.h>

#define IMAGE_AT      UINT64_C(0x7fff00100000)
#define SHIM_AT       (IMAGE_AT + IMAGE_SHIM)
#define STACK_LIMIT   48
#define UNVISITED     (-1)
#define RETURN_SLOT   8
#define SHIM_SIZE_MAX 0x1000

static const uint64_t copies[ARCH_FUNCTION_COUNT] = {
    IMAGE_AT + IMAGE_TEXT + 0x123, IMAGE_AT + IMAGE_TEXT + 0x456, IMAGE_AT + IMAGE_TEXT + 0x789};

/* A walk over all that is reached from some entries, with the stack's depth at each place. */
struct walk {
    uint8_t shim[SHIM_SIZE_MAX];
    size_t size;
    int depth[SHIM_SIZE_MAX]; /* of the first byte of an instruction, or UNVISITED */
    bool covered[SHIM_SIZE_MAX];
    bool readback;
    int deepest;
    unsigned calls[ARCH_FUNCTION_COUNT];
    unsigned indirect;
};

static struct walk *walk_make(void)
{
    struct walk *walk = harness_memory(sizeof *walk);
    const uint8_t *bytes = arch_shim_bytes(&walk->size);
    assert_true(walk->size <= SHIM_SIZE_MAX);
    memcpy(walk->shim, bytes, walk->size);
    assert_true(arch_shim_link(walk->shim, SHIM_AT, copies));
    for (size_t i = 0; i < SHIM_SIZE_MAX; i++)
        walk->depth[i] = UNVISITED;
    return walk;
}

static bool general_register(ZydisRegister name)
{
    ZydisRegisterClass kind = ZydisRegisterGetClass(name);
    return (kind >= ZYDIS_REGCLASS_GPR8 && kind <= ZYDIS_REGCLASS_GPR64) ||
           kind == ZYDIS_REGCLASS_FLAGS || kind == ZYDIS_REGCLASS_IP;
}

static bool callee_saved(ZydisRegister name)
{
    ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, name);
    return whole == ZYDIS_REGISTER_RBX || whole == ZYDIS_REGISTER_RBP ||
           (whole >= ZYDIS_REGISTER_R12 && whole <= ZYDIS_REGISTER_R15);
}

static void memory_check(struct walk *walk, const ZydisDecodedInstruction *instruction,
                         const ZydisDecodedOperand *operand, uint64_t address, int depth)
{
    assert_int_not_equal(operand->mem.segment, ZYDIS_REGISTER_FS);
    assert_int_not_equal(operand->mem.segment, ZYDIS_REGISTER_GS);
    assert_true(general_register(operand->mem.base));
    /* The red zone is stack as well. */
    if (operand->mem.base == ZYDIS_REGISTER_RSP && depth - operand->mem.disp.value > walk->deepest)
        walk->deepest = depth - (int)operand->mem.disp.value;
    if (operand->mem.base != ZYDIS_REGISTER_RIP)
        return;
    /* All data that is not the caller's or on the stack lies in the data page. */
    ZyanU64 target;
    assert_true(ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(instruction, operand, address, &target)));
    assert_in_range(target, IMAGE_AT + IMAGE_PARAMETERS, IMAGE_AT + IMAGE_PAGE - 1);
    if (operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
        assert_true(walk->readback && target >= IMAGE_AT + IMAGE_READBACK);
}

static void operands_check(struct walk *walk, const ZydisDecodedInstruction *instruction,
                           const ZydisDecodedOperand *operands, uint64_t address, int depth)
{
    for (int i = 0; i < instruction->operand_count; i++) {
        const ZydisDecodedOperand *operand = &operands[i];
        if (operand->type == ZYDIS_OPERAND_TYPE_MEMORY)
            memory_check(walk, instruction, operand, address, depth);
        if (operand->type != ZYDIS_OPERAND_TYPE_REGISTER)
            continue;
        assert_true(general_register(operand->reg.value));
        if (operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
            assert_false(callee_saved(operand->reg.value));
    }
}

/* How far an instruction moves the stack, as a call leaves it once it has returned. */
static int stack_change(const ZydisDecodedInstruction *instruction,
                        const ZydisDecodedOperand *operands)
{
    bool of_stack = operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
                    operands[0].reg.value == ZYDIS_REGISTER_RSP;
    bool written = of_stack && (operands[0].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE);
    ZydisMnemonic mnemonic = instruction->mnemonic;
    if (mnemonic == ZYDIS_MNEMONIC_PUSH)
        return 8;
    if (mnemonic == ZYDIS_MNEMONIC_POP && !of_stack)
        return -8;
    if (mnemonic == ZYDIS_MNEMONIC_SUB && of_stack)
        return (int)operands[1].imm.value.s;
    if (mnemonic == ZYDIS_MNEMONIC_ADD && of_stack)
        return -(int)operands[1].imm.value.s;
    assert_false(written);
    return 0;
}

static void instruction_check(const ZydisDecodedInstruction *instruction)
{
    static const ZydisMnemonic forbidden[] = {
        ZYDIS_MNEMONIC_SYSCALL, ZYDIS_MNEMONIC_SYSENTER, ZYDIS_MNEMONIC_INT, ZYDIS_MNEMONIC_INT3,
        ZYDIS_MNEMONIC_UD2,     ZYDIS_MNEMONIC_STD,      ZYDIS_MNEMONIC_CLD, ZYDIS_MNEMONIC_POPFQ,
    };
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
        assert_int_not_equal(instruction->mnemonic, forbidden[i]);
    assert_int_equal(instruction->attributes &
                         (ZYDIS_ATTRIB_HAS_SEGMENT_FS | ZYDIS_ATTRIB_HAS_SEGMENT_GS |
                          ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_LOCK),
                     0);
}

static void copy_note(struct walk *walk, uint64_t target)
{
    for (int f = 0; f < ARCH_FUNCTION_COUNT; f++) {
        if (target == copies[f]) {
            walk->calls[f]++;
            return;
        }
    }
    fail_msg("a branch to 0x%lx", (unsigned long)target);
}

static void walk_from(struct walk *walk, size_t offset, int depth);

/* Where a branch leads: on within the shim, or to a copy. Returns whether it goes on behind it. */
static bool branch_follow(struct walk *walk, const ZydisDecodedInstruction *instruction,
                          const ZydisDecodedOperand *operands, size_t offset, int depth)
{
    bool call = instruction->mnemonic == ZYDIS_MNEMONIC_CALL;
    bool jump = instruction->mnemonic == ZYDIS_MNEMONIC_JMP;
    if (instruction->mnemonic == ZYDIS_MNEMONIC_RET) {
        assert_int_equal(depth, 0);
        return false;
    }
    if (call) {
        /* The ABI wants the stack aligned at a call; the readback starts with it aligned. */
        assert_int_equal((depth + (walk->readback ? 0 : RETURN_SLOT)) % 16, 0);
        if (depth + RETURN_SLOT > walk->deepest)
            walk->deepest = depth + RETURN_SLOT;
    }
    if (operands[0].type != ZYDIS_OPERAND_TYPE_IMMEDIATE) {
        if (call || jump) {
            assert_true(walk->readback);
            walk->indirect++;
            return call;
        }
        return true;
    }
    ZyanU64 target;
    bool branch = instruction->meta.branch_type != ZYDIS_BRANCH_TYPE_NONE;
    if (!branch)
        return true;
    assert_true(
        ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(instruction, operands, SHIM_AT + offset, &target)));
    if (target >= SHIM_AT && target < SHIM_AT + walk->size) {
        assert_false(call);
        walk_from(walk, target - SHIM_AT, depth);
    } else {
        assert_true(call || jump);
        assert_true(call || depth == 0);
        copy_note(walk, target);
    }
    return !jump;
}

static void walk_from(struct walk *walk, size_t offset, int depth)
{
    ZydisDecoder decoder;
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    for (;;) {
        assert_true(offset < walk->size);
        if (walk->depth[offset] != UNVISITED) {
            assert_int_equal(walk->depth[offset], depth);
            return;
        }
        ZydisDecodedInstruction instruction;
        ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
        assert_true(ZYAN_SUCCESS(ZydisDecoderDecodeFull(
            &decoder, walk->shim + offset, walk->size - offset, &instruction, operands)));
        walk->depth[offset] = depth;
        memset(walk->covered + offset, true, instruction.length);
        instruction_check(&instruction);
        operands_check(walk, &instruction, operands, SHIM_AT + offset, depth);
        depth += stack_change(&instruction, operands);
        assert_true(depth >= 0);
        if (depth > walk->deepest)
            walk->deepest = depth;
        if (!branch_follow(walk, &instruction, operands, offset, depth))
            return;
        offset += instruction.length;
    }
}

static size_t readback_entry(void)
{
    arch_registers registers = {0};
    arch_readback_prepare(&registers, IMAGE_AT);
    assert_int_equal(registers.rsp, IMAGE_AT + IMAGE_STACK_TOP);
    return registers.rip - SHIM_AT;
}

static void the_entries_keep_their_contract(void **state)
{
    (void)state;
    for (int f = 0; f < ARCH_FUNCTION_COUNT; f++) {
        struct walk *walk = walk_make();
        walk_from(walk, arch_shim_entry((enum arch_function)f), 0);
        assert_int_equal(walk->indirect, 0);
        assert_in_range(walk->deepest, RETURN_SLOT, STACK_LIMIT);
        assert_true(walk->calls[f] >= 1);
    }
}

static void the_readback_keeps_its_contract(void **state)
{
    (void)state;
    struct walk *walk = walk_make();
    walk->readback = true;
    walk_from(walk, readback_entry(), 0);
    /* Three calls of the target's own entries, and the jump to the stub. */
    assert_int_equal(walk->indirect, ARCH_FUNCTION_COUNT + 1);
    assert_int_equal(walk->deepest, RETURN_SLOT);
}

static void no_byte_is_out_of_reach(void **state)
{
    (void)state;
    struct walk *walk = walk_make();
    for (int f = 0; f < ARCH_FUNCTION_COUNT; f++)
        walk_from(walk, arch_shim_entry((enum arch_function)f), 0);
    walk->readback = true;
    walk_from(walk, readback_entry(), 0);
    for (size_t i = 0; i < walk->size; i++)
        if (!walk->covered[i])
            assert_int_equal(walk->shim[i], 0); /* between aligned entries */
}

/* The division by multiplication in gettimeofday: right for every nanosecond of a second. */
static void microseconds_are_exact(void **state)
{
    (void)state;
    struct walk *walk = walk_make();
    walk_from(walk, arch_shim_entry(ARCH_GETTIMEOFDAY), 0);
    ZydisDecoder decoder;
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    uint64_t factor = 0, shift = 0;
    for (size_t offset = 0; offset < walk->size; offset++) {
        if (walk->depth[offset] == UNVISITED)
            continue;
        ZydisDecoderDecodeFull(&decoder, walk->shim + offset, walk->size - offset, &instruction,
                               operands);
        if (instruction.mnemonic != ZYDIS_MNEMONIC_IMUL ||
            operands[2].type != ZYDIS_OPERAND_TYPE_IMMEDIATE)
            continue;
        uint64_t by = operands[2].imm.value.u;
        size_t behind = offset + instruction.length;
        ZydisDecoderDecodeFull(&decoder, walk->shim + behind, walk->size - behind, &instruction,
                               operands);
        if (instruction.mnemonic == ZYDIS_MNEMONIC_SHR) {
            factor = by;
            shift = operands[1].imm.value.u;
        }
    }
    assert_true(factor && shift && shift < 64);
    for (uint64_t us = 0; us < 1000000; us++)
        if (us * 1000 * factor >> shift != us || (us * 1000 + 999) * factor >> shift != us)
            fail_msg("%lu microseconds", (unsigned long)us);
}

static void too_far_is_noticed(void **state)
{
    (void)state;
    struct walk *walk = walk_make();
    const uint64_t far[ARCH_FUNCTION_COUNT] = {copies[0], copies[1], SHIM_AT + 0x80001000};
    assert_false(arch_shim_link(walk->shim, SHIM_AT, far));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(the_entries_keep_their_contract),
        harness_test(the_readback_keeps_its_contract),
        harness_test(no_byte_is_out_of_reach),
        harness_test(microseconds_are_exact),
        harness_test(too_far_is_noticed),
    };
    return cmocka_run_group_tests_name("the shim's instructions", tests, NULL, NULL);
}
