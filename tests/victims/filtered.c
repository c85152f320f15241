/*
 * filtered KIND - reads the clock without rest under a seccomp(2) filter, or
 * with its system calls dispatched to itself (prctl(2),
 * PR_SET_SYSCALL_USER_DISPATCH). Not right is any SIGSYS. KIND is
 *     ACTION-CALL      ACTION is kill, trap or errno, CALL is mmap, munmap or
 *                      clock_gettime
 *     kill-mmap-one    a second thread has such a filter, the first has none
 *     strict           strict mode
 *     strict-one       a second thread is in strict mode
 *     allow            a filter that allows everything
 *     list             one that allows only what it names, as containers have
 *     no-write-execute one that looks at arguments: no mapping for both
 *     dispatch         the only thread dispatches, except while it answers lines
 *     dispatch-one     a second thread does, all the time
 * It answers
 *     forbid           "ok": from now on munmap(2) kills it
 * and it says "unsupported" in place of "ready" where the kernel cannot do that.
 */
#include "dialogue.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif
#define DISPATCH_ON    1
#define DISPATCH_ALLOW 0
#define DISPATCH_BLOCK 1

/* With all of them allowed by name a filter has as many branches as a container's. */
#define CALLS_LISTED 335

static _Atomic long reads;
static atomic_uint errors, sigsys;
static volatile char selector = DISPATCH_ALLOW;

static void on_sigsys(int signal)
{
    (void)signal;
    /* Else rt_sigreturn(2) would be dispatched, too. */
    selector = DISPATCH_ALLOW;
    atomic_fetch_add(&sigsys, 1);
}

static void read_clock(int times)
{
    for (int i = 0; i < times; i++) {
        struct timespec now = {0, -1};
        if (clock_gettime(CLOCK_REALTIME, &now) != 0 || now.tv_nsec < 0 || now.tv_nsec > 999999999)
            atomic_fetch_add(&errors, 1);
        atomic_fetch_add(&reads, 1);
    }
}

static bool filter_install(const char *kind);

static void answer_line(const char *line, char *answer, size_t size)
{
    if (strcmp(line, "forbid") == 0)
        snprintf(answer, size, filter_install("kill-munmap") ? "ok" : "bad filter");
    else if (strcmp(line, "check") != 0)
        snprintf(answer, size, "bad command");
    else if (atomic_load(&sigsys))
        snprintf(answer, size, "bad %u SIGSYS", atomic_load(&sigsys));
    else if (atomic_load(&errors))
        snprintf(answer, size, "bad %u errors", atomic_load(&errors));
    else
        snprintf(answer, size, "ok %ld", atomic_load(&reads));
}

static struct sock_filter program[2 * CALLS_LISTED + 16];
static unsigned short program_length;

static void add(struct sock_filter instruction)
{
    program[program_length++] = instruction;
}

static void add_load(size_t offset)
{
    add((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

/* Returns that if the word loaded is equal. */
static void add_case(uint32_t value, uint32_t result)
{
    add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1));
    add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, result));
}

static void add_default(uint32_t result)
{
    add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, result));
}

static void filter_one_call(const char *kind)
{
    uint32_t result = strncmp(kind, "kill-", 5) == 0   ? SECCOMP_RET_KILL_PROCESS
                      : strncmp(kind, "trap-", 5) == 0 ? SECCOMP_RET_TRAP
                                                       : SECCOMP_RET_ERRNO | 1;
    const char *call = strchr(kind, '-') + 1;
    add_load(offsetof(struct seccomp_data, nr));
    add_case(strncmp(call, "mmap", 4) == 0        ? SYS_mmap
             : strcmp(call, "clock_gettime") == 0 ? SYS_clock_gettime
                                                  : SYS_munmap,
             result);
    add_default(SECCOMP_RET_ALLOW);
}

static void filter_list(void)
{
    add_load(offsetof(struct seccomp_data, arch));
    add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0));
    add_default(SECCOMP_RET_KILL_PROCESS);
    add_load(offsetof(struct seccomp_data, nr));
    for (uint32_t call = 0; call < CALLS_LISTED; call++)
        if (call != SYS_ptrace && call != SYS_mount && call != SYS_bpf && call != SYS_keyctl)
            add_case(call, SECCOMP_RET_ALLOW);
    add_default(SECCOMP_RET_ERRNO | 1);
}

