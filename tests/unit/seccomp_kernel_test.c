/*
 * seccomp_kernel_test.c - engine/seccomp.c against the running kernel: the same
 * programs accepted, the same calls made, failed with the same error, or killed.
 *
 * Filters are installed in children, which end with them.
 */
#include "engine/seccomp.h"

#include "harness.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ALLOW          SECCOMP_RET_ALLOW
#define FAIL(error)    (SECCOMP_RET_ERRNO | (error))
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, action)

#define PROGRAM_MAX 64
#define CALLS       16
#define PROGRAMS    500

/* Fixed, so that a failure happens again. */
static uint64_t random_state;

static uint32_t random_below(uint32_t limit)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((random_state >> 32) * limit >> 32);
}

static bool one_in(uint32_t chances)
{
    return random_below(chances) == 0;
}

static uint32_t random_word(void)
{
    switch (random_below(4)) {
    case 0:
        return random_below(8);
    case 1:
        return UINT32_MAX - random_below(8);
    case 2:
        return 1U << random_below(32);
    default:
        return random_below(UINT32_MAX);
    }
}

/* Makes a system call, and nothing else, so that the filter judges no other. */
long raw_call(const uint64_t arguments[6], long number);
extern const char raw_call_return[];
__asm__(".pushsection .text\n"
        "raw_call:\n"
        "    mov %rsi, %rax\n"
        "    mov %rdi, %r11\n"
        "    mov (%r11), %rdi\n"
        "    mov 8(%r11), %rsi\n"
        "    mov 16(%r11), %rdx\n"
        "    mov 24(%r11), %r10\n"
        "    mov 32(%r11), %r8\n"
        "    mov 40(%r11), %r9\n"
        "    syscall\n"
        "raw_call_return:\n"
        "    ret\n"
        ".popsection\n");

/* What the kernel said, in memory that child and test share. */
struct verdicts {
    int refusal; /* errno of the installation, 0 where it went well */
    size_t count;
    long results[CALLS];
};

static int filter_install(const struct sock_filter *program, size_t length)
{
    struct sock_fprog filter = {.len = (unsigned short)length,
                                .filter = (struct sock_filter *)program};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0 ? 0 : errno;
}

