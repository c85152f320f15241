/*
 * group.c - skews several processes at once.
 *
 * The order, and what a death of skewctl leaves behind right after each step:
 *
 *   1 group PLANNED,     nothing.
 *     claimed
 *   2 members placed     images that change nothing, each as inject.c says; of a member that
 *                        was injected before, its row. The group is PLANNED and its
 *                        claim is that of a dead process: recover --crashed, the next inject
 *                        and the next recover of the group put the members back.
 *   3 members locked,    as 2. The skew lies where no reader looks (members.c).
 *     filled
 *   4 group ACTIVE,      all members have the old skew, or none. Their rows, UPDATING, say which
 *     rows UPDATING      they are to have: from here on it is finished, not undone.
 *   5 members switched   some members have the new skew, or slew to it, others the old one. As 4;
 *                        the rows have the pace as well.
 *   6 rows ACTIVE        done.
 *
 * Selecting and placing are repeated until a selection has nobody new, so a process that is
 * forked meanwhile by one that had no image yet is not missed. Where a member was
 * injected before, only its switch is seen.
 * If a signal arrives, or a thread is anywhere: see inject.c and members.c; nothing here
 * touches a process but through them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/clock.h"
#include "engine/deadline.h"
#include "engine/error.h"
#include "engine/follower.h"
#include "engine/group.h"
#include "engine/scope.h"
#include "engine/skew_row.h"
#include "engine/slew.h"

#define SELECT_ROUNDS 10
#define PLACE_TRIES   5

static void member_place(struct skew_engine *engine, const struct group_work *work,
                         struct member *member)
{
    struct skew_outcome *outcome = &member->outcome;
    int tries = 0;
    do {
        outcome->error = (struct skew_error){0};
        outcome->code =
            process_place(engine, member->pid, work->request, &outcome->report, &outcome->error);
    } while (error_is_of_look(outcome->code, &outcome->error) && ++tries < PLACE_TRIES);
    member->gone = outcome->code == SKEW_NOT_FOUND;
    member->fresh = outcome->code == SKEW_OK && !outcome->report.updated;
}

static void place_act(struct skew_engine *engine, void *context, size_t index)
{
    struct group_work *work = context;
    member_place(engine, work, &work->members[work->first + index]);
}

/* Selects, and places whoever is new, until nobody is. */
static enum skew_code members_place(struct group_work *work, const struct skew_selector *selectors,
                                    size_t selector_count, struct skew_error *error)
{
    for (int round = 0; round < SELECT_ROUNDS; round++) {
        scoped_memory pid_t *pids = NULL;
        size_t count;
        enum skew_code code =
            skew_select(selectors, selector_count, work->request->force, &pids, &count, error);
        /* Later, whom a selector named may have exited. */
        if (code != SKEW_OK) {
            return round == 0 ? code : SKEW_OK;
        }
        work->first = work->count;
        for (size_t i = 0; i < count && code == SKEW_OK; i++) {
            code = group_work_add(work, pids[i], 0, error);
        }
        if (code != SKEW_OK || work->first == work->count || !group_work_stop(work, place_act)) {
            return code;
        }
    }
    return SKEW_OK;
}

/* Those that an earlier inject of the group made members are so, whatever is selected now. */
static enum skew_code members_recall(struct group_work *work, struct skew_error *error)
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
        if (row_life_look(&rows[i], error) == ROW_ALIVE) {
            code = group_work_add(work, rows[i].key.pid, 0, error);
        }
    }
    for (size_t i = 0; i < work->count; i++) {
        work->members[i].outcome.report.updated = true;
    }
    return code;
}

/* Locks a member that has its place, and writes the skew where no reader looks yet. */
static void member_ready(struct skew_engine *engine, const struct group_work *work,
                         struct member *member)
{
    struct skew_outcome *outcome = &member->outcome;
    const struct skew_report placed = outcome->report;
    struct image_skew skew;
    outcome->code = member_open(engine, member, &outcome->error);
    if (outcome->code == SKEW_OK) {
        outcome->code = clock_range_check(work->request->clocks, work->request->offset_ns,
                                          clock_shift_read(&member->guard), &outcome->error);
    }
    if (outcome->code == SKEW_OK && work->request->shape.count != 0) {
        outcome->code = clock_shape_check(work->request->clocks, work->request->offset_ns,
                                          &work->request->shape, clock_shift_read(&member->guard),
                                          work->request->force, &outcome->error);
    }
    if (outcome->code == SKEW_OK) {
        outcome->code = skew_from_request(&member->guard, work->request, &skew, &outcome->error);
    }
    member->slew_pace = work->request->slew_pace;
    if (outcome->code == SKEW_OK && member->slew_pace != 0) {
        member->shift = clock_shift_read(&member->guard);
        outcome->code =
            slew_check(&member->before, work->request, member->shift, &skew, &outcome->error);
        outcome->error.pid = member->pid;
    }
    if (outcome->code == SKEW_OK) {
        outcome->code = member_fill(member, &skew, &outcome->error);
    }
    outcome->report.pause_ns = placed.pause_ns;
    outcome->report.interrupted = placed.interrupted;
    outcome->report.threads = placed.threads;
    outcome->report.updated = placed.updated;
    /* What was measured was an offset of 0. */
    outcome->report.clock_gettime.valid = outcome->report.gettimeofday.valid =
        outcome->report.time.valid = false;
    if (outcome->code != SKEW_OK) {
        member_close(member);
        member->gone = outcome->code == SKEW_NOT_FOUND;
    }
}

