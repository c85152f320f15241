/*
 * frame_test.c - signal frames are found on the stack, with the place that the
 * handler returns to; words that merely look alike in part are not.
 */
#include "asm/arch.h"

#include "harness.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define STACK_SIZE 0x10000
/* More than lies between a handler's frame and the end of the signal frame's registers. */
#define LOOKED_AT 512

static struct {
    bool seen, found;
    uint64_t program_counter, stack_pointer;
} frame;

static void handler(int number, siginfo_t *information, void *context)
{
    (void)number, (void)information;
    const greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    uint64_t words[LOOKED_AT];
    memcpy(words, context, sizeof words);
    frame.seen = true;
    frame.program_counter = (uint64_t)registers[REG_RIP];
    frame.stack_pointer = (uint64_t)registers[REG_RSP];
    for (size_t i = ARCH_FRAME_LOOKBACK; i < LOOKED_AT && !frame.found; i++) {
        uint64_t program_counter, stack_pointer;
        if (arch_frame_parse(words, i, &program_counter, &stack_pointer))
            frame.found =
                program_counter == frame.program_counter && stack_pointer == frame.stack_pointer;
    }
}

/* On a stack of its own, so that the words behind the frame may all be read. */
static void frames_of_the_kernel_are_found(void **state)
{
    (void)state;
    stack_t stack = {.ss_size = STACK_SIZE}, before;
    stack.ss_sp = mmap(NULL, STACK_SIZE + LOOKED_AT * sizeof(uint64_t), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(stack.ss_sp, MAP_FAILED);
    assert_int_equal(sigaltstack(&stack, &before), 0);
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK}, old;
    assert_int_equal(sigaction(SIGUSR1, &action, &old), 0);
    raise(SIGUSR1);
    sigaction(SIGUSR1, &old, NULL);
    sigaltstack(&before, NULL);
    munmap(stack.ss_sp, STACK_SIZE + LOOKED_AT * sizeof(uint64_t));
    assert_true(frame.seen);
    assert_true(frame.found);
}

static bool parses(uint64_t segments)
{
    uint64_t words[ARCH_FRAME_LOOKBACK + 1] = {0x7ffe1000, 0x401234, 0x246, segments};
    uint64_t program_counter = 0, stack_pointer = 0;
    bool parsed = arch_frame_parse(words, ARCH_FRAME_LOOKBACK, &program_counter, &stack_pointer);
    if (parsed) {
        assert_int_equal(program_counter, 0x401234);
        assert_int_equal(stack_pointer, 0x7ffe1000);
    }
    return parsed;
}

static void only_the_segments_of_64_bit_code_count(void **state)
{
    (void)state;
    assert_true(parses(UINT64_C(0x002b000000000033)));
    assert_false(parses(UINT64_C(0x0000000000000033)));
    assert_false(parses(UINT64_C(0x002b000000000023))); /* 32-bit code */
    assert_false(parses(UINT64_C(0x0033000000000033)));
    assert_false(parses(UINT64_C(0x002b000000010033)));
    assert_false(parses(UINT64_C(0x002b000100000033)));
    assert_false(parses(0));
    assert_false(parses(UINT64_MAX));
    assert_false(parses(0x401233));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(frames_of_the_kernel_are_found),
        harness_test(only_the_segments_of_64_bit_code_count),
    };
    return cmocka_run_group_tests_name("signal frames", tests, NULL, NULL);
}
