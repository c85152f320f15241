/* See bystander.h. */
#include "bystander.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NUMBERED (SIGRTMIN + 2)
#define OFTEN_US 1000
/* Far below what RLIMIT_SIGPENDING commonly allows. */
#define IN_FLIGHT_MAX 500

static pthread_t bystander;
static _Atomic long sent, handled;
static _Atomic int64_t longest_ns;
static atomic_bool hold, held;
static atomic_uint errors;

/* Signals of one number queue, and come in the order in which they were sent (signal(7)). */
static void on_numbered(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    long due = atomic_fetch_add(&handled, 1);
    if (info->si_code != SI_QUEUE || info->si_value.sival_int != (int)due)
        atomic_fetch_add(&errors, 1);
}

static int64_t true_time(void)
{
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void *watch_forever(void *unused)
{
    sigset_t own;
    sigemptyset(&own);
    sigaddset(&own, NUMBERED);
    pthread_sigmask(SIG_UNBLOCK, &own, NULL);
    for (int64_t then = true_time();;) {
        usleep(200);
        int64_t now = true_time(), longest = atomic_load(&longest_ns);
        while (now - then > longest &&
               !atomic_compare_exchange_weak(&longest_ns, &longest, now - then))
            continue;
        then = now;
    }
    return unused;
}

static void *send_forever(void *unused)
{
    for (;; usleep(OFTEN_US)) {
        bool rest = atomic_load(&hold);
        atomic_store(&held, rest);
        long number = atomic_load(&sent);
        if (rest || number - atomic_load(&handled) >= IN_FLIGHT_MAX)
            continue;
        atomic_store(&sent, number + 1);
        while (pthread_sigqueue(bystander, NUMBERED, (union sigval){.sival_int = (int)number}) ==
               EAGAIN)
            usleep(OFTEN_US);
    }
    return unused;
}

int bystander_start(void)
{
    struct sigaction action = {.sa_sigaction = on_numbered, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigset_t all, before;
    sigfillset(&all);
    sigaction(NUMBERED, &action, NULL);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t sender;
    int started = pthread_create(&bystander, NULL, watch_forever, NULL) == 0 &&
                  pthread_create(&sender, NULL, send_forever, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

void bystander_gap(char *answer, size_t size)
{
    int64_t longest = atomic_load(&longest_ns);
    atomic_store(&hold, true);
    for (int tries = 0; tries < 10000 && !atomic_load(&held); tries++)
        usleep(1000);
    for (int tries = 0; tries < 10000 && atomic_load(&handled) < atomic_load(&sent); tries++)
        usleep(1000);
    long missing = atomic_load(&sent) - atomic_load(&handled);
    atomic_store(&hold, false);
    for (int tries = 0; tries < 10000 && atomic_load(&held); tries++)
        usleep(1000);
    if (missing || atomic_load(&errors))
        snprintf(answer, size, "bad %ld signals are missing, %u out of order", missing,
                 atomic_load(&errors));
    else
        snprintf(answer, size, "ok %" PRId64, longest / 1000);
    atomic_store(&longest_ns, 0);
}
