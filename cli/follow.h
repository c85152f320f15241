/*
 * follow.h - keeping a group complete; see also skew_follow of skewctl.h.
 */
#ifndef SKEWCTL_CLI_FOLLOW_H
#define SKEWCTL_CLI_FOLLOW_H

#include "cli/options.h"

/*
 * Follows a group until there is nothing more to follow, or with --detach lets a process in the
 * background do so, from when it has begun. Says on standard error how it began and
 * ended; returns the exit status. No engine may be open.
 */
int follow_group(const struct options *options, int64_t group, struct noticer *notices);

/* The same in the foreground, for a command that was run: says no more than what went wrong. */
int follow_group_quietly(const struct options *options, int64_t group, struct noticer *notices);

/* Opens what follow_group needs, before anything is traced; has said what failed. */
enum skew_code follow_prepare(struct noticer **notices);

#endif
