/*
 * group.h - what the operations on groups share: the group's row, who works on it,
 * and the list of processes at hand.
 */
#ifndef SKEWCTL_ENGINE_GROUP_H
#define SKEWCTL_ENGINE_GROUP_H

#include "engine/crew.h"
#include "engine/members.h"
#include "journal/groups.h"

/* One operation on several processes. */
struct group_work {
    struct skew_engine *engine;
    const struct skew_progress *progress;
    struct skew_request *request; /* of an inject */
    struct journal_group group;   /* id 0 where there is none */
    struct member *members;       /* for group_work_release */
    size_t count;
    size_t first;     /* of those that the crew works on now */
    bool interrupted; /* the progress function asked to end */
};

/* Adds a process, once; `injection` may be 0 for whichever it has. */
enum skew_code group_work_add(struct group_work *work, pid_t pid, int64_t injection,
                              struct skew_error *error);
/* By ascending pid, the order in which they are to be opened. */
void group_work_sort(struct group_work *work);
/* Acts on the members from work->first on; false where it was asked to end. */
bool group_work_run(struct group_work *work, crew_act *act);
/* The same for acts that stop processes: who shares memory is asked for all of them together. */
bool group_work_stop(struct group_work *work, crew_act *act);
/* The ids of those that are open, for free(3); NULL where memory ran out. */
int64_t *group_work_ids(const struct group_work *work, size_t *count);
void group_work_close(struct group_work *work);
/* Hands the outcomes over; the code of all together: SKEW_PARTIAL where they differ. */
enum skew_code group_work_result(struct group_work *work, struct skew_group_result *result,
                                 struct skew_error *error);
void group_work_release(struct group_work *work);

/* "tree:123 cgroup:/a/b pid:9", in an order that does not depend on that of the selectors. */
enum skew_code group_selectors_format(const struct skew_selector *selectors, size_t count,
                                      char *text, size_t size, struct skew_error *error);
/* The live group of this machine and pid namespace with these selectors; id 0 for none. */
enum skew_code group_find(struct skew_engine *engine, const char *selectors,
                          struct journal_group *group, struct skew_error *error);
/* A group by its id, live or not. SKEW_REFUSED for one of another pid namespace. */
enum skew_code group_get(struct skew_engine *engine, int64_t id, struct journal_group *group,
                         struct skew_error *error);

/*
 * Makes this program the one that works on a group, and notes it in group->follower. Waits
 * for another that does; SKEW_FAILED where that takes too long.
 */
enum skew_code group_claim(struct skew_engine *engine, struct journal_group *group,
                           struct skew_error *error);
void group_release(struct skew_engine *engine, struct journal_group *group);

/* Ends the groups that have no live members, unless somebody works on them. */
void groups_settle(struct skew_engine *engine);

/* group_recover.c: puts the members back; those without a whole injection too. */
enum skew_code group_put_back(struct group_work *work, struct skew_error *error);

#endif
