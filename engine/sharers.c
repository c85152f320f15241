/*
 * sharers.c - finds processes that share the target's memory without being
 * threads of it.
 *
 * Such a process is not in /proc/PID/task, so stopping the target does not stop
 * it: the entries would change, and the image would go, under its feet. They are
 * told apart by kcmp(2). Where the kernel lacks it (CONFIG_KCMP) or a filter
 * forbids it, a process is taken for a sharer whose mappings and whose counts of
 * pages, resident ones included, are the target's to the last: those of one
 * address space are, while a fork(2) begins with other page tables. They are
 * compared several times, since they change while they are read.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/census.h"
#include "engine/error.h"
#include "engine/private.h"
#include "engine/scope.h"

#define ALIKE_TRIES 3
#define MAPS_SIZE   (1 << 20) /* as much of the mappings as is compared */

bool memory_shared(pid_t one, pid_t other)
{
    return syscall(SYS_kcmp, one, other, KCMP_VM, 0, 0) == 0;
}

static ssize_t process_file_read(pid_t pid, const char *name, char *buffer, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    return proc_file_read(AT_FDCWD, path, buffer, size);
}

/* Both say the same; an empty file is that of a process without memory. */
static bool files_equal(pid_t one, pid_t other, const char *name, char *buffers, size_t size)
{
    ssize_t length = process_file_read(one, name, buffers, size);
    return length > 0 && process_file_read(other, name, buffers + size, size) == length &&
           memcmp(buffers, buffers + size, (size_t)length) == 0;
}

static bool memory_alike(pid_t one, pid_t other, char *buffers)
{
    for (int tries = 0; tries < ALIKE_TRIES; tries++) {
        if (files_equal(one, other, "statm", buffers, 256) &&
            files_equal(one, other, "maps", buffers, MAPS_SIZE)) {
            return true;
        }
    }
    return false;
}

bool memory_present(pid_t pid)
{
    char text[256];
    return process_file_read(pid, "statm", text, sizeof text) <= 0 || strncmp(text, "0 ", 2) != 0;
}

enum skew_code sharer_find(const struct target *target, struct census *census, pid_t *sharer,
                           struct skew_error *error)
{
    if (census != NULL && census_ask(census, target, sharer)) {
        return SKEW_OK;
    }
    DIR *processes = opendir("/proc");
    if (processes == NULL) {
        return error_set(error, SKEW_FAILED, target->pid, errno, "list processes",
                         "cannot list the processes");
    }
    *sharer = 0;
    /* Two buffers, where there is no kcmp(2) of a process with itself. */
    scoped_memory char *buffers = NULL;
    if (!memory_shared(getpid(), getpid())) {
        buffers = malloc(2 * (size_t)MAPS_SIZE);
        if (buffers == NULL) {
            closedir(processes);
            return error_set(error, SKEW_FAILED, target->pid, 0, "list processes", "out of memory");
        }
    }
    for (struct dirent *entry; *sharer == 0 && (entry = readdir(processes)) != NULL;) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 0 && pid != target->pid &&
            (buffers != NULL ? memory_alike(target->live_tid, pid, buffers)
                             : memory_shared(target->live_tid, pid)) &&
            memory_present(pid)) {
            *sharer = pid;
        }
    }
    closedir(processes);
    return SKEW_OK;
}
