/* See ring.h. */
#include "ring.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint32_t *at(const struct ring *ring, uint32_t offset)
{
    return (uint32_t *)(void *)(ring->rings + offset);
}

bool ring_open(struct ring *ring, unsigned flags)
{
    memset(ring, 0, sizeof *ring);
    ring->parameters.flags = flags;
    ring->parameters.sq_thread_idle = 20;
    ring->polled = (flags & IORING_SETUP_SQPOLL) != 0;
    ring->descriptor = (int)syscall(SYS_io_uring_setup, 1, &ring->parameters);
    if (ring->descriptor < 0)
        return false;
    /* Since Linux 5.4 both rings are in one mapping. */
    size_t sent = ring->parameters.sq_off.array + sizeof(uint32_t);
    size_t done =
        ring->parameters.cq_off.cqes + ring->parameters.cq_entries * sizeof(struct io_uring_cqe);
    ring->rings = mmap(NULL, sent > done ? sent : done, PROT_READ | PROT_WRITE, MAP_SHARED,
                       ring->descriptor, IORING_OFF_SQ_RING);
    ring->request = mmap(NULL, sizeof *ring->request, PROT_READ | PROT_WRITE, MAP_SHARED,
                         ring->descriptor, IORING_OFF_SQES);
    return (ring->parameters.features & IORING_FEAT_SINGLE_MMAP) != 0 &&
           ring->rings != MAP_FAILED && ring->request != MAP_FAILED;
}

bool ring_submit(struct ring *ring)
{
    *at(ring, ring->parameters.sq_off.array) = 0;
    __atomic_fetch_add(at(ring, ring->parameters.sq_off.tail), 1, __ATOMIC_SEQ_CST);
    if (!ring->polled)
        return syscall(SYS_io_uring_enter, ring->descriptor, 1, 0, 0, NULL, 0) == 1;
    uint32_t flags = __atomic_load_n(at(ring, ring->parameters.sq_off.flags), __ATOMIC_SEQ_CST);
    return (flags & IORING_SQ_NEED_WAKEUP) == 0 || syscall(SYS_io_uring_enter, ring->descriptor, 1,
                                                           0, IORING_ENTER_SQ_WAKEUP, NULL, 0) >= 0;
}

bool ring_take(struct ring *ring, int *result)
{
    uint32_t head = *at(ring, ring->parameters.cq_off.head);
    uint32_t tail = __atomic_load_n(at(ring, ring->parameters.cq_off.tail), __ATOMIC_ACQUIRE);
    if (head == tail)
        return false;
    const struct io_uring_cqe *done = (const void *)(ring->rings + ring->parameters.cq_off.cqes);
    *result = done[head & (ring->parameters.cq_entries - 1)].res;
    __atomic_store_n(at(ring, ring->parameters.cq_off.head), head + 1, __ATOMIC_RELEASE);
    return true;
}

long ring_wait(const struct ring *ring, long seconds)
{
    struct timespec limit = {seconds, 0};
    struct io_uring_getevents_arg argument = {.ts = (uintptr_t)&limit};
    if (seconds == 0)
        return syscall(SYS_io_uring_enter, ring->descriptor, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0);
    return syscall(SYS_io_uring_enter, ring->descriptor, 0, 1,
                   IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &argument, sizeof argument);
}
