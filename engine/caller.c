/*
 * caller.c - chooses the thread that makes the remote calls, and attaches to it.
 *
 * It is held longest, so best is one that would not have run anyway and whose
 * wait the kernel resumes by itself; worst is one that cannot be stopped.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/error.h"
#include "engine/private.h"

#define THREADS_LOOKED_AT 64
#define TRIES             100

enum suitability { UNFIT, UNINTERRUPTIBLE, WAIT_EXPOSED, BUSY, WAITING };

static enum suitability thread_judge(int tasks, const char *tid)
{
    char path[64];
    char text[1024];
    struct proc_stat stat;
    snprintf(path, sizeof path, "%s/stat", tid);
    if (proc_file_read(tasks, path, text, sizeof text) <= 0 || !proc_stat_parse(text, &stat) ||
        stat.state == 'Z' || stat.state == 'X') {
        return UNFIT;
    }
    if (stat.state == 'D') {
        return UNINTERRUPTIBLE;
    }
    /* "running", or the number of the system call first: proc_pid_syscall(5). */
    snprintf(path, sizeof path, "%s/syscall", tid);
    if (stat.state != 'S' || proc_file_read(tasks, path, text, sizeof text) <= 0 ||
        text[0] == 'r' || text[0] == '-') {
        return BUSY;
    }
    return arch_syscall_interruptible(strtoull(text, NULL, 10)) ? WAIT_EXPOSED : WAITING;
}

static pid_t thread_choose(const struct target *target, bool *busy)
{
    pid_t best = target->live_tid;
    enum suitability best_suitability = UNFIT;
    *busy = false;
    int list = openat(target->directory, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *tasks = list < 0 ? NULL : fdopendir(list);
    if (tasks == NULL) {
        if (list >= 0) {
            close(list);
        }
        return best;
    }
    int looked_at = 0;
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL && looked_at < THREADS_LOOKED_AT;) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        looked_at++;
        enum suitability suitability = thread_judge(dirfd(tasks), entry->d_name);
        if (suitability > best_suitability) {
            best = (pid_t)atoi(entry->d_name);
            best_suitability = suitability;
        }
    }
    closedir(tasks);
    *busy = best_suitability == BUSY;
    return best;
}

enum skew_code caller_seize(struct tracer *tracer, struct tracee **caller, bool *busy,
                            struct skew_error *error)
{
    for (int try = 0; try < TRIES && target_alive(tracer->target); try++) {
        *caller = tracer_seize(tracer, thread_choose(tracer->target, busy), error);
        if (*caller == NULL && error->code != SKEW_NOT_FOUND) {
            return error->code;
        }
        if (*caller != NULL) {
            (*caller)->member = true;
        }
        if (*caller != NULL && tracer_memory_open(tracer, *caller, error) == SKEW_OK) {
            return SKEW_OK;
        }
    }
    return error_set_plain(error, SKEW_NOT_FOUND, tracer->target->pid, 0, 0, "seize",
                           "the process exited");
}
