/*
 * compat [thread] - a 64-bit program that can be nearly all the time in 32-bit
 * code (as emulators are), with its only thread or with a second one. PROGRESS
 * counts the rounds: some 32-bit code, some clock reads. It answers
 *     enter   "ok": from now on there is 32-bit code in each round
 *     leave   "ok": there is none, as at the start
 */
#include "dialogue.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* The kernel's flat segments for 64-bit and 32-bit user code. */
#define SELECTOR_64 "0x33"
#define SELECTOR_32 "0x23"

#define PAGE    4096
#define BACK_AT 64
#define READS   2000

static _Atomic long rounds;
static atomic_uint errors;
static atomic_bool entered;
/* Below 4 GiB: code first, behind it a stack. */
static char *low;

static const uint8_t code_32[] = {
    0xb9, 0x00, 0x00, 0x30, 0x00, /*    mov  $0x300000, %ecx */
    0x49,                         /* 1: dec  %ecx */
    0x75, 0xfd,                   /*    jnz  1b */
    0xcb,                         /*    lret */
};
static const uint8_t code_64[] = {0x41, 0xff, 0xe5}; /* jmp *%r13 */

static void low_make(void)
{
    low = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1,
               0);
    if (low == MAP_FAILED)
        exit(1);
    memcpy(low, code_32, sizeof code_32);
    memcpy(low + BACK_AT, code_64, sizeof code_64);
    if (mprotect(low, PAGE, PROT_READ | PROT_EXEC) != 0)
        exit(1);
}

/* There and back by far returns, on a stack that 32-bit code can address. */
static void run_32_bit(void)
{
    uint32_t code = (uint32_t)(uintptr_t)low;
    __asm__ volatile("mov %%rsp, %%r12\n"
                     "lea 1f(%%rip), %%r13\n"
                     "mov %[stack], %%esp\n"
                     "sub $16, %%rsp\n"
                     "movl %[code], (%%rsp)\n"
                     "movl $" SELECTOR_32 ", 4(%%rsp)\n"
                     "movl %[back], 8(%%rsp)\n"
                     "movl $" SELECTOR_64 ", 12(%%rsp)\n"
                     "lretl\n"
                     "1: mov %%r12, %%rsp\n"
                     :
                     : [code] "r"(code), [back] "r"(code + BACK_AT), [stack] "r"(code + 3 * PAGE)
                     : "rcx", "r12", "r13", "memory", "cc");
}

static void round_run(void)
{
    if (atomic_load(&entered))
        run_32_bit();
    for (int i = 0; i < READS; i++) {
        struct timespec now = {0, -1};
        if (clock_gettime(CLOCK_REALTIME, &now) != 0 || now.tv_nsec < 0 || now.tv_nsec > 999999999)
            atomic_fetch_add(&errors, 1);
    }
    atomic_fetch_add(&rounds, 1);
}

static void *run_forever(void *unused)
{
    for (;;)
        round_run();
    return unused;
}

static void answer_line(const char *line, char *answer, size_t size)
{
    bool enter = strcmp(line, "enter") == 0;
    if (enter || strcmp(line, "leave") == 0) {
        atomic_store(&entered, enter);
        snprintf(answer, size, "ok");
    } else if (strcmp(line, "check") != 0)
        snprintf(answer, size, "bad command");
    else if (atomic_load(&errors))
        snprintf(answer, size, "bad %u errors", atomic_load(&errors));
    else
        snprintf(answer, size, "ok %ld", atomic_load(&rounds));
}

int main(int count, char **arguments)
{
    low_make();
    round_run();
    if (count > 1 && strcmp(arguments[1], "thread") == 0) {
        pthread_t other;
        if (pthread_create(&other, NULL, run_forever, NULL) != 0)
            return 1;
        /* It begins with all signals blocked (pthread_create), which is not how it stays. */
        for (long before = atomic_load(&rounds); atomic_load(&rounds) == before;)
            usleep(100);
        dialogue_open();
        for (;;)
            dialogue_poll(-1, answer_line);
    }
    dialogue_open();
    for (;;) {
        round_run();
        dialogue_poll(0, answer_line);
    }
}
