/*
 * stub_test.c - the self-restoring stub: it is run for real in a traced child,
 * from random registers, and must leave exactly those behind. It is recognised
 * whatever it restores, and nothing else is.
 */
#include "asm/arch.h"

#include "harness.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <Zydis/Zydis.h>

#define PAGE      0x1000
#define LANDING   (PAGE / 2)      /* where the restored program counters lie: all int3 */
#define FLAGS     UINT64_C(0xcd5) /* CF PF AF ZF SF DF OF */
#define INT3      0xcc
#define RUN_LIMIT 30 /* seconds */

static uint64_t random_word(void)
{
    return (uint64_t)random() << 42 ^ (uint64_t)random() << 21 ^ (uint64_t)random();
}

static arch_registers registers_random(void)
{
    arch_registers registers;
    for (size_t i = 0; i < sizeof registers / sizeof(uint64_t); i++)
        ((uint64_t *)&registers)[i] = random_word();
    registers.cs = 0x33;
    registers.eflags = (random_word() & FLAGS) | 0x202;
    registers.orig_rax = (uint64_t)-1;
    return registers;
}

/* A child that waits, and a page of code that it shares with this process. */
struct traced {
    pid_t pid;
    uint8_t *page;
    arch_registers registers; /* as it was stopped: segments and bases are taken from here */
};

static void child_wait_for_ever(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(RUN_LIMIT);
    for (;;)
        pause();
}

static struct traced traced_start(void)
{
    struct traced traced;
    traced.page =
        mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(traced.page, MAP_FAILED);
    memset(traced.page, INT3, PAGE);
    traced.pid = fork();
    if (traced.pid == 0)
        child_wait_for_ever();
    int status;
    assert_int_equal(ptrace(PTRACE_SEIZE, traced.pid, 0, PTRACE_O_EXITKILL), 0);
    assert_int_equal(ptrace(PTRACE_INTERRUPT, traced.pid, 0, 0), 0);
    assert_int_equal(waitpid(traced.pid, &status, 0), traced.pid);
    assert_int_equal(ptrace(PTRACE_GETREGS, traced.pid, 0, &traced.registers), 0);
    return traced;
}

static void traced_end(struct traced *traced)
{
    kill(traced->pid, SIGKILL);
    waitpid(traced->pid, NULL, 0);
    munmap(traced->page, PAGE);
}

/* Runs the stub for `saved` around a system call; returns what the thread has then. */
static arch_registers stub_run(struct traced *traced, const arch_registers *saved)
{
    uint8_t stub[ARCH_STUB_SIZE];
    size_t length = arch_stub_build(saved, stub);
    assert_int_equal(length, arch_stub_length());
    assert_true(arch_stub_matches(stub, length, 0));
    memcpy(traced->page, stub, length);

    /* What the stub does not restore, it and the call must not change. */
    arch_registers running = traced->registers;
    running.rbx = saved->rbx, running.rbp = saved->rbp;
    running.r12 = saved->r12, running.r13 = saved->r13;
    running.r14 = saved->r14, running.r15 = saved->r15;
    running.rsp = random_word();
    running.rcx = running.r11 = random_word();
    running.eflags = (random_word() & FLAGS) | 0x202;
    const uint64_t arguments[6] = {random_word(), random_word(), random_word(),
                                   random_word(), random_word(), random_word()};
    arch_syscall_prepare(&running, (uint64_t)(uintptr_t)traced->page, SYS_getppid, arguments);
    int status;
    assert_int_equal(ptrace(PTRACE_SETREGS, traced->pid, 0, &running), 0);
    assert_int_equal(ptrace(PTRACE_CONT, traced->pid, 0, 0), 0);
    assert_int_equal(waitpid(traced->pid, &status, 0), traced->pid);
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP)
        fail_msg("the stub ended with status 0x%x", (unsigned)status);
    arch_registers left;
    assert_int_equal(ptrace(PTRACE_GETREGS, traced->pid, 0, &left), 0);
    return left;
}

static void assert_restored(const arch_registers *left, const arch_registers *saved, uint64_t rax,
                            uint64_t rip)
{
    assert_int_equal(left->rax, rax);
    assert_int_equal(left->rip, rip + 1); /* behind the int3 */
    assert_int_equal(left->rbx, saved->rbx);
    assert_int_equal(left->rcx, saved->rcx);
    assert_int_equal(left->rdx, saved->rdx);
    assert_int_equal(left->rsi, saved->rsi);
    assert_int_equal(left->rdi, saved->rdi);
    assert_int_equal(left->rbp, saved->rbp);
    assert_int_equal(left->rsp, saved->rsp);
    assert_int_equal(left->r8, saved->r8);
    assert_int_equal(left->r9, saved->r9);
    assert_int_equal(left->r10, saved->r10);
    assert_int_equal(left->r11, saved->r11);
    assert_int_equal(left->r12, saved->r12);
    assert_int_equal(left->r13, saved->r13);
    assert_int_equal(left->r14, saved->r14);
    assert_int_equal(left->r15, saved->r15);
    assert_int_equal(left->eflags & FLAGS, saved->eflags & FLAGS);
}

