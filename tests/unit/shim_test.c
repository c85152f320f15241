/*
 * shim_test.c - the shim keeps what its source file claims. First by following
 * every path through its instructions with a decoder, then by running it: an
 * image is built near this program's own vDSO and its entries are called.
 */
#include "asm/x86_64/layout.h"
#include "engine/image.h"

#include "harness.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <Zydis/Zydis.h>

#define SECOND INT64_C(1000000000)

/* Part one: the instructions. */

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

static void memory_check(const struct walk *walk, const ZydisDecodedInstruction *instruction,
                         const ZydisDecodedOperand *operand, uint64_t address)
{
    assert_int_not_equal(operand->mem.segment, ZYDIS_REGISTER_FS);
    assert_int_not_equal(operand->mem.segment, ZYDIS_REGISTER_GS);
    assert_true(general_register(operand->mem.base));
    if (operand->mem.base != ZYDIS_REGISTER_RIP)
        return;
    /* All data that is not the caller's or on the stack lies in the data page. */
    ZyanU64 target;
    assert_true(ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(instruction, operand, address, &target)));
    assert_in_range(target, IMAGE_AT + IMAGE_PARAMETERS, IMAGE_AT + IMAGE_PAGE - 1);
    if (operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
        assert_true(walk->readback && target >= IMAGE_AT + IMAGE_READBACK);
}

