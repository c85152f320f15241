/*
 * caller.c - chooses the thread that makes the remote calls, and attaches to it.
 *
 * It is held longest, so best is one that would not have run anyway and whose
 * wait the kernel resumes by itself; worst is one that cannot be stopped. One
 * without a seccomp filter comes before all that have one, and one in strict mode,
 * which the call would kill, is never chosen.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "engine/error.h"
#include "engine/pending.h"
#include "engine/permit.h"
#include "engine/private.h"
#include "engine/scan.h"
#include "engine/worker.h"

#define THREADS_LOOKED_AT 64
#define TRIES             100
/* How often, and for how long, a thread is let run until it can make calls. */
#define FIT_ROUNDS 1000
#define RUN_FOR_NS 20000

enum suitability { UNFIT, UNINTERRUPTIBLE, WAIT_EXPOSED, BUSY, WAITING };
#define UNFILTERED 8 /* is added to those from WAIT_EXPOSED on */

static enum suitability state_judge(int tasks, const char *tid, uint32_t worker)
{
    char path[64];
    char text[1024];
    struct proc_stat stat;
    snprintf(path, sizeof path, "%s/stat", tid);
    if (proc_file_read(tasks, path, text, sizeof text) <= 0 || !proc_stat_parse(text, &stat) ||
        stat.state == 'Z' || stat.state == 'X' || (stat.flags & worker) != 0) {
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

static int thread_judge(int tasks, const char *tid, uint32_t worker)
{
    enum suitability suitability = state_judge(tasks, tid, worker);
    switch (permit_mode_read(tasks, (pid_t)atoi(tid))) {
    case PERMIT_STRICT:
        return UNFIT;
    case PERMIT_FREE:
        return suitability > UNINTERRUPTIBLE ? (int)suitability + UNFILTERED : (int)suitability;
    case PERMIT_FILTERED:
    case PERMIT_UNKNOWN:
        break;
    }
    return (int)suitability;
}

static pid_t thread_choose(const struct target *target, bool *busy)
{
    pid_t best = target->live_tid;
    int best_suitability = UNFIT;
    uint32_t worker = worker_mark();
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
        int suitability = thread_judge(dirfd(tasks), entry->d_name, worker);
        if (suitability > best_suitability) {
            best = (pid_t)atoi(entry->d_name);
            best_suitability = suitability;
        }
        /* However many of the kernel's own come first. */
        looked_at += suitability != UNFIT;
    }
    closedir(tasks);
    *busy = best_suitability % UNFILTERED == BUSY;
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
            (*caller)->filtered = permit_filtered(tracer, (*caller)->tid);
        }
        if (*caller != NULL && tracer_memory_open(tracer, *caller, error) == SKEW_OK) {
            return SKEW_OK;
        }
    }
    return error_set_plain(error, SKEW_NOT_FOUND, tracer->target->pid, 0, 0, "seize",
                           "the process exited");
}

/* stop window begins */

static bool caller_fit(struct scanner *scanner, struct tracee *caller)
{
    return arch_is_native(&caller->registers) && !arch_is_kernels(&caller->registers) &&
           !tracee_dispatches_syscalls(caller) && tracee_rseq_safe(caller) &&
           (scanner->range_count == 0 || caller->outside ||
            scan_tracee(scanner, caller) != SCAN_INSIDE);
}

enum skew_code caller_stop(struct scanner *scanner, struct tracee *caller, struct skew_error *error)
{
    enum skew_code code = tracer_stop(scanner->tracer, caller, error);
    if (code == SKEW_OK && pending_held(scanner->tracer, caller)) {
        return error_set_plain(error, SKEW_REFUSED, scanner->tracer->target->pid, caller->tid, 0,
                               "stop",
                               "it is stopped, and signals wait that making a call would give it "
                               "too early; try again when it has continued");
    }
    for (int round = 0; code == SKEW_OK && !caller_fit(scanner, caller); round++) {
        if (round == FIT_ROUNDS) {
            return error_set_plain(error, SKEW_REFUSED, scanner->tracer->target->pid, caller->tid,
                                   0, "stop",
                                   !tracee_rseq_safe(caller)
                                       ? "it runs on, maybe within restartable sequences, about "
                                         "which this kernel, older than 5.13, cannot be asked; "
                                         "nothing was changed, try again when a thread waits"
                                       : "it runs 32-bit code or dispatches its own system calls, "
                                         "so it cannot make skewctl's calls; nothing was changed");
        }
        code = tracer_continue(scanner->tracer, caller, error);
        if (code == SKEW_OK) {
            nanosleep(&(struct timespec){.tv_nsec = RUN_FOR_NS}, NULL);
            code = tracer_stop(scanner->tracer, caller, error);
        }
    }
    return code;
}

/* stop window ends */
