/*
 * seccomp_test.c - what a filter says to a call: each instruction, a filter as
 * container runtimes make them, and programs that are refused. See also
 * seccomp_kernel_test.c.
 */
#include "engine/seccomp.h"

#include "harness.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#define ALLOW            SECCOMP_RET_ALLOW
#define FAIL(error)      (SECCOMP_RET_ERRNO | (error))
#define DATA(field)      ((uint32_t)offsetof(struct seccomp_data, field))
#define LOAD(field)      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, DATA(field))
#define RETURN(action)   BPF_STMT(BPF_RET | BPF_K, action)
#define RETURN_A         BPF_STMT(BPF_RET | BPF_A, 0)
#define A(k)             BPF_STMT(BPF_LD | BPF_IMM, k)
#define X(k)             BPF_STMT(BPF_LDX | BPF_IMM, k)
#define TXA              BPF_STMT(BPF_MISC | BPF_TXA, 0)
#define PROGRAM(...)     ((const struct sock_filter[]){__VA_ARGS__})
#define LENGTH(...)      (sizeof(PROGRAM(__VA_ARGS__)) / sizeof(struct sock_filter))
#define RESULT(...)      result_of(PROGRAM(__VA_ARGS__), LENGTH(__VA_ARGS__))
#define IS_REFUSED(...)  assert_false(accepted(PROGRAM(__VA_ARGS__), LENGTH(__VA_ARGS__)))
#define IS_ACCEPTED(...) assert_true(accepted(PROGRAM(__VA_ARGS__), LENGTH(__VA_ARGS__)))

static const struct seccomp_call some_call = {
    .number = SYS_mprotect,
    .instruction_pointer = 0x1122334455667788,
    .arguments = {0xa0a1a2a3b0b1b2b3, 1, 2, 3, 4, 0xc0c1c2c3d0d1d2d3},
};

static bool accepted(const struct sock_filter *program, size_t length)
{
    uint32_t action = 0xdeadbeef;
    bool accept = seccomp_evaluate(program, length, &some_call, &action);
    if (!accept) {
        assert_int_equal(action, 0xdeadbeef);
    }
    return accept;
}

static uint32_t result_of(const struct sock_filter *program, size_t length)
{
    uint32_t action;
    assert_true(seccomp_evaluate(program, length, &some_call, &action));
    return action;
}

static void loads_and_stores(void **state)
{
    (void)state;
    assert_int_equal(RESULT(RETURN(ALLOW)), ALLOW);
    assert_int_equal(RESULT(RETURN_A), 0);
    assert_int_equal(RESULT(TXA, RETURN_A), 0);
    assert_int_equal(RESULT(LOAD(nr), RETURN_A), SYS_mprotect);
    assert_int_equal(RESULT(LOAD(arch), RETURN_A), AUDIT_ARCH_X86_64);
    assert_int_equal(RESULT(LOAD(instruction_pointer), RETURN_A), 0x55667788);
    assert_int_equal(RESULT(LOAD(args[0]), RETURN_A), 0xb0b1b2b3);
    assert_int_equal(RESULT(LOAD(args[5]), RETURN_A), 0xd0d1d2d3);
    assert_int_equal(RESULT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 60), RETURN_A), 0xc0c1c2c3);
    assert_int_equal(RESULT(A(7), RETURN_A), 7);
    assert_int_equal(RESULT(X(7), TXA, RETURN_A), 7);
    assert_int_equal(RESULT(A(7), BPF_STMT(BPF_MISC | BPF_TAX, 0), A(8), TXA, RETURN_A), 7);
    assert_int_equal(RESULT(BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 9), RETURN_A), 64);
    assert_int_equal(RESULT(BPF_STMT(BPF_LDX | BPF_W | BPF_LEN, 9), TXA, RETURN_A), 64);
    assert_int_equal(RESULT(A(5), BPF_STMT(BPF_ST, 15), X(6), BPF_STMT(BPF_STX, 0), A(0), X(0),
                            BPF_STMT(BPF_LD | BPF_MEM, 0), BPF_STMT(BPF_LDX | BPF_MEM, 15),
                            BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 4),
                            BPF_STMT(BPF_ALU | BPF_OR | BPF_X, 0), RETURN_A),
                     0x65);
}

