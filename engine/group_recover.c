/*
 * group_recover.c - puts several processes back, after a crash too.
 *
 * The order, and what a death of skewctl leaves behind right after each step:
 *
 *   1 group RECOVERING   nothing new. recover --crashed, and the next inject or recover of the
 *                        group, go on from here, whatever has been done of it.
 *   2 members locked,    nothing new: an offset of 0 lies where no reader looks (members.c).
 *     filled
 *   3 rows RECOVERING    nothing new; each row by itself says what is to be done.
 *   4 members switched   the clocks of some members are true again, within their images.
 *   5 members recovered  one by one, as recover.c says.
 *   6 group ENDED        done, where no member is left.
 *
 * Members without a whole injection are recovered in step 5 alone.
 */
#include <stdlib.h>

#include "engine/deadline.h"
#include "engine/error.h"
#include "engine/follower.h"
#include "engine/group.h"
#include "engine/scope.h"
#include "engine/skew_row.h"

static void prepare_act(struct skew_engine *engine, void *context, size_t index)
{
    struct group_work *work = context;
    struct member *member = &work->members[index];
    struct skew_error ignored;
    if (member_open(engine, member, &ignored) != SKEW_OK) {
        return;
    }
    const struct image_skew neutral = image_skew_from(member->before.clocks, 0, NULL);
    if (member_fill(member, &neutral, &ignored) != SKEW_OK) {
        member_close(member);
    }
}

static void recover_act(struct skew_engine *engine, void *context, size_t index)
{
    struct group_work *work = context;
    struct member *member = &work->members[index];
    struct skew_outcome *outcome = &member->outcome;
    outcome->error = (struct skew_error){0};
    outcome->code = member->id != 0
                        ? skew_recover_id(engine, member->id, &outcome->report, &outcome->error)
                        : process_recover(engine, member->pid, &outcome->report, &outcome->error);
    member->gone = outcome->code == SKEW_NOT_FOUND;
    if (outcome->code == SKEW_REFUSED && member->switched) {
        const struct skew_error reason = outcome->error;
        outcome->report.state = SKEW_STATE_DRAINING;
        outcome->code =
            error_set(&outcome->error, SKEW_DRAINING, member->pid, 0, "recover",
                      "the clock is true again, but the image stays: %.250s", reason.message);
        error_advise(&outcome->error, "%s", reason.advice);
    }
}

static enum skew_code rows_recovering(const struct group_work *work, struct skew_error *error)
{
    struct journal_error journal_error = {0};
    size_t count;
    scoped_memory int64_t *ids = group_work_ids(work, &count);
    if (ids == NULL) {
        return error_set(error, SKEW_FAILED, 0, 0, "recover", "out of memory");
    }
    return journal_advance_all(work->engine->journal, ids, count, JOURNAL_RECOVERING, NULL,
                               &journal_error) == JOURNAL_OK
               ? SKEW_OK
               : error_from_journal(error, 0, &journal_error);
}

enum skew_code group_put_back(struct group_work *work, struct skew_error *error)
{
    const struct skew_progress *progress = work->progress;
    work->first = 0;
    group_work_sort(work);
    work->progress = NULL;
    group_work_run(work, prepare_act);
    work->progress = progress;
    enum skew_code code = rows_recovering(work, error);
    if (code == SKEW_OK) {
        members_switch(work->members, work->count);
    }
    group_work_close(work);
    if (code == SKEW_OK) {
        group_work_stop(work, recover_act);
    }
    return code;
}

static enum skew_code members_list(struct group_work *work, struct skew_error *error)
{
    struct journal_error journal_error = {0};
    scoped_memory struct journal_injection *rows = NULL;
    size_t count;
    if (journal_group_members(work->engine->journal, work->group.id, false, &rows, &count,
                              &journal_error) != JOURNAL_OK) {
        return error_from_journal(error, 0, &journal_error);
    }
    enum skew_code code = SKEW_OK;
    for (size_t i = 0; i < count && code == SKEW_OK; i++) {
        code = group_work_add(work, rows[i].key.pid, rows[i].id, error);
    }
    return code;
}

