/*
 * group.c - see group.h.
 */
#include "cli/group.h"

#include "cli/commands.h"
#include "cli/message.h"
#include "cli/progress.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* Each member takes a few descriptors; the soft limit is low only for the sake of select(2). */
static void descriptors_allow(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Processes named with -p are members as well. Returns NULL where memory ran out. */
static struct skew_selector *selectors_join(const struct options *options, size_t *count)
{
    struct skew_selector *selectors =
        calloc(options->selectors.count + options->pids.count + 1, sizeof *selectors);

    *count = 0;
    if (!selectors) {
        message_print("the list of targets does not fit into memory; name fewer");
        return NULL;
    }
    for (size_t i = 0; i < options->selectors.count; i++)
        selectors[(*count)++] = options->selectors.selectors[i];
    for (size_t i = 0; i < options->pids.count; i++)
        selectors[(*count)++] =
            (struct skew_selector){.kind = SKEW_SELECT_PID, .pid = (pid_t)options->pids.numbers[i]};
    return selectors;
}

static bool outcome_add(struct outcome_list *list, const struct skew_outcome *outcomes,
                        size_t count)
{
    struct skew_outcome *grown =
        reallocarray(list->outcomes, list->count + count + 1, sizeof *grown);

    if (!grown) {
        message_print("the results of %zu processes do not fit into memory; skewctl list shows "
                      "them",
                      count);
        return false;
    }
    if (count)
        memcpy(grown + list->count, outcomes, count * sizeof *outcomes);
    list->outcomes = grown;
    list->count += count;
    return true;
}

bool outcome_list_has(const struct outcome_list *list, int64_t id)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->outcomes[i].report.id == id)
            return true;
    return false;
}

/* A failure that is none of a single member. */
static bool failure_is_general(enum skew_code code, const struct skew_group_result *result)
{
    if (code == SKEW_OK || code == SKEW_PARTIAL || code == SKEW_DRAINING)
        return false;
    for (size_t i = 0; i < result->count; i++)
        if (result->outcomes[i].code != SKEW_OK)
            return false;
    return true;
}

/* Takes the outcomes over, and what kept the group from having any. */
static enum skew_code result_take(enum skew_code code, struct skew_group_result *result,
                                  const struct skew_error *error, struct outcome_list *list)
{
    struct skew_outcome general = {.code = code, .error = *error};
    bool taken = outcome_add(list, result->outcomes, result->count) &&
                 (!failure_is_general(code, result) || outcome_add(list, &general, 1));

    free(result->outcomes);
    result->outcomes = NULL;
    return taken ? SKEW_OK : SKEW_FAILED;
}

/* Tells what happened and prints the table. */
static int list_conclude(struct skew_engine *engine, const struct options *options,
                         batch_follow *follow, struct outcome_list *list)
{
    int status = batch_run(engine, options, 0, NULL, follow, list);

    free(list->outcomes);
    return status;
}

static void undo_tell(const struct skew_group_result *result, int signal)
{
    if (signal)
        message_print("stopped by SIG%s; nobody was skewed", sigabbrev_np(signal));
    else if (result->undone && result->count)
        message_print("nobody was skewed, since %zu of the processes could not be; --partial skews "
                      "the others",
                      result->count);
}

/* Some may have been forked after their parent was prepared, and before the switch. */
static enum skew_code switch_children(struct skew_engine *engine, const struct options *options,
                                      const struct skew_report *reports, size_t report_count,
                                      struct skew_outcome **outcomes, size_t *count,
                                      struct skew_error *error)
{
    const struct skew_request request = request_from(options);

    return options->dry_run ? SKEW_OK
                            : skew_update_inherited(engine, &request, reports, report_count,
                                                    outcomes, count, error);
}

