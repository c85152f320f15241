/*
 * tracer.c - the thread that traces, and stopping a whole target from it.
 *
 * Promise: tracer_stop_all returns SKEW_OK only if every thread of the target
 * that can run the program is stopped: with all known threads stopped, either
 * their number was that of the target's threads, or a scan of /proc/PID/task
 * found no other than the kernel's own (worker.c). Whatever happens, all
 * threads are let go when tracer_run returns: by PTRACE_DETACH, or by the end
 * of the tracer thread, which the kernel treats like the death of a tracer; all
 * but those of a target that was lent (stop.h): whoever traces it lets it go.
 *
 * What happens at each step if skewctl dies or a signal arrives: see stop.c.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/error.h"
#include "engine/scope.h"
#include "engine/stop.h"
#include "engine/worker.h"

/* Everything together, on a machine however loaded. */
#define OPERATION_LIMIT  INT64_C(20000000000)
#define SPARE_TRACEES    256
#define STOPPED_TOGETHER 32
#define DIRECTORY_LINKS  2 /* of a directory with no directory in it */

static enum skew_code list_error(const struct tracer *tracer, int errnum, struct skew_error *error)
{
    return error_set_plain(error, error_code_for(errnum), tracer->target->pid, 0, errnum,
                           "list threads", "cannot list the threads");
}

/* The kernel's own record: opendir would allocate in the stop window. */
struct directory_entry {
    uint64_t inode;
    int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[];
};

static bool thread_is_worker(struct tracer *tracer, pid_t tid)
{
    if (tracer->worker == 0 || (!tracer->workers && tid <= tracer->looked_at) ||
        !worker_is(tracer->tasks, tid, tracer->worker)) {
        return false;
    }
    tracer->workers = true;
    return true;
}

/* Attaches to all threads of one scan; *news counts those not known before. */
static enum skew_code threads_scan(struct tracer *tracer, size_t *news, struct skew_error *error)
{
    *news = 0;
    size_t hint = 0;
    if (lseek(tracer->tasks, 0, SEEK_SET) < 0) {
        return list_error(tracer, errno, error);
    }
    for (;;) {
        char buffer[8192] __attribute__((aligned(8)));
        long length = syscall(SYS_getdents64, tracer->tasks, buffer, sizeof buffer);
        if (length < 0) {
            return list_error(tracer, errno, error);
        }
        if (length == 0) {
            return SKEW_OK;
        }
        for (long at = 0; at < length;) {
            const struct directory_entry *entry = (const void *)(buffer + at);
            at += entry->length;
            pid_t tid = (pid_t)strtol(entry->name, NULL, 10);
            if (tid <= 0) {
                continue;
            }
            struct tracee *known = tracer_find(tracer, tid, hint++);
            if (known != NULL) {
                known->member = true;
                continue;
            }
            if (thread_is_worker(tracer, tid)) {
                continue;
            }
            struct tracee *found = tracer_seize(tracer, tid, error);
            if (found != NULL) {
                found->member = true;
                (*news)++;
            } else if (error->code != SKEW_NOT_FOUND) {
                return error->code;
            }
        }
    }
}

enum skew_code tracer_seize_all(struct tracer *tracer, struct skew_error *error)
{
    size_t news;
    return threads_scan(tracer, &news, error);
}

/* A thread that exits while others are being stopped is no failure. */
static bool stop_failed(enum skew_code code)
{
    return code != SKEW_OK && code != SKEW_NOT_FOUND;
}

/*
 * Stops every known thread but the leader, which goes on meanwhile. A few at a
 * time, so that a thread is not held while hundreds before it are waited for.
 * Tracees born meanwhile are appended, so the count grows under the loop.
 */
