/*
 * select.h - what a selection goes by, for one process.
 */
#ifndef SKEWCTL_ENGINE_SELECT_H
#define SKEWCTL_ENGINE_SELECT_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

struct process {
    pid_t pid;
    pid_t parent;
    uint64_t start_time; /* as /proc/PID/stat shows it to this process */
    bool selected;       /* select.c's own */
};

/* False for kernel threads, zombies and those that are no more. */
bool process_read(pid_t pid, struct process *process);

/* The lines of /proc/PID/cgroup. */
#define CGROUP_SIZE 8192
bool process_cgroup_read(pid_t pid, char lines[CGROUP_SIZE]);
/* A cgroup's path as those lines have it, of a path that may be one of a mounted file system. */
void cgroup_path_resolve(const char *name, char path[PATH_MAX]);

/* Whether the pid namespace of a process is that one, or was made within it. */
bool process_namespace_within(pid_t pid, const struct stat *wanted);

#endif
