/*
 * lingerer - one thread, which reads the clock in steps of one instruction: a
 * signal handler that interrupts it behind the first instruction of the vDSO's
 * clock_gettime, within the bytes of a patch, stays there for LINGER_NS, and
 * the thread then runs for as long without reading. It answers
 *     lingers   "ok N": how often that was, so far
 */
#include "dialogue.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define LINGER_NS   INT64_C(20000000)
#define PATCH_SIZE  5
#define VDSO_SIZE   0x4000
#define SINGLE_STEP 0x100 /* TF of the flags */

static uintptr_t vdso, entry;
static long reads, lingers;
static unsigned errors;
static bool lingered;

static int64_t true_time(void)
{
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void run_for(int64_t nanoseconds)
{
    for (int64_t end = true_time() + nanoseconds; true_time() < end;) {
    }
}

static void on_step(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info;
    uintptr_t address = (uintptr_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    if (entry == 0 && address - vdso < VDSO_SIZE)
        entry = address;
    if (entry != 0 && !lingered && address > entry && address < entry + PATCH_SIZE) {
        lingered = true;
        lingers++;
        run_for(LINGER_NS);
    }
}

static void read_stepwise(void)
{
    struct timespec now = {0, -1};
    lingered = false;
    __asm__ volatile("pushfq; orq %0, (%%rsp); popfq" : : "i"(SINGLE_STEP) : "memory", "cc");
    int result = clock_gettime(CLOCK_REALTIME, &now);
    __asm__ volatile("pushfq; andq %0, (%%rsp); popfq" : : "i"(~SINGLE_STEP) : "memory", "cc");
    errors += result != 0 || now.tv_nsec < 0 || now.tv_nsec > 999999999;
    reads++;
}

static void answer_line(const char *line, char *answer, size_t size)
{
    if (strcmp(line, "lingers") == 0)
        snprintf(answer, size, "ok %ld", lingers);
    else if (errors)
        snprintf(answer, size, "bad %u errors", errors);
    else
        snprintf(answer, size, "ok %ld", reads);
}

int main(void)
{
    struct timespec now;
    /* Whatever is resolved at the first call. */
    clock_gettime(CLOCK_REALTIME, &now);
    vdso = getauxval(AT_SYSINFO_EHDR);
    sigaction(SIGTRAP, &(struct sigaction){.sa_sigaction = on_step, .sa_flags = SA_SIGINFO}, NULL);
    dialogue_open();
    for (;;) {
        read_stepwise();
        run_for(LINGER_NS);
        dialogue_poll(0, answer_line);
    }
}