static enum skew_code others_stop(struct tracer *tracer, struct skew_error *error)
{
    for (size_t first = 0; first < tracer->count; first += STOPPED_TOGETHER) {
        size_t end = first + STOPPED_TOGETHER;
        for (size_t i = first; i < end && i < tracer->count; i++) {
            struct tracee *tracee = &tracer->tracees[i];
            if (tracee->tid != tracer->target->pid &&
                stop_failed(tracer_interrupt(tracer, tracee, error))) {
                return error->code;
            }
        }
        for (size_t i = first; i < end && i < tracer->count; i++) {
            struct tracee *tracee = &tracer->tracees[i];
            if (tracee->state == TRACEE_SEIZED && tracee->tid != tracer->target->pid &&
                stop_failed(tracer_stop(tracer, tracee, error))) {
                return error->code;
            }
        }
    }
    return SKEW_OK;
}

/*
 * The leader is stopped last and let go first: in most programs it runs the
 * event loop, and so it is held for the shortest time.
 */
static enum skew_code known_stop(struct tracer *tracer, struct skew_error *error)
{
    enum skew_code code = others_stop(tracer, error);
    struct tracee *leader = tracer_find(tracer, tracer->target->pid, 0);
    if (code == SKEW_OK && leader != NULL && leader->state == TRACEE_SEIZED) {
        code = tracer_stop(tracer, leader, error);
        if (!stop_failed(code)) {
            code = others_stop(tracer, error);
        }
    }
    return code;
}

/*
 * True if the stopped threads are as many as the target has: then they are
 * all of it, since nobody runs who could create or end one. The links of
 * /proc/PID/task count the threads (fs/proc/base.c, proc_task_getattr), which
 * is much cheaper than a scan. Where it is false (a leader that exited is
 * counted) the scan decides, and where the kernel has threads of its own in the
 * process: those run on, and one may end while another thread is born.
 */
static bool all_counted(const struct tracer *tracer)
{
    if (tracer->workers) {
        return false;
    }
    struct stat tasks;
    uint64_t stopped = 0;
    for (size_t i = 0; i < tracer->count; i++) {
        const struct tracee *tracee = &tracer->tracees[i];
        stopped += tracee->state != TRACEE_GONE && tracee->member;
    }
    return fstat(tracer->tasks, &tasks) == 0 && tasks.st_nlink == stopped + DIRECTORY_LINKS;
}

static bool any_alive(const struct tracer *tracer)
{
    for (size_t i = 0; i < tracer->count; i++) {
        if (tracer->tracees[i].state != TRACEE_GONE) {
            return true;
        }
    }
    return false;
}

enum skew_code tracer_stop_all(struct tracer *tracer, struct skew_error *error)
{
    for (;;) {
        size_t news;
        enum skew_code code = known_stop(tracer, error);
        if (code != SKEW_OK) {
            return code;
        }
        if (all_counted(tracer)) {
            break;
        }
        code = threads_scan(tracer, &news, error);
        if (code != SKEW_OK) {
            return code;
        }
        if (news == 0) {
            break;
        }
        if (monotonic_now() > tracer->deadline_ns) {
            return error_set_plain(error, SKEW_FAILED, tracer->target->pid, 0, 0, "stop",
                                   "threads appear faster than they can be stopped");
        }
    }
    if (!any_alive(tracer)) {
        return error_set_plain(error, SKEW_NOT_FOUND, tracer->target->pid, 0, 0, "stop",
                               "the process exited");
    }
    return SKEW_OK;
}

struct tracee *tracer_release_others(struct tracer *tracer, const struct tracee *kept)
{
    struct tracee *leader = tracer_find(tracer, tracer->target->pid, 0);
    if (leader != NULL && leader != kept) {
        tracer_release(tracer, leader);
    }
    size_t count = 0;
    struct tracee *moved = NULL;
    for (size_t i = 0; i < tracer->count; i++) {
        struct tracee *tracee = &tracer->tracees[i];
        bool stays = kept != NULL && tracee == kept;
        if (!stays) {
            tracer_release(tracer, tracee);
        }
        /* One that cannot be let go yet, because it runs, stays known; so does the kept one. */
        if (stays || tracee->state != TRACEE_GONE) {
            moved = stays ? &tracer->tracees[count] : moved;
            tracer->tracees[count++] = *tracee;
        }
    }
    tracer->count = count;
    return moved;
}

