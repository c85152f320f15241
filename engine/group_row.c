/*
 * group_row.c - the row of a group: found by its selectors, claimed by the skewctl
 * that works on it, ended when its last member is gone.
 *
 * A claim is the pid and start time of a process. Nobody need give it up: one of a process
 * that has exited counts for nothing.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/error.h"
#include "engine/follower.h"
#include "engine/group.h"
#include "engine/scope.h"

#define CLAIM_TRIES   300
#define CLAIM_WAIT_NS 100000000L /* together: 30 s */

static int texts_compare(const void *one, const void *other)
{
    return strcmp(*(char *const *)one, *(char *const *)other);
}

static char *selector_format(const struct skew_selector *selector)
{
    static const char *const kinds[] = {
        [SKEW_SELECT_PID] = "pid",       [SKEW_SELECT_TREE] = "tree",
        [SKEW_SELECT_CGROUP] = "cgroup", [SKEW_SELECT_CONTAINER] = "container",
        [SKEW_SELECT_PIDNS] = "pidns",
    };
    char *text;
    int length = selector->name != NULL
                     ? asprintf(&text, "%s:%s", kinds[selector->kind], selector->name)
                     : asprintf(&text, "%s:%d", kinds[selector->kind], (int)selector->pid);
    return length < 0 ? NULL : text;
}

enum skew_code group_selectors_format(const struct skew_selector *selectors, size_t count,
                                      char *text, size_t size, struct skew_error *error)
{
    scoped_memory char **texts = calloc(count + 1, sizeof *texts);
    bool formatted = texts != NULL;
    for (size_t i = 0; formatted && i < count; i++) {
        texts[i] = selector_format(&selectors[i]);
        formatted = texts[i] != NULL;
    }
    if (formatted && count > 1) {
        qsort(texts, count, sizeof *texts, texts_compare);
    }
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; formatted && used < size && i < count; i++) {
        if (i > 0 && strcmp(texts[i], texts[i - 1]) == 0) {
            continue;
        }
        used += (size_t)snprintf(text + used, size - used, "%s%s", used > 0 ? " " : "", texts[i]);
    }
    for (size_t i = 0; texts != NULL && i < count; i++) {
        free(texts[i]);
    }
    if (!formatted) {
        return error_set(error, SKEW_FAILED, 0, 0, "select", "out of memory");
    }
    return used < size ? SKEW_OK
                       : error_set(error, SKEW_USAGE, 0, 0, "select",
                                   "so many targets do not fit into a group; name fewer");
}

static enum skew_code group_here(const struct journal_group *group, bool *here,
                                 struct skew_error *error)
{
    char boot_id[40];
    uint64_t pid_namespace;
    enum skew_code code = target_world_read(boot_id, &pid_namespace, error);
    *here = code == SKEW_OK && strcmp(boot_id, group->boot_id) == 0 &&
            pid_namespace == group->pid_namespace;
    return code;
}

enum skew_code group_find(struct skew_engine *engine, const char *selectors,
                          struct journal_group *group, struct skew_error *error)
{
    struct journal_error journal_error = {0};
    scoped_memory struct journal_group *groups = NULL;
    size_t count;
    group->id = 0;
    if (journal_group_list(engine->journal, false, &groups, &count, &journal_error) != JOURNAL_OK) {
        return error_from_journal(error, 0, &journal_error);
    }
    for (size_t i = 0; i < count; i++) {
        bool here = false;
        enum skew_code code = group_here(&groups[i], &here, error);
        if (code != SKEW_OK) {
            return code;
        }
        if (here && strcmp(groups[i].selectors, selectors) == 0) {
            *group = groups[i];
        }
    }
    return SKEW_OK;
}

enum skew_code group_get(struct skew_engine *engine, int64_t id, struct journal_group *group,
                         struct skew_error *error)
{
    struct journal_error journal_error = {0};
    char boot_id[40];
    uint64_t pid_namespace;
    if (journal_group_get(engine->journal, id, group, &journal_error) != JOURNAL_OK) {
        return error_from_journal(error, 0, &journal_error);
    }
    enum skew_code code = target_world_read(boot_id, &pid_namespace, error);
    if (code == SKEW_OK && strcmp(boot_id, group->boot_id) == 0 &&
        pid_namespace != group->pid_namespace) {
        code = error_set(error, SKEW_REFUSED, 0, 0, "find group",
                         "group g%lld was made in another pid namespace", (long long)id);
        error_advise(error, "run skewctl where it was injected");
    }
    return code;
}

