/*
 * worker.c - threads that the kernel itself runs inside a process: those that
 * do the work of io_uring(7), also its submission poller, and of vhost.
 *
 * They are listed in /proc/PID/task and can be attached to and stopped, but
 * never run an instruction of the program, so nothing need keep them from
 * seeing bytes change, and they cannot make a remote call. They must not be
 * stopped either: a request that such a thread waits in would fail with EINTR,
 * and the program would see that in the completion queue.
 *
 * The kernel marks them in the flags of /proc/TID/stat (include/linux/sched.h):
 * PF_USER_WORKER since Linux 6.4; before that, since 5.12, PF_IO_WORKER. Older
 * kernels have no such threads, and use these bits for other things.
 */
#include "engine/worker.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/kernel.h"

#define PF_IO_WORKER   UINT32_C(0x00000010)
#define PF_USER_WORKER UINT32_C(0x00004000)

uint32_t worker_mark(void)
{
    return kernel_is_from(6, 4) ? PF_USER_WORKER : kernel_is_from(5, 12) ? PF_IO_WORKER : 0;
}

bool worker_exists(const struct target *target, uint32_t mark, pid_t *highest)
{
    *highest = 0;
    if (mark == 0) {
        return false;
    }
    int list = openat(target->directory, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *tasks = list < 0 ? NULL : fdopendir(list);
    if (tasks == NULL) {
        if (list >= 0) {
            close(list);
        }
        return false;
    }
    bool found = false;
    for (struct dirent *entry; !found && (entry = readdir(tasks)) != NULL;) {
        pid_t tid = (pid_t)atoi(entry->d_name);
        *highest = tid > *highest ? tid : *highest;
        found = tid > 0 && worker_is(dirfd(tasks), tid, mark);
    }
    closedir(tasks);
    return found;
}

/* stop window begins */

bool worker_is(int tasks, pid_t tid, uint32_t mark)
{
    char path[TASK_PATH_SIZE];
    char text[1024];
    struct proc_stat stat;
    task_path_format(tid, "stat", path);
    return proc_file_read(tasks, path, text, sizeof text) > 0 && proc_stat_parse(text, &stat) &&
           (stat.flags & mark) != 0;
}

/* stop window ends */
