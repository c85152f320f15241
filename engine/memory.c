/*
 * memory.c - the only place that writes into a target.
 *
 * Promise: a write that returns true is in place; one that returns false may
 * be, and the caller looks. What is written and why it is safe at that moment
 * is argued by the callers: remote.c, inject.c, update.c, recover.c and members.c.
 *
 * A kernel with proc_mem.force_override=never (Linux 6.12) lets /proc/TID/mem
 * write only what the target itself may write, not its vDSO or code; the write
 * then fails with EIO and has changed nothing (fs/proc/base.c, mem_rw). There
 * PTRACE_POKEDATA still works, eight bytes at a time through a stopped thread.
 * Each of these is in place or not when skewctl dies: the kernel copies them
 * within one page before it looks at signals (kernel/ptrace.c). So:
 *
 *   an entry      is five bytes within a page, and goes with one poke, together
 *                 with three neighbours as they are: as safe as one pwrite.
 *   a stub        takes twenty. It is written from its end to its beginning and
 *                 zeroed from its beginning to its end, and nobody is or goes
 *                 inside meanwhile: what a death leaves is the end of a stub,
 *                 with the address of the image in it, behind zeroes, which
 *                 vdso.c knows. Over another stub: words of two stubs, which
 *                 are a stub to vdso.c as well.
 *   the code      of an image that nothing leads into yet: recover unmaps it.
 *   anything else longer than eight bytes is not written at all.
 */
#include "engine/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/stop.h"

int memory_open(int process_directory, pid_t tid, bool writable)
{
    char path[64];
    snprintf(path, sizeof path, "task/%d/mem", (int)tid);
    return openat(process_directory, path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
}

/* stop window begins */

#define PAGE UINT64_C(0x1000)

bool memory_read(int memory, uint64_t address, void *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(memory, (uint8_t *)bytes + done, size - done, (off_t)(address + done));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            errno = got == 0 ? EIO : errno;
            return false;
        }
        done += (size_t)got;
    }
    return true;
}

bool memory_equals(int memory, uint64_t address, const void *bytes, size_t size)
{
    uint8_t chunk[4096];
    for (size_t done = 0; done < size;) {
        size_t part = size - done < sizeof chunk ? size - done : sizeof chunk;
        if (!memory_read(memory, address + done, chunk, part)) {
            return false;
        }
        if (memcmp(chunk, (const uint8_t *)bytes + done, part) != 0) {
            errno = EIO;
            return false;
        }
        done += part;
    }
    return true;
}

bool memory_force(int memory, uint64_t address, const void *bytes, size_t size)
{
    ssize_t put;
    do {
        put = pwrite(memory, bytes, size, (off_t)address);
    } while (put < 0 && errno == EINTR);
    if (put != (ssize_t)size) {
        errno = put < 0 ? errno : EIO;
        return false;
    }
    return memory_equals(memory, address, bytes, size);
}

bool memory_byte_put(int memory, uint64_t address, uint8_t byte)
{
    ssize_t put = pwrite(memory, &byte, sizeof byte, (off_t)address);
    if (put == 0) {
        errno = EIO;
    }
    return put == (ssize_t)sizeof byte;
}

/* Up to one word of bytes, with its neighbours as they are; within one page. */
static bool word_poke(const struct tracer *tracer, const struct tracee *tracee, uint64_t address,
                      const void *bytes, size_t size)
{
    uint64_t word;
    uint64_t last = (address & ~(PAGE - 1)) + PAGE - sizeof word;
    uint64_t start = address < last ? address : last;
    if (address + size > start + sizeof word) {
        errno = EIO;
        return false;
    }
    if (!memory_read(tracer->memory, start, &word, sizeof word)) {
        return false;
    }
    memcpy((uint8_t *)&word + (address - start), bytes, size);
    return tracee_poke(tracee, start, word);
}

static bool words_poke(const struct tracer *tracer, const struct tracee *tracee, uint64_t address,
                       const uint8_t *bytes, size_t size)
{
    if (size <= sizeof(uint64_t)) {
        return word_poke(tracer, tracee, address, bytes, size);
    }
    if (address % sizeof(uint64_t) != 0 || size % sizeof(uint64_t) != 0) {
        errno = EIO;
        return false;
    }
    bool zeroes = true;
    for (size_t i = 0; i < size; i++) {
        zeroes = zeroes && bytes[i] == 0;
    }
    for (size_t done = 0; done < size; done += sizeof(uint64_t)) {
        size_t at = zeroes ? done : size - sizeof(uint64_t) - done;
        uint64_t word;
        memcpy(&word, bytes + at, sizeof word);
        if (!tracee_poke(tracee, address + at, word)) {
            return false;
        }
    }
    return true;
}

bool memory_write(const struct tracer *tracer, uint64_t address, const void *bytes, size_t size)
{
    if (memory_force(tracer->memory, address, bytes, size)) {
        return true;
    }
    const struct tracee *stopped = errno == EIO ? tracer_stopped(tracer) : NULL;
    return stopped != NULL && words_poke(tracer, stopped, address, bytes, size) &&
           memory_equals(tracer->memory, address, bytes, size);
}

/* stop window ends */
