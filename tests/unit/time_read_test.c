/*
 * time_read_test.c - instructions that read time without the vDSO, told from the same bytes
 * within others; and where functions begin, by this program's own file.
 */
#include "asm/arch.h"
#include "engine/function_starts.h"

#include "harness.h"

#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What is said of the last candidate in code that starts with an instruction. */
#define JUDGE(...) judge((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static enum arch_time_read judge(const uint8_t *code, size_t size)
{
    size_t at = arch_time_candidate(code, size, 0);
    if (at == size)
        fail_msg("no candidate");
    for (size_t next; (next = arch_time_candidate(code, size, at + 1)) < size;)
        at = next;
    return arch_time_read_at(code, size, 0, at);
}

static void instructions_are_known(void **state)
{
    (void)state;
    assert_int_equal(JUDGE(0x90, 0x0f, 0x31), ARCH_TIME_COUNTER);
    assert_int_equal(JUDGE(0x90, 0x0f, 0x01, 0xf9), ARCH_TIME_COUNTER);
    /* lfence; rdtsc */
    assert_int_equal(JUDGE(0x0f, 0xae, 0xe8, 0x0f, 0x31), ARCH_TIME_COUNTER);
    /* mov $0x310f, %eax; mov $0xf9010f, %ecx */
    assert_int_equal(JUDGE(0xb8, 0x0f, 0x31, 0, 0), ARCH_TIME_NONE);
    assert_int_equal(JUDGE(0xb9, 0x0f, 0x01, 0xf9, 0), ARCH_TIME_NONE);
    assert_int_equal(arch_time_candidate((const uint8_t[]){0x0f, 0x01, 0xf8, 0x0f}, 4, 0), 4);
    assert_int_equal(arch_time_candidate((const uint8_t[]){0x0f}, 1, 0), 1);
    assert_int_equal(arch_time_candidate((const uint8_t[]){0x0f, 0x01}, 2, 0), 2);
    assert_int_equal(arch_time_candidate((const uint8_t[]){0}, 0, 0), 0);
}

static void calls_are_known_by_their_number(void **state)
{
    (void)state;
    /* mov $228, %eax; syscall */
    assert_int_equal(JUDGE(0xb8, 228, 0, 0, 0, 0x0f, 0x05), ARCH_TIME_CALL);
    assert_int_equal(JUDGE(0xb8, 96, 0, 0, 0, 0x0f, 0x05), ARCH_TIME_CALL);
    assert_int_equal(JUDGE(0xb8, 201, 0, 0, 0, 0x0f, 0x05), ARCH_TIME_CALL);
    /* mov $228, %rax, as assemblers write it; then other registers */
    assert_int_equal(
        JUDGE(0x48, 0xc7, 0xc0, 228, 0, 0, 0, 0x31, 0xff, 0x48, 0x89, 0xe6, 0x0f, 0x05),
        ARCH_TIME_CALL);
    /* another call; another register; a number that is not in sight */
    assert_int_equal(JUDGE(0xb8, 229, 0, 0, 0, 0x0f, 0x05), ARCH_TIME_NONE);
    assert_int_equal(JUDGE(0xb9, 228, 0, 0, 0, 0x0f, 0x05), ARCH_TIME_NONE);
    assert_int_equal(JUDGE(0x89, 0xf8, 0x0f, 0x05), ARCH_TIME_NONE);
    /* changed since: xor %eax, %eax; mov $1, %al; a call; the end of a function */
    assert_int_equal(JUDGE(0xb8, 228, 0, 0, 0, 0x31, 0xc0, 0x0f, 0x05), ARCH_TIME_NONE);
    assert_int_equal(JUDGE(0xb8, 228, 0, 0, 0, 0xb0, 1, 0x0f, 0x05), ARCH_TIME_NONE);
    assert_int_equal(JUDGE(0xb8, 228, 0, 0, 0, 0xe8, 0, 0, 0, 0, 0x0f, 0x05), ARCH_TIME_NONE);
    assert_int_equal(JUDGE(0xb8, 228, 0, 0, 0, 0xc3, 0x0f, 0x05), ARCH_TIME_NONE);
    /* mov $228, %eax; mov $0x050f, %ecx */
    assert_int_equal(JUDGE(0xb8, 228, 0, 0, 0, 0xb9, 0x0f, 0x05, 0, 0), ARCH_TIME_NONE);
}

/* Whatever comes before it: many starts come to agree on where instructions are. */
static void a_guess_needs_no_start(void **state)
{
    (void)state;
    static const uint8_t before[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x20,
                                     0x48, 0x8b, 0x47, 0x08, 0x89, 0xc2, 0x85, 0xd2};
    uint8_t code[128];
    for (size_t i = 0; i < sizeof code; i++)
        code[i] = before[i % sizeof before];
    memcpy(code + 96, (const uint8_t[]){0x0f, 0x31}, 2);
    assert_int_equal(arch_time_read_guess(code, sizeof code, 96), ARCH_TIME_COUNTER);
    memcpy(code + 96, (const uint8_t[]){0xb8, 0x0f, 0x31, 0, 0}, 5);
    assert_int_equal(arch_time_read_guess(code, sizeof code, 97), ARCH_TIME_NONE);
    memcpy(code + 96, (const uint8_t[]){0xb8, 228, 0, 0, 0, 0x0f, 0x05}, 7);
    assert_int_equal(arch_time_read_guess(code, sizeof code, 101), ARCH_TIME_CALL);
    /* mov $0xb8b8b8b8, %eax, over and over: each start finds its own instructions. */
    memset(code, 0xb8, sizeof code);
    memcpy(code + 96, (const uint8_t[]){0x0f, 0x31}, 2);
    assert_int_equal(arch_time_read_guess(code, sizeof code, 96), ARCH_TIME_NONE);
    /* With nothing in front, too. */
    assert_int_equal(arch_time_read_guess((const uint8_t *)"\x0f\x31\xc3", 3, 0),
                     ARCH_TIME_COUNTER);
}

static int base_find(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    *(uint64_t *)context = info->dlpi_addr;
    return 1; /* the program comes first */
}

static void functions_of_this_program(void **state)
{
    (void)state;
    struct function_starts starts;
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    uint64_t base = 0, start;
    dl_iterate_phdr(base_find, &base);
    assert_true(function_starts_read(file, &starts));
    /* This program's code lies in the file as far from the other code as in memory. */
    uint64_t in_memory = (uint64_t)(uintptr_t)functions_of_this_program - base;
    uint64_t offset = in_memory - starts.segments[0].address + starts.segments[0].offset;
    for (uint64_t within = 0; within < 32; within++) {
        assert_true(function_start_find(&starts, offset + within, &start));
        assert_int_equal(start, offset);
    }
    assert_true(function_start_find(&starts, offset - 1, &start));
    assert_true(start < offset);
    assert_false(function_start_find(&starts, 0, &start));
    assert_false(function_start_find(&starts, UINT64_MAX, &start));
    function_starts_release(&starts);
    close(file);

    int other = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    assert_false(function_starts_read(other, &starts));
    assert_false(function_start_find(&starts, offset, &start));
    close(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(instructions_are_known),
        harness_test(calls_are_known_by_their_number),
        harness_test(a_guess_needs_no_start),
        harness_test(functions_of_this_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