/* In the child. Undone with it; the alarm is the deadline, whatever a filter forbids. */
static void child_prepare(void)
{
    signal(SIGSYS, SIG_DFL);
    signal(SIGALRM, SIG_DFL);
    alarm(HARNESS_DEADLINE_MS / 1000);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* A group from outside the pid namespace has the number 0, like a call that was not made. */
    setpgid(0, 0);
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static int child_status(pid_t child)
{
    int status;
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void *shared_memory(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    return memory;
}

/* Skips the test where filters cannot be installed at all. */
static void filters_required(void)
{
    pid_t child = fork();
    if (child == 0) {
        child_prepare();
        const struct sock_filter program[] = {RETURN(ALLOW)};
        _exit(filter_install(program, 1));
    }
    int status = child_status(child);
    if (status != 0) {
        harness_skip("no seccomp filter can be installed here (status %#x)", (unsigned)status);
    }
}

static void program_print(const struct sock_filter *program, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        print_error("%3zu: {%#06x, %3u, %3u, %#010x}\n", i, program[i].code, program[i].jt,
                    program[i].jf, program[i].k);
    }
}

/*
 * Asks the kernel about many programs in one child: each starts with a return,
 * so that it always allows, and what follows the return is checked alone.
 */
struct survey {
    size_t count;
    struct {
        struct sock_filter program[PROGRAM_MAX];
        size_t length;
        int refusal;
    } rows[];
};

/* The kernel's limit on all filters of a thread together is 32768 instructions. */
#define SURVEY_INSTRUCTIONS 20000

static void survey_check(struct survey *survey, size_t *both_accept)
{
    pid_t child = fork();
    if (child == 0) {
        child_prepare();
        for (size_t i = 0; i < survey->count; i++) {
            survey->rows[i].refusal =
                filter_install(survey->rows[i].program, survey->rows[i].length);
        }
        _exit(0);
    }
    assert_int_equal(child_status(child), 0);
    for (size_t i = 0; i < survey->count; i++) {
        uint32_t action;
        bool accept = seccomp_evaluate(survey->rows[i].program, survey->rows[i].length,
                                       &(struct seccomp_call){0}, &action);
        if (survey->rows[i].refusal != (accept ? 0 : EINVAL)) {
            program_print(survey->rows[i].program, survey->rows[i].length);
            fail_msg("the kernel says %d", survey->rows[i].refusal);
        }
        *both_accept += accept;
    }
}

static void every_code(void **state)
{
    (void)state;
    static const uint32_t values[] = {0, 1, 2, 4, 15, 16, 31, 32, 60, 64, UINT32_MAX};
    enum { CODES = 0x10000 };
    filters_required();
    size_t size = sizeof(struct survey) + CODES * sizeof(((struct survey *)0)->rows[0]);
    struct survey *survey = shared_memory(size);
    size_t both_accept = 0;
    for (size_t value = 0; value < sizeof(values) / sizeof(*values); value++) {
        /* What lies beyond the eight bits in use does not depend on k. */
        survey->count = value == 0 ? CODES : 0x200;
        for (size_t code = 0; code < survey->count; code++) {
            static const struct sock_filter before[] = {RETURN(ALLOW), BPF_STMT(BPF_ST, 0),
                                                        BPF_STMT(BPF_STX, 15)};
            memcpy(survey->rows[code].program, before, sizeof(before));
            survey->rows[code].program[3] =
                (struct sock_filter)BPF_JUMP((uint16_t)code, values[value], 0, 0);
            survey->rows[code].program[4] = (struct sock_filter)RETURN(ALLOW);
            survey->rows[code].length = 5;
        }
        survey_check(survey, &both_accept);
    }
    assert_true(both_accept > 300);
    assert_int_equal(munmap(survey, size), 0);
}

/* Scratch words that are written on some paths only, and jumps past the end. */
static void scratch_paths_and_jumps(void **state)
{
    (void)state;
    enum { ROWS = 1500 };
    filters_required();
    size_t size = sizeof(struct survey) + ROWS * sizeof(((struct survey *)0)->rows[0]);
    struct survey *survey = shared_memory(size);
    size_t both_accept = 0, instructions = 0;
    random_state = 1;
    for (; survey->count < ROWS && instructions < SURVEY_INSTRUCTIONS; survey->count++) {
        struct sock_filter *program = survey->rows[survey->count].program;
        uint32_t length = 4 + random_below(14);
        program[0] = (struct sock_filter)RETURN(ALLOW);
        for (uint32_t i = 1; i < length - 1; i++) {
            static const uint16_t codes[] = {
                BPF_ST,           BPF_STX,           BPF_ST,           BPF_STX,
                BPF_LD | BPF_MEM, BPF_LDX | BPF_MEM, BPF_JMP | BPF_JA, BPF_JMP | BPF_JEQ | BPF_K,
                BPF_RET | BPF_A,
            };
            uint16_t code = codes[random_below(sizeof(codes) / sizeof(*codes))];
            /* Once in a while a jump goes one too far. */
            uint32_t following = length - 1 - i + one_in(40);
            uint32_t k = random_below(code == (BPF_JMP | BPF_JA) ? following : 2);
            program[i] = (struct sock_filter)BPF_JUMP(code, k, (uint8_t)random_below(following),
                                                      (uint8_t)random_below(following));
        }
        program[length - 1] = (struct sock_filter)RETURN(ALLOW);
        survey->rows[survey->count].length = length;
        instructions += length + 4;
    }
    survey_check(survey, &both_accept);
    assert_in_range(both_accept, survey->count / 10, survey->count * 9 / 10);
    assert_int_equal(munmap(survey, size), 0);
}

/* The calls whose result tells: each returns a positive number if it is made. */
static const long telling[] = {SYS_getpid, SYS_getppid, SYS_gettid, SYS_getpgrp};

static uint16_t random_code(void)
{
    static const uint16_t operations[] = {BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_AND,
                                          BPF_OR,  BPF_XOR, BPF_LSH, BPF_RSH};
    static const uint16_t comparisons[] = {BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET};
    static const uint16_t others[] = {
        BPF_LD | BPF_IMM,
        BPF_LDX | BPF_IMM,
        BPF_LD | BPF_MEM,
        BPF_LDX | BPF_MEM,
        BPF_ST,
        BPF_STX,
        BPF_LD | BPF_W | BPF_LEN,
        BPF_LDX | BPF_W | BPF_LEN,
        BPF_ALU | BPF_NEG,
        BPF_MISC | BPF_TAX,
        BPF_MISC | BPF_TXA,
        BPF_JMP | BPF_JA,
    };
    uint16_t source = one_in(2) ? BPF_X : BPF_K;
    switch (random_below(8)) {
    case 0:
    case 1:
        return BPF_LD | BPF_W | BPF_ABS;
    case 2:
    case 3:
        return BPF_ALU | operations[random_below(9)] | source;
    case 4:
        return BPF_JMP | comparisons[random_below(4)] | source;
    default:
        return others[random_below(sizeof(others) / sizeof(*others))];
    }
}

static uint32_t random_k(uint16_t code, uint32_t following)
{
    switch (code) {
    case BPF_LD | BPF_W | BPF_ABS:
        return 4 * random_below(16);
    case BPF_LD | BPF_MEM:
    case BPF_LDX | BPF_MEM:
    case BPF_ST:
    case BPF_STX:
        return random_below(4);
    case BPF_ALU | BPF_LSH | BPF_K:
    case BPF_ALU | BPF_RSH | BPF_K:
        return random_below(32);
    case BPF_JMP | BPF_JA:
        return random_below(following < 4 ? following : 4);
    default:
        return random_word();
    }
}

/*
 * Begins with what lets the child end, ends by showing some bits of A as an
 * errno, or with one of the actions; one in four is then damaged at one place.
 */
static uint32_t random_program(struct sock_filter program[PROGRAM_MAX])
{
    static const struct sock_filter before[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
        RETURN(ALLOW),
        BPF_STMT(BPF_ST, 0),
        BPF_STMT(BPF_ST, 1),
        BPF_STMT(BPF_STX, 2),
        BPF_STMT(BPF_STX, 3),
    };
    enum { BEFORE = sizeof(before) / sizeof(*before), AFTER = 5 };
    memcpy(program, before, sizeof(before));
    uint32_t length = BEFORE + 1 + random_below(PROGRAM_MAX - BEFORE - AFTER - 1) + AFTER;
    uint32_t random_end = length - AFTER;
    for (uint32_t i = BEFORE; i < random_end; i++) {
        uint32_t following = random_end - i;
        uint16_t code = random_code();
        program[i] = (struct sock_filter)BPF_JUMP(code, random_k(code, following),
                                                  (uint8_t)random_below(following),
                                                  (uint8_t)random_below(following));
    }
    static const uint32_t ends[] = {ALLOW, FAIL(3), FAIL(0xffff), SECCOMP_RET_LOG,
                                    SECCOMP_RET_TRACE};
    uint32_t end = one_in(100)  ? random_word()
                   : one_in(30) ? SECCOMP_RET_TRAP
                                : ends[random_below(sizeof(ends) / sizeof(*ends))];
    const struct sock_filter after[AFTER] = {
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, one_in(3) ? UINT32_MAX : 1U << random_below(32), 0, 3),
        BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 10 * random_below(3)),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xfff),
        BPF_STMT(BPF_ALU | BPF_OR | BPF_K, SECCOMP_RET_ERRNO),
        BPF_STMT(BPF_RET | BPF_A, 0),
    };
    memcpy(program + random_end, after, sizeof(after));
    program[random_end].jf = 4;
    program[length++] = (struct sock_filter)RETURN(end);
    if (one_in(4)) {
        struct sock_filter *damaged = &program[BEFORE + random_below(length - BEFORE)];
        switch (random_below(4)) {
        case 0:
            damaged->code = (uint16_t)random_below(0x100);
            break;
        case 1:
            damaged->k = random_word();
            break;
        case 2:
            damaged->jt = (uint8_t)random_below(0x100);
            break;
        default:
            damaged->jf = (uint8_t)random_below(0x100);
            break;
        }
    }
    return length;
}

