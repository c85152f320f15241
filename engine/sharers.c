/*
 * sharers.c - finds processes that share the target's memory without being
 * threads of it.
 *
 * Such a process is not in /proc/PID/task, so stopping the target does not stop
 * it: the entries would change, and the image would go, under its feet. They are
 * told apart by kcmp(2); where the kernel lacks it, none is found.
 */
#include <dirent.h>
#include <errno.h>
#include <linux/kcmp.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/error.h"
#include "engine/private.h"

static bool memory_shared(pid_t one, pid_t other)
{
    return syscall(SYS_kcmp, one, other, KCMP_VM, 0, 0) == 0;
}

enum skew_code sharer_find(const struct target *target, pid_t *sharer, struct skew_error *error)
{
    DIR *processes = opendir("/proc");
    if (processes == NULL) {
        return error_set(error, SKEW_FAILED, target->pid, errno, "list processes",
                         "cannot list the processes");
    }
    *sharer = 0;
    for (struct dirent *entry; *sharer == 0 && (entry = readdir(processes)) != NULL;) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 0 && pid != target->pid && memory_shared(target->live_tid, pid)) {
            *sharer = pid;
        }
    }
    closedir(processes);
    return SKEW_OK;
}
