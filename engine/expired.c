/*
 * expired.c - puts back what has passed its deadline.
 *
 * The journal says where to look; whether the deadline that is in force has passed is
 * read from the process, under its lock (expired_act in recover_process.c). Left alone are
 * those of another pid namespace, and those whose follower lives: it does the same, and
 * may hold them. What waits for a thread to leave the image is left to a recover that
 * is asked for, since each try takes as long as it waits.
 */
#include <stdlib.h>

#include "engine/error.h"
#include "engine/follower.h"
#include "engine/group.h"
#include "engine/private.h"

static bool is_followed(struct skew_engine *engine, int64_t id)
{
    struct journal_group group;
    struct journal_error ignored;
    struct skew_error error;
    bool alive = false;
    return id != 0 && journal_group_get(engine->journal, id, &group, &ignored) == JOURNAL_OK &&
           (follower_alive(&group, &alive, &error) != SKEW_OK || alive);
}

/* Those who inherited the image have the same deadline. */
static void children_recover(struct skew_engine *engine, const struct skew_report *parent,
                             skew_expired_failed *failed, void *context)
{
    struct skew_outcome *outcomes;
    size_t count;
    struct skew_error error = {0};
    skew_recover_inherited(engine, SKEW_INHERITED_OF, parent, 1, &outcomes, &count, &error);
    for (size_t i = 0; i < count; i++) {
        if (outcomes[i].code != SKEW_OK && failed != NULL) {
            failed(context, &outcomes[i].report, &outcomes[i].error);
        }
    }
    free(outcomes);
}

enum skew_code skew_recover_expired(struct skew_engine *engine, skew_expired_failed *failed,
                                    void *context, struct skew_error *error)
{
    struct journal_injection *rows;
    size_t count;
    struct journal_error journal_error = {0};
    if (journal_list_expired(engine->journal, realtime_now(), &rows, &count, &journal_error) !=
        JOURNAL_OK) {
        return error_from_journal(error, 0, &journal_error);
    }
    for (size_t i = 0; i < count; i++) {
        struct skew_report report = {0};
        struct skew_error failure = {0};
        if (rows[i].phase == JOURNAL_DRAINING ||
            row_life_look(&rows[i], &failure) == ROW_ELSEWHERE ||
            is_followed(engine, rows[i].group)) {
            continue;
        }
        enum skew_code code = recover_expired_id(engine, rows[i].id, &report, &failure);
        if (code != SKEW_OK && failed != NULL) {
            failed(context, &report, &failure);
        } else if (code == SKEW_OK && report.state == SKEW_STATE_RECOVERED) {
            children_recover(engine, &report, failed, context);
        }
    }
    free(rows);
    if (count > 0) {
        groups_settle(engine);
    }
    return SKEW_OK;
}