int group_inject(struct skew_engine *engine, const struct options *options,
                 const struct skew_request *request, int64_t *group)
{
    struct outcome_list list = {0};
    struct skew_group_result result = {0};
    struct skew_error error = {0};
    struct progress progress;
    size_t count;
    struct skew_selector *selectors = selectors_join(options, &count);

    *group = 0;
    if (!selectors)
        return SKEW_FAILED;
    descriptors_allow();
    progress_begin(&progress, "prepared");
    const struct skew_progress steps = {.step = progress_step, .context = &progress};
    enum skew_code code = skew_group_inject(engine, selectors, count, request, options->partial,
                                            &steps, &result, &error);
    progress_end(&progress);
    free(selectors);
    *group = result.undone ? 0 : result.group;
    undo_tell(&result, result.undone ? progress.signal : 0);
    list.signal = result.undone && result.interrupted ? progress.signal : 0;
    code = result_take(code, &result, &error, &list);
    return code == SKEW_OK ? list_conclude(engine, options, switch_children, &list) : (int)code;
}

int group_recover(struct skew_engine *engine, const struct options *options, batch_follow *follow)
{
    struct outcome_list list = {0};
    struct skew_group_result result = {0};
    struct skew_error error = {0};
    struct progress progress;
    size_t count;
    struct skew_selector *selectors = selectors_join(options, &count);

    if (!selectors)
        return SKEW_FAILED;
    descriptors_allow();
    progress_begin(&progress, "put back");
    const struct skew_progress steps = {.step = progress_step, .context = &progress};
    enum skew_code code = skew_group_recover(engine, selectors, count, &steps, &result, &error);
    progress_end(&progress);
    free(selectors);
    list.signal = result.interrupted ? progress.signal : 0;
    if (list.signal)
        message_print("stopped by SIG%s; run the same command again for the rest",
                      sigabbrev_np(list.signal));
    code = result_take(code, &result, &error, &list);
    return code == SKEW_OK ? list_conclude(engine, options, follow, &list) : (int)code;
}

typedef enum skew_code group_act(struct skew_engine *engine, int64_t group,
                                 const struct skew_request *request,
                                 const struct skew_progress *progress,
                                 struct skew_group_result *result, struct skew_error *error);

static enum skew_code recover_act(struct skew_engine *engine, int64_t group,
                                  const struct skew_request *request,
                                  const struct skew_progress *progress,
                                  struct skew_group_result *result, struct skew_error *error)
{
    (void)request;
    return skew_group_recover_id(engine, group, progress, result, error);
}

static enum skew_code crashed_act(struct skew_engine *engine, int64_t group,
                                  const struct skew_request *request,
                                  const struct skew_progress *progress,
                                  struct skew_group_result *result, struct skew_error *error)
{
    (void)request;
    return skew_group_recover_crashed(engine, group, progress, result, error);
}

static enum skew_code groups_run(struct skew_engine *engine, const int64_t *groups, size_t count,
                                 const char *verb, group_act *act,
                                 const struct skew_request *request, struct outcome_list *list)
{
    enum skew_code code = SKEW_OK;

    descriptors_allow();
    for (size_t i = 0; i < count && code == SKEW_OK && list->signal == 0; i++) {
        struct skew_group_result result = {0};
        struct skew_error error = {0};
        struct progress progress;

        progress_begin(&progress, verb);
        const struct skew_progress steps = {.step = progress_step, .context = &progress};
        code = act(engine, groups[i], request, &steps, &result, &error);
        progress_end(&progress);
        list->signal = progress.signal;
        code = result_take(code, &result, &error, list);
    }
    return code;
}

enum skew_code group_recover_listed(struct skew_engine *engine, const struct options *options,
                                    struct outcome_list *list)
{
    struct skew_error error = {0};
    int64_t *groups = NULL;
    size_t count = 0;

    if (skew_group_list(engine, &groups, &count, &error) != SKEW_OK)
        return message_error(&error, "");
    enum skew_code code = groups_run(engine, groups, count, "put back",
                                     options->all ? recover_act : crashed_act, NULL, list);
    free(groups);
    return code;
}

enum skew_code group_recover_ids(struct skew_engine *engine, const struct options *options,
                                 struct outcome_list *list)
{
    return groups_run(engine, options->groups.numbers, options->groups.count, "put back",
                      recover_act, NULL, list);
}

int group_update(struct skew_engine *engine, const struct options *options,
                 const struct skew_request *request)
{
    struct outcome_list list = {0};
    enum skew_code code = groups_run(engine, options->groups.numbers, options->groups.count,
                                     "changed", skew_group_update_id, request, &list);

    return code == SKEW_OK ? list_conclude(engine, options, switch_children, &list) : (int)code;
}
