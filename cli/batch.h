/*
 * batch.h - doing one thing to several targets: one after the other, one error
 * line for each that fails, one report at the end, one exit status for all.
 */
#ifndef SKEWCTL_CLI_BATCH_H
#define SKEWCTL_CLI_BATCH_H

#include "cli/options.h"

/* Does it to target `index`. Fills *report, and *error where it does not return SKEW_OK. */
typedef enum skew_code batch_act(struct skew_engine *engine, const struct options *options,
                                 size_t index, struct skew_report *report,
                                 struct skew_error *error);

/* What was done before, to be reported with the rest. */
struct outcome_list {
    struct skew_outcome *outcomes; /* for free(3) */
    size_t count;
    int signal; /* one that asked to end, or 0 */
};

/*
 * Goes on with forked children, when all targets were acted on: as skew_recover_inherited().
 * `reports` are of the targets done.
 */
typedef enum skew_code batch_follow(struct skew_engine *engine, const struct options *options,
                                    const struct skew_report *reports, size_t report_count,
                                    struct skew_outcome **outcomes, size_t *count,
                                    struct skew_error *error);

/*
 * Acts on targets 0 to count - 1, then on the children, and prints what was done, with what
 * `before` has, which may be NULL: its children are among them. Signals that ask
 * to end are heard between two targets. Returns the exit status: SKEW_OK; SKEW_DRAINING if some
 * images stay but nothing failed; the code of the failures if all failed alike; SKEW_PARTIAL if
 * some did; 128 + the signal if one was heard.
 */
int batch_run(struct skew_engine *engine, const struct options *options, size_t count,
              batch_act *act, batch_follow *follow, const struct outcome_list *before);

#endif
