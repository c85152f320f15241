/* See waits.h; signal(7), "Interruption of system calls by stop signals". */
#include "waits.h"

#include <errno.h>
#include <linux/aio_abi.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <unistd.h>

static void wait_epoll(struct wait *wait)
{
    struct epoll_event event;
    wait_expect(wait, epoll_wait(wait->set, &event, 1, -1), 1);
    wait_take_byte(wait);
}

/* With a mask of its own, which must be gone afterwards. */
static void wait_epoll_pwait(struct wait *wait)
{
    struct epoll_event event;
    sigset_t none, now;
    sigemptyset(&none);
    wait_expect(wait, epoll_pwait(wait->set, &event, 1, -1, &none), 1);
    wait_take_byte(wait);
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    if (!sigismember(&now, SIGUSR2))
        wait_wrong(wait, "left another signal mask", 0);
}

static void wait_epoll_pwait2(struct wait *wait)
{
    struct epoll_event event;
    wait_expect(wait, syscall(SYS_epoll_pwait2, wait->set, &event, 1, NULL, NULL, 0), 1);
    wait_take_byte(wait);
}

static bool prepare_epoll_pwait2(struct wait *wait)
{
    return wait_prepare_epoll(wait) &&
           (syscall(SYS_epoll_pwait2, -1, NULL, 0, NULL, NULL, 0) == 0 || errno != ENOSYS);
}

static void wait_semop(struct wait *wait)
{
    struct sembuf down = {.sem_op = -1};
    wait_expect(wait, semop(wait->set, &down, 1), 0);
}

static void wait_semtimedop(struct wait *wait)
{
    struct sembuf down = {.sem_op = -1};
    wait_expect(wait, syscall(SYS_semtimedop, wait->set, &down, 1, NULL), 0);
}

static void wait_sigwaitinfo(struct wait *wait)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    wait_expect(wait, sigwaitinfo(&set, NULL), SIGUSR2);
}

static void wait_io_getevents(struct wait *wait)
{
    struct io_event event;
    wait_aio_request_poll(wait);
    wait_expect(wait, syscall(SYS_io_getevents, wait->context, 1, 1, &event, NULL), 1);
    wait_take_byte(wait);
}

static void wait_io_uring(struct wait *wait)
{
    int result;
    wait_request_poll(wait);
    wait_expect(wait, ring_wait(&wait->ring, 0), 0);
    if (!ring_take(&wait->ring, &result) || result < 0)
        wait_wrong(wait, "ended early", result);
    wait_take_byte(wait);
}

struct wait waits_repeated[] = {
    {.name = "epoll_wait",
     .prepare = wait_prepare_epoll,
     .once = wait_epoll,
     .cause = wait_send_byte},
    {.name = "epoll_pwait",
     .prepare = wait_prepare_epoll,
     .once = wait_epoll_pwait,
     .cause = wait_send_byte},
    {.name = "epoll_pwait2",
     .prepare = prepare_epoll_pwait2,
     .once = wait_epoll_pwait2,
     .cause = wait_send_byte},
    {.name = "semop",
     .prepare = wait_prepare_semaphore,
     .once = wait_semop,
     .cause = wait_cause_semaphore},
    {.name = "semtimedop",
     .prepare = wait_prepare_semaphore,
     .once = wait_semtimedop,
     .cause = wait_cause_semaphore},
    {.name = "sigwaitinfo", .once = wait_sigwaitinfo, .cause = wait_cause_sigusr2},
    {.name = "io_getevents",
     .prepare = wait_prepare_aio,
     .once = wait_io_getevents,
     .cause = wait_send_byte},
    {.name = "io_uring_enter",
     .prepare = wait_prepare_ring,
     .once = wait_io_uring,
     .cause = wait_send_byte},
};
const size_t waits_repeated_count = sizeof waits_repeated / sizeof *waits_repeated;
