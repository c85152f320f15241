/*
 * target_option.h - the options that say on which processes to work.
 *
 * Each adds to what is there and returns SKEW_OK, or says on standard error why it cannot.
 */
#ifndef SKEWCTL_CLI_TARGET_OPTION_H
#define SKEWCTL_CLI_TARGET_OPTION_H

#include "cli/options.h"

/* "1,2,3" */
enum skew_code target_pids_store(const char *text, struct options *options);
/* "1,g2,3": injections by their numbers, groups by theirs with a g. Is as before on return. */
enum skew_code target_ids_store(char *text, struct options *options);
/* "1,2,3": a selector for each. */
enum skew_code target_processes_store(enum skew_select_kind kind, const char *text,
                                      struct options *options);
/* A selector by a name, which is not copied; `option` is what it was given with. */
enum skew_code target_name_store(enum skew_select_kind kind, const char *option, const char *text,
                                 struct options *options);

#endif