static void operands_check(const struct walk *walk, const ZydisDecodedInstruction *instruction,
                           const ZydisDecodedOperand *operands, uint64_t address)
{
    for (int i = 0; i < instruction->operand_count; i++) {
        const ZydisDecodedOperand *operand = &operands[i];
        if (operand->type == ZYDIS_OPERAND_TYPE_MEMORY)
            memory_check(walk, instruction, operand, address);
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
        operands_check(walk, &instruction, operands, SHIM_AT + offset);
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

static void too_far_is_noticed(void **state)
{
    (void)state;
    struct walk *walk = walk_make();
    const uint64_t far[ARCH_FUNCTION_COUNT] = {copies[0], copies[1], SHIM_AT + 0x80001000};
    assert_false(arch_shim_link(walk->shim, SHIM_AT, far));
}

/* Part two: the shim at work, in an image beside this program's own vDSO. */

typedef long entry_function(uintptr_t first, uintptr_t second);

/*
 * Calls an entry with patterns in the registers that it must keep, and stores
 * what they are afterwards: rbx rbp r12 r13 r14 r15 and the flags.
 */
long call_marked(entry_function *entry, uintptr_t first, uintptr_t second, uint64_t kept[7]);
__asm__(".text\n"
        ".type call_marked, @function\n"
        "call_marked:\n"
        "	push	%rbx\n	push	%rbp\n	push	%r12\n	push	%r13\n	push	%r14\n	"
        "push	%r15\n"
        "	push	%rcx\n"
        "	mov	%rdi, %rax\n	mov	%rsi, %rdi\n	mov	%rdx, %rsi\n"
        "	mov	$0x1111, %ebx\n	mov	$0x2222, %ebp\n	mov	$0x3333, %r12d\n"
        "	mov	$0x4444, %r13d\n	mov	$0x5555, %r14d\n	mov	$0x6666, %r15d\n"
        "	call	*%rax\n"
        "	pop	%rcx\n"
        "	mov	%rbx, (%rcx)\n	mov	%rbp, 8(%rcx)\n	mov	%r12, 16(%rcx)\n"
        "	mov	%r13, 24(%rcx)\n	mov	%r14, 32(%rcx)\n	mov	%r15, 40(%rcx)\n"
        "	pushf\n	pop	48(%rcx)\n"
        "	pop	%r15\n	pop	%r14\n	pop	%r13\n	pop	%r12\n	pop	%rbp\n	pop	%rbx\n"
        "	ret\n"
        ".size call_marked, . - call_marked\n");

static struct placed {
    uint8_t *at;
    size_t size;
    entry_function *entries[ARCH_FUNCTION_COUNT];
} placed;

static int place(void **state)
{
    (void)state;
    struct vdso vdso;
    struct target self;
    struct maps maps;
    struct image image;
    struct skew_error error = {0};
    uint64_t own = getauxval(AT_SYSINFO_EHDR);
    const struct image_skew none = image_skew_from(skew_clocks_default(), 0);
    static const uint8_t id[IMAGE_ID_SIZE] = {7};
    if (vdso_own(&vdso, &error) != SKEW_OK || target_open(getpid(), &self, &error) != SKEW_OK ||
        maps_read(&self, &maps, &error) != SKEW_OK)
        return -1;
    uint64_t address =
        maps_gap_find(&maps, own, own + vdso.size, image_size_for(&vdso), IMAGE_REACH);
    if (address == 0 || image_build(&vdso, own, address, id, &none, 1, &image, &error) != SKEW_OK)
        return -1;
    placed.size = image.size;
    placed.at = mmap((void *)(uintptr_t)address, image.size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (placed.at == MAP_FAILED)
        return -1;
    memcpy(placed.at, image.data, IMAGE_DATA_USED);
    memcpy(placed.at + image.data_size, image.code, image.size - image.data_size);
    if (mprotect(placed.at + image.data_size, image.size - image.data_size,
                 PROT_READ | PROT_EXEC) != 0)
        return -1;
    for (int f = 0; f < ARCH_FUNCTION_COUNT; f++)
        placed.entries[f] = (entry_function *)(uintptr_t)(address + image.data_size +
                                                          arch_shim_entry((enum arch_function)f));
    image_release(&image);
    maps_release(&maps);
    target_close(&self);
    vdso_release(&vdso);
    return 0;
}

static int unplace(void **state)
{
    (void)state;
    return munmap(placed.at, placed.size);
}

/* As skewctl does it: write by write, each whole. */
static void skew_set(uint64_t clocks, int64_t offset_ns)
{
    const struct image_skew skew = image_skew_from(clocks, offset_ns);
    struct image_write writes[IMAGE_UPDATE_WRITES];
    image_update_plan(placed.at + image_parameters_offset(), &skew, writes);
    for (int i = 0; i < IMAGE_UPDATE_WRITES; i++) {
        memcpy(placed.at + writes[i].offset, writes[i].bytes, writes[i].size);
        atomic_signal_fence(memory_order_seq_cst);
    }
}

/* The result, after a check that nothing was lost on the way. */
static long entry_call(enum arch_function function, uintptr_t first, uintptr_t second)
{
    uint64_t kept[7];
    long result = call_marked(placed.entries[function], first, second, kept);
    for (uint64_t i = 0; i < 6; i++)
        assert_int_equal(kept[i], 0x1111 * (i + 1));
    assert_int_equal(kept[6] & 0x400, 0); /* the direction flag */
    return result;
}

static __int128 nanoseconds(const struct timespec *time)
{
    return (__int128)time->tv_sec * SECOND + time->tv_nsec;
}

/* Unskewed, by the system call. */
static __int128 clock_true(clockid_t clock)
{
    struct timespec now;
    assert_int_equal(syscall(SYS_clock_gettime, clock, &now), 0);
    return nanoseconds(&now);
}

static __int128 clock_shim(clockid_t clock)
{
    struct timespec now = {-1, -1};
    assert_int_equal((int)entry_call(ARCH_CLOCK_GETTIME, (uintptr_t)clock, (uintptr_t)&now), 0);
    assert_in_range(now.tv_nsec, 0, SECOND - 1);
    return nanoseconds(&now);
}

static void assert_between(__int128 low, __int128 value, __int128 high, const char *what)
{
    if (value < low || value > high)
        fail_msg("%s is %lld ns below or %lld ns above", what, (long long)(low - value),
                 (long long)(value - high));
}

static void clock_check(clockid_t clock, int64_t offset)
{
    __int128 before = clock_true(clock), seen = clock_shim(clock), after = clock_true(clock);
    assert_between(before + offset, seen, after + offset, harness_format("clock %d", clock));
}

static __int128 floor_to(__int128 value, int64_t unit)
{
    __int128 rest = value % unit;
    return value - (rest < 0 ? rest + unit : rest);
}

static void gettimeofday_check(int64_t offset)
{
    struct timeval now = {-1, -1};
    __int128 before = clock_true(CLOCK_REALTIME) + offset;
    assert_int_equal((int)entry_call(ARCH_GETTIMEOFDAY, (uintptr_t)&now, 0), 0);
    __int128 after = clock_true(CLOCK_REALTIME) + offset;
    assert_in_range(now.tv_usec, 0, 999999);
    assert_between(floor_to(before, 1000),
                   (__int128)now.tv_sec * SECOND + now.tv_usec * INT64_C(1000),
                   floor_to(after, 1000), "gettimeofday");
}

/* time(2) is the second of the last tick: that of CLOCK_REALTIME_COARSE. */
static void time_check(int64_t offset)
{
    time_t stored = -1;
    __int128 before = clock_true(CLOCK_REALTIME_COARSE) + offset;
    long now = entry_call(ARCH_TIME, 0, 0);
    long again = entry_call(ARCH_TIME, (uintptr_t)&stored, 0);
    __int128 after = clock_true(CLOCK_REALTIME_COARSE) + offset;
    assert_int_equal(stored, again);
    assert_between(floor_to(before, SECOND), (__int128)now * SECOND, floor_to(after, SECOND),
                   "time");
    assert_true(again >= now);
}

static const int64_t offsets[] = {
    0,
    1,
    999999999,
    -1,
    -SECOND,
    SECOND,
    -300 * SECOND,
    5400 * SECOND,
    SECOND / 4,
    -600 * SECOND - 100,
    1000,
    -999,
    INT64_C(6000000000) * SECOND, /* 190 years */
    -INT64_C(1700000000) * SECOND,
};

static void every_offset_is_exact(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        skew_set(skew_clocks_default(), offsets[i]);
        for (int round = 0; round < 2000; round++) {
            clock_check(CLOCK_REALTIME, offsets[i]);
            clock_check(CLOCK_REALTIME_COARSE, offsets[i]);
            clock_check(CLOCK_TAI, offsets[i]);
            clock_check(CLOCK_MONOTONIC, 0);
            clock_check(CLOCK_MONOTONIC_COARSE, 0);
            clock_check(CLOCK_BOOTTIME, 0);
            gettimeofday_check(offsets[i]);
            time_check(offsets[i]);
        }
    }
}

static void only_selected_clocks_are_skewed(void **state)
{
    (void)state;
    static const clockid_t clocks[] = {
        CLOCK_REALTIME,        CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW,   CLOCK_BOOTTIME,
        CLOCK_REALTIME_COARSE, CLOCK_TAI,       CLOCK_MONOTONIC_COARSE};
    const int64_t offset = 3600 * SECOND + 7;
    for (size_t selected = 0; selected < sizeof clocks / sizeof *clocks; selected++) {
        skew_set(SKEW_CLOCK_BIT(clocks[selected]), offset);
        for (size_t i = 0; i < sizeof clocks / sizeof *clocks; i++)
            clock_check(clocks[i], i == selected ? offset : 0);
        gettimeofday_check(clocks[selected] == CLOCK_REALTIME ? offset : 0);
        time_check(clocks[selected] == CLOCK_REALTIME ? offset : 0);
    }
}

static void null_pointers_and_time_zones(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        skew_set(skew_clocks_default(), offsets[i]);
        struct timezone expected = {1, 1}, seen = {2, 2};
        struct timeval now = {-1, -1};
        assert_int_equal(syscall(SYS_gettimeofday, NULL, &expected), 0);
        assert_int_equal((int)entry_call(ARCH_GETTIMEOFDAY, 0, 0), 0);
        assert_int_equal((int)entry_call(ARCH_GETTIMEOFDAY, 0, (uintptr_t)&seen), 0);
        assert_memory_equal(&seen, &expected, sizeof seen);
        memset(&seen, 2, sizeof seen);
        __int128 before = clock_true(CLOCK_REALTIME) + offsets[i];
        assert_int_equal((int)entry_call(ARCH_GETTIMEOFDAY, (uintptr_t)&now, (uintptr_t)&seen), 0);
        __int128 after = clock_true(CLOCK_REALTIME) + offsets[i];
        assert_memory_equal(&seen, &expected, sizeof seen);
        assert_between(floor_to(before, 1000),
                       (__int128)now.tv_sec * SECOND + now.tv_usec * INT64_C(1000), after,
                       "gettimeofday with a time zone");
    }
}

static void other_ids_are_the_kernels(void **state)
{
    (void)state;
    clockid_t process, thread;
    assert_int_equal(clock_getcpuclockid(getpid(), &process), 0);
    assert_int_equal(pthread_getcpuclockid(pthread_self(), &thread), 0);
    skew_set(skew_clocks_default(), -300 * SECOND);
    const clockid_t cpu[] = {CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, process, thread};
    for (size_t i = 0; i < sizeof cpu / sizeof *cpu; i++)
        clock_check(cpu[i], 0);

    /* With every bit selected too: what fails has nothing to be skewed. */
    static const clockid_t ids[] = {10, 12, 15, 16,  31,        32,        63,
                                    64, 65, 69, 128, 1 << 20,   INT32_MAX, INT32_MIN,
                                    -1, -2, -3, -5,  -(1 << 20)};
    for (int all = 0; all < 2; all++) {
        skew_set(all ? UINT64_MAX : skew_clocks_default(), -300 * SECOND);
        for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
            struct timespec expected = {-7, -7}, seen = {-7, -7};
            int code = (int)syscall(SYS_clock_gettime, ids[i], &expected);
            int result = (int)entry_call(ARCH_CLOCK_GETTIME, (uintptr_t)ids[i], (uintptr_t)&seen);
            assert_int_equal(result, code == 0 ? 0 : -errno);
            if (code != 0)
                assert_memory_equal(&seen, &expected, sizeof seen);
        }
    }
}

