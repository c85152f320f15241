/*
 * worker.h - threads of a process that never run its program.
 */
#ifndef SKEWCTL_ENGINE_WORKER_H
#define SKEWCTL_ENGINE_WORKER_H

#include "engine/target.h"

/* The bit in the flags of struct proc_stat by which this kernel marks them; 0 if it does not. */
uint32_t worker_mark(void);

/*
 * True if the process has one now; if not, only threads that came later can be one: they
 * have a tid above *highest (or, with all numbers used up, below: that is not seen). May not
 * be used during a stop.
 */
bool worker_exists(const struct target *target, uint32_t mark, pid_t *highest);

/* `tasks` is /proc/PID/task. May be used during a stop. */
bool worker_is(int tasks, pid_t tid, uint32_t mark);

#endif
