/*
 * parked [bystander | tight | deep] - a thread that reads clock_gettime without rest and can be
 * held in a signal handler that interrupted the read itself: with its saved program counter in the
 * vDSO, or, once skewed, in code that was not there at the start. It answers park vdso | park
 * elsewhere   "ok RIP" once it is held there release                      "ok" once the handler has
 * returned and the thread reads again stack                        "ok BYTES" of the alternate
 * stack its handlers have (sigaltstack(2)); 0 for none. With "tight" it is of 2 KiB, or the least
 * with which this processor's state fits (AT_MINSIGSTKSZ), and handlers read the clock, too With
 * "deep" the handler is held in a second one, on a stack of its own, which also holds what looks
 * like frames of other handlers. And with a bystander gap                          as bystander_gap
 * in bystander.h
 */
#include "bystander.h"
#include "dialogue.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define RANGES_MAX 128
#define DECOYS     8
/* The end of a signal frame begins with sp, pc, flags, segments: struct sigcontext. */
#define FRAME_WORDS 20
#define SEGMENTS    0x002b000000000033
#define PAGE        4096
#define STACK_SIZE  2048
#define STACK_DEEP  (1 << 16)
/* What a handler itself needs. */
#define STACK_OWN 768
/* Of linux/signal.h, which does not go with signal.h. */
#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1U << 31)
#endif
#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

/* The mappings at the start, the vDSO apart. */
static struct range {
    uintptr_t low, high;
} known[RANGES_MAX], vdso;
static size_t known_count;

static atomic_bool armed, parked, in_vdso;
static _Atomic uintptr_t parked_at;
static _Atomic long reads;
static atomic_uint errors;
static int release_read, release_write;
static bool tight, deep;
static _Atomic size_t stack_size;

static bool range_has(const struct range *range, uintptr_t address)
{
    return address >= range->low && address < range->high;
}

static void park(void)
{
    atomic_store(&parked, true);
    char byte;
    if (read(release_read, &byte, 1) != 1)
        atomic_fetch_add(&errors, 1);
    atomic_store(&parked, false);
}

/* A stack that ends in memory of another kind than what follows. */
static stack_t stack_new(size_t size)
{
    size_t mapped = (size + PAGE - 1) / PAGE * PAGE;
    char *pages = mmap(NULL, mapped + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED || mprotect(pages + PAGE, mapped, PROT_READ | PROT_WRITE) != 0)
        exit(1);
    return (stack_t){.ss_sp = pages + PAGE, .ss_size = size};
}

static void *decoys[DECOYS];
static stack_t deeper;

static void on_deeper(int signal)
{
    (void)signal;
    volatile uintptr_t frames[DECOYS * FRAME_WORDS];
    for (int i = 0; i < DECOYS; i++) {
        frames[i * FRAME_WORDS] = (uintptr_t)decoys[i];
        frames[i * FRAME_WORDS + 1] = (uintptr_t)park;
        frames[i * FRAME_WORDS + 2] = 0;
        frames[i * FRAME_WORDS + 3] = SEGMENTS;
    }
    park();
    if (frames[3] != SEGMENTS)
        atomic_fetch_add(&errors, 1);
}