static int verdicts_ask(const struct sock_filter *program, uint32_t length,
                        const struct seccomp_call calls[CALLS], struct verdicts *verdicts)
{
    *verdicts = (struct verdicts){0};
    pid_t child = fork();
    if (child == 0) {
        child_prepare();
        verdicts->refusal = filter_install(program, length);
        while (verdicts->refusal == 0 && verdicts->count < CALLS) {
            const struct seccomp_call *call = &calls[verdicts->count];
            verdicts->results[verdicts->count] = raw_call(call->arguments, call->number);
            /* Seen by the test even if the next call kills. */
            __atomic_store_n(&verdicts->count, verdicts->count + 1, __ATOMIC_SEQ_CST);
        }
        raw_call((const uint64_t[6]){0}, SYS_exit_group);
    }
    return child_status(child);
}

enum outcome { MADE, FAILED, KILLED, OUTCOMES };

/* How the kernel's verdict on a call is seen, with no tracer and no listener about. */
static enum outcome outcome_of(uint32_t action, long *result)
{
    uint32_t data = action & SECCOMP_RET_DATA;
    switch (action & SECCOMP_RET_ACTION_FULL) {
    case SECCOMP_RET_ERRNO:
        *result = -(long)(data > 4095 ? 4095 : data);
        return FAILED;
    case SECCOMP_RET_TRACE:
    case SECCOMP_RET_USER_NOTIF:
        *result = -ENOSYS;
        return FAILED;
    default:
        return seccomp_action_allows(action) ? MADE : KILLED;
    }
}

