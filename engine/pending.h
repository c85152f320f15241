/*
 * pending.h - signals that a stopped process has not been given yet.
 */
#ifndef SKEWCTL_ENGINE_PENDING_H
#define SKEWCTL_ENGINE_PENDING_H

#include "engine/stop.h"

/*
 * True if letting this thread, at an event stop, run would give it a signal
 * that waits for the whole process to continue.
 */
bool pending_held(const struct tracer *tracer, const struct tracee *tracee);

#endif
