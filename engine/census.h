/*
 * census.h - which processes share their memory with another, asked once for many targets:
 * to ask all of all for each target takes as long as the rest of an inject where there
 * are a thousand.
 */
#ifndef SKEWCTL_ENGINE_CENSUS_H
#define SKEWCTL_ENGINE_CENSUS_H

#include "engine/target.h"

struct census;

/*
 * Of all processes there are. NULL where it cannot be taken: no kcmp(2), a /proc that is not of
 * this pid namespace or does not say which pid was given last, no memory. Then each
 * target is to be asked about by itself, as it is without a census.
 */
struct census *census_take(void);
void census_release(struct census *census); /* NULL does nothing */

/*
 * *sharer: a process born since that shares the target's memory, or 0. False where the
 * census does not tell: the target was born since, or shared its memory then. May be used by
 * several threads at once.
 */
bool census_ask(struct census *census, const struct target *target, pid_t *sharer);

#endif
