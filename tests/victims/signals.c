/*
 * signals - a thread that reads the clock while numbered real-time signals and
 * two interval timers interrupt it, on an alternate stack; counts that no
 * signal is lost, doubled or out of order, and that every wait which a signal
 * interrupts says so only when a handler ran. "check" waits until all that was
 * sent has been handled. PROGRESS is the number of handled signals.
 */
#include "dialogue.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* Far below what RLIMIT_SIGPENDING commonly allows. */
#define IN_FLIGHT_MAX 200

static _Atomic long sent, handled;
static atomic_bool hold, held;
static atomic_uint errors;
static char first_error[200];

static void wrong(const char *what, long number)
{
    if (atomic_fetch_add(&errors, 1) == 0)
        snprintf(first_error, sizeof first_error, "%s (%ld)", what, number);
}

static void read_clock(void)
{
    struct timespec now = {0, -1};
    if (clock_gettime(CLOCK_REALTIME, &now) != 0 || now.tv_nsec < 0 || now.tv_nsec > 999999999)
        wrong("clock_gettime gave tv_nsec", now.tv_nsec);
}

/* Signals of one number queue, and come in the order in which they were sent (signal(7)). */
static void on_numbered(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    long due = atomic_fetch_add(&handled, 1);
    if (info->si_code != SI_QUEUE || info->si_value.sival_int != (int)due)
        wrong("a signal was lost, doubled or overtaken; due was number", due);
    read_clock();
}

static void on_timer(int signal)
{
    (void)signal;
    read_clock();
}

static void *read_forever(void *unused)
{
    (void)unused;
    static char stack[64 * 1024];
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&alternate, NULL);
    sigset_t none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    for (;;)
        read_clock();
    return NULL;
}

static pthread_t reader;

static void *send_forever(void *unused)
{
    (void)unused;
    for (;;) {
        if (atomic_load(&hold)) {
            atomic_store(&held, true);
            usleep(100);
            continue;
        }
        atomic_store(&held, false);
        long number = atomic_load(&sent);
        if (number - atomic_load(&handled) < IN_FLIGHT_MAX) {
            union sigval value = {.sival_int = (int)number};
            atomic_store(&sent, number + 1);
            while (pthread_sigqueue(reader, SIGRTMIN + 1, value) == EAGAIN)
                usleep(100);
        }
        usleep(200);
    }
    return NULL;
}

static void answer_line(const char *line, char *answer, size_t size)
{
    if (strcmp(line, "check") != 0) {
        snprintf(answer, size, "bad command");
        return;
    }
    atomic_store(&held, false);
    atomic_store(&hold, true);
    for (int tries = 0; tries < 10000 && !atomic_load(&held); tries++)
        usleep(1000);
    for (int tries = 0; tries < 10000 && atomic_load(&handled) < atomic_load(&sent); tries++)
        usleep(1000);
    long missing = atomic_load(&sent) - atomic_load(&handled);
    atomic_store(&hold, false);
    if (missing)
        wrong("signals sent and not handled", missing);
    if (atomic_load(&errors))
        snprintf(answer, size, "bad %u errors, first: %s", atomic_load(&errors), first_error);
    else
        snprintf(answer, size, "ok %ld", atomic_load(&handled));
}

int main(void)
{
    struct sigaction numbered = {.sa_sigaction = on_numbered,
                                 .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    struct sigaction timer = {.sa_handler = on_timer, .sa_flags = SA_ONSTACK | SA_RESTART};
    sigfillset(&numbered.sa_mask);
    sigaction(SIGRTMIN + 1, &numbered, NULL);
    sigaction(SIGALRM, &timer, NULL);
    sigaction(SIGPROF, &timer, NULL);
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    pthread_t sender;
    if (pthread_create(&reader, NULL, read_forever, NULL) != 0 ||
        pthread_create(&sender, NULL, send_forever, NULL) != 0)
        return 1;
    struct itimerval often = {{0, 1000}, {0, 1000}};
    setitimer(ITIMER_REAL, &often, NULL);
    setitimer(ITIMER_PROF, &often, NULL);
    dialogue_open();
    for (;;)
        dialogue_poll(-1, answer_line);
}
