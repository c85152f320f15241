/*
 * commands.c - what the subcommands share; see commands.h.
 */
#include "cli/commands.h"
#include "cli/message.h"

#include <string.h>

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

static void expired_failed(void *context, const struct skew_report *report,
                           const struct skew_error *error)
{
    (void)context;
    message_print("process %d: its skew has ended, but it is not put back yet: %s; skewctl recover "
                  "-p %d tries again",
                  (int)report->pid, error->message, (int)report->pid);
}

enum skew_code command_recover_expired(struct skew_engine *engine, struct skew_error *error)
{
    return skew_recover_expired(engine, expired_failed, NULL, error);
}

struct skew_request request_from(const struct options *options)
{
    struct skew_request request = {
        .offset_ns = options->offset_ns,
        .clocks = options->clocks,
        .deadline_ns = options->deadline_ns,
        .shape = options->shape,
        .begin_ns = options->begin_ns,
        .slew_pace = options->slew_pace,
        .force = options->force,
        .dry_run = options->dry_run,
    };

    memcpy(request.profile, options->profile, sizeof request.profile);
    return request;
}
