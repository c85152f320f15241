/*
 * See waits.h. The limit is an hour: whatever ends such a wait earlier than its
 * cause is the stop, and shows as EINTR or as a transfer that is not complete.
 */
#include "waits.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const struct timespec hour = {WAIT_HOUR, 0};

static void wait_epoll(struct wait *wait)
{
    struct epoll_event event;
    int result;
    while (wait_interrupted(result = epoll_wait(wait->set, &event, 1, WAIT_HOUR * 1000)))
        continue;
    wait_expect(wait, result, 1);
    wait_take_byte(wait);
}

static void wait_semtimedop(struct wait *wait)
{
    struct sembuf down = {.sem_op = -1};
    int result;
    while (wait_interrupted(result = semtimedop(wait->set, &down, 1, &hour)))
        continue;
    wait_expect(wait, result, 0);
}

static void wait_sigtimedwait(struct wait *wait)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    int result;
    while (wait_interrupted(result = sigtimedwait(&set, NULL, &hour)))
        continue;
    wait_expect(wait, result, SIGUSR2);
}

static void wait_io_getevents(struct wait *wait)
{
    struct io_event event;
    struct timespec limit = hour;
    long result;
    wait_aio_request_poll(wait);
    while (
        wait_interrupted(result = syscall(SYS_io_getevents, wait->context, 1, 1, &event, &limit)))
        continue;
    wait_expect(wait, result, 1);
    wait_take_byte(wait);
}

static void wait_io_uring(struct wait *wait)
{
    int done;
    long result;
    wait_request_poll(wait);
    while (wait_interrupted(result = ring_wait(&wait->ring, WAIT_HOUR)))
        continue;
    wait_expect(wait, result, 0);
    if (!ring_take(&wait->ring, &done) || done < 0)
        wait_wrong(wait, "ended early", done);
    wait_take_byte(wait);
}

static bool limit_set(int socket)
{
    struct timeval limit = {WAIT_HOUR, 0};
    return setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0 &&
           setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0;
}

static bool prepare_limit(struct wait *wait)
{
    return limit_set(wait->near);
}

static bool prepare_listener(struct wait *wait)
{
    return wait_prepare_listener(wait) && limit_set(wait->near);
}

static bool prepare_full(struct wait *wait)
{
    return wait_prepare_full(wait) && limit_set(wait->near);
}

static void wait_recv(struct wait *wait)
{
    char byte = 0;
    ssize_t got;
    while (wait_interrupted(got = recv(wait->near, &byte, 1, 0)))
        continue;
    wait_expect(wait, got, 1);
}

static void wait_read(struct wait *wait)
{
    char byte = 0;
    ssize_t got;
    while (wait_interrupted(got = read(wait->near, &byte, 1)))
        continue;
    wait_expect(wait, got, 1);
}

static void wait_accept(struct wait *wait)
{
    int connection;
    while (wait_interrupted(connection = accept(wait->near, NULL, NULL)))
        continue;
    if (connection < 0)
        wait_wrong(wait, "ended early", connection);
    else
        close(connection);
}

static void wait_send(struct wait *wait)
{
    ssize_t sent;
    while (wait_interrupted(sent = send(wait->near, "w", 1, 0)))
        continue;
    wait_expect(wait, sent, 1);
    if (!wait_prepare_full(wait))
        wait_wrong(wait, "could not be filled", -1);
}

/* Half of it has come. */
static void wait_recv_all(struct wait *wait)
{
    char bytes[2];
    ssize_t got = 0;
    wait_send_byte(wait);
    got = recv(wait->near, bytes, 2, MSG_WAITALL);
    while (got == 1) {
        atomic_fetch_add(&wait_interruptions, 1);
        /* What has come stays, so that the same wait can be made again. */
        wait_send_byte(wait);
        got = recv(wait->near, bytes, 2, MSG_WAITALL);
    }
    wait_expect(wait, got, 2);
}

static void cause_pipe(struct wait *wait)
{
    char bytes[4096];
    while (read(wait->far, bytes, sizeof bytes) > 0)
        continue;
}

/* Half of it is in the pipe. */
static void wait_write_all(struct wait *wait)
{
    static const char bytes[1 << 17];
    ssize_t put = write(wait->near, bytes, sizeof bytes);
    while (put > 0 && put < (ssize_t)sizeof bytes) {
        atomic_fetch_add(&wait_interruptions, 1);
        cause_pipe(wait);
        put = write(wait->near, bytes, sizeof bytes);
    }
    wait_expect(wait, put, sizeof bytes);
    cause_pipe(wait);
}

static bool prepare_pipe(struct wait *wait)
{
    int ends[2];
    close(wait->near);
    close(wait->far);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    wait->near = ends[1];
    wait->far = ends[0];
    return fcntl(wait->far, F_SETFL, O_NONBLOCK) == 0;
}

struct wait waits_limited[] = {
    {.name = "epoll_wait",
     .prepare = wait_prepare_epoll,
     .once = wait_epoll,
     .cause = wait_send_byte},
    {.name = "semtimedop",
     .prepare = wait_prepare_semaphore,
     .once = wait_semtimedop,
     .cause = wait_cause_semaphore},
    {.name = "sigtimedwait", .once = wait_sigtimedwait, .cause = wait_cause_sigusr2},
    {.name = "io_getevents",
     .prepare = wait_prepare_aio,
     .once = wait_io_getevents,
     .cause = wait_send_byte},
    {.name = "io_uring_enter",
     .prepare = wait_prepare_ring,
     .once = wait_io_uring,
     .cause = wait_send_byte},
    {.name = "recv", .prepare = prepare_limit, .once = wait_recv, .cause = wait_send_byte},
    {.name = "read", .prepare = prepare_limit, .once = wait_read, .cause = wait_send_byte},
    {.name = "accept",
     .prepare = prepare_listener,
     .once = wait_accept,
     .cause = wait_cause_accept},
    {.name = "send", .prepare = prepare_full, .once = wait_send, .cause = wait_cause_drain},
    {.name = "recv of all", .once = wait_recv_all, .cause = wait_send_byte},
    {.name = "write of all", .prepare = prepare_pipe, .once = wait_write_all, .cause = cause_pipe},
};
const size_t waits_limited_count = sizeof waits_limited / sizeof *waits_limited;
