/*
 * seccomp_fuzz.c - any program as a seccomp filter, run on any call. It is
 * accepted exactly where the running kernel installs it, and what it returns is
 * what a second, slower reading of seccomp(2) says, which notices each step out
 * of the program and each scratch word that was not written first.
 *
 * Input: 64 bytes of struct seccomp_data, then instructions of 8 bytes each.
 */
#include "engine/seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

#define PROGRAM_MAX 128

/*
 * A child installs the programs, each behind a return that allows everything:
 * what follows it is checked alone. A thread may have filters of 32768
 * instructions together (MAX_INSNS_PER_PATH of kernel/seccomp.c, which counts
 * four more for each), so another child takes over in good time.
 */
#define CHILD_INSTRUCTIONS 16000

static struct {
    pid_t pid;
    int request, answer;
    size_t instructions;
    bool impossible; /* no filter at all can be installed here */
    struct exchange {
        struct sock_fprog filter;
        struct sock_filter program[1 + PROGRAM_MAX];
        int refusal; /* errno, or 0 */
    } * exchange;    /* in memory shared with the child */
} kernel;

static void child_serve(int request, int answer)
{
    char byte;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    while (read(request, &byte, 1) == 1) {
        kernel.exchange->refusal =
            prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &kernel.exchange->filter) == 0 ? 0 : errno;
        if (write(answer, &byte, 1) != 1)
            break;
    }
    _exit(0);
}

static void child_end(void)
{
    if (kernel.pid <= 0)
        return;
    close(kernel.request);
    close(kernel.answer);
    TEMP_FAILURE_RETRY(waitpid(kernel.pid, NULL, 0));
    kernel.pid = 0;
}

