/*
 * interrupt.c - holding signals back; see interrupt.h.
 */
#include "cli/interrupt.h"

#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>
#include <time.h>

static const int signals_end[] = {SIGINT, SIGTERM, SIGHUP};
static const int signals_stop[] = {SIGTSTP, SIGTTIN, SIGTTOU};

/*
 * Without those that are ignored (nohup, background jobs): the kernel keeps
 * even an ignored signal pending while it is blocked, so blocking would revive it.
 */
static sigset_t set_of(const int *signals, size_t count)
{
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < count; i++) {
        struct sigaction action;
        if (sigaction(signals[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            sigaddset(&set, signals[i]);
    }
    return set;
}

static sigset_t set_end(void)
{
    return set_of(signals_end, sizeof signals_end / sizeof *signals_end);
}

static sigset_t set_stop(void)
{
    return set_of(signals_stop, sizeof signals_stop / sizeof *signals_stop);
}

void interrupt_hold(void)
{
    sigset_t end = set_end();
    sigset_t stop = set_stop();

    sigprocmask(SIG_BLOCK, &end, NULL);
    sigprocmask(SIG_BLOCK, &stop, NULL);
}

int interrupt_descriptor(void)
{
    sigset_t held = set_end();
    sigset_t stop = set_stop();

    sigorset(&held, &held, &stop);
    return signalfd(-1, &held, SFD_CLOEXEC | SFD_NONBLOCK);
}

bool interrupt_stops(void)
{
    sigset_t pending;
    sigset_t stop = set_stop();

    sigpending(&pending);
    sigandset(&pending, &pending, &stop);
    return !sigisemptyset(&pending);
}

int interrupt_take(void)
{
    return interrupt_wait(0);
}

int interrupt_wait(int milliseconds)
{
    const struct timespec most = {.tv_sec = milliseconds / 1000,
                                  .tv_nsec = milliseconds % 1000 * 1000000L};
    sigset_t end = set_end();
    sigset_t stop = set_stop();

    sigprocmask(SIG_UNBLOCK, &stop, NULL);
    sigprocmask(SIG_BLOCK, &stop, NULL);

    int signal = sigtimedwait(&end, NULL, &most);
    return signal > 0 ? signal : 0;
}

void interrupt_release(void)
{
    sigset_t end = set_end();
    sigset_t stop = set_stop();

    while (interrupt_take() != 0)
        continue;
    sigprocmask(SIG_UNBLOCK, &end, NULL);
    sigprocmask(SIG_UNBLOCK, &stop, NULL);
}
