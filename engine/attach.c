/*
 * attach.c - see attach.h.
 *
 * A process is injected first and attached to then, as whatever it forks or executes from
 * then on is reported (followed.c). In between it may have executed another program, so it is
 * looked at once more. Threads that it has are attached to one by one; one that is not yet
 * may create another, so the list is read until it has no new ones.
 *
 * If skewctl dies in the middle, the kernel lets go of those attached to; injections are
 * whole. A process that exits meanwhile is none of ours any more.
 */
#include "engine/attach.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/enrol.h"
#include "engine/followed.h"
#include "engine/scope.h"
#include "engine/select.h"

#define ROUNDS 100

/* Whether this thread is the tracer of a process or thread. */
static bool is_ours(pid_t tid)
{
    return process_status_number(tid, "TracerPid") == gettid();
}

/* Attaches to the threads of a list; returns how many were not attached to before. */
static size_t threads_seize(const struct target *target)
{
    size_t news = 0;
    struct skew_error ignored;
    int list = openat(target->directory, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *tasks = list < 0 ? NULL : fdopendir(list);
    if (tasks == NULL) {
        if (list >= 0) {
            close(list);
        }
        return 0;
    }
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
        pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (tid > 0 && !is_ours(tid)) {
            news += followed_seize(tid, true, &ignored) == SKEW_OK;
        }
    }
    closedir(tasks);
    return news;
}

/* False where it cannot be attached to at all. */
static bool process_seize(const struct target *target)
{
    bool any = false;
    for (int round = 0; round < ROUNDS && threads_seize(target) > 0; round++) {
        any = true;
    }
    return any;
}

static bool member_attach(const struct attach *attach, pid_t pid)
{
    struct target target;
    struct skew_error ignored;
    bool whole = false;
    if (target_open(pid, &target, &ignored) != SKEW_OK) {
        return false;
    }
    enrol_check(attach->engine, attach->group, &target, &whole, &ignored);
    bool placed = whole || attach->place(attach->context, pid) == SKEW_OK;
    bool attached = process_seize(&target);
    if (attached && placed) {
        enum skew_code code = enrol_check(attach->engine, attach->group, &target, &whole, &ignored);
        attach->attached(attach->context, pid, whole || code == SKEW_NOT_FOUND);
    }
    target_close(&target);
    return attached;
}

/* What a member has forked before it was attached to belongs as what it forks later. */
static bool belongs(const struct attach *attach, pid_t pid)
{
    struct process process;
    return membership_of(attach->membership, pid) != 0 ||
           (process_read(pid, &process) && process.parent != 0 && is_ours(process.parent));
}

static bool process_attach(const struct attach *attach, pid_t pid)
{
    return pid > 0 && pid != getpid() && !is_ours(pid) && !enrol_is_skewctl(pid) &&
           member_attach(attach, pid);
}

/* Those who are members by the journal, also where nothing tells it that can be seen now. */
size_t attach_recalled(const struct attach *attach)
{
    scoped_memory struct journal_injection *rows = NULL;
    struct journal_error ignored;
    struct skew_error unused;
    size_t row_count, count = 0;
    if (journal_group_members(attach->engine->journal, attach->group->id, false, &rows, &row_count,
                              &ignored) != JOURNAL_OK) {
        return 0;
    }
    for (size_t i = 0; i < row_count; i++) {
        if (row_life_look(&rows[i], &unused) == ROW_ALIVE) {
            count += process_attach(attach, rows[i].key.pid);
        }
    }
    return count;
}

size_t attach_members(const struct attach *attach)
{
    size_t count = 0;
    for (size_t before = 1, round = 0; before != count && round < ROUNDS; round++) {
        DIR *processes = opendir("/proc");
        before = count;
        for (struct dirent *entry; processes != NULL && (entry = readdir(processes)) != NULL;) {
            pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
            if (pid > 0 && belongs(attach, pid)) {
                count += process_attach(attach, pid);
            }
        }
        if (processes != NULL) {
            closedir(processes);
        }
    }
    return count;
}
