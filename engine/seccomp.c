/*
 * seccomp.c - checks and runs seccomp's classic BPF.
 *
 * Promise: a program is refused exactly where the kernel refuses to install it
 * (net/core/filter.c: bpf_check_classic, check_load_and_stores;
 * kernel/seccomp.c: seccomp_check_filter), and any other returns what it
 * returns in the kernel (net/core/filter.c: bpf_convert_filter, which gives
 * classic BPF its meaning). Every index is checked before the first
 * instruction runs.
 */
#include "engine/seccomp.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <string.h>

#define DATA_WORDS (sizeof(struct seccomp_data) / sizeof(uint32_t))

/* `following` is the number of instructions after this one, which a jump may reach. */
static bool instruction_valid(const struct sock_filter *instruction, size_t following)
{
    uint32_t k = instruction->k;
    switch (instruction->code) {
    case BPF_LD | BPF_W | BPF_ABS:
        return k < sizeof(struct seccomp_data) && k % sizeof(uint32_t) == 0;
    case BPF_LD | BPF_MEM:
    case BPF_LDX | BPF_MEM:
    case BPF_ST:
    case BPF_STX:
        return k < BPF_MEMWORDS;
    case BPF_ALU | BPF_DIV | BPF_K:
        return k != 0;
    case BPF_ALU | BPF_LSH | BPF_K:
    case BPF_ALU | BPF_RSH | BPF_K:
        return k < 32;
    case BPF_JMP | BPF_JA:
        return k < following;
    case BPF_JMP | BPF_JEQ | BPF_K:
    case BPF_JMP | BPF_JEQ | BPF_X:
    case BPF_JMP | BPF_JGT | BPF_K:
    case BPF_JMP | BPF_JGT | BPF_X:
    case BPF_JMP | BPF_JGE | BPF_K:
    case BPF_JMP | BPF_JGE | BPF_X:
    case BPF_JMP | BPF_JSET | BPF_K:
    case BPF_JMP | BPF_JSET | BPF_X:
        return instruction->jt < following && instruction->jf < following;
    case BPF_LD | BPF_W | BPF_LEN:
    case BPF_LDX | BPF_W | BPF_LEN:
    case BPF_LD | BPF_IMM:
    case BPF_LDX | BPF_IMM:
    case BPF_ALU | BPF_ADD | BPF_K:
    case BPF_ALU | BPF_ADD | BPF_X:
    case BPF_ALU | BPF_SUB | BPF_K:
    case BPF_ALU | BPF_SUB | BPF_X:
    case BPF_ALU | BPF_MUL | BPF_K:
    case BPF_ALU | BPF_MUL | BPF_X:
    case BPF_ALU | BPF_DIV | BPF_X:
    case BPF_ALU | BPF_AND | BPF_K:
    case BPF_ALU | BPF_AND | BPF_X:
    case BPF_ALU | BPF_OR | BPF_K:
    case BPF_ALU | BPF_OR | BPF_X:
    case BPF_ALU | BPF_XOR | BPF_K:
    case BPF_ALU | BPF_XOR | BPF_X:
    case BPF_ALU | BPF_LSH | BPF_X:
    case BPF_ALU | BPF_RSH | BPF_X:
    case BPF_ALU | BPF_NEG:
    case BPF_RET | BPF_K:
    case BPF_RET | BPF_A:
    case BPF_MISC | BPF_TAX:
    case BPF_MISC | BPF_TXA:
        return true;
    default:
        return false;
    }
}

/*
 * True if no path reads a scratch word that it has not written. Like the
 * kernel this lets an instruction after a return inherit what was written
 * before the return, although nothing arrives there that way.
 */
static bool scratch_written_first(const struct sock_filter *program, size_t length)
{
    /* At each instruction: the words that every jump to it found written, as bits. */
    uint16_t at_arrival[BPF_MAXINSNS];
    uint16_t written = 0;
    memset(at_arrival, 0xff, length * sizeof(*at_arrival));
    for (size_t at = 0; at < length; at++) {
        const struct sock_filter *instruction = &program[at];
        written &= at_arrival[at];
        switch (instruction->code) {
        case BPF_ST:
        case BPF_STX:
            written |= (uint16_t)(1U << instruction->k);
            continue;
        case BPF_LD | BPF_MEM:
        case BPF_LDX | BPF_MEM:
            if (!(written >> instruction->k & 1)) {
                return false;
            }
            continue;
        default:
            break;
        }
        if (BPF_CLASS(instruction->code) != BPF_JMP) {
            continue;
        }
        if (BPF_OP(instruction->code) == BPF_JA) {
            at_arrival[at + 1 + instruction->k] &= written;
        } else {
            at_arrival[at + 1 + instruction->jt] &= written;
            at_arrival[at + 1 + instruction->jf] &= written;
        }
        written = UINT16_MAX;
    }
    return true;
}

static bool program_valid(const struct sock_filter *program, size_t length)
{
    if (length == 0 || length > BPF_MAXINSNS || BPF_CLASS(program[length - 1].code) != BPF_RET) {
        return false;
    }
    for (size_t at = 0; at < length; at++) {
        if (!instruction_valid(&program[at], length - at - 1)) {
            return false;
        }
    }
    return scratch_written_first(program, length);
}

