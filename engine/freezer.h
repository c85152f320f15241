/*
 * freezer.h - is a process held by the cgroup freezer?
 */
#ifndef SKEWCTL_ENGINE_FREEZER_H
#define SKEWCTL_ENGINE_FREEZER_H

#include "engine/target.h"

/*
 * True if the cgroup of the process, or one above it, is frozen or about to be:
 * by the freezer controller of cgroup v1 or by cgroup v2 (cgroups(7)). `cgroup`
 * receives the path of the frozen one. False where the caller cannot see the
 * cgroup file system.
 */
bool freezer_holds(const struct target *target, char *cgroup, size_t size);

#endif
