/*
 * follow.h - what the ways to follow a group share (watch.c, exact.c); follow.c chooses.
 */
#ifndef SKEWCTL_ENGINE_FOLLOW_H
#define SKEWCTL_ENGINE_FOLLOW_H

#include "engine/follower.h"
#include "engine/membership.h"

struct following {
    struct skew_engine *engine;
    const struct skew_follow *follow;
    struct follower follower;
    struct journal_group group; /* as last read */
    struct membership *membership;
    bool alone; /* there are no members any more */
};

/*
 * Each follows until follower_check says otherwise, or nobody is left; `following` is
 * claimed, read and filled in, and remains the caller's. Errors are of what kept it from
 * following, not of single members.
 */
enum skew_code watch_run(struct following *following, struct skew_error *error);
enum skew_code exact_follow(struct following *following, struct skew_error *error);

/* Ends a group that nobody is left of, and nobody else works on. */
void follow_group_end(struct skew_engine *engine, int64_t group);

/* Recovers a group whose deadline has passed; its members read the true time already. */
enum skew_code follow_group_expire(struct skew_engine *engine, int64_t group,
                                   struct skew_error *error);

#endif
