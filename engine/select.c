/*
 * select.c - which processes a user means: a tree, a cgroup, a container, a pid
 * namespace. Asks /proc alone, no daemon.
 *
 * Promise: the processes found are those that were there while it looked; each
 * is named once, parents before their children. Kernel threads, zombies and
 * this process are left out.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/nsfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/cgroup.h"
#include "engine/error.h"
#include "engine/namespace.h"
#include "engine/scope.h"
#include "engine/select.h"
#include "engine/target.h"

#define MOUNTINFO_SIZE  ((size_t)1 << 20)
#define DIRECTORY_LINKS 2  /* of a directory with no directory in it */
#define NESTED_MAX      32 /* levels of pid namespaces: pid_namespaces(7) */

struct processes {
    struct process *rows; /* older ones first; for free(3) */
    size_t count;
};

/* Only the leader is a zombie while other threads live: they count as links of the folder. */
static bool process_has_threads(pid_t pid)
{
    char path[64];
    struct stat tasks;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    return stat(path, &tasks) == 0 && tasks.st_nlink > DIRECTORY_LINKS + 1;
}

bool process_read(pid_t pid, struct process *process)
{
    char path[64];
    char text[1024];
    struct proc_stat stat;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (proc_file_read(AT_FDCWD, path, text, sizeof text) <= 0 || !proc_stat_parse(text, &stat) ||
        (stat.flags & PROCESS_FLAG_KERNEL_THREAD) != 0 || stat.state == 'X' ||
        (stat.state == 'Z' && !process_has_threads(pid))) {
        return false;
    }
    *process = (struct process){.pid = pid, .parent = stat.parent, .start_time = stat.start_time};
    return true;
}

static int process_compare(const void *one, const void *other)
{
    const struct process *a = one, *b = other;
    if (a->start_time != b->start_time) {
        return a->start_time < b->start_time ? -1 : 1;
    }
    return (a->pid > b->pid) - (a->pid < b->pid);
}

static enum skew_code processes_read(struct processes *processes, struct skew_error *error)
{
    size_t capacity = 0;
    *processes = (struct processes){0};
    DIR *directory = opendir("/proc");
    if (directory == NULL) {
        return error_set(error, SKEW_FAILED, 0, errno, "list processes",
                         "cannot list the processes");
    }
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        struct process process;
        if (pid <= 0 || pid == getpid() || !process_read(pid, &process)) {
            continue;
        }
        if (processes->count == capacity) {
            capacity = capacity * 2 + 64;
            struct process *grown = reallocarray(processes->rows, capacity, sizeof *grown);
            if (grown == NULL) {
                closedir(directory);
                return error_set(error, SKEW_FAILED, 0, 0, "list processes", "out of memory");
            }
            processes->rows = grown;
        }
        processes->rows[processes->count++] = process;
    }
    closedir(directory);
    if (processes->count > 0) {
        qsort(processes->rows, processes->count, sizeof *processes->rows, process_compare);
    }
    return SKEW_OK;
}

static struct process *process_find(const struct processes *processes, pid_t pid)
{
    for (size_t i = 0; i < processes->count; i++) {
        if (processes->rows[i].pid == pid) {
            return &processes->rows[i];
        }
    }
    return NULL;
}

static enum skew_code process_required(const struct processes *processes, pid_t pid,
                                       struct process **process, struct skew_error *error)
{
    struct target target;
    *process = process_find(processes, pid);
    if (*process != NULL) {
        return SKEW_OK;
    }
    /* It says what of a thread or a zombie, as if that were named with -p. */
    enum skew_code code = target_open(pid, &target, error);
    if (code != SKEW_OK) {
        return code;
    }
    target_close(&target);
    if (target.kernel_thread) {
        target_kernel_thread_refuse(pid, error);
        return SKEW_REFUSED;
    }
    error_set(error, SKEW_NOT_FOUND, pid, 0, "select", "no such process");
    return SKEW_NOT_FOUND;
}