static void on_alarm(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info;
    uintptr_t address = (uintptr_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    struct timespec now;
    if (tight && clock_gettime(CLOCK_REALTIME, &now) != 0)
        atomic_fetch_add(&errors, 1);
    if (!atomic_load(&armed) || range_has(&vdso, address) != atomic_load(&in_vdso))
        return;
    for (size_t i = 0; i < known_count; i++)
        if (range_has(&known[i], address))
            return;
    atomic_store(&armed, false);
    atomic_store(&parked_at, address);
    if (!deep) {
        park();
        return;
    }
    /* Possible on a stack that SS_AUTODISARM gave free; undone when the handler returns. */
    stack_t second = deeper;
    if (sigaltstack(&second, NULL) != 0)
        atomic_fetch_add(&errors, 1);
    pthread_kill(pthread_self(), SIGUSR2);
}

static void stack_choose(void)
{
    size_t least = getauxval(AT_MINSIGSTKSZ) + STACK_OWN;
    stack_t stack = stack_new(tight && least <= STACK_SIZE ? STACK_SIZE
                              : tight                      ? least
                                                           : STACK_DEEP);
    stack.ss_flags = deep ? (int)SS_AUTODISARM : 0;
    deeper = stack_new(STACK_DEEP);
    for (int i = 0; i < DECOYS; i++)
        decoys[i] = (char *)stack_new(PAGE).ss_sp + PAGE / 2;
    if (sigaltstack(&stack, NULL) != 0)
        exit(1);
    atomic_store(&stack_size, stack.ss_size);
}

static void *read_forever(void *unused)
{
    (void)unused;
    if (tight || deep)
        stack_choose();
    sigset_t none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    for (;; atomic_fetch_add(&reads, 1)) {
        struct timespec now = {0, -1};
        if (clock_gettime(CLOCK_REALTIME, &now) != 0 || now.tv_nsec < 0 || now.tv_nsec > 999999999)
            atomic_fetch_add(&errors, 1);
    }
    return NULL;
}

static void know_mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    while (maps && fgets(line, sizeof line, maps) && known_count < RANGES_MAX) {
        struct range range;
        if (sscanf(line, "%lx-%lx", &range.low, &range.high) != 2)
            exit(1);
        if (strstr(line, "[vdso]"))
            vdso = range;
        else
            known[known_count++] = range;
    }
    if (!maps || fclose(maps) != 0 || !vdso.low)
        exit(1);
}

/* True once the condition holds; waits at most 20 s. */
static bool becomes(const atomic_bool *flag, bool value)
{
    for (int tries = 0; tries < 20000 && atomic_load(flag) != value; tries++)
        usleep(1000);
    return atomic_load(flag) == value;
}

static void answer_line(const char *line, char *answer, size_t size)
{
    if (strncmp(line, "park ", 5) == 0) {
        atomic_store(&in_vdso, strcmp(line + 5, "vdso") == 0);
        atomic_store(&armed, true);
        bool held = becomes(&parked, true);
        snprintf(answer, size, "%s %lx", held ? "ok" : "bad", atomic_load(&parked_at));
    } else if (strcmp(line, "release") == 0) {
        bool told = write(release_write, "r", 1) == 1 && becomes(&parked, false);
        long then = atomic_load(&reads);
        for (int tries = 0; tries < 20000 && atomic_load(&reads) == then; tries++)
            usleep(1000);
        snprintf(answer, size, told && atomic_load(&reads) > then ? "ok" : "bad not released");
    } else if (strcmp(line, "stack") == 0) {
        snprintf(answer, size, "ok %zu", atomic_load(&stack_size));
    } else if (strcmp(line, "gap") == 0) {
        bystander_gap(answer, size);
    } else if (atomic_load(&errors)) {
        snprintf(answer, size, "bad %u errors", atomic_load(&errors));
    } else {
        snprintf(answer, size, "ok %ld", atomic_load(&reads));
    }
}

int main(int count, char **arguments)
{
    int ends[2];
    if (pipe(ends) != 0)
        return 1;
    release_read = ends[0];
    release_write = ends[1];
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    tight = count > 1 && strcmp(arguments[1], "tight") == 0;
    deep = count > 1 && strcmp(arguments[1], "deep") == 0;
    sigaction(SIGUSR2, &(struct sigaction){.sa_handler = on_deeper, .sa_flags = SA_ONSTACK}, NULL);
    struct sigaction action = {.sa_sigaction = on_alarm,
                               .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
    sigaction(SIGALRM, &action, NULL);
    pthread_t reader;
    if (pthread_create(&reader, NULL, read_forever, NULL) != 0)
        return 1;
    while (atomic_load(&reads) == 0)
        usleep(1000);
    if (count > 1 && strcmp(arguments[1], "bystander") == 0 && !bystander_start())
        return 1;
    know_mappings();
    struct itimerval often = {{0, 997}, {0, 997}};
    setitimer(ITIMER_REAL, &often, NULL);
    dialogue_open();
    for (;;)
        dialogue_poll(-1, answer_line);
}
