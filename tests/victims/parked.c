/*
 * parked [bystander] - a thread that reads clock_gettime without rest and can be held in a
 * signal handler that interrupted the read itself: with its saved program
 * counter in the vDSO, or, once skewed, in code that was not there at the
 * start. It answers
 *     park vdso | park elsewhere   "ok RIP" once it is held there
 *     release                      "ok" once the handler has returned and the thread reads again
 * and with a bystander
 *     gap                          as bystander_gap in bystander.h
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
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define RANGES_MAX 128

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

static bool range_has(const struct range *range, uintptr_t address)
{
    return address >= range->low && address < range->high;
}

static void on_alarm(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info;
    uintptr_t address = (uintptr_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    if (!atomic_load(&armed) || range_has(&vdso, address) != atomic_load(&in_vdso))
        return;
    for (size_t i = 0; i < known_count; i++)
        if (range_has(&known[i], address))
            return;
    atomic_store(&armed, false);
    atomic_store(&parked_at, address);
    atomic_store(&parked, true);
    char byte;
    if (read(release_read, &byte, 1) != 1)
        atomic_fetch_add(&errors, 1);
    atomic_store(&parked, false);
}

static void *read_forever(void *unused)
{
    (void)unused;
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
    struct sigaction action = {.sa_sigaction = on_alarm, .sa_flags = SA_SIGINFO | SA_RESTART};
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
