/*
 * group.h - inject and recover for groups: several processes as one unit.
 */
#ifndef SKEWCTL_CLI_GROUP_H
#define SKEWCTL_CLI_GROUP_H

#include "cli/batch.h"

/*
 * Those that the options name, as a group, then the children. Print what was done; return the
 * exit status. *group is its id, or 0 where there is none.
 */
int group_inject(struct skew_engine *engine, const struct options *options,
                 const struct skew_request *request, int64_t *group);
/* Another skew for the groups named by --id. */
int group_update(struct skew_engine *engine, const struct options *options,
                 const struct skew_request *request);
int group_recover(struct skew_engine *engine, const struct options *options, batch_follow *follow);

/*
 * Recovers groups and adds what was done to `list`, for batch_run(): all, with --crashed what
 * was interrupted, or those named by --id. What keeps a group from being recovered at all
 * is an outcome too; another code than SKEW_OK has been said on standard error.
 */
enum skew_code group_recover_listed(struct skew_engine *engine, const struct options *options,
                                    struct outcome_list *list);
enum skew_code group_recover_ids(struct skew_engine *engine, const struct options *options,
                                 struct outcome_list *list);

/* Whether that injection is among them. */
bool outcome_list_has(const struct outcome_list *list, int64_t id);

#endif
