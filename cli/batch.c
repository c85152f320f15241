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

int batch_run(struct skew_engine *engine, const struct options *options, size_t count,
              batch_act *act)
{
    struct skew_report *reports = calloc(count ? count : 1, sizeof *reports);
    struct tally tally = {0};
    size_t shown = 0;
    size_t next = 0;
    int signal = 0;

    if (!reports) {
        message_print("the results of %zu targets do not fit into memory; name fewer", count);
        return SKEW_FAILED;
    }
    interrupt_hold();
    while (next < count && (signal = interrupt_take()) == 0) {
        struct skew_report *report = &reports[shown];
        struct skew_error error = {0};

        *report = (struct skew_report){0};
        enum skew_code code = act(engine, options, next++, report, &error);
        tally_add(&tally, code);
        if (code != SKEW_OK)
            message_error(&error, report->command);
        if (code == SKEW_OK || code == SKEW_DRAINING)
            shown++;
        /* A request that makes no sense for one makes none for the others. */
        if (code == SKEW_USAGE)
            break;
    }
    interrupt_release();

    if (signal)
        message_print("stopped by SIG%s after %zu of %zu targets; run the same command again for "
                      "the rest",
                      sigabbrev_np(signal), next, count);
    int status = signal ? 128 + signal : (int)tally_code(&tally);
    enum skew_code printed = report_injections(reports, shown, REPORT_DONE, options->json);
    free(reports);
    return printed == SKEW_OK ? status : (int)printed;
}
