/*
 * recover.c - skewctl recover: put processes back, by pid, by id, all, or only
 * where a skewctl was interrupted.
 */
#include "cli/batch.h"
#include "cli/commands.h"
#include "cli/message.h"

#include <stdlib.h>

static enum skew_code recover_pid(struct skew_engine *engine, const struct options *options,
                                  size_t index, struct skew_report *report,
                                  struct skew_error *error)
{
    return skew_recover(engine, (pid_t)options->pids.numbers[index], report, error);
}

static enum skew_code recover_id(struct skew_engine *engine, const struct options *options,
                                 size_t index, struct skew_report *report, struct skew_error *error)
{
    return skew_recover_id(engine, options->ids.numbers[index], report, error);
}

static enum skew_code recover_crashed(struct skew_engine *engine, const struct options *options,
                                      size_t index, struct skew_report *report,
                                      struct skew_error *error)
{
    return skew_recover_crashed(engine, options->ids.numbers[index], report, error);
}

static enum skew_code recover_children(struct skew_engine *engine, const struct options *options,
                                       const struct skew_report *reports, size_t report_count,
                                       struct skew_outcome **outcomes, size_t *count,
                                       struct skew_error *error)
{
    enum skew_inherited which = options->all       ? SKEW_INHERITED_ALL
                                : options->crashed ? SKEW_INHERITED_CRASHED
                                                   : SKEW_INHERITED_OF;

    return skew_recover_inherited(engine, which, reports, report_count, outcomes, count, error);
}

/* All of the journal, or with --crashed what is unfinished. Listing prunes those that are gone. */
static int recover_listed(struct skew_engine *engine, const struct options *options)
{
    struct options listed = *options;
    struct skew_report *reports = NULL;
    struct skew_error error = {0};
    size_t count = 0;

    if (skew_list(engine, false, &reports, &count, &error) != SKEW_OK)
        return (int)message_error(&error, "");

    listed.ids.count = 0;
    listed.ids.numbers = calloc(count ? count : 1, sizeof *listed.ids.numbers);
    if (!listed.ids.numbers) {
        free(reports);
        message_print("the list of injections does not fit into memory; recover them by --id");
        return SKEW_FAILED;
    }
    for (size_t i = 0; i < count; i++)
        if (reports[i].id != 0 && (options->all || reports[i].unfinished))
            listed.ids.numbers[listed.ids.count++] = reports[i].id;
    free(reports);

    int status = batch_run(engine, &listed, listed.ids.count,
                           options->all ? recover_id : recover_crashed, recover_children);
    free(listed.ids.numbers);
    return status;
}

int command_recover(const struct options *options)
{
    struct skew_engine *engine;
    enum skew_code code = command_open_engine(options, options->pids.count != 0, &engine);
    int status;

    if (code != SKEW_OK)
        return (int)code;
    if (options->all || options->crashed)
        status = recover_listed(engine, options);
    else if (options->ids.count)
        status = batch_run(engine, options, options->ids.count, recover_id, recover_children);
    else
        status = batch_run(engine, options, options->pids.count, recover_pid, recover_children);
    skew_engine_close(engine);
    return status;
}
