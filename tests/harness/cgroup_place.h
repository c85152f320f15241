/*
 * cgroup_place.h - a cgroup of the test's own, version 2 or whatever there is, for one test at
 * a time.
 */
#ifndef TESTS_CGROUP_PLACE_H
#define TESTS_CGROUP_PLACE_H

#include "harness.h"

/* Makes it, with a first member, and returns its path; skips the test where that cannot be. */
const char *cgroup_place_make(pid_t first);
bool cgroup_place_enter(const char *path, pid_t pid);

/* Once its members have ended; harmless where there is none. */
void cgroup_place_remove(void);

#endif