static void arithmetic(void **state)
{
    (void)state;
    static const struct {
        uint16_t operation;
        uint32_t a, operand, result;
    } rows[] = {
        {BPF_ADD, 0xffffffff, 3, 2},
        {BPF_SUB, 1, 2, 0xffffffff},
        {BPF_MUL, 0x80000001, 0x10002, 0x10002},
        {BPF_DIV, 0xfffffffe, 0x7fffffff, 2},
        {BPF_AND, 0xff00ff, 0xf0f0f0, 0xf000f0},
        {BPF_OR, 0xff00ff, 0xf0f0f0, 0xfff0ff},
        {BPF_XOR, 0xff00ff, 0xf0f0f0, 0x0ff00f},
        {BPF_LSH, 0x80000001, 31, 0x80000000},
        {BPF_RSH, 0x80000001, 31, 1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        uint16_t code = BPF_ALU | rows[i].operation;
        uint32_t k = rows[i].operand;
        assert_int_equal(RESULT(A(rows[i].a), X(9), BPF_STMT(code | BPF_K, k), RETURN_A),
                         rows[i].result);
        assert_int_equal(RESULT(A(rows[i].a), X(k), BPF_STMT(code | BPF_X, 9), RETURN_A),
                         rows[i].result);
    }
    assert_int_equal(RESULT(A(1), BPF_STMT(BPF_ALU | BPF_NEG, 9), RETURN_A), UINT32_MAX);
    assert_int_equal(RESULT(A(1), X(33), BPF_STMT(BPF_ALU | BPF_LSH | BPF_X, 0), RETURN_A), 2);
    assert_int_equal(RESULT(A(2), X(33), BPF_STMT(BPF_ALU | BPF_RSH | BPF_X, 0), RETURN_A), 1);
    /* Not what comes after it: the thread is killed. */
    assert_int_equal(RESULT(A(2), X(0), BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0), RETURN(ALLOW)),
                     SECCOMP_RET_KILL_THREAD);
}

static void jumps(void **state)
{
    (void)state;
    static const struct {
        uint16_t operation;
        uint32_t a, operand;
        bool taken;
    } rows[] = {
        {BPF_JEQ, 5, 5, true},
        {BPF_JEQ, 5, 6, false},
        {BPF_JGT, 6, 5, true},
        {BPF_JGT, 5, 5, false},
        {BPF_JGT, 0x80000000, 1, true},
        {BPF_JGT, 1, 0x80000000, false},
        {BPF_JGE, 5, 5, true},
        {BPF_JGE, 4, 5, false},
        {BPF_JGE, UINT32_MAX, 0, true},
        {BPF_JGE, 0, UINT32_MAX, false},
        {BPF_JSET, 6, 2, true},
        {BPF_JSET, 6, 9, false},
        {BPF_JSET, UINT32_MAX, 0x80000000, true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        uint16_t code = BPF_JMP | rows[i].operation;
        uint32_t k = rows[i].operand, expected = rows[i].taken ? 2 : 1;
        assert_int_equal(RESULT(A(rows[i].a), X(~k), BPF_JUMP(code | BPF_K, k, 2, 1), RETURN(0),
                                RETURN(1), RETURN(2)),
                         expected);
        assert_int_equal(RESULT(A(rows[i].a), X(k), BPF_JUMP(code | BPF_X, ~k, 2, 1), RETURN(0),
                                RETURN(1), RETURN(2)),
                         expected);
    }
    assert_int_equal(RESULT(BPF_STMT(BPF_JMP | BPF_JA, 1), RETURN(1), RETURN(2)), 2);
    assert_int_equal(RESULT(BPF_STMT(BPF_JMP | BPF_JA, 0), RETURN(1), RETURN(2)), 1);
}

static void malformed_programs_are_refused(void **state)
{
    (void)state;
    static struct sock_filter longest[BPF_MAXINSNS + 1];
    for (size_t i = 0; i < BPF_MAXINSNS + 1; i++) {
        longest[i] = (struct sock_filter)RETURN(ALLOW);
    }
    assert_false(accepted(longest, 0));
    assert_true(accepted(longest, BPF_MAXINSNS));
    assert_false(accepted(longest, BPF_MAXINSNS + 1));

    /* The end */
    IS_REFUSED(A(1));
    IS_REFUSED(RETURN(ALLOW), A(1));
    IS_REFUSED(BPF_STMT(BPF_RET | BPF_X, 0));
    /* Loads */
    IS_REFUSED(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64), RETURN(ALLOW));
    IS_REFUSED(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2), RETURN(ALLOW));
    IS_REFUSED(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)SKF_AD_OFF), RETURN(ALLOW));
    IS_REFUSED(BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 0), RETURN(ALLOW));
    IS_REFUSED(BPF_STMT(BPF_LD | BPF_W | BPF_IND, 0), RETURN(ALLOW));
    IS_REFUSED(BPF_STMT(BPF_LDX | BPF_W | BPF_ABS, 0), RETURN(ALLOW));
    /* Arithmetic */
    IS_REFUSED(BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), RETURN(ALLOW));
    IS_REFUSED(BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, 1), RETURN(ALLOW));
    IS_REFUSED(BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 32), RETURN(ALLOW));
    IS_REFUSED(BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 32), RETURN(ALLOW));
    /* Jumps */
    IS_REFUSED(BPF_STMT(BPF_JMP | BPF_JA, 1), RETURN(ALLOW));
    IS_REFUSED(BPF_STMT(BPF_JMP | BPF_JA, UINT32_MAX), RETURN(ALLOW));
    IS_REFUSED(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0), RETURN(ALLOW));
    IS_REFUSED(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1), RETURN(ALLOW));
    IS_ACCEPTED(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 1), RETURN(ALLOW), RETURN(ALLOW));
    /* Scratch words */
    IS_REFUSED(BPF_STMT(BPF_ST, 16), RETURN(ALLOW));
    IS_REFUSED(BPF_STMT(BPF_STX, UINT32_MAX), RETURN(ALLOW));
    IS_REFUSED(BPF_STMT(BPF_LD | BPF_MEM, 0), RETURN(ALLOW));
    IS_REFUSED(BPF_STMT(BPF_ST, 1), BPF_STMT(BPF_LDX | BPF_MEM, 0), RETURN(ALLOW));
    IS_REFUSED(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0), BPF_STMT(BPF_ST, 0),
               BPF_STMT(BPF_LD | BPF_MEM, 0), RETURN(ALLOW));
    IS_ACCEPTED(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 2, 0), BPF_STMT(BPF_ST, 0),
                BPF_STMT(BPF_LD | BPF_MEM, 0), RETURN(ALLOW));
}

