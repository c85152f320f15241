/*
 * inject.c - skewctl inject: skew the clocks of processes.
 */
#include "cli/batch.h"
#include "cli/commands.h"
#include "cli/follow.h"
#include "cli/group.h"
#include "cli/message.h"

#include <stdlib.h>

static enum skew_code inject_one(struct skew_engine *engine, const struct options *options,
                                 size_t index, struct skew_report *report, struct skew_error *error)
{
    struct skew_request request = request_from(options);
    pid_t pid = (pid_t)options->pids.numbers[index];
    struct skew_finding *findings = NULL;
    struct skew_error unseen = {0};
    size_t count = 0;

    /* Before, for the waits as they are; what keeps it from looking is said by inject. */
    skew_glance(pid, &findings, &count, &unseen);
    enum skew_code code = skew_inject(engine, pid, &request, report, error);
    if (code == SKEW_OK)
        command_warn(pid, report->command, findings, count, report->clocks);
    free(findings);
    return code;
}

static enum skew_code update_children(struct skew_engine *engine, const struct options *options,
                                      const struct skew_report *reports, size_t report_count,
                                      struct skew_outcome **outcomes, size_t *count,
                                      struct skew_error *error)
{
    struct skew_request request = request_from(options);
    bool any = false;

    /* A process that was not injected before has no children that were. */
    for (size_t i = 0; i < report_count; i++)
        any = any || reports[i].updated;
    return any && !options->dry_run ? skew_update_inherited(engine, &request, reports, report_count,
                                                            outcomes, count, error)
                                    : SKEW_OK;
}

/* Those who come while the group is made are noticed from before it is. */
static int inject_follow(const struct options *options, const struct skew_request *request)
{
    struct skew_engine *engine;
    struct noticer *notices = NULL;
    int64_t group = 0;
    int status = (int)follow_prepare(&notices);

    if (status == SKEW_OK)
        status = (int)command_open_engine(options, false, &engine);
    if (status == SKEW_OK) {
        status = group_inject(engine, options, request, &group);
        skew_engine_close(engine);
        if (group != 0 && (status == SKEW_OK || status == SKEW_PARTIAL)) {
            command_warn_back(request);
            int followed = follow_group(options, group, notices);
            status = followed != SKEW_OK ? followed : status;
        }
    }
    skew_notices_close(notices);
    return status;
}

int command_inject(const struct options *options)
{
    struct skew_request request = request_from(options);
    struct skew_engine *engine;
    struct skew_error error = {0};
    int64_t group;

    if (options->follow)
        return inject_follow(options, &request);
    enum skew_code code = command_open_engine(options, false, &engine);
    if (code != SKEW_OK)
        return (int)code;
    int status;
    if (!options->dry_run && command_recover_expired(engine, &error) != SKEW_OK)
        status = (int)message_error(&error, "");
    else if (options->groups.count)
        status = group_update(engine, options, &request);
    else if (options->selectors.count)
        status = group_inject(engine, options, &request, &group);
    else
        status = batch_run(engine, options, options->pids.count, inject_one, update_children, NULL);
    skew_engine_close(engine);
    if (status == SKEW_OK || status == SKEW_PARTIAL)
        command_warn_back(&request);
    return status;
}
