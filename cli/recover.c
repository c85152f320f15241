/*
 * recover.c - skewctl recover: put processes back, by pid, by id, all, or only
 * where a skewctl was interrupted.
 */
#include "cli/batch.h"
#include "cli/commands.h"
#include "cli/group.h"
#include "cli/message.h"
#include "cli/slew.h"

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

/* Groups first, as the units they are; then by themselves those injections that are left. */
static int recover_listed(struct skew_engine *engine, const struct options *options)
{
    struct options listed = *options;
    struct outcome_list before = {0};
    struct skew_report *reports = NULL;
    struct skew_error error = {0};
    size_t count = 0;
    enum skew_code code = group_recover_listed(engine, options, &before);

    /* Listing prunes those that are gone. */
    if (code == SKEW_OK && skew_list(engine, false, &reports, &count, &error) != SKEW_OK)
        code = message_error(&error, "");
    listed.ids.count = 0;
    listed.ids.numbers = calloc(count + 1, sizeof *listed.ids.numbers);
    if (code == SKEW_OK && !listed.ids.numbers) {
        message_print("the list of injections does not fit into memory; recover them by --id");
        code = SKEW_FAILED;
    }
    for (size_t i = 0; i < count && code == SKEW_OK; i++)
        if (reports[i].id != 0 && !outcome_list_has(&before, reports[i].id) &&
            (options->all || reports[i].unfinished))
            listed.ids.numbers[listed.ids.count++] = reports[i].id;
    free(reports);

    int status = code == SKEW_OK ? batch_run(engine, &listed, listed.ids.count,
                                             options->all ? recover_id : recover_crashed,
                                             recover_children, &before)
                                 : (int)code;
    free(listed.ids.numbers);
    free(before.outcomes);
    return status;
}

static int recover_ids(struct skew_engine *engine, const struct options *options)
{
    struct outcome_list before = {0};
    int status = (int)group_recover_ids(engine, options, &before);

    if (status == SKEW_OK)
        status =
            batch_run(engine, options, options->ids.count, recover_id, recover_children, &before);
    free(before.outcomes);
    return status;
}

int command_recover(const struct options *options)
{
    struct skew_engine *engine;
    /* A slew takes a journal: without one the clock would jump. */
    bool optional = options->pids.count != 0 && options->slew_pace == 0;
    enum skew_code code = command_open_engine(options, optional, &engine);
    struct skew_error error = {0};
    int status = SKEW_OK;

    if (code != SKEW_OK)
        return (int)code;
    if (options->slew_pace != 0)
        status = slew_back(engine, options);
    if (status != SKEW_OK || options->dry_run) {
        skew_engine_close(engine);
        return status;
    }
    if (options->all || options->crashed)
        status = recover_listed(engine, options);
    else if (options->ids.count || options->groups.count)
        status = recover_ids(engine, options);
    else if (options->selectors.count)
        status = group_recover(engine, options, recover_children);
    else
        status =
            batch_run(engine, options, options->pids.count, recover_pid, recover_children, NULL);
    /*
     * Last, since one that was asked for would not be found any more. That the journal cannot
     * be read has been said by then, or did not matter.
     */
    command_recover_expired(engine, &error);
    skew_engine_close(engine);
    return status;
}
