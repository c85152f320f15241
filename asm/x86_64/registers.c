/*
 * registers.c - what the registers of a stopped thread say: where it is, how
 * it goes on, and whether the stop itself cut a system call short.
 *
 * Promise: only arch_interruption_cure changes registers, and only so that the
 * kernel decides as if the thread had not been stopped.
 */
#include "asm/arch.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "asm/x86_64/restart.h"

/* include/linux/errno.h of the kernel: never seen by programs, but by tracers. */
#define ERESTARTSYS           512
#define ERESTARTNOINTR        513
#define ERESTARTNOHAND        514
#define ERESTART_RESTARTBLOCK 516

#define SYSCALL_INSTRUCTION_SIZE 2
#define CODE_SEGMENT_64          0x33

uint64_t arch_program_counter(const arch_registers *registers)
{
    return registers->rip;
}

void arch_program_counter_set(arch_registers *registers, uint64_t address)
{
    registers->rip = address;
}

uint64_t arch_stack_pointer(const arch_registers *registers)
{
    return registers->rsp;
}

bool arch_is_native(const arch_registers *registers)
{
    return registers->cs == CODE_SEGMENT_64;
}

bool arch_is_kernels(const arch_registers *registers)
{
    return registers->rip == 0 && registers->rsp == 0;
}

bool arch_in_syscall(const arch_registers *registers)
{
    return (int64_t)registers->orig_rax >= 0;
}

void restart_apply(const arch_registers *saved, uint64_t *rax, uint64_t *rip)
{
    if (!arch_in_syscall(saved)) {
        return;
    }
    switch ((int64_t)saved->rax) {
    case -ERESTARTSYS:
    case -ERESTARTNOINTR:
    case -ERESTARTNOHAND:
        *rax = saved->orig_rax;
        *rip -= SYSCALL_INSTRUCTION_SIZE;
        break;
    case -ERESTART_RESTARTBLOCK:
        *rax = SYS_restart_syscall;
        *rip -= SYSCALL_INSTRUCTION_SIZE;
        break;
    default:
        break;
    }
}

uint64_t arch_resume_address(const arch_registers *registers)
{
    uint64_t rax = registers->rax;
    uint64_t rip = registers->rip;
    restart_apply(registers, &rax, &rip);
    return rip;
}

/* Where a system call has its time limit, and what there means "none". */
enum limit {
    LIMIT_NONE,          /* it always waits for ever */
    LIMIT_RDX_NULL,      /* rdx points to it, or is NULL */
    LIMIT_R10_NULL,      /* r10 points to it, or is NULL */
    LIMIT_R10_NEGATIVE,  /* r10 holds it as an int; negative is none */
    LIMIT_R8_NULL,       /* r8 points to it, or is NULL */
    LIMIT_R10_FLAG,      /* r10 holds IORING_ENTER_EXT_ARG where there may be one */
    LIMIT_OF_DESCRIPTOR, /* SO_RCVTIMEO or SO_SNDTIMEO: EINTR comes only where one is set */
    LIMIT_UNKNOWN,       /* the arguments do not tell */
};

static const struct {
    uint64_t number;
    enum limit limit;
} interruptible[] = {
    {SYS_epoll_wait, LIMIT_R10_NEGATIVE}, {SYS_epoll_pwait, LIMIT_R10_NEGATIVE},
    {SYS_epoll_pwait2, LIMIT_R10_NULL},   {SYS_semop, LIMIT_NONE},
    {SYS_semtimedop, LIMIT_R10_NULL},     {SYS_rt_sigtimedwait, LIMIT_RDX_NULL},
    {SYS_io_getevents, LIMIT_R8_NULL},    {SYS_recvfrom, LIMIT_OF_DESCRIPTOR},
    {SYS_recvmsg, LIMIT_OF_DESCRIPTOR},   {SYS_recvmmsg, LIMIT_OF_DESCRIPTOR},
    {SYS_accept, LIMIT_OF_DESCRIPTOR},    {SYS_accept4, LIMIT_OF_DESCRIPTOR},
    {SYS_connect, LIMIT_OF_DESCRIPTOR},   {SYS_sendto, LIMIT_OF_DESCRIPTOR},
    {SYS_sendmsg, LIMIT_OF_DESCRIPTOR},   {SYS_sendmmsg, LIMIT_OF_DESCRIPTOR},
    {SYS_read, LIMIT_OF_DESCRIPTOR},      {SYS_readv, LIMIT_OF_DESCRIPTOR},
    {SYS_write, LIMIT_OF_DESCRIPTOR},     {SYS_writev, LIMIT_OF_DESCRIPTOR},
    {SYS_preadv2, LIMIT_OF_DESCRIPTOR},   {SYS_pwritev2, LIMIT_OF_DESCRIPTOR},
    {SYS_sendfile, LIMIT_OF_DESCRIPTOR},  {SYS_splice, LIMIT_OF_DESCRIPTOR},
    {SYS_ioctl, LIMIT_UNKNOWN},           {SYS_io_uring_enter, LIMIT_R10_FLAG},
};

