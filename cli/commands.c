/*
 * commands.c - what the subcommands share; see commands.h.
 */
#include "cli/commands.h"
#include "cli/message.h"

enum skew_code command_open_engine(const struct options *options, bool journal_optional,
                                   struct skew_engine **engine)
{
    struct skew_engine_options engine_options = {.journal_path = options->journal,
                                                 .journal_optional = journal_optional,
                                                 .suspend_seccomp = options->suspend_seccomp};
    struct skew_error error = {0};

    if (skew_engine_open(&engine_options, engine, &error) == SKEW_OK)
        return SKEW_OK;
    return message_error(&error, "");
}

struct skew_request request_from(const struct options *options)
{
    return (struct skew_request){
        .offset_ns = options->offset_ns,
        .clocks = options->clocks,
        .force = options->force,
        .dry_run = options->dry_run,
    };
}
