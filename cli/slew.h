/*
 * slew.h - recover --slew: the clocks are brought to the true time at a pace, before anything is
 * put back.
 */
#ifndef SKEWCTL_CLI_SLEW_H
#define SKEWCTL_CLI_SLEW_H

#include "cli/options.h"

/*
 * Has all that the options name, and who inherited from them, slew to the true time, and waits
 * until they show it. SKEW_OK when all do, or exited, so that to recover them is no jump; with
 * --dry-run at once. Else what went wrong, or the signal that ended the waiting, plus 128, has been
 * said: what has begun goes on by itself, and nothing is put back.
 */
int slew_back(struct skew_engine *engine, const struct options *options);

#endif