/* A whole group that has not ended: who follows it lets go first. */
static enum skew_code group_recover(struct group_work *work, struct skew_error *error)
{
    enum skew_code code = follower_dismiss(work->engine, work->group.id, error);
    if (code == SKEW_OK) {
        code = group_claim(work->engine, &work->group, error);
    }
    return code == SKEW_OK ? members_list(work, error) : code;
}

static enum skew_code nobody_found(struct skew_error *error)
{
    error_set(error, SKEW_NOT_FOUND, 0, 0, "recover", "none of them is injected");
    error_advise(error, "skewctl list shows what is");
    return SKEW_NOT_FOUND;
}

static enum skew_code work_conclude(struct group_work *work, enum skew_code code,
                                    struct skew_group_result *result, struct skew_error *error)
{
    group_release(work->engine, &work->group);
    groups_settle(work->engine);
    enum skew_code outcomes = group_work_result(work, result, error);
    group_work_release(work);
    return code != SKEW_OK ? code : outcomes;
}

enum skew_code skew_group_recover(struct skew_engine *engine, const struct skew_selector *selectors,
                                  size_t selector_count, const struct skew_progress *progress,
                                  struct skew_group_result *result, struct skew_error *error)
{
    scoped_memory struct group_work *work = calloc(1, sizeof *work);
    scoped_memory pid_t *pids = NULL;
    size_t count = 0;
    struct skew_error select_error = {0};
    *result = (struct skew_group_result){0};
    if (work == NULL) {
        return error_set(error, SKEW_FAILED, 0, 0, "recover", "out of memory");
    }
    work->engine = engine;
    work->progress = progress;
    enum skew_code code = group_selectors_format(selectors, selector_count, work->group.selectors,
                                                 sizeof work->group.selectors, error);
    if (code == SKEW_OK) {
        code = group_find(engine, work->group.selectors, &work->group, error);
    }
    if (code == SKEW_OK && work->group.id != 0) {
        code = group_recover(work, error);
    }
    enum skew_code selected =
        skew_select(selectors, selector_count, false, &pids, &count, &select_error);
    if (code == SKEW_OK && selected != SKEW_OK && work->group.id == 0) {
        *error = select_error;
        code = selected;
    }
    for (size_t i = 0; i < count && code == SKEW_OK; i++) {
        code = group_work_add(work, pids[i], 0, error);
    }
    if (code == SKEW_OK) {
        code = group_put_back(work, error);
    }
    code = work_conclude(work, code, result, error);
    return code == SKEW_OK && result->count == 0 && !result->interrupted && work->group.id == 0
               ? nobody_found(error)
               : code;
}

enum skew_code skew_group_recover_id(struct skew_engine *engine, int64_t group,
                                     const struct skew_progress *progress,
                                     struct skew_group_result *result, struct skew_error *error)
{
    scoped_memory struct group_work *work = calloc(1, sizeof *work);
    *result = (struct skew_group_result){0};
    if (work == NULL) {
        return error_set(error, SKEW_FAILED, 0, 0, "recover", "out of memory");
    }
    work->engine = engine;
    work->progress = progress;
    enum skew_code code = group_get(engine, group, &work->group, error);
    if (code == SKEW_OK && work->group.phase == JOURNAL_GROUP_ENDED) {
        error_set(error, SKEW_NOT_FOUND, 0, 0, "recover", "group g%lld has ended already",
                  (long long)group);
        error_advise(error, "skewctl list --all shows how");
        return SKEW_NOT_FOUND;
    }
    if (code == SKEW_OK) {
        code = group_recover(work, error);
    }
    if (code == SKEW_OK) {
        code = group_put_back(work, error);
    }
    return work_conclude(work, code, result, error);
}