static enum skew_code pid_select(const struct processes *processes, pid_t pid,
                                 struct skew_error *error)
{
    struct process *process;
    enum skew_code code = process_required(processes, pid, &process, error);
    if (code == SKEW_OK) {
        process->selected = true;
    }
    return code;
}

/* Descendants one generation after the other: start times are too coarse to go by. */
static enum skew_code tree_select(const struct processes *processes, pid_t root,
                                  struct skew_error *error)
{
    struct process *process;
    enum skew_code code = process_required(processes, root, &process, error);
    if (code != SKEW_OK) {
        return code;
    }
    scoped_memory bool *members = calloc(processes->count + 1, sizeof *members);
    if (members == NULL) {
        return error_set(error, SKEW_FAILED, root, 0, "select", "out of memory");
    }
    members[process - processes->rows] = true;
    for (bool grown = true; grown;) {
        grown = false;
        for (size_t i = 0; i < processes->count; i++) {
            const struct process *parent = process_find(processes, processes->rows[i].parent);
            if (!members[i] && parent != NULL && members[parent - processes->rows]) {
                members[i] = true;
                grown = true;
            }
        }
    }
    for (size_t i = 0; i < processes->count; i++) {
        processes->rows[i].selected |= members[i];
    }
    return SKEW_OK;
}

bool process_cgroup_read(pid_t pid, char lines[CGROUP_SIZE])
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/cgroup", (int)pid);
    return proc_file_read(AT_FDCWD, path, lines, CGROUP_SIZE) > 0;
}

void cgroup_path_resolve(const char *name, char path[PATH_MAX])
{
    scoped_memory char *mountinfo = malloc(MOUNTINFO_SIZE);
    if (mountinfo == NULL ||
        proc_file_read(AT_FDCWD, "/proc/self/mountinfo", mountinfo, MOUNTINFO_SIZE) <= 0 ||
        !cgroup_path_from_mount(mountinfo, name, path, PATH_MAX)) {
        snprintf(path, PATH_MAX, "%s", name);
    }
}

static enum skew_code cgroup_select(const struct processes *processes, const char *name,
                                    struct skew_error *error)
{
    char path[PATH_MAX];
    cgroup_path_resolve(name, path);
    if (path[0] != '/') {
        error_set(error, SKEW_USAGE, 0, 0, "select", "'%.80s' is no path of a cgroup", name);
        error_advise(error, "give it as in /proc/PID/cgroup, or as a folder of /sys/fs/cgroup");
        return SKEW_USAGE;
    }
    bool any = false;
    for (size_t i = 0; i < processes->count; i++) {
        char lines[CGROUP_SIZE];
        if (process_cgroup_read(processes->rows[i].pid, lines) && cgroup_contains(lines, path)) {
            processes->rows[i].selected = true;
            any = true;
        }
    }
    return any ? SKEW_OK
               : error_set(error, SKEW_NOT_FOUND, 0, 0, "select",
                           "no process is in the cgroup %.200s", name);
}

static enum skew_code container_select(const struct processes *processes, const char *name,
                                       struct skew_error *error)
{
    char chosen[CONTAINER_ID_SIZE] = "";
    for (size_t i = 0; i < processes->count; i++) {
        char lines[CGROUP_SIZE];
        char id[CONTAINER_ID_SIZE];
        if (!process_cgroup_read(processes->rows[i].pid, lines) ||
            !cgroup_container_find(lines, name, id)) {
            continue;
        }
        if (chosen[0] != '\0' && strcmp(chosen, id) != 0) {
            error_set(error, SKEW_USAGE, 0, 0, "select",
                      "'%.80s' stands for more than one container, %.20s... and %.20s...", name,
                      chosen, id);
            error_advise(error, "give more of the id");
            return SKEW_USAGE;
        }
        memcpy(chosen, id, sizeof chosen);
        processes->rows[i].selected = true;
    }
    if (chosen[0] != '\0') {
        return SKEW_OK;
    }
    error_set(error, SKEW_NOT_FOUND, 0, 0, "select", "no running container has the id '%.80s'",
              name);
    error_advise(error, "give an id, or the beginning of one, as docker ps or crictl ps prints it");
    return SKEW_NOT_FOUND;
}