struct tracer_thread {
    struct tracer tracer;
    tracer_function *function;
    void *context;
    struct skew_error *error;
    enum skew_code code;
};

static void *tracer_thread_main(void *argument)
{
    struct tracer_thread *thread = argument;
    thread->code = thread->function(&thread->tracer, thread->context, thread->error);
    tracer_release_others(&thread->tracer, NULL);
    return NULL;
}

/* True if the kernel would drop SIGCHLD, had nobody blocked it (signal(7)). */
static bool child_signal_ignored(void)
{
    struct sigaction action;
    return sigaction(SIGCHLD, NULL, &action) == 0 && (action.sa_flags & SA_SIGINFO) == 0 &&
           (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN);
}

/*
 * The tracer thread takes no signals: whoever runs the engine decides about
 * those. But each stop of a tracee sends a SIGCHLD, and one that is blocked is
 * not dropped: it would wake another thread of this process for nothing, while
 * the target stands still.
 */
static int tracer_thread_create(pthread_t *handle, struct tracer_thread *thread)
{
    sigset_t blocked, previous;
    sigfillset(&blocked);
    if (child_signal_ignored()) {
        sigdelset(&blocked, SIGCHLD);
    }
    pthread_sigmask(SIG_SETMASK, &blocked, &previous);
    int errnum = pthread_create(handle, NULL, tracer_thread_main, thread);
    pthread_sigmask(SIG_SETMASK, &previous, NULL);
    return errnum;
}

enum skew_code tracer_run(const struct target *target, tracer_function *function, void *context,
                          int64_t *pause_ns, unsigned *exposed, struct skew_error *error)
{
    struct tracer_thread thread = {
        .tracer = {.target = target,
                   .capacity = (size_t)target->threads * 2 + SPARE_TRACEES,
                   .memory = -1,
                   .deadline_ns = monotonic_now() + OPERATION_LIMIT},
        .function = function,
        .context = context,
        .error = error,
    };
    scoped_descriptor tasks = openat(target->directory, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (tasks < 0) {
        return error_set(error, error_code_for(errno), target->pid, errno, "list threads",
                         "cannot list the threads");
    }
    thread.tracer.tasks = tasks;
    thread.tracer.worker = worker_mark();
    thread.tracer.workers = worker_exists(target, thread.tracer.worker, &thread.tracer.looked_at);
    scoped_memory struct tracee *tracees = malloc(thread.tracer.capacity * sizeof *tracees);
    if (tracees == NULL) {
        return error_set(error, SKEW_FAILED, target->pid, 0, "stop", "out of memory");
    }
    /* Touched now, so that no page of it is missing in the stop window. */
    memset(tracees, 0, thread.tracer.capacity * sizeof *tracees);
    thread.tracer.tracees = tracees;

    thread.tracer.lent = thread_traced_by_caller(tasks, target->live_tid);
    if (thread.tracer.lent) {
        tracer_thread_main(&thread);
    } else {
        pthread_t handle;
        int errnum = tracer_thread_create(&handle, &thread);
        if (errnum != 0) {
            return error_set(error, SKEW_FAILED, target->pid, errnum, "stop",
                             "cannot start the tracer thread");
        }
        pthread_join(handle, NULL);
    }
    /* A thread that was lost is no reason to say that there is no such process. */
    if (thread.code == SKEW_NOT_FOUND && target_alive(target)) {
        thread.code = error->code = SKEW_FAILED;
    }
    if (thread.code != SKEW_OK) {
        error_name_thread(error);
    }
    descriptor_close(&thread.tracer.memory);
    *pause_ns = thread.tracer.pause_ns;
    *exposed = thread.tracer.exposed;
    return thread.code;
}
