/*
 * program.h - targets that nobody here wrote: an interpreter, a server,
 * runtimes that find the vDSO by themselves. All can be asked for the time and
 * for their health. Known are python, go, java and redis.
 *
 * Memory and failures are as in harness.h.
 */
#ifndef TESTS_PROGRAM_H
#define TESTS_PROGRAM_H

#include "victim.h"

/* Why a program of that name cannot run here; NULL if it can. */
const char *program_missing(const char *name);

/* Starts it and waits until it answers. */
struct child *program_start(const char *name);

/* What its clock shows, against the test's own. */
struct skew_range program_measure(const char *name, struct child *program);

/* Fails unless it gets on (by that many of its rounds, if it has such) and saw no clock go back. */
void program_check(const char *name, struct child *program, int64_t more);

/*
 * Has skewctl put it back; its clock is right from the first call on, and in the end
 * its vDSO is the kernel's own and nobody traces it. Runtimes that interrupt their
 * threads with signals may be caught inside the image, and it goes with a later call.
 */
void program_recover(const char *name, struct child *program);

#endif