/* Division by zero is the caller's to prevent. */
static uint32_t calculate(uint16_t operation, uint32_t a, uint32_t operand)
{
    switch (operation) {
    case BPF_ADD:
        return a + operand;
    case BPF_SUB:
        return a - operand;
    case BPF_MUL:
        return a * operand;
    case BPF_DIV:
        return a / operand;
    case BPF_AND:
        return a & operand;
    case BPF_OR:
        return a | operand;
    case BPF_XOR:
        return a ^ operand;
    /*
     * X may be 32 and more. The kernel's interpreter takes the low five bits
     * (kernel/bpf/core.c, ___bpf_prog_run: SHT), and so does the processor for
     * what arch/x86/net/bpf_jit_comp.c compiles.
     */
    case BPF_LSH:
        return a << (operand & 31);
    case BPF_RSH:
        return a >> (operand & 31);
    default:
        return 0U - a; /* BPF_NEG */
    }
}

static bool compare(uint16_t operation, uint32_t a, uint32_t operand)
{
    switch (operation) {
    case BPF_JEQ:
        return a == operand;
    case BPF_JGT:
        return a > operand;
    case BPF_JGE:
        return a >= operand;
    default:
        return (a & operand) != 0; /* BPF_JSET */
    }
}

/* Ends: jumps are forward and the last instruction of a valid program returns. */
static uint32_t program_run(const struct sock_filter *program, const uint32_t data[DATA_WORDS])
{
    uint32_t a = 0, x = 0;
    uint32_t scratch[BPF_MEMWORDS] = {0};
    for (const struct sock_filter *instruction = program;; instruction++) {
        uint16_t code = instruction->code;
        uint32_t k = instruction->k;
        uint32_t operand = BPF_SRC(code) == BPF_X ? x : k;
        uint32_t loaded = 0;
        switch (BPF_CLASS(code)) {
        case BPF_LD:
        case BPF_LDX:
            switch (BPF_MODE(code)) {
            case BPF_ABS:
                loaded = data[k / sizeof(uint32_t)];
                break;
            case BPF_LEN:
                loaded = sizeof(struct seccomp_data);
                break;
            case BPF_MEM:
                loaded = scratch[k];
                break;
            default:
                loaded = k; /* BPF_IMM */
                break;
            }
            *(BPF_CLASS(code) == BPF_LD ? &a : &x) = loaded;
            break;
        case BPF_ST:
            scratch[k] = a;
            break;
        case BPF_STX:
            scratch[k] = x;
            break;
        case BPF_ALU:
            /* bpf_convert_filter: a division by zero ends the program, which returns 0. */
            if (BPF_OP(code) == BPF_DIV && operand == 0) {
                return 0;
            }
            a = calculate(BPF_OP(code), a, operand);
            break;
        case BPF_JMP:
            if (BPF_OP(code) == BPF_JA) {
                instruction += k;
            } else {
                instruction +=
                    compare(BPF_OP(code), a, operand) ? instruction->jt : instruction->jf;
            }
            break;
        case BPF_RET:
            return BPF_RVAL(code) == BPF_A ? a : k;
        default:
            *(BPF_MISCOP(code) == BPF_TAX ? &x : &a) = BPF_MISCOP(code) == BPF_TAX ? a : x;
            break;
        }
    }
}

bool seccomp_evaluate(const struct sock_filter *program, size_t length,
                      const struct seccomp_call *call, uint32_t *action)
{
    if (!program_valid(program, length)) {
        return false;
    }
    struct seccomp_data data = {
        .nr = (int)call->number,
        .arch = AUDIT_ARCH_X86_64,
        .instruction_pointer = call->instruction_pointer,
    };
    memcpy(data.args, call->arguments, sizeof(data.args));
    uint32_t words[DATA_WORDS];
    memcpy(words, &data, sizeof(words));
    *action = program_run(program, words);
    return true;
}

uint32_t seccomp_action_combine(uint32_t first, uint32_t second)
{
    /* kernel/seccomp.c, seccomp_run_filters: signed, so that kill_process is the lowest. */
    int32_t first_action = (int32_t)(first & SECCOMP_RET_ACTION_FULL);
    int32_t second_action = (int32_t)(second & SECCOMP_RET_ACTION_FULL);
    return second_action < first_action ? second : first;
}

bool seccomp_action_allows(uint32_t action)
{
    action &= SECCOMP_RET_ACTION_FULL;
    return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG;
}

const char *seccomp_action_name(uint32_t action)
{
    switch (action & SECCOMP_RET_ACTION_FULL) {
    case SECCOMP_RET_KILL_PROCESS:
        return "kill_process";
    case SECCOMP_RET_KILL_THREAD:
        return "kill_thread";
    case SECCOMP_RET_TRAP:
        return "trap";
    case SECCOMP_RET_ERRNO:
        return "errno";
    case SECCOMP_RET_USER_NOTIF:
        return "user_notif";
    case SECCOMP_RET_TRACE:
        return "trace";
    case SECCOMP_RET_LOG:
        return "log";
    case SECCOMP_RET_ALLOW:
        return "allow";
    default:
        return "unknown";
    }
}
