/*
 * settle.h - a stop of the whole target with nobody inside given ranges.
 */
#ifndef SKEWCTL_ENGINE_SETTLE_H
#define SKEWCTL_ENGINE_SETTLE_H

#include "engine/scan.h"

/*
 * To be called before any thread is stopped: from here on threads are looked at
 * as they stop, while others still run.
 */
void settle_prepare(struct scanner *scanner);

/*
 * On SKEW_OK all threads are stopped and none that may be let run has its program counter
 * inside the scanner's ranges. *waiting is 0 if none will return into them either;
 * otherwise it is a thread in a signal handler that will, or may, or one inside
 * that may not be let run (pending.h).
 */
enum skew_code settle_outside(struct scanner *scanner, pid_t *waiting, struct skew_error *error);

/*
 * The same, and none will return into them: signal handlers get a few tries to
 * end, for a tenth of a second in all. Between the tries all threads but
 * *caller run. SKEW_FAILED where one still waits.
 */
enum skew_code settle_empty(struct scanner *scanner, struct tracee **caller,
                            struct skew_error *error);

#endif
