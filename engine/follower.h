/*
 * follower.h - which skewctl follows a group: becoming it, being told to end, and
 * making it end. What following is: watch.c.
 */
#ifndef SKEWCTL_ENGINE_FOLLOWER_H
#define SKEWCTL_ENGINE_FOLLOWER_H

#include "engine/private.h"
#include "journal/groups.h"

/* Being the follower of a group. */
struct follower {
    int64_t group;
    struct journal_follower self;
    int signals; /* for poll(2): readable when follower_check has something to say */
    int signal;  /* SIGINT, SIGTERM or SIGHUP, once it came; else 0 */
    bool claimed;
    bool expired;          /* the deadline of the group has passed */
    uint64_t previous[16]; /* sigset_t, blocked signals of the thread before */
};

/*
 * Claims a live group for this process. SKEW_REFUSED where a skewctl that lives follows it,
 * or it is being recovered; one whose deadline has passed can be claimed, to recover it, and so it
 * is if a signal has come; a dead one's place is taken. From then until follower_release the
 * calling thread, which must be the only one that does not block them, blocks SIGUSR1, by which it
 * is woken, and SIGINT, SIGTERM and SIGHUP where they are not ignored. SIGUSR1 is ignored ever
 * after: it may come late.
 */
enum skew_code follower_claim(struct skew_engine *engine, int64_t group, struct follower *follower,
                              struct skew_error *error);
/* Harmless without a claim. `engine` may not be at work on a member any more. */
void follower_release(struct skew_engine *engine, struct follower *follower);

/*
 * The group as it is now. False if it is not to be followed any more by us: it is being
 * recovered or has ended, another has taken it over, its deadline has passed, or a signal
 * came, as follower->expired and ->signal tell then; or the journal could not be read:
 * *code. Never waits.
 */
bool follower_check(struct skew_engine *engine, struct follower *follower,
                    struct journal_group *group, enum skew_code *code, struct skew_error *error);

/* Whether somebody lives who follows it. SKEW_REFUSED where that cannot be seen from here. */
enum skew_code follower_alive(const struct journal_group *group, bool *alive,
                              struct skew_error *error);

/*
 * For whoever wants to recover the members of a group: it becomes RECOVERING, and when
 * this returns SKEW_OK nobody follows it any more, nor will again. SKEW_FAILED where its
 * follower does not let go; then it is still RECOVERING, and the follower ends
 * when it can.
 */
enum skew_code follower_dismiss(struct skew_engine *engine, int64_t id, struct skew_error *error);

/* Who follows the groups that the reports are of. What cannot be found out is left out. */
void follower_report(struct skew_engine *engine, struct skew_report *reports, size_t count);

/* The live group whose follower traces this process (exact.c); 0 where none does. */
int64_t follower_of(struct skew_engine *engine, pid_t pid);

#endif
