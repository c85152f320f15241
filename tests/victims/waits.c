/* See waits.h. */
#include "waits.h"

#include <errno.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

bool wait_ipc_is_private;
_Thread_local volatile sig_atomic_t wait_handled;
_Atomic long wait_interruptions;

static atomic_uint errors;
static char first_error[200];

void wait_wrong(const struct wait *wait, const char *what, long result)
{
    int error = errno;
    if (atomic_fetch_add(&errors, 1) == 0)
        snprintf(first_error, sizeof first_error, "%s %s: returned %ld, errno %s", wait->name, what,
                 result, strerror(error));
}

unsigned wait_errors(const char **first)
{
    *first = first_error;
    return atomic_load(&errors);
}

void wait_send_byte(struct wait *wait)
{
    if (write(wait->far, "w", 1) != 1)
        wait_wrong(wait, "could not be woken", -1);
}

void wait_send_signal(struct wait *wait)
{
    pthread_kill(wait->thread, SIGUSR1);
}

void wait_take_byte(struct wait *wait)
{
    char byte = 0;
    ssize_t got = recv(wait->near, &byte, 1, MSG_DONTWAIT);
    if (got != 1 || byte != 'w')
        wait_wrong(wait, "found no byte", got);
}

void wait_expect(const struct wait *wait, long result, long due)
{
    if (result != due)
        wait_wrong(wait, "ended early", result);
}

bool wait_interrupted(long result)
{
    if (result != -1 || errno != EINTR)
        return false;
    atomic_fetch_add(&wait_interruptions, 1);
    return true;
}

bool wait_prepare_epoll(struct wait *wait)
{
    struct epoll_event event = {.events = EPOLLIN};
    wait->set = epoll_create1(EPOLL_CLOEXEC);
    return wait->set >= 0 && epoll_ctl(wait->set, EPOLL_CTL_ADD, wait->near, &event) == 0;
}

/* Listens at an abstract name that the kernel picks (unix(7), autobind). */
bool wait_prepare_listener(struct wait *wait)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    close(wait->near);
    wait->near = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return bind(wait->near, (struct sockaddr *)&address, sizeof address.sun_family) == 0 &&
           listen(wait->near, 8) == 0;
}

void wait_cause_accept(struct wait *wait)
{
    struct sockaddr_un address;
    socklen_t length = sizeof address;
    int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (getsockname(wait->near, (struct sockaddr *)&address, &length) != 0 ||
        connect(connection, (struct sockaddr *)&address, length) != 0)
        wait_wrong(wait, "could not be woken", -1);
    close(connection);
}

bool wait_prepare_full(struct wait *wait)
{
    char bytes[4096] = {0};
    while (send(wait->near, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        continue;
    return errno == EAGAIN;
}

void wait_cause_drain(struct wait *wait)
{
    char bytes[4096];
    while (recv(wait->far, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        continue;
}

bool wait_prepare_semaphore(struct wait *wait)
{
    errno = EPERM;
    return wait_ipc_is_private && (wait->set = semget(IPC_PRIVATE, 1, 0600)) >= 0;
}

void wait_cause_semaphore(struct wait *wait)
{
    struct sembuf up = {.sem_op = 1};
    if (semop(wait->set, &up, 1) != 0)
        wait_wrong(wait, "could not be woken", -1);
}

void wait_cause_sigusr2(struct wait *wait)
{
    pthread_kill(wait->thread, SIGUSR2);
}

bool wait_prepare_ring(struct wait *wait)
{
    return ring_open(&wait->ring, 0);
}

void wait_request_poll(struct wait *wait)
{
    memset(wait->ring.request, 0, sizeof *wait->ring.request);
    wait->ring.request->opcode = IORING_OP_POLL_ADD;
    wait->ring.request->fd = wait->near;
    wait->ring.request->poll32_events = POLLIN;
    if (!ring_submit(&wait->ring))
        wait_wrong(wait, "could not be begun", -1);
}

bool wait_prepare_aio(struct wait *wait)
{
    return syscall(SYS_io_setup, 1, &wait->context) == 0;
}

void wait_aio_request_poll(struct wait *wait)
{
    struct iocb request = {
        .aio_lio_opcode = IOCB_CMD_POLL, .aio_fildes = (uint32_t)wait->near, .aio_buf = POLLIN};
    struct iocb *requests[] = {&request};
    if (syscall(SYS_io_submit, wait->context, 1, requests) != 1)
        wait_wrong(wait, "could not be begun", -1);
}