/* Where exec has replaced the program since it was placed, the new one is a member as well. */
static void open_act(struct skew_engine *engine, void *context, size_t index)
{
    struct group_work *work = context;
    struct member *member = &work->members[work->first + index];
    struct skew_outcome *outcome = &member->outcome;
    if (outcome->code != SKEW_OK || member->gone) {
        return;
    }
    member_ready(engine, work, member);
    for (int tries = 0; outcome->code == SKEW_FAILED && tries < PLACE_TRIES; tries++) {
        member->id = 0;
        member_place(engine, work, member);
        if (outcome->code != SKEW_OK) {
            return;
        }
        member_ready(engine, work, member);
    }
}

/* How many cannot be skewed, and how many can. */
static size_t failures_count(const struct group_work *work, size_t *able)
{
    size_t failures = 0;
    *able = 0;
    for (size_t i = 0; i < work->count; i++) {
        const struct member *member = &work->members[i];
        failures += !member->gone && member->outcome.code != SKEW_OK;
        *able += !member->gone && member->outcome.code == SKEW_OK;
    }
    return failures;
}

static enum skew_code rows_switch(struct group_work *work, struct skew_error *error)
{
    struct journal_error journal_error = {0};
    size_t count;
    scoped_memory int64_t *ids = group_work_ids(work, &count);
    if (ids == NULL) {
        return error_set(error, SKEW_FAILED, 0, 0, "switch", "out of memory");
    }
    struct journal_skew skew;
    skew_to_row(work->request, &skew);
    return journal_group_switch(work->engine->journal, work->group.id, &skew, ids, count,
                                &journal_error) == JOURNAL_OK
               ? SKEW_OK
               : error_from_journal(error, 0, &journal_error);
}

static void members_confirm(struct group_work *work, int64_t switch_ns)
{
    struct journal_error journal_error;
    size_t count;
    for (size_t i = 0; i < work->count; i++) {
        struct member *member = &work->members[i];
        struct skew_outcome *outcome = &member->outcome;
        if (!member->open) {
            continue;
        }
        outcome->code = member_confirm(member, &outcome->error);
        member->gone = outcome->code == SKEW_NOT_FOUND;
        outcome->report.state = SKEW_STATE_ACTIVE;
        outcome->report.group = work->group.id;
        outcome->report.switch_ns = switch_ns;
        report_skew(work->request, &outcome->report);
        slew_report(&member->skew, member->shift, &outcome->report);
        if (member->late) {
            slew_report_late(&outcome->report);
        }
        if (outcome->code != SKEW_OK) {
            member_close(member);
        }
    }
    /* Where this fails the rows stay UPDATING, with the skew that is in force. */
    scoped_memory int64_t *ids = group_work_ids(work, &count);
    if (ids != NULL) {
        journal_advance_all(work->engine->journal, ids, count, JOURNAL_ACTIVE, NULL,
                            &journal_error);
    }
}

/* Puts those back that this operation injected; the others never changed. */
static void inject_undo(struct group_work *work, struct skew_group_result *result)
{
    struct group_work undo = {.engine = work->engine};
    struct skew_error ignored;
    group_work_close(work);
    for (size_t i = 0; i < work->count; i++) {
        if (work->members[i].fresh) {
            group_work_add(&undo, work->members[i].pid, work->members[i].outcome.report.id,
                           &ignored);
        }
    }
    result->undone = true;
    group_put_back(&undo, &ignored);
    for (size_t i = 0; i < work->count; i++) {
        struct member *member = &work->members[i];
        member->outcome.report.state = SKEW_STATE_FAILED;
        for (size_t u = 0; u < undo.count; u++) {
            if (undo.members[u].pid == member->pid && undo.members[u].outcome.code != SKEW_OK &&
                !undo.members[u].gone) {
                member->outcome = undo.members[u].outcome;
            }
        }
        /* Nothing was done in it, and nothing need be said of it. */
        member->gone = member->gone || member->outcome.code == SKEW_OK;
    }
    group_work_release(&undo);
}