/* Mixing halves of these two gives a third offset, half a second or more from both. */
static const int64_t alternating[] = {1000 * SECOND, 2000 * SECOND + SECOND / 2};

static atomic_bool reading;
static atomic_uint reads, torn;

static void *reader(void *nothing)
{
    while (atomic_load(&reading)) {
        struct timespec before, seen, after;
        syscall(SYS_clock_gettime, CLOCK_REALTIME, &before);
        placed.entries[ARCH_CLOCK_GETTIME](CLOCK_REALTIME, (uintptr_t)&seen);
        syscall(SYS_clock_gettime, CLOCK_REALTIME, &after);
        bool whole = false;
        for (int i = 0; i < 2; i++)
            whole |= nanoseconds(&seen) >= nanoseconds(&before) + alternating[i] &&
                     nanoseconds(&seen) <= nanoseconds(&after) + alternating[i];
        atomic_fetch_add(&torn, !whole);
        atomic_fetch_add(&reads, 1);
    }
    return nothing;
}

static void no_reader_sees_a_torn_update(void **state)
{
    (void)state;
    pthread_t readers[2];
    skew_set(skew_clocks_default(), alternating[0]);
    atomic_store(&reading, true);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, reader, NULL), 0);
    int64_t end = harness_monotonic_ns() + SECOND, last = end + HARNESS_DEADLINE_MS * 1000000LL;
    for (unsigned i = 1; harness_monotonic_ns() < end ||
                         (atomic_load(&reads) < 1000 && harness_monotonic_ns() < last);
         i++)
        skew_set(skew_clocks_default(), alternating[i % 2]);
    atomic_store(&reading, false);
    for (int i = 0; i < 2; i++)
        pthread_join(readers[i], NULL);
    assert_true(atomic_load(&reads) >= 1000);
    assert_int_equal(atomic_load(&torn), 0);
}

int main(void)
{
    const struct CMUnitTest claims[] = {
        harness_test(the_entries_keep_their_contract),
        harness_test(the_readback_keeps_its_contract),
        harness_test(no_byte_is_out_of_reach),
        harness_test(too_far_is_noticed),
    };
    const struct CMUnitTest work[] = {
        harness_test(every_offset_is_exact),        harness_test(only_selected_clocks_are_skewed),
        harness_test(null_pointers_and_time_zones), harness_test(other_ids_are_the_kernels),
        harness_test(no_reader_sees_a_torn_update),
    };
    int failed = cmocka_run_group_tests_name("the shim's instructions", claims, NULL, NULL);
    return failed + cmocka_run_group_tests_name("the shim at work", work, place, unplace);
}
