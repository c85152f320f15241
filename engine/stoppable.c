/*
 * stoppable.c - can every thread of the target be stopped, and is there one
 * that may make a call?
 *
 * Promise: what can be known of that without attaching is known before
 * anything is touched. Four things keep skewctl from stopping all that runs in
 * the target's memory: a frozen cgroup, another tracer, an uninterruptible wait
 * (the parent of a vfork(2), a dead network disk), and a process that shares the
 * memory without being a thread. The last two mostly pass in no time, as with a
 * program that uses posix_spawn(3) often, so they are given some; the others last.
 *
 * A thread may begin such a wait right after the look: then stop.c gives it up.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/error.h"
#include "engine/freezer.h"
#include "engine/private.h"
#include "engine/worker.h"

/* With what else a command does, a refusal takes less than 250 ms. */
#define PATIENCE_NS   INT64_C(180000000)
#define LOOK_AGAIN_NS 2000000L

#define SECCOMP_STRICT 1

/* What a scan of the threads found. */
struct obstacles {
    pid_t traced;  /* a thread that is traced, */
    pid_t tracer;  /* and by whom */
    pid_t waiting; /* uninterruptibly */
    bool lent;     /* by the caller: it is stopped already, with nobody to share its memory */
    bool strict;   /* a thread is in seccomp's strict mode, */
    bool callers;  /* and one is not */
};

/* State, tracer and seccomp mode stand in one file: proc_pid_status(5). */
static void thread_look(int tasks, const char *tid, uint32_t worker, struct obstacles *obstacles)
{
    char path[TASK_PATH_SIZE];
    char text[4096];
    uint64_t value;
    task_path_format((pid_t)strtol(tid, NULL, 10), "status", path);
    if (proc_file_read(tasks, path, text, sizeof text) <= 0) {
        return;
    }
    const char *line = strstr(text, "\nState:\t");
    char state = '?';
    if (line != NULL) {
        state = line[strlen("\nState:\t")];
    }
    if (state == 'Z' || state == 'X') {
        return;
    }
    /* One of the kernel's own is not going to be stopped, so it may wait. */
    if (state == 'D' && obstacles->waiting == 0 &&
        (worker == 0 || !worker_is(tasks, (pid_t)strtol(tid, NULL, 10), worker))) {
        obstacles->waiting = (pid_t)strtol(tid, NULL, 10);
    }
    if (status_field_parse(text, "TracerPid", 10, &value) && (pid_t)value == gettid()) {
        obstacles->lent = true;
    } else if (status_field_parse(text, "TracerPid", 10, &value) && value != 0) {
        obstacles->traced = (pid_t)strtol(tid, NULL, 10);
        obstacles->tracer = (pid_t)value;
    }
    /* Behind a very long list of groups it is not seen: permit.c looks again. */
    bool strict = status_field_parse(text, "Seccomp", 10, &value) && value == SECCOMP_STRICT;
    *(strict ? &obstacles->strict : &obstacles->callers) = true;
}

static enum skew_code threads_look(const struct target *target, struct obstacles *obstacles,
                                   struct skew_error *error)
{
    *obstacles = (struct obstacles){0};
    uint32_t worker = worker_mark();
    int list = openat(target->directory, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *tasks = list < 0 ? NULL : fdopendir(list);
    if (tasks == NULL) {
        int errnum = errno;
        if (list >= 0) {
            close(list);
        }
        return error_set(error, error_code_for(errnum), target->pid, errnum, "list threads",
                         "cannot list the threads");
    }
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
        if (entry->d_name[0] != '.') {
            thread_look(dirfd(tasks), entry->d_name, worker, obstacles);
        }
    }
    closedir(tasks);
    return SKEW_OK;
}

static enum skew_code refuse_tracer(const struct target *target, const struct obstacles *obstacles,
                                    struct skew_error *error)
{
    char command[64];
    process_command_read(obstacles->tracer, command, sizeof command);
    if (obstacles->traced == target->pid) {
        error_set(error, SKEW_REFUSED, target->pid, 0, "look",
                  "it is already being traced by process %d (%s)", (int)obstacles->tracer, command);
    } else {
        error_set(error, SKEW_REFUSED, target->pid, 0, "look",
                  "its thread %d is already being traced by process %d (%s)",
                  (int)obstacles->traced, (int)obstacles->tracer, command);
    }
    error_advise(error, "end that tracer or detach it, then try again");
    return SKEW_REFUSED;
}

static enum skew_code refuse_frozen(const struct target *target, struct skew_error *error)
{
    char cgroup[160];
    if (!freezer_holds(target, cgroup, sizeof cgroup)) {
        return SKEW_OK;
    }
    error_set(error, SKEW_REFUSED, target->pid, 0, "look", "it is frozen with its control group %s",
              cgroup);
    error_advise(error, "thaw that, or unpause the container, then try again");
    return SKEW_REFUSED;
}

static enum skew_code refuse_sharer(const struct target *target, pid_t sharer,
                                    struct skew_error *error)
{
    char command[64];
    process_command_read(sharer, command, sizeof command);
    error_set(error, SKEW_REFUSED, target->pid, 0, "look",
              "process %d (%s) shares its memory without being a thread of it", (int)sharer,
              command);
    error_advise(error, "try again when that has ended or has called exec");
    return SKEW_REFUSED;
}

static enum skew_code refuse_waiting(const struct target *target, pid_t waiting,
                                     struct skew_error *error)
{
    error_set(error, SKEW_REFUSED, target->pid, 0, "look",
              "thread %d is in an uninterruptible wait and would not stop", (int)waiting);
    error_advise(error, "try again when that is over: a child to exec, a disk to answer");
    return SKEW_REFUSED;
}

enum skew_code stoppable_check(const struct target *target, struct census *census, bool calls,
                               struct skew_error *error)
{
    for (int64_t began = monotonic_now();;) {
        struct obstacles obstacles;
        pid_t sharer = 0;
        enum skew_code code = threads_look(target, &obstacles, error);
        if (code == SKEW_OK && !obstacles.lent) {
            code = refuse_frozen(target, error);
        }
        if (code == SKEW_OK && !obstacles.lent) {
            code = sharer_find(target, census, &sharer, error);
        }
        if (code != SKEW_OK) {
            return code;
        }
        if (obstacles.tracer != 0) {
            return refuse_tracer(target, &obstacles, error);
        }
        if (calls && obstacles.strict && !obstacles.callers) {
            error_set(error, SKEW_REFUSED, target->pid, 0, "look",
                      "it runs in seccomp strict mode, which forbids the calls needed");
            error_advise(error, "it cannot be skewed");
            return SKEW_REFUSED;
        }
        if (sharer == 0 && obstacles.waiting == 0) {
            return SKEW_OK;
        }
        if (monotonic_now() - began > PATIENCE_NS) {
            return sharer != 0 ? refuse_sharer(target, sharer, error)
                               : refuse_waiting(target, obstacles.waiting, error);
        }
        nanosleep(&(struct timespec){.tv_nsec = LOOK_AGAIN_NS}, NULL);
    }
}
