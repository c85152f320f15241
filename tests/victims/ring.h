/*
 * ring.h - an io_uring(7) of one request at a time, by its system calls alone.
 */
#ifndef VICTIMS_RING_H
#define VICTIMS_RING_H

#include <linux/io_uring.h>
#include <stdbool.h>

struct ring {
    int descriptor;
    bool polled; /* IORING_SETUP_SQPOLL: a thread of the kernel takes requests */
    struct io_uring_params parameters;
    char *rings;
    struct io_uring_sqe *request;
};

/* False with errno where the kernel has none, or forbids it. Flags as io_uring_setup(2). */
bool ring_open(struct ring *ring, unsigned flags);
/* Fill ring->request, then submit it. */
bool ring_submit(struct ring *ring);
/* Takes the result of a request, if one has come. */
bool ring_take(struct ring *ring, int *result);
/* Waits until a result has come: 0, or -1 with errno. With a limit in seconds, or 0 for none. */
long ring_wait(const struct ring *ring, long seconds);

#endif
