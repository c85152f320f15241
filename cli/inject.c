/*
 * inject.c - skewctl inject: skew the clocks of processes.
 */
#include "cli/batch.h"
#include "cli/commands.h"

static enum skew_code inject_one(struct skew_engine *engine, const struct options *options,
                                 size_t index, struct skew_report *report, struct skew_error *error)
{
    struct skew_request request = {
        .offset_ns = options->offset_ns,
        .clocks = options->clocks,
        .force = options->force,
        .dry_run = options->dry_run,
    };
    return skew_inject(engine, (pid_t)options->pids.numbers[index], &request, report, error);
}

int command_inject(const struct options *options)
{
    struct skew_engine *engine;
    enum skew_code code = command_open_engine(options, false, &engine);

    if (code != SKEW_OK)
        return (int)code;
    int status = batch_run(engine, options, options->pids.count, inject_one);
    skew_engine_close(engine);
    return status;
}
