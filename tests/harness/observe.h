/*
 * observe.h - what can be seen of a process from outside: its mappings, its
 * vDSO, its threads, its signals and descriptors. Nothing here stops it.
 *
 * Memory and failures are as in harness.h.
 */
#ifndef TESTS_OBSERVE_H
#define TESTS_OBSERVE_H

#include "harness.h"

/*
 * /proc/PID/maps, with the two ends that a program moves by itself blanked:
 * the low end of [stack] and the high end of [heap]. See proc_pid_maps(5).
 */
const char *observe_maps(pid_t pid);

/* How many nameless mappings are r-xp: each image has one, and few programs have others. */
size_t observe_code_mappings(pid_t pid);

/* The [vdso] mapping; size 0 where there is none. */
struct vdso {
    uint64_t address;
    size_t size;
    const uint8_t *bytes;
};
struct vdso observe_vdso(pid_t pid);
/* The test's own, which is that of every 64-bit process of this kernel. */
struct vdso observe_vdso_own(void);

/* Field of /proc/PID/task/TID/status, such as "TracerPid"; NULL where there is none. */
const char *observe_status(pid_t pid, pid_t tid, const char *field);

size_t observe_thread_count(pid_t pid);
/*
 * False where a tracer cannot ask for a thread's restartable sequences: before Linux 5.13, or
 * with that taken away from skewctl by tests/without.
 */
bool observe_rseq_known(void);
/* Fails if any thread is being traced. */
void observe_untraced(pid_t pid);

/*
 * All that skewctl promises to leave as it was: mappings, vDSO bytes, threads
 * with their tracer, stopped or not and signal masks, and open descriptors.
 */
struct snapshot {
    const char *facts; /* one per line, sorted */
    struct vdso vdso;
};
struct snapshot snapshot_take(pid_t pid);
/* What differs, "- before" and "+ after" line by line; NULL where nothing does. */
const char *snapshot_difference(const struct snapshot *before, const struct snapshot *after);
/* Fails with the difference if the process is not now as it was then. */
void snapshot_expect(const struct snapshot *before, pid_t pid);
/*
 * Fails unless maps (of observe_maps) and vDSO are these and nobody traces it: what a recover
 * puts back, for victims whose own handlers change their threads' signal masks.
 */
void observe_put_back(pid_t pid, const char *maps, const struct vdso *vdso);

#endif