static uint64_t landing_random(const struct traced *traced)
{
    return (uint64_t)(uintptr_t)traced->page + LANDING + random_word() % (LANDING - 1);
}

static void every_register_comes_back(void **state)
{
    (void)state;
    srandom(11);
    struct traced traced = traced_start();
    for (int i = 0; i < 2000; i++) {
        arch_registers saved = registers_random();
        saved.rip = landing_random(&traced);
        arch_registers left = stub_run(&traced, &saved);
        assert_restored(&left, &saved, saved.rax, saved.rip);
    }
    traced_end(&traced);
}

/* All 128 combinations of the flags. */
static void every_flag_comes_back(void **state)
{
    (void)state;
    static const uint64_t flags[] = {0x001, 0x004, 0x010, 0x040, 0x080, 0x400, 0x800};
    srandom(12);
    struct traced traced = traced_start();
    for (unsigned set = 0; set < 1U << (sizeof flags / sizeof *flags); set++) {
        arch_registers saved = registers_random();
        saved.rip = landing_random(&traced);
        saved.eflags = 0x202;
        for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
            if (set >> i & 1)
                saved.eflags |= flags[i];
        arch_registers left = stub_run(&traced, &saved);
        assert_restored(&left, &saved, saved.rax, saved.rip);
    }
    traced_end(&traced);
}

static void interrupted_calls_are_restarted(void **state)
{
    (void)state;
    srandom(13);
    struct traced traced = traced_start();
    for (long code = 510; code <= 518; code++) {
        for (int in_call = 0; in_call < 2; in_call++) {
            arch_registers saved = registers_random();
            saved.rip = landing_random(&traced) + 2;
            saved.rax = (uint64_t)-code;
            saved.orig_rax = in_call ? SYS_futex : (uint64_t)-1;
            uint64_t rax = saved.rax, rip = saved.rip;
            if (in_call && code >= 512 && code <= 514)
                rax = SYS_futex, rip -= 2;
            if (in_call && code == 516)
                rax = SYS_restart_syscall, rip -= 2;
            arch_registers left = stub_run(&traced, &saved);
            assert_restored(&left, &saved, rax, rip);
        }
    }
    traced_end(&traced);
}

/* Which bytes may vary, by decoding: the immediates of the moves, and the address at the end. */
static void variable_mark(const uint8_t *stub, size_t length, bool *variable)
{
    ZydisDecoder decoder;
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    memset(variable, 0, length);
    size_t offset = 0;
    do {
        assert_true(ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, stub + offset, length - offset,
                                                        &instruction, operands)));
        if (instruction.mnemonic == ZYDIS_MNEMONIC_MOV)
            memset(variable + offset + instruction.raw.imm[0].offset, true,
                   instruction.raw.imm[0].size / 8);
        offset += instruction.length;
    } while (instruction.mnemonic != ZYDIS_MNEMONIC_JMP);
    assert_int_equal(length - offset, sizeof(uint64_t));
    memset(variable + offset, true, sizeof(uint64_t));
}

static void nothing_else_is_taken_for_a_stub(void **state)
{
    (void)state;
    srandom(14);
    arch_registers saved = registers_random();
    uint8_t stub[ARCH_STUB_SIZE];
    bool variable[ARCH_STUB_SIZE];
    size_t length = arch_stub_build(&saved, stub);
    variable_mark(stub, length, variable);
    assert_false(arch_stub_matches(stub, length - 1, 0));
    assert_false(arch_stub_matches(stub, 0, 0));
    int opcode_bits = 0;
    for (size_t bit = 0; bit < length * 8; bit++) {
        uint8_t *byte = &stub[bit / 8], flip = (uint8_t)(1U << bit % 8);
        *byte ^= flip;
        /* cld and std differ in one bit, and both are right. */
        bool direction = (*byte == 0xfc || *byte == 0xfd) && flip == 1 && !variable[bit / 8];
        if (arch_stub_matches(stub, length, 0) != (variable[bit / 8] || direction))
            fail_msg("bit %zu of byte %zu (0x%02x)", bit % 8, bit / 8, *byte);
        opcode_bits += !variable[bit / 8];
        *byte ^= flip;
    }
    assert_true(opcode_bits > 200);
    uint8_t zeroes[ARCH_STUB_SIZE] = {0};
    assert_false(arch_stub_matches(zeroes, sizeof zeroes, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(every_register_comes_back),
        harness_test(every_flag_comes_back),
        harness_test(interrupted_calls_are_restarted),
        harness_test(nothing_else_is_taken_for_a_stub),
    };
    return cmocka_run_group_tests_name("stub", tests, NULL, NULL);
}
