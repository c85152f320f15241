/*
 * world.h - a machine of its own for tests that start daemons and containers:
 * pid, mount, network, IPC and host name namespaces of its own, an empty /run,
 * and an /etc and a /var/lib whose changes nobody else sees.
 *
 * Promise: nothing of it outlives the program, however that ends. Processes and
 * mounts go with the namespaces, that is with process 1 in there, which the
 * kernel kills with the program; a guard outside, which waits for its death,
 * removes the cgroups.
 */
#ifndef TESTS_WORLD_H
#define TESTS_WORLD_H

/*
 * Runs the tests in there; returns what main() is to return. Where the kernel or
 * the rights do not allow it, says so in a line "SKIPPED: ..." and returns 0.
 */
int world_run(const char *name, int (*tests)(void));

/* The cgroup for all that is started in there, as in /proc/PID/cgroup; it may not exist yet. */
const char *world_cgroup(void);

/* A folder in memory, empty at the start, that goes with the world. */
#define WORLD_FOLDER "/run/world"

/* A user with an entry in passwd(5), subuid(5) and subgid(5), and where he has his things. */
#define WORLD_USER        4000
#define WORLD_USER_HOME   "/run/world/user"
#define WORLD_USER_RUNDIR "/run/user/4000"

/*
 * For a group teardown: waits until none but process 1 and the caller is left,
 * and names those that do not go. 0 if all went.
 */
int world_expect_empty(void **state);

#endif