static enum skew_code members_inject(struct group_work *work, bool partial,
                                     struct skew_group_result *result, struct skew_error *error)
{
    size_t able;
    size_t failures = failures_count(work, &able);
    enum skew_code code = SKEW_OK;
    if (!work->interrupted && (failures == 0 || partial)) {
        group_work_sort(work);
        work->first = 0;
        const struct skew_progress *progress = work->progress;
        work->progress = NULL;
        group_work_run(work, open_act);
        work->progress = progress;
        failures = failures_count(work, &able);
    }
    bool go_on = !work->interrupted && able > 0 && (failures == 0 || partial);
    if (go_on) {
        slew_await_beginning(work->request);
        code = rows_switch(work, error);
    }
    if (!go_on || code != SKEW_OK) {
        inject_undo(work, result);
        return code;
    }
    members_confirm(work, members_switch(work->members, work->count));
    group_work_close(work);
    return SKEW_OK;
}

static enum skew_code group_plan(struct group_work *work, struct skew_error *error)
{
    struct journal_error journal_error = {0};
    enum skew_code code = target_world_read(work->group.boot_id, &work->group.pid_namespace, error);
    if (code != SKEW_OK) {
        return code;
    }
    skew_to_row(work->request, &work->group.skew);
    if (journal_group_plan(work->engine->journal, &work->group, &journal_error) != JOURNAL_OK) {
        return error_from_journal(error, 0, &journal_error);
    }
    return group_claim(work->engine, &work->group, error);
}

/*
 * For this program to work on, unless it is followed: who follows it does not stand in the way,
 * as new members and the switch need no claim.
 */
static enum skew_code group_hold(struct group_work *work, struct skew_error *error)
{
    bool followed;
    enum skew_code code = follower_alive(&work->group, &followed, error);
    if (code == SKEW_OK && !(followed && work->group.phase == JOURNAL_GROUP_ACTIVE &&
                             work->group.follow != JOURNAL_FOLLOW_NONE)) {
        code = group_claim(work->engine, &work->group, error);
    }
    return code;
}

/* A slew keeps to the clocks that the group has skewed unless others are named. */
static void clocks_settle(struct group_work *work)
{
    bool kept = work->group.id != 0 && work->group.phase == JOURNAL_GROUP_ACTIVE;
    if (work->request->clocks == 0) {
        work->request->clocks = kept ? work->group.skew.clocks : skew_clocks_default();
    }
}

/* What an interrupted skewctl left of a group with these selectors is put back first. */
static enum skew_code group_ready(struct group_work *work, struct skew_error *error)
{
    struct skew_engine *engine = work->engine;
    enum skew_code code = group_find(engine, work->group.selectors, &work->group, error);
    clocks_settle(work);
    if (code != SKEW_OK || work->group.id == 0) {
        return code == SKEW_OK ? group_plan(work, error) : code;
    }
    code = group_hold(work, error);
    if (code != SKEW_OK || work->group.phase == JOURNAL_GROUP_ACTIVE) {
        return code == SKEW_OK ? members_recall(work, error) : code;
    }
    struct skew_group_result left = {0};
    group_release(engine, &work->group);
    code = skew_group_recover_id(engine, work->group.id, NULL, &left, error);
    free(left.outcomes);
    if (code != SKEW_OK) {
        return code;
    }
    work->group.id = 0;
    work->group.follow = JOURNAL_FOLLOW_NONE;
    return group_plan(work, error);
}

static void dry_act(struct skew_engine *engine, void *context, size_t index)
{
    struct group_work *work = context;
    struct skew_outcome *outcome = &work->members[index].outcome;
    outcome->code = skew_inject(engine, work->members[index].pid, work->request, &outcome->report,
                                &outcome->error);
    work->members[index].gone = outcome->code == SKEW_NOT_FOUND;
}

static enum skew_code members_try(struct group_work *work, const struct skew_selector *selectors,
                                  size_t selector_count, struct skew_error *error)
{
    scoped_memory pid_t *pids = NULL;
    size_t count;
    enum skew_code code =
        skew_select(selectors, selector_count, work->request->force, &pids, &count, error);
    for (size_t i = 0; i < count && code == SKEW_OK; i++) {
        code = group_work_add(work, pids[i], 0, error);
    }
    if (code == SKEW_OK) {
        group_work_run(work, dry_act);
    }
    return code;
}

