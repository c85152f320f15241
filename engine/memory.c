/*
 * memory.c - the only place that writes into a target.
 *
 * Promise: a write that returns true is in place; one that returns false may
 * be, and the caller looks. What is written and why it is safe at that moment
 * is argued by the callers: remote.c, inject.c, update.c and recover.c.
 */
#include "engine/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int memory_open(int process_directory, pid_t tid, bool writable)
{
    char path[64];
    snprintf(path, sizeof path, "task/%d/mem", (int)tid);
    return openat(process_directory, path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
}

/* stop window begins */

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

bool memory_write(int memory, uint64_t address, const void *bytes, size_t size)
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

/* stop window ends */
