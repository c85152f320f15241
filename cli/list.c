/*
 * list.c - skewctl list: the injections, checked against the live processes.
 */
#include "cli/commands.h"
#include "cli/message.h"
#include "cli/report.h"

#include <stdlib.h>

int command_list(const struct options *options)
{
    struct skew_engine *engine;
    struct skew_report *reports = NULL;
    struct skew_error error = {0};
    size_t count = 0;
    enum skew_code code = command_open_engine(options, false, &engine);

    if (code != SKEW_OK)
        return (int)code;
    code = command_recover_expired(engine, &error);
    if (code == SKEW_OK)
        code = skew_list(engine, options->all, &reports, &count, &error);
    if (code == SKEW_OK)
        code = report_injections(reports, count, REPORT_PRESENT, options->json);
    else
        message_error(&error, "");
    free(reports);
    skew_engine_close(engine);
    return (int)code;
}