static bool verdicts_agree(const struct sock_filter *program, uint32_t length,
                           const struct seccomp_call calls[CALLS], const struct verdicts *verdicts,
                           int status, size_t seen[OUTCOMES])
{
    for (size_t i = 0; i < CALLS; i++) {
        uint32_t action;
        long result = 0;
        if (!seccomp_evaluate(program, length, &calls[i], &action)) {
            return verdicts->refusal == EINVAL;
        }
        if (verdicts->refusal != 0) {
            return false;
        }
        enum outcome outcome = outcome_of(action, &result);
        seen[outcome]++;
        if (outcome == KILLED) {
            return verdicts->count == i && WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
        }
        if (verdicts->count <= i ||
            (outcome == MADE ? verdicts->results[i] <= 0 : verdicts->results[i] != result)) {
            print_error("call %zu: action %#x, but the kernel's result %ld\n", i, action,
                        verdicts->results[i]);
            return false;
        }
    }
    return status == 0;
}

static void random_programs(void **state)
{
    (void)state;
    filters_required();
    struct verdicts *verdicts = shared_memory(sizeof(*verdicts));
    size_t seen[OUTCOMES] = {0}, refused = 0;
    random_state = 2;
    for (size_t n = 0; n < PROGRAMS; n++) {
        struct sock_filter program[PROGRAM_MAX];
        struct seccomp_call calls[CALLS];
        uint32_t length = random_program(program);
        for (size_t i = 0; i < CALLS; i++) {
            calls[i].number = telling[random_below(sizeof(telling) / sizeof(*telling))];
            calls[i].instruction_pointer = (uint64_t)(uintptr_t)raw_call_return;
            for (size_t j = 0; j < 6; j++) {
                calls[i].arguments[j] = (uint64_t)random_word() << 32 | random_word();
            }
        }
        int status = verdicts_ask(program, length, calls, verdicts);
        if (!verdicts_agree(program, length, calls, verdicts, status, seen)) {
            program_print(program, length);
            fail_msg("program %zu: refusal %d, %zu calls, status %#x", n, verdicts->refusal,
                     verdicts->count, (unsigned)status);
        }
        refused += verdicts->refusal != 0;
    }
    assert_in_range(refused, PROGRAMS / 50, PROGRAMS / 2);
    assert_true(seen[MADE] > PROGRAMS && seen[FAILED] > PROGRAMS && seen[KILLED] > 0);
    assert_int_equal(munmap(verdicts, sizeof(*verdicts)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(every_code),
        harness_test(scratch_paths_and_jumps),
        harness_test(random_programs),
    };
    return cmocka_run_group_tests_name("seccomp_kernel", tests, NULL, NULL);
}
