/*
 * cgroup.h - what the lines of /proc/PID/cgroup (cgroups(7)) say: who is in a
 * cgroup, and which container a cgroup belongs to.
 */
#ifndef SKEWCTL_ENGINE_CGROUP_H
#define SKEWCTL_ENGINE_CGROUP_H

#include <stdbool.h>
#include <stddef.h>

/* The longest id of a container that is looked for. */
#define CONTAINER_ID_SIZE 128

/* True if any line's path is `path` or lies below it. `path` begins with a slash. */
bool cgroup_contains(const char *lines, const char *path);

/*
 * The container that one of the paths belongs to, if `wanted` names it: by the
 * whole of its id or by the beginning of one of 64 hexadecimal digits. The id
 * is a part of the path, as docker, podman, containerd, CRI-O, crun and runc
 * make it: alone, or as "docker-ID.scope" and the like. `id` has room for
 * CONTAINER_ID_SIZE bytes.
 */
bool cgroup_container_find(const char *lines, const char *wanted, char *id);

/*
 * Turns a path of a mounted cgroup file system into the path that processes
 * show, by the text of /proc/self/mountinfo (proc_pid_mountinfo(5)). False
 * where it lies in none. `path` has room for `size` bytes.
 */
bool cgroup_path_from_mount(const char *mountinfo, const char *file, char *path, size_t size);

#endif