static void filter_arguments(void)
{
    add_load(offsetof(struct seccomp_data, nr));
    add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 1, 0));
    add_default(SECCOMP_RET_ALLOW);
    add_load(offsetof(struct seccomp_data, args[2]));
    add((struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, PROT_WRITE | PROT_EXEC));
    add_case(PROT_WRITE | PROT_EXEC, SECCOMP_RET_ERRNO | 1);
    add_default(SECCOMP_RET_ALLOW);
}

static bool filter_install(const char *kind)
{
    program_length = 0;
    if (strcmp(kind, "allow") == 0)
        add_default(SECCOMP_RET_ALLOW);
    else if (strcmp(kind, "list") == 0)
        filter_list();
    else if (strcmp(kind, "no-write-execute") == 0)
        filter_arguments();
    else
        filter_one_call(kind);
    struct sock_fprog filter = {program_length, program};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

static bool dispatch_install(void)
{
    return prctl(PR_SET_SYSCALL_USER_DISPATCH, DISPATCH_ON, 0, 0, &selector) == 0;
}

/* From here on the selector is this thread's alone, and it makes no system calls. */
static void *dispatch_forever(void *unused)
{
    if (!dispatch_install())
        _exit(1);
    selector = DISPATCH_BLOCK;
    for (;;)
        read_clock(64);
    return unused;
}

static atomic_bool confined;

/* A thread that may do nothing but read the clock, and only without system calls, if that. */
static void *be_confined(void *kind)
{
    bool strict = strcmp(kind, "strict-one") == 0;
    if (strict ? prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0 : !filter_install(kind))
        _exit(1);
    atomic_store(&confined, true);
    /* Waits for ever, which makes it the most suitable of all to make a call. */
    char byte;
    static int ends[2];
    if (!strict && pipe(ends) != 0)
        _exit(1);
    for (;;)
        if (read(strict ? 3 : ends[0], &byte, 1) != 1)
            read_clock(64);
    return NULL;
}

/* Strict mode leaves read(2) and write(2), no poll(2), and takes the time stamp counter away. */
static void answer_strictly(void)
{
    char line[256], text[300];
    dialogue_open();
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0)
        _exit(1);
    for (;;) {
        ssize_t got = read(0, line, sizeof line - 1);
        if (got <= 0)
            syscall(SYS_exit, 0);
        atomic_fetch_add(&reads, 2000);
        answer_line("check", text, sizeof text - 2);
        strcat(text, "\n");
        if (write(1, text, strlen(text)) < 0)
            syscall(SYS_exit, 1);
    }
}

static void answer_forever(bool dispatches)
{
    dialogue_open();
    for (;;) {
        if (dispatches)
            selector = DISPATCH_BLOCK;
        read_clock(20000);
        selector = dispatches ? DISPATCH_ALLOW : selector;
        dialogue_poll(0, answer_line);
    }
}

int main(int count, char **arguments)
{
    if (count != 2)
        return 2;
    const char *kind = arguments[1];
    struct sigaction action = {.sa_handler = on_sigsys};
    sigaction(SIGSYS, &action, NULL);
    /* Whatever maps memory lazily does so now. */
    read_clock(1);
    char text[100];
    answer_line("check", text, sizeof text);
    if (strcmp(kind, "strict") == 0)
        answer_strictly();
    if (strstr(kind, "-one") && strncmp(kind, "dispatch", 8) != 0) {
        pthread_t other;
        int ends[2];
        if (pipe(ends) != 0 || dup2(ends[0], 3) != 3 || dup2(ends[1], 4) != 4 ||
            pthread_create(&other, NULL, be_confined, arguments[1]) != 0)
            return 1;
        while (!atomic_load(&confined))
            usleep(1000);
        answer_forever(false);
    }
    bool dispatches = strcmp(kind, "dispatch") == 0;
    bool other_dispatches = strcmp(kind, "dispatch-one") == 0;
    if (dispatches || other_dispatches ? !dispatch_install() : !filter_install(kind)) {
        puts("unsupported");
        return 0;
    }
    if (other_dispatches) {
        prctl(PR_SET_SYSCALL_USER_DISPATCH, 0, 0, 0, 0);
        pthread_t other;
        if (pthread_create(&other, NULL, dispatch_forever, NULL) != 0)
            return 1;
        while (selector != DISPATCH_BLOCK)
            usleep(1000);
    }
    answer_forever(dispatches);
}