/* It gets the skew that its row says, at the pace that it says. */
static enum skew_code member_finish(struct member *member, const struct journal_injection *row,
                                    struct skew_error *error)
{
    struct skew_request request = {0};
    struct image_skew skew;
    enum skew_code code = skew_from_row(&row->skew, &request, error);
    if (code == SKEW_OK) {
        code = skew_from_request(&member->guard, &request, &skew, error);
    }
    member->slew_pace = request.slew_pace;
    member->shift = clock_shift_read(&member->guard);
    if (code == SKEW_OK && request.slew_pace != 0 && skew_is_requested(&member->before, &request)) {
        /* It is on its way already, and would stand still for a moment. */
        member->skew = member->before;
        return SKEW_OK;
    }
    return code == SKEW_OK ? member_fill(member, &skew, error) : code;
}

/* Each member that is to be changed. */
static enum skew_code switch_finish(struct group_work *work, struct skew_error *error)
{
    struct journal_error journal_error = {0};
    scoped_memory struct journal_injection *rows = NULL;
    size_t count;
    if (journal_group_members(work->engine->journal, work->group.id, false, &rows, &count,
                              &journal_error) != JOURNAL_OK) {
        return error_from_journal(error, 0, &journal_error);
    }
    enum skew_code code = SKEW_OK;
    for (size_t i = 0; i < count && code == SKEW_OK; i++) {
        if (rows[i].phase == JOURNAL_UPDATING) {
            code = group_work_add(work, rows[i].key.pid, rows[i].id, error);
        }
    }
    group_work_sort(work);
    for (size_t i = 0; i < work->count && code == SKEW_OK; i++) {
        struct member *member = &work->members[i];
        struct skew_outcome *outcome = &member->outcome;
        outcome->code = member_open(work->engine, member, &outcome->error);
        for (size_t r = 0; r < count && outcome->code == SKEW_OK; r++) {
            if (rows[r].id == member->id) {
                outcome->code = member_finish(member, &rows[r], &outcome->error);
            }
        }
        member->gone = outcome->code == SKEW_NOT_FOUND;
        if (outcome->code != SKEW_OK) {
            member_close(member);
        }
    }
    members_switch(work->members, work->count);
    for (size_t i = 0; i < work->count; i++) {
        struct member *member = &work->members[i];
        struct skew_outcome *outcome = &member->outcome;
        if (!member->open) {
            continue;
        }
        outcome->code = member_confirm(member, &outcome->error);
        outcome->report.state = SKEW_STATE_ACTIVE;
        outcome->report.updated = true;
        if (outcome->code == SKEW_OK &&
            journal_advance(work->engine->journal, member->id, JOURNAL_ACTIVE, "switch finished",
                            &journal_error) != JOURNAL_OK) {
            outcome->code = error_from_journal(&outcome->error, member->pid, &journal_error);
        }
    }
    group_work_close(work);
    return code;
}

enum skew_code skew_group_recover_crashed(struct skew_engine *engine, int64_t group,
                                          const struct skew_progress *progress,
                                          struct skew_group_result *result,
                                          struct skew_error *error)
{
    scoped_memory struct group_work *work = calloc(1, sizeof *work);
    *result = (struct skew_group_result){0};
    if (work == NULL) {
        return error_set(error, SKEW_FAILED, 0, 0, "recover", "out of memory");
    }
    work->engine = engine;
    work->progress = progress;
    enum skew_code code = group_get(engine, group, &work->group, error);
    bool worked_on = false;
    if (code == SKEW_OK && work->group.phase != JOURNAL_GROUP_ENDED) {
        code = follower_alive(&work->group, &worked_on, error);
    }
    if (code != SKEW_OK || worked_on || work->group.phase == JOURNAL_GROUP_ENDED) {
        return code;
    }
    if (work->group.phase != JOURNAL_GROUP_ACTIVE) {
        return skew_group_recover_id(engine, group, progress, result, error);
    }
    code = group_claim(engine, &work->group, error);
    if (code == SKEW_OK) {
        code = switch_finish(work, error);
    }
    return work_conclude(work, code, result, error);
}