static bool process_start_time(pid_t pid, uint64_t *start_time)
{
    struct target target;
    struct skew_error ignored;
    if (target_open(pid, &target, &ignored) != SKEW_OK) {
        return false;
    }
    *start_time = target.start_time;
    target_close(&target);
    return true;
}

enum skew_code group_claim(struct skew_engine *engine, struct journal_group *group,
                           struct skew_error *error)
{
    struct journal_follower self = {.pid = getpid()};
    struct journal_error journal_error = {0};
    /* Who wants a follower to let go wakes it; a claim of ours needs no waking. */
    signal(SIGUSR1, SIG_IGN);
    if (!process_start_time(self.pid, &self.start_time)) {
        return error_set(error, SKEW_FAILED, 0, 0, "claim group", "cannot look at skewctl itself");
    }
    for (int tries = 0; tries < CLAIM_TRIES; tries++) {
        bool lives;
        if (follower_alive(group, &lives, error) != SKEW_OK) {
            return error->code;
        }
        enum journal_code code =
            lives ? JOURNAL_OK
                  : journal_group_set_follower(engine->journal, group->id, &group->follower, &self,
                                               &journal_error);
        if (code == JOURNAL_OK && !lives) {
            group->follower = self;
            return SKEW_OK;
        }
        if (lives) {
            nanosleep(&(struct timespec){.tv_nsec = CLAIM_WAIT_NS}, NULL);
        }
        if (code == JOURNAL_OK || code == JOURNAL_CONFLICT) {
            code = journal_group_get(engine->journal, group->id, group, &journal_error);
        }
        if (code != JOURNAL_OK) {
            return error_from_journal(error, 0, &journal_error);
        }
    }
    error_set(error, SKEW_FAILED, 0, 0, "claim group", "process %d is at work on group g%lld",
              (int)group->follower.pid, (long long)group->id);
    error_advise(error, "wait until that has ended, then try again");
    return SKEW_FAILED;
}

void group_release(struct skew_engine *engine, struct journal_group *group)
{
    const struct journal_follower nobody = {0};
    struct journal_error ignored;
    if (group->id != 0 && group->follower.pid == getpid()) {
        journal_group_set_follower(engine->journal, group->id, &group->follower, &nobody, &ignored);
        group->follower = nobody;
    }
}

static void group_settle(struct skew_engine *engine, const struct journal_group *group)
{
    struct journal_injection *members;
    struct journal_error ignored;
    size_t count;
    bool followed;
    struct skew_error error;
    if (follower_alive(group, &followed, &error) != SKEW_OK || followed ||
        journal_group_members(engine->journal, group->id, false, &members, &count, &ignored) !=
            JOURNAL_OK) {
        return;
    }
    free(members);
    if (count == 0) {
        journal_group_advance(engine->journal, group->id, JOURNAL_GROUP_ENDED, &ignored);
    }
}

void groups_settle(struct skew_engine *engine)
{
    struct journal_error ignored;
    struct journal_group *groups;
    size_t count;
    if (journal_group_list(engine->journal, false, &groups, &count, &ignored) != JOURNAL_OK) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        group_settle(engine, &groups[i]);
    }
    free(groups);
}

static bool group_is_lost(const struct journal_group *group)
{
    struct skew_error ignored;
    bool alive;
    return group->follow != JOURNAL_FOLLOW_NONE && group->phase == JOURNAL_GROUP_ACTIVE &&
           follower_alive(group, &alive, &ignored) == SKEW_OK && !alive;
}

static enum skew_code groups_list(struct skew_engine *engine, bool lost, int64_t **ids,
                                  size_t *count, struct skew_error *error)
{
    struct journal_error journal_error = {0};
    scoped_memory struct journal_group *groups = NULL;
    size_t live;
    *count = 0;
    groups_settle(engine);
    if (journal_group_list(engine->journal, false, &groups, &live, &journal_error) != JOURNAL_OK) {
        return error_from_journal(error, 0, &journal_error);
    }
    *ids = calloc(live + 1, sizeof **ids);
    if (*ids == NULL) {
        return error_set(error, SKEW_FAILED, 0, 0, "list groups", "out of memory");
    }
    for (size_t i = 0; i < live; i++) {
        if (!lost || group_is_lost(&groups[i])) {
            (*ids)[(*count)++] = groups[i].id;
        }
    }
    return SKEW_OK;
}

enum skew_code skew_group_list(struct skew_engine *engine, int64_t **ids, size_t *count,
                               struct skew_error *error)
{
    return groups_list(engine, false, ids, count, error);
}

enum skew_code skew_group_list_lost(struct skew_engine *engine, int64_t **ids, size_t *count,
                                    struct skew_error *error)
{
    return groups_list(engine, true, ids, count, error);
}
