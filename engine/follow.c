/*
 * follow.c - following a group: takes it over, follows it in the way that was asked for or
 * in which it was followed before, and does what its end calls for.
 *
 * If skewctl dies before it has let go, its claim is that of a dead process (follower.c), and
 * the group can be taken over. If it dies after that, the next command that asks for it does
 * what is left: an end without members is found by any that looks (groups_settle), a deadline
 * that has passed by skew_recover_expired.
 */
#include "engine/follow.h"

#include <stdlib.h>

#include "engine/error.h"
#include "engine/group.h"

void follow_group_end(struct skew_engine *engine, int64_t group)
{
    struct skew_report *reports = NULL;
    struct journal_injection *members = NULL;
    struct skew_error ignored;
    struct journal_error journal_ignored;
    size_t count = 0;
    /* Listing tells the rows of those who are gone. */
    skew_list(engine, false, &reports, &count, &ignored);
    free(reports);
    if (journal_group_members(engine->journal, group, false, &members, &count, &journal_ignored) ==
            JOURNAL_OK &&
        count == 0) {
        journal_group_advance(engine->journal, group, JOURNAL_GROUP_ENDED, &journal_ignored);
    }
    free(members);
}

enum skew_code follow_group_expire(struct skew_engine *engine, int64_t group,
                                   struct skew_error *error)
{
    struct skew_group_result result = {0};
    enum skew_code code = skew_group_recover_id(engine, group, NULL, &result, error);
    for (size_t i = 0; i < result.count && code != SKEW_OK; i++) {
        if (result.outcomes[i].code != SKEW_OK) {
            *error = result.outcomes[i].error;
            break;
        }
    }
    free(result.outcomes);
    return code;
}

static enum skew_code following_open(struct following *following, struct skew_error *error)
{
    struct skew_engine *engine = following->engine;
    struct journal_error journal_error = {0};
    enum skew_code code = SKEW_OK;
    if (!follower_check(engine, &following->follower, &following->group, &code, error)) {
        return code;
    }
    enum journal_follow follow = following->group.follow;
    if (following->follow->mode != SKEW_FOLLOW_NONE) {
        follow = following->follow->mode == SKEW_FOLLOW_EXACT ? JOURNAL_FOLLOW_EXACT
                                                              : JOURNAL_FOLLOW_WATCH;
    } else if (follow == JOURNAL_FOLLOW_NONE) {
        follow = JOURNAL_FOLLOW_WATCH;
    }
    following->group.follow = follow;
    if (journal_group_set_follow(engine->journal, following->group.id, follow, &journal_error) !=
        JOURNAL_OK) {
        return error_from_journal(error, 0, &journal_error);
    }
    return membership_open(engine, &following->group, &following->membership, error);
}

static enum skew_follow_end end_of(const struct following *following)
{
    if (following->alone) {
        return SKEW_FOLLOW_ALONE;
    }
    if (following->follower.signal != 0) {
        return SKEW_FOLLOW_SIGNAL;
    }
    return following->follower.expired ? SKEW_FOLLOW_EXPIRED : SKEW_FOLLOW_RECOVERED;
}

enum skew_code skew_follow(struct skew_engine *engine, int64_t group,
                           const struct skew_follow *follow, enum skew_follow_end *end, int *signal,
                           struct skew_error *error)
{
    struct following following = {.engine = engine, .follow = follow};
    *end = SKEW_FOLLOW_RECOVERED;
    *signal = 0;
    enum skew_code code = follower_claim(engine, group, &following.follower, error);
    if (code != SKEW_OK) {
        return code;
    }
    code = following_open(&following, error);
    if (code == SKEW_OK && following.membership != NULL) {
        code = following.group.follow == JOURNAL_FOLLOW_EXACT ? exact_follow(&following, error)
                                                              : watch_run(&following, error);
    }
    *end = end_of(&following);
    *signal = following.follower.signal;
    membership_close(following.membership);
    follower_release(engine, &following.follower);
    if (code == SKEW_OK && *end == SKEW_FOLLOW_ALONE) {
        follow_group_end(engine, group);
    } else if (code == SKEW_OK && *end == SKEW_FOLLOW_EXPIRED) {
        code = follow_group_expire(engine, group, error);
    }
    return code;
}
