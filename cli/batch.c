/*
 * batch.c - one act on several targets; see batch.h.
 */
#include "cli/batch.h"

#include "cli/interrupt.h"
#include "cli/message.h"
#include "cli/report.h"

#include <stdlib.h>
#include <string.h>

/* How the targets fared. */
struct tally {
    size_t done;
    size_t draining;
    size_t failed;
    enum skew_code failure; /* of those that failed, SKEW_FAILED if they differ */
};

static void tally_add(struct tally *tally, enum skew_code code)
{
    if (code == SKEW_OK) {
        tally->done++;
    } else if (code == SKEW_DRAINING) {
        tally->draining++;
    } else {
        if (tally->failed == 0)
            tally->failure = code;
        else if (tally->failure != code)
            tally->failure = SKEW_FAILED;
        tally->failed++;
    }
}

static enum skew_code tally_code(const struct tally *tally)
{
    if (tally->failed)
        return tally->done + tally->draining ? SKEW_PARTIAL : tally->failure;
    return tally->draining ? SKEW_DRAINING : SKEW_OK;
}

/* What was done, in the order in which it was. */
struct batch {
    struct skew_report *reports;
    size_t shown;
    struct tally tally;
};

/* Goes on with the children. Those of a batch that was stopped are left to its repetition. */
static void children_follow(struct skew_engine *engine, const struct options *options,
                            batch_follow *follow, struct batch *batch)
{
    struct skew_outcome *outcomes = NULL;
    struct skew_error error = {0};
    size_t count = 0, failed = 0;

    enum skew_code code =
        follow(engine, options, batch->reports, batch->shown, &outcomes, &count, &error);
    struct skew_report *grown =
        reallocarray(batch->reports, batch->shown + count + 1, sizeof *grown);
    if (grown)
        batch->reports = grown;
    else if (count)
        message_print("the results of %zu children do not fit into memory; skewctl list shows them",
                      count);
    for (size_t i = 0; i < count; i++) {
        const struct skew_outcome *outcome = &outcomes[i];

        tally_add(&batch->tally, outcome->code);
        if (outcome->code != SKEW_OK) {
            message_error(&outcome->error, outcome->report.command);
            failed++;
        }
        if (grown && (outcome->code == SKEW_OK || outcome->code == SKEW_DRAINING))
            batch->reports[batch->shown++] = outcome->report;
    }
    if (code != SKEW_OK && !failed) {
        tally_add(&batch->tally, code);
        message_error(&error, "");
    }
    free(outcomes);
}

/* Tells how those fared that were acted on before. */
static void outcomes_take(const struct outcome_list *before, struct batch *batch)
{
    for (size_t i = 0; before && i < before->count; i++) {
        const struct skew_outcome *outcome = &before->outcomes[i];

        tally_add(&batch->tally, outcome->code);
        if (outcome->code != SKEW_OK)
            message_error(&outcome->error, outcome->report.command);
        if (outcome->code == SKEW_OK || outcome->code == SKEW_DRAINING)
            batch->reports[batch->shown++] = outcome->report;
    }
}

int batch_run(struct skew_engine *engine, const struct options *options, size_t count,
              batch_act *act, batch_follow *follow, const struct outcome_list *before)
{
    struct batch batch = {
        .reports = calloc(count + (before ? before->count : 0) + 1, sizeof *batch.reports)};
    size_t next = 0;
    int signal = 0;

    if (!batch.reports) {
        message_print("the results of %zu targets do not fit into memory; name fewer", count);
        return SKEW_FAILED;
    }
    outcomes_take(before, &batch);
    signal = before ? before->signal : 0;
    interrupt_hold();
    while (next < count && signal == 0 && (signal = interrupt_take()) == 0) {
        struct skew_report *report = &batch.reports[batch.shown];
        struct skew_error error = {0};

        *report = (struct skew_report){0};
        enum skew_code code = act(engine, options, next++, report, &error);
        tally_add(&batch.tally, code);
        if (code != SKEW_OK)
            message_error(&error, report->command);
        if (code == SKEW_OK || code == SKEW_DRAINING)
            batch.shown++;
        /* A request that makes no sense for one makes none for the others. */
        if (code == SKEW_USAGE)
            break;
    }
    if (follow && !signal)
        children_follow(engine, options, follow, &batch);
    interrupt_release();

    if (signal && count)
        message_print("stopped by SIG%s after %zu of %zu targets; run the same command again for "
                      "the rest",
                      sigabbrev_np(signal), next, count);
    int status = signal ? 128 + signal : (int)tally_code(&batch.tally);
    enum skew_code printed =
        report_injections(batch.reports, batch.shown, REPORT_DONE, options->json);
    free(batch.reports);
    return printed == SKEW_OK ? status : (int)printed;
}
