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
 * The same, and none will return into them. SKEW_DRAINING where one will, or may:
 * all threads are to be let go, then settle_again says whether to come back.
 */
enum skew_code settle_empty(struct scanner *scanner, struct skew_error *error);

/*
 * With no thread held: gives signal handlers time to end, and is true, a few
 * times, for a tenth of a second in all. *tries begins as 0. When it is false,
 * the error's code is SKEW_FAILED.
 */
bool settle_again(int *tries, struct skew_error *error);

#endif