bool process_namespace_within(pid_t pid, const struct stat *wanted)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/pid", (int)pid);
    int namespace = open(path, O_RDONLY | O_CLOEXEC);
    bool within = false;
    for (int level = 0; namespace >= 0 && level <= NESTED_MAX; level++) {
        struct stat status;
        within = fstat(namespace, &status) == 0 && status.st_ino == wanted->st_ino &&
                 status.st_dev == wanted->st_dev;
        int parent = within ? -1 : ioctl(namespace, NS_GET_PARENT);
        close(namespace);
        namespace = parent;
    }
    return within;
}

static enum skew_code pidns_select(const struct processes *processes, pid_t pid, bool force,
                                   struct skew_error *error)
{
    char path[64];
    struct stat wanted, own;
    struct process *process;
    enum skew_code code = process_required(processes, pid, &process, error);
    if (code != SKEW_OK) {
        return code;
    }
    snprintf(path, sizeof path, "/proc/%d/ns/pid", (int)pid);
    if (stat(path, &wanted) != 0 || stat("/proc/self/ns/pid", &own) != 0) {
        return error_set(error, error_code_for(errno), pid, errno, "select",
                         "cannot read its pid namespace");
    }
    if (wanted.st_ino == own.st_ino && wanted.st_dev == own.st_dev && !force) {
        bool first = namespace_pid_is_first();
        error_set(error, SKEW_REFUSED, pid, 0, "select",
                  "its pid namespace is that of skewctl itself: that would be %s",
                  first ? "the whole system" : "the shell that called it, too");
        error_advise(error, "%suse --force if that is what you want",
                     first ? "" : "name the service with --tree 1; ");
        return SKEW_REFUSED;
    }
    for (size_t i = 0; i < processes->count; i++) {
        processes->rows[i].selected |= process_namespace_within(processes->rows[i].pid, &wanted);
    }
    return SKEW_OK;
}

static enum skew_code selector_apply(const struct processes *processes,
                                     const struct skew_selector *selector, bool force,
                                     struct skew_error *error)
{
    switch (selector->kind) {
    case SKEW_SELECT_PID:
        return pid_select(processes, selector->pid, error);
    case SKEW_SELECT_TREE:
        return tree_select(processes, selector->pid, error);
    case SKEW_SELECT_CGROUP:
        return cgroup_select(processes, selector->name, error);
    case SKEW_SELECT_CONTAINER:
        return container_select(processes, selector->name, error);
    case SKEW_SELECT_PIDNS:
        return pidns_select(processes, selector->pid, force, error);
    }
    return SKEW_OK;
}

static enum skew_code selected_copy(const struct processes *processes, pid_t **pids, size_t *count,
                                    struct skew_error *error)
{
    pid_t *selected = calloc(processes->count + 1, sizeof *selected);
    if (selected == NULL) {
        return error_set(error, SKEW_FAILED, 0, 0, "select", "out of memory");
    }
    for (size_t i = 0; i < processes->count; i++) {
        if (processes->rows[i].selected) {
            selected[(*count)++] = processes->rows[i].pid;
        }
    }
    *pids = selected;
    return SKEW_OK;
}

enum skew_code skew_select(const struct skew_selector *selectors, size_t selector_count, bool force,
                           pid_t **pids, size_t *count, struct skew_error *error)
{
    struct processes processes;
    enum skew_code code = processes_read(&processes, error);
    *pids = NULL;
    *count = 0;
    for (size_t i = 0; i < selector_count && code == SKEW_OK; i++) {
        code = selector_apply(&processes, &selectors[i], force, error);
    }
    if (code == SKEW_OK) {
        code = selected_copy(&processes, pids, count, error);
    }
    free(processes.rows);
    return code;
}
