/*
 * forced_writes.c - a library to be preloaded: pwrite(2) into /proc/PID/mem
 * fails with EIO where the process itself may not write, as on a kernel with
 * proc_mem.force_override=never (Linux 6.12, fs/proc/base.c).
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Reads with system calls only: threads may be held, and stdio would allocate. */
static bool writable(const char *mem, uint64_t address)
{
    char path[128], text[4096];
    int length = (int)strlen(mem) - (int)strlen("mem");
    snprintf(path, sizeof path, "%.*smaps", length, mem);
    int maps = open(path, O_RDONLY | O_CLOEXEC);
    bool found = false;
    size_t used = 0;
    for (ssize_t got;
         maps >= 0 && !found && (got = read(maps, text + used, sizeof text - 1 - used)) > 0;) {
        used += (size_t)got;
        text[used] = '\0';
        char *line = text;
        for (char *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
            uint64_t start, stop;
            char permissions[8];
            if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s", &start, &stop, permissions) == 3 &&
                address >= start && address < stop)
                found = permissions[1] == 'w';
        }
        used = strlen(line);
        memmove(text, line, used);
    }
    if (maps >= 0)
        close(maps);
    return found;
}

ssize_t pwrite(int file, const void *bytes, size_t size, off_t offset)
{
    static ssize_t (*real)(int, const void *, size_t, off_t);
    char link[64], path[100];
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "pwrite");
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length > 0 ? length : 0] = '\0';
    if (strncmp(path, "/proc/", 6) == 0 && length > 4 && strcmp(path + length - 4, "/mem") == 0 &&
        !writable(path, (uint64_t)offset)) {
        errno = EIO;
        return -1;
    }
    return real(file, bytes, size, offset);
}