static void child_start(void)
{
    int request[2], answer[2];
    if (kernel.exchange == NULL) {
        void *memory = mmap(NULL, sizeof *kernel.exchange, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        fuzz_check(memory != MAP_FAILED);
        kernel.exchange = memory;
        atexit(child_end);
    }
    fuzz_check(pipe(request) == 0 && pipe(answer) == 0);
    kernel.pid = fork();
    fuzz_check(kernel.pid >= 0);
    if (kernel.pid == 0) {
        close(request[1]);
        close(answer[0]);
        child_serve(request[0], answer[1]);
    }
    close(request[0]);
    close(answer[1]);
    kernel.request = request[1];
    kernel.answer = answer[0];
    kernel.instructions = 0;
}

/* 0, or the errno with which the kernel refuses it. */
static int kernel_ask(const struct sock_filter *program, size_t length)
{
    char byte = 0;
    if (kernel.instructions + length + 5 > CHILD_INSTRUCTIONS)
        child_end();
    if (kernel.pid <= 0)
        child_start();
    kernel.instructions += length + 5;
    struct exchange *exchange = kernel.exchange;
    exchange->program[0] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    memcpy(exchange->program + 1, program, length * sizeof *program);
    exchange->filter =
        (struct sock_fprog){.len = (unsigned short)(1 + length), .filter = exchange->program};
    /* libFuzzer keeps time with a signal. */
    fuzz_check(TEMP_FAILURE_RETRY(write(kernel.request, &byte, 1)) == 1 &&
               TEMP_FAILURE_RETRY(read(kernel.answer, &byte, 1)) == 1);
    return exchange->refusal;
}

static void acceptance_check(const struct sock_filter *program, size_t length, bool accepted)
{
    static bool asked;
    const struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    if (!asked) {
        asked = true;
        kernel.impossible = kernel_ask(&allow, 1) != 0;
        if (kernel.impossible)
            printf("SKIPPED: seccomp_fuzz: not compared with the kernel: no filter can be "
                   "installed here\n");
    }
    if (!kernel.impossible)
        fuzz_check(kernel_ask(program, length) == (accepted ? 0 : EINVAL));
}

static uint32_t second_reading(const struct sock_filter *program, size_t length,
                               const struct seccomp_data *data)
{
    uint32_t a = 0, x = 0, scratch[BPF_MEMWORDS];
    bool written[BPF_MEMWORDS] = {false};
    for (size_t at = 0;; at++) {
        fuzz_check(at < length);
        const struct sock_filter step = program[at];
        const uint32_t operand = step.code & BPF_X ? x : step.k;
        switch (step.code) {
        case BPF_LD | BPF_W | BPF_ABS:
            fuzz_check(step.k <= sizeof *data - sizeof a && step.k % sizeof a == 0);
            memcpy(&a, (const char *)data + step.k, sizeof a);
            break;
        case BPF_LD | BPF_W | BPF_LEN:
            a = sizeof *data;
            break;
        case BPF_LDX | BPF_W | BPF_LEN:
            x = sizeof *data;
            break;
        case BPF_LD | BPF_IMM:
            a = step.k;
            break;
        case BPF_LDX | BPF_IMM:
            x = step.k;
            break;
        case BPF_LD | BPF_MEM:
        case BPF_LDX | BPF_MEM:
            fuzz_check(step.k < BPF_MEMWORDS && written[step.k]);
            *(step.code == (BPF_LD | BPF_MEM) ? &a : &x) = scratch[step.k];
            break;
        case BPF_ST:
        case BPF_STX:
            fuzz_check(step.k < BPF_MEMWORDS);
            scratch[step.k] = step.code == BPF_ST ? a : x;
            written[step.k] = true;
            break;
        case BPF_ALU | BPF_ADD | BPF_K:
        case BPF_ALU | BPF_ADD | BPF_X:
            a += operand;
            break;
        case BPF_ALU | BPF_SUB | BPF_K:
        case BPF_ALU | BPF_SUB | BPF_X:
            a -= operand;
            break;
        case BPF_ALU | BPF_MUL | BPF_K:
        case BPF_ALU | BPF_MUL | BPF_X:
            a *= operand;
            break;
        case BPF_ALU | BPF_DIV | BPF_K:
        case BPF_ALU | BPF_DIV | BPF_X:
            if (operand == 0)
                return 0;
            a /= operand;
            break;
        case BPF_ALU | BPF_AND | BPF_K:
        case BPF_ALU | BPF_AND | BPF_X:
            a &= operand;
            break;
        case BPF_ALU | BPF_OR | BPF_K:
        case BPF_ALU | BPF_OR | BPF_X:
            a |= operand;
            break;
        case BPF_ALU | BPF_XOR | BPF_K:
        case BPF_ALU | BPF_XOR | BPF_X:
            a ^= operand;
            break;
        case BPF_ALU | BPF_LSH | BPF_K:
        case BPF_ALU | BPF_LSH | BPF_X:
            a <<= operand % 32;
            break;
        case BPF_ALU | BPF_RSH | BPF_K:
        case BPF_ALU | BPF_RSH | BPF_X:
            a >>= operand % 32;
            break;
        case BPF_ALU | BPF_NEG:
            a = ~a + 1;
            break;
        case BPF_JMP | BPF_JA:
            at += step.k;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
        case BPF_JMP | BPF_JEQ | BPF_X:
            at += a == operand ? step.jt : step.jf;
            break;
        case BPF_JMP | BPF_JGT | BPF_K:
        case BPF_JMP | BPF_JGT | BPF_X:
            at += a > operand ? step.jt : step.jf;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
        case BPF_JMP | BPF_JGE | BPF_X:
            at += a >= operand ? step.jt : step.jf;
            break;
        case BPF_JMP | BPF_JSET | BPF_K:
        case BPF_JMP | BPF_JSET | BPF_X:
            at += a & operand ? step.jt : step.jf;
            break;
        case BPF_RET | BPF_K:
            return step.k;
        case BPF_RET | BPF_A:
            return a;
        case BPF_MISC | BPF_TAX:
            x = a;
            break;
        case BPF_MISC | BPF_TXA:
            a = x;
            break;
        default:
            fuzz_check(!"an instruction that seccomp does not have");
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct seccomp_data data;
    struct sock_filter program[PROGRAM_MAX];
    if (size < sizeof data)
        return 0;
    memcpy(&data, input, sizeof data);
    data.arch = AUDIT_ARCH_X86_64;
    size_t length = (size - sizeof data) / sizeof *program;
    if (length > PROGRAM_MAX)
        length = PROGRAM_MAX;
    memcpy(program, input + sizeof data, length * sizeof *program);

    struct seccomp_call call = {.number = data.nr, .instruction_pointer = data.instruction_pointer};
    memcpy(call.arguments, data.args, sizeof call.arguments);
    uint32_t action = 0;
    bool accepted = seccomp_evaluate(program, length, &call, &action);
    if (accepted)
        fuzz_check(action == second_reading(program, length, &data));
    if (length > 0)
        acceptance_check(program, length, accepted);
    return 0;
}
