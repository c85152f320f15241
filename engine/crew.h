/*
 * crew.h - one act on many processes, several at a time.
 */
#ifndef SKEWCTL_ENGINE_CREW_H
#define SKEWCTL_ENGINE_CREW_H

#include "engine/private.h"

/* Does it to the index-th; may run on any thread, with an engine of that thread's own. */
typedef void crew_act(struct skew_engine *engine, void *context, size_t index);

/*
 * Acts on 0 to count - 1. False where progress (NULL for none) asked to end: then those begun
 * have been finished and the others have not been begun.
 */
bool crew_run(struct skew_engine *engine, size_t count, crew_act *act, void *context,
              const struct skew_progress *progress);

#endif