static bool interruptible_find(uint64_t number, enum limit *limit)
{
    for (size_t i = 0; i < sizeof interruptible / sizeof *interruptible; i++) {
        if (interruptible[i].number == number) {
            *limit = interruptible[i].limit;
            return true;
        }
    }
    return false;
}

bool arch_syscall_interruptible(uint64_t number)
{
    enum limit limit;
    return interruptible_find(number, &limit);
}

static bool limit_absent(const arch_registers *registers, enum limit limit)
{
    switch (limit) {
    case LIMIT_NONE:
        return true;
    case LIMIT_RDX_NULL:
        return registers->rdx == 0;
    case LIMIT_R10_NULL:
        return registers->r10 == 0;
    case LIMIT_R10_NEGATIVE:
        return (int32_t)registers->r10 < 0;
    case LIMIT_R8_NULL:
        return registers->r8 == 0;
    case LIMIT_R10_FLAG:
        return (registers->r10 & IORING_ENTER_EXT_ARG) == 0;
    case LIMIT_OF_DESCRIPTOR:
    case LIMIT_UNKNOWN:
        return false;
    }
    return false;
}

/*
 * A transfer that waited for the rest returns what it has when it is stopped,
 * and io_uring_enter the number of requests that it submitted before it waited.
 * Both could also have returned just then by themselves. The lengths of
 * sendmsg(2) and writev(2) are not in registers: they are not seen here.
 */
static bool result_cut_short(const arch_registers *registers)
{
    if ((int64_t)registers->rax <= 0) {
        return false;
    }
    switch (registers->orig_rax) {
    case SYS_write:
    case SYS_sendto:
        return registers->rax < registers->rdx;
    case SYS_recvfrom:
        return registers->rax < registers->rdx && (registers->r10 & MSG_WAITALL) != 0;
    case SYS_io_uring_enter:
        return registers->rdx != 0 && (registers->r10 & IORING_ENTER_GETEVENTS) != 0;
    default:
        return false;
    }
}

enum arch_interruption arch_interruption_cure(arch_registers *registers)
{
    if (!arch_in_syscall(registers)) {
        return ARCH_INTERRUPTION_NONE;
    }
    if ((int64_t)registers->rax != -EINTR) {
        return result_cut_short(registers) ? ARCH_INTERRUPTION_EXPOSED : ARCH_INTERRUPTION_NONE;
    }
    enum limit limit;
    if (!interruptible_find(registers->orig_rax, &limit) || !limit_absent(registers, limit)) {
        return ARCH_INTERRUPTION_EXPOSED;
    }
    registers->rax = (uint64_t)(int64_t)-ERESTARTNOHAND;
    return ARCH_INTERRUPTION_CURED;
}

/*
 * struct sigcontext: ... rsp, rip, eflags, then cs, gs, fs, ss as four 16-bit
 * fields of one word. In 64-bit code gs and fs are stored as 0, ss as the user
 * data segment (UC_SIGCONTEXT_SS, since Linux 4.7).
 */
#define SEGMENTS_OF_USER_CODE UINT64_C(0x002b000000000033)

bool arch_frame_parse(const uint64_t *words, size_t index, uint64_t *program_counter,
                      uint64_t *stack_pointer)
{
    if (words[index] != SEGMENTS_OF_USER_CODE) {
        return false;
    }
    *program_counter = words[index - 2];
    *stack_pointer = words[index - 3];
    return true;
}