static enum skew_code group_inject(struct group_work *work, const struct skew_selector *selectors,
                                   size_t selector_count, bool partial,
                                   struct skew_group_result *result, struct skew_error *error)
{
    struct skew_engine *engine = work->engine;
    enum skew_code code = group_ready(work, error);
    if (code == SKEW_OK) {
        engine->group = work->group.id;
        code = members_place(work, selectors, selector_count, error);
        if (code == SKEW_OK) {
            code = members_inject(work, partial, result, error);
        } else {
            inject_undo(work, result);
        }
        engine->group = 0;
    }
    group_release(engine, &work->group);
    groups_settle(engine);
    return code;
}

static enum skew_code group_update(struct group_work *work, int64_t group,
                                   struct skew_group_result *result, struct skew_error *error)
{
    enum skew_code code = group_get(work->engine, group, &work->group, error);
    if (code == SKEW_OK && work->group.phase == JOURNAL_GROUP_ENDED) {
        return error_set(error, SKEW_NOT_FOUND, 0, 0, "inject", "group g%lld has ended already",
                         (long long)group);
    }
    if (code == SKEW_OK) {
        code = group_hold(work, error);
    }
    if (code == SKEW_OK && work->group.phase != JOURNAL_GROUP_ACTIVE) {
        code = error_set(error, SKEW_REFUSED, 0, 0, "inject", "group g%lld is %s, not active",
                         (long long)group, journal_group_phase_name(work->group.phase));
        error_advise(error, "skewctl recover --id g%lld puts back what is left of it",
                     (long long)group);
    }
    clocks_settle(work);
    if (code == SKEW_OK) {
        code = members_recall(work, error);
    }
    if (code == SKEW_OK) {
        code = members_inject(work, false, result, error);
    }
    group_release(work->engine, &work->group);
    groups_settle(work->engine);
    return code;
}

/* The request as it is meant; for group_work_release and free(3) of *work where SKEW_OK. */
static enum skew_code work_begin(struct skew_engine *engine, struct skew_request *wanted,
                                 const struct skew_progress *progress, struct group_work **work,
                                 struct skew_group_result *result, struct skew_error *error)
{
    *result = (struct skew_group_result){0};
    if (engine->unusable.code != SKEW_OK) {
        *error = engine->unusable;
        return engine->unusable.code;
    }
    enum skew_code code = deadline_check(wanted, error);
    if (code != SKEW_OK) {
        return code;
    }
    *work = calloc(1, sizeof **work);
    if (*work == NULL) {
        return error_set(error, SKEW_FAILED, 0, 0, "inject", "out of memory");
    }
    /* Of a slew it is the group that says, or each process by itself. */
    if (wanted->clocks == 0 && wanted->slew_pace == 0) {
        wanted->clocks = skew_clocks_default();
    }
    **work = (struct group_work){.engine = engine, .progress = progress, .request = wanted};
    return SKEW_OK;
}

static enum skew_code work_end(struct group_work *work, enum skew_code code,
                               struct skew_group_result *result, struct skew_error *error)
{
    enum skew_code outcomes = group_work_result(work, result, error);
    if (code == SKEW_OK && outcomes == SKEW_OK && result->count == 0 && !result->interrupted) {
        outcomes = error_set(error, SKEW_NOT_FOUND, 0, 0, "inject", "all of them have exited");
    }
    group_work_release(work);
    free(work);
    return code != SKEW_OK ? code : outcomes;
}

enum skew_code skew_group_inject(struct skew_engine *engine, const struct skew_selector *selectors,
                                 size_t selector_count, const struct skew_request *request,
                                 bool partial, const struct skew_progress *progress,
                                 struct skew_group_result *result, struct skew_error *error)
{
    struct skew_request wanted = *request;
    struct group_work *work;
    enum skew_code code = work_begin(engine, &wanted, progress, &work, result, error);
    if (code != SKEW_OK) {
        return code;
    }
    code = group_selectors_format(selectors, selector_count, work->group.selectors,
                                  sizeof work->group.selectors, error);
    if (code == SKEW_OK) {
        code = wanted.dry_run
                   ? members_try(work, selectors, selector_count, error)
                   : group_inject(work, selectors, selector_count, partial, result, error);
    }
    return work_end(work, code, result, error);
}

enum skew_code skew_group_update_id(struct skew_engine *engine, int64_t group,
                                    const struct skew_request *request,
                                    const struct skew_progress *progress,
                                    struct skew_group_result *result, struct skew_error *error)
{
    struct skew_request wanted = *request;
    struct group_work *work;
    enum skew_code code = work_begin(engine, &wanted, progress, &work, result, error);
    return code == SKEW_OK ? work_end(work, group_update(work, group, result, error), result, error)
                           : code;
}