/* Laid out as libseccomp does: architecture, x32, then numbers, some with arguments. */
static void a_container_filter(void **state)
{
    (void)state;
    static const struct sock_filter program[] = {
        LOAD(arch),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 11),
        LOAD(nr),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, UINT32_MAX, 0, 8),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 6, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_munmap, 5, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_personality, 0, 5),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, DATA(args[0]) + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3),
        LOAD(args[0]),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x20008, 0, 1),
        RETURN(ALLOW),
        RETURN(FAIL(EPERM)),
    };
    static const struct {
        long number;
        uint64_t argument;
        uint32_t action;
    } rows[] = {
        {SYS_mmap, 0, ALLOW},
        {SYS_munmap, UINT64_MAX, ALLOW},
        {SYS_mprotect, 0, FAIL(EPERM)},
        {SYS_personality, 0x20008, ALLOW},
        {SYS_personality, 0x120008, FAIL(EPERM)},
        {SYS_personality, 0x100020008, FAIL(EPERM)},
        {SYS_mmap | 0x40000000, 0, FAIL(EPERM)},
        {-1, 0, FAIL(EPERM)},
        /* Only these bits reach the filter. */
        {SYS_mmap | 0x700000000, 0, ALLOW},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct seccomp_call call = {.number = rows[i].number, .arguments = {rows[i].argument}};
        uint32_t action;
        assert_true(seccomp_evaluate(program, sizeof(program) / sizeof(*program), &call, &action));
        assert_int_equal(action, rows[i].action);
    }
}

static void actions(void **state)
{
    (void)state;
    static const struct {
        uint32_t action;
        const char *name;
        bool allows;
    } ascending[] = {
        {SECCOMP_RET_KILL_PROCESS, "kill_process", false},
        {0x80010000, "unknown", false},
        {SECCOMP_RET_KILL_THREAD, "kill_thread", false},
        {SECCOMP_RET_TRAP, "trap", false},
        {SECCOMP_RET_ERRNO, "errno", false},
        {SECCOMP_RET_USER_NOTIF, "user_notif", false},
        {SECCOMP_RET_TRACE, "trace", false},
        {SECCOMP_RET_LOG, "log", true},
        {SECCOMP_RET_ALLOW, "allow", true},
    };
    const size_t count = sizeof(ascending) / sizeof(*ascending);
    for (size_t i = 0; i < count; i++) {
        for (uint32_t data = 0; data <= SECCOMP_RET_DATA; data += SECCOMP_RET_DATA) {
            assert_string_equal(seccomp_action_name(ascending[i].action | data), ascending[i].name);
            assert_int_equal(seccomp_action_allows(ascending[i].action | data),
                             ascending[i].allows);
        }
        for (size_t j = 0; j < count; j++) {
            uint32_t first = ascending[i].action | 9, second = ascending[j].action | 1;
            assert_int_equal(seccomp_action_combine(first, second), i <= j ? first : second);
        }
    }
    assert_false(seccomp_action_allows(0x7ffe0000));
    assert_false(seccomp_action_allows(0xffff0000));
    assert_string_equal(seccomp_action_name(0xffff0000), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(loads_and_stores),
        harness_test(arithmetic),
        harness_test(jumps),
        harness_test(malformed_programs_are_refused),
        harness_test(a_container_filter),
        harness_test(actions),
    };
    return cmocka_run_group_tests_name("seccomp", tests, NULL, NULL);
}
