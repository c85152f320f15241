/*
 * groups.c - see groups.h.
 */
#include "journal/groups.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "journal/connection.h"
#include "journal/error.h"
#include "journal/skew.h"
#include "journal/statement.h"

/* In the order in which plan_row() binds and read_group() reads them. */
#define COLUMNS                                                                                    \
    "boot_id, pid_namespace, selectors, follow, follower_pid, follower_start_time, phase, "        \
    "created_ns, changed_ns, " JOURNAL_SKEW_COLUMNS

static enum journal_code check_plan(const struct journal *journal,
                                    const struct journal_group *group, struct journal_error *error)
{
    const char *wrong = NULL;
    if (!journal_text_ends(group->boot_id, sizeof(group->boot_id)) || group->boot_id[0] == '\0')
        wrong = "boot id";
    else if (!journal_text_ends(group->selectors, sizeof(group->selectors)) ||
             group->selectors[0] == '\0')
        wrong = "list of selectors";
    else if ((unsigned)group->follow >= JOURNAL_FOLLOW_COUNT)
        wrong = "way to follow";
    else
        wrong = journal_skew_wrong(&group->skew);
    if (wrong == NULL)
        return JOURNAL_OK;
    return journal_error_set(error, JOURNAL_FAILED, EINVAL, "plan group", "",
                             "a group with an invalid %s cannot be written to the journal %s",
                             wrong, journal->path);
}

static enum journal_code plan_row(struct journal *journal, const struct journal_group *group,
                                  struct journal_error *error)
{
    JOURNAL_STATEMENT(insert);
    enum journal_code code =
        journal_statement_prepare(&insert, journal,
                                  "INSERT INTO groups (" COLUMNS
                                  ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, " JOURNAL_SKEW_VALUES ")",
                                  "plan group", error);
    if (code != JOURNAL_OK)
        return code;
    journal_bind_text(&insert, group->boot_id);
    journal_bind_integer(&insert, (int64_t)group->pid_namespace);
    journal_bind_text(&insert, group->selectors);
    journal_bind_integer(&insert, group->follow);
    journal_bind_integer(&insert, group->follower.pid);
    journal_bind_integer(&insert, (int64_t)group->follower.start_time);
    journal_bind_integer(&insert, group->phase);
    journal_bind_integer(&insert, group->created_ns);
    journal_bind_integer(&insert, group->changed_ns);
    journal_skew_bind(&insert, &group->skew);
    return journal_statement_step(&insert, NULL, error);
}

enum journal_code journal_group_plan(struct journal *journal, struct journal_group *group,
                                     struct journal_error *error)
{
    enum journal_code code = check_plan(journal, group, error);
    if (code == JOURNAL_OK)
        code = journal_transaction_begin(journal, JOURNAL_WRITE, "plan group", error);
    if (code != JOURNAL_OK)
        return code;
    group->phase = JOURNAL_GROUP_PLANNED;
    group->follower = (struct journal_follower){0};
    group->created_ns = group->changed_ns = journal_now_ns();
    code = plan_row(journal, group, error);
    const int64_t id = sqlite3_last_insert_rowid(journal->database);
    code = journal_transaction_end(journal, code, "plan group", error);
    if (code == JOURNAL_OK)
        group->id = id;
    return code;
}

static enum journal_code read_group(struct journal_statement *select, struct journal_group *group,
                                    struct journal_error *error)
{
    *group = (struct journal_group){0};
    group->id = journal_read_integer(select, 1, INT64_MAX);
    journal_read_text(select, group->boot_id, sizeof(group->boot_id));
    group->pid_namespace = journal_read_unsigned(select);
    journal_read_text(select, group->selectors, sizeof(group->selectors));
    group->follow = (enum journal_follow)journal_read_integer(select, 0, JOURNAL_FOLLOW_COUNT - 1);
    group->follower.pid = (pid_t)journal_read_integer(select, 0, INT_MAX);
    group->follower.start_time = journal_read_unsigned(select);
    group->phase =
        (enum journal_group_phase)journal_read_integer(select, 0, JOURNAL_GROUP_PHASE_COUNT - 1);
    group->created_ns = journal_read_integer(select, INT64_MIN, INT64_MAX);
    group->changed_ns = journal_read_integer(select, INT64_MIN, INT64_MAX);
    journal_skew_read(select, &group->skew);
    return journal_statement_check(select, error);
}

static enum journal_code get_group(struct journal *journal, int64_t id, struct journal_group *group,
                                   const char *operation, struct journal_error *error)
{
    *group = (struct journal_group){0};
    JOURNAL_STATEMENT(select);
    bool row;
    enum journal_code code = journal_statement_select(
        &select, journal, "SELECT id, " COLUMNS " FROM groups WHERE id = ?", id, &row, operation,
        error);
    if (code != JOURNAL_OK)
        return code;
    if (!row)
        return journal_error_set(error, JOURNAL_NOT_FOUND, 0, operation,
                                 "run `skewctl list --all` to see what there is",
                                 "the journal %s has no group g%lld", journal->path, (long long)id);
    return read_group(&select, group, error);
}

enum journal_code journal_group_get(struct journal *journal, int64_t id,
                                    struct journal_group *group, struct journal_error *error)
{
    enum journal_code code = journal_transaction_begin(journal, JOURNAL_READ, "get group", error);
    if (code != JOURNAL_OK)
        return code;
    code = get_group(journal, id, group, "get group", error);
    return journal_transaction_end(journal, code, "get group", error);
}

static enum journal_code list_groups(struct journal *journal, bool all,
                                     struct journal_group **groups, size_t *count,
                                     struct journal_error *error)
{
    JOURNAL_STATEMENT(select);
    size_t capacity = 0;
    bool row;
    enum journal_code code = journal_statement_prepare(
        &select, journal,
        all ? "SELECT id, " COLUMNS " FROM groups ORDER BY id"
            : "SELECT id, " COLUMNS " FROM groups WHERE phase < 3 ORDER BY id",
        "list groups", error);
    if (code != JOURNAL_OK)
        return code;
    while ((code = journal_statement_step(&select, &row, error)) == JOURNAL_OK && row) {
        if (*count == capacity) {
            capacity = capacity == 0 ? 4 : 2 * capacity;
            void *larger = reallocarray(*groups, capacity, sizeof(**groups));
            if (larger == NULL)
                return journal_error_set(error, JOURNAL_FAILED, ENOMEM, "list groups", "",
                                         "no memory to list the journal %s", journal->path);
            *groups = larger;
        }
        code = read_group(&select, &(*groups)[*count], error);
        if (code != JOURNAL_OK)
            return code;
        (*count)++;
    }
    return code;
}

enum journal_code journal_group_list(struct journal *journal, bool all,
                                     struct journal_group **groups, size_t *count,
                                     struct journal_error *error)
{
    *groups = NULL;
    *count = 0;
    enum journal_code code = journal_transaction_begin(journal, JOURNAL_READ, "list groups", error);
    if (code != JOURNAL_OK)
        return code;
    code = list_groups(journal, all, groups, count, error);
    code = journal_transaction_end(journal, code, "list groups", error);
    if (code != JOURNAL_OK) {
        free(*groups);
        *groups = NULL;
        *count = 0;
    }
    return code;
}

/* Within a transaction. *group is as it is now; an ended one is refused. */
static enum journal_code get_live(struct journal *journal, int64_t id, struct journal_group *group,
                                  const char *operation, struct journal_error *error)
{
    enum journal_code code = get_group(journal, id, group, operation, error);
    if (code == JOURNAL_OK && group->phase == JOURNAL_GROUP_ENDED)
        return journal_error_set(error, JOURNAL_ILLEGAL, 0, operation, "", "group g%lld has ended",
                                 (long long)id);
    return code;
}

/* UPDATE groups SET ... WHERE id = ?, with the values in order. */
static enum journal_code update_group(struct journal *journal, const char *sql, int64_t id,
                                      const int64_t *values, size_t count, const char *operation,
                                      struct journal_error *error)
{
    JOURNAL_STATEMENT(update);
    enum journal_code code = journal_statement_prepare(&update, journal, sql, operation, error);
    if (code != JOURNAL_OK)
        return code;
    for (size_t i = 0; i < count; i++)
        journal_bind_integer(&update, values[i]);
    journal_bind_integer(&update, id);
    return journal_statement_step(&update, NULL, error);
}

static enum journal_code advance_group(struct journal *journal, int64_t id,
                                       enum journal_group_phase phase, struct journal_error *error)
{
    struct journal_group group;
    enum journal_code code = get_group(journal, id, &group, "advance group", error);
    if (code == JOURNAL_OK && !journal_group_phase_may_follow(group.phase, phase))
        return journal_error_set(error, JOURNAL_ILLEGAL, 0, "advance group", "",
                                 "group g%lld is %s and cannot become %s", (long long)id,
                                 journal_group_phase_name(group.phase),
                                 journal_group_phase_name(phase));
    const int64_t values[] = {phase, journal_now_ns()};
    return code != JOURNAL_OK
               ? code
               : update_group(journal, "UPDATE groups SET phase = ?, changed_ns = ? WHERE id = ?",
                              id, values, 2, "advance group", error);
}

enum journal_code journal_group_advance(struct journal *journal, int64_t id,
                                        enum journal_group_phase phase, struct journal_error *error)
{
    enum journal_code code =
        journal_transaction_begin(journal, JOURNAL_WRITE, "advance group", error);
    if (code != JOURNAL_OK)
        return code;
    code = advance_group(journal, id, phase, error);
    return journal_transaction_end(journal, code, "advance group", error);
}

/* A change of a live group that needs no more than new values. */
static enum journal_code change_live(struct journal *journal, const char *sql, int64_t id,
                                     const int64_t *values, size_t count, const char *operation,
                                     struct journal_error *error)
{
    struct journal_group group;
    enum journal_code code = journal_transaction_begin(journal, JOURNAL_WRITE, operation, error);
    if (code != JOURNAL_OK)
        return code;
    code = get_live(journal, id, &group, operation, error);
    if (code == JOURNAL_OK)
        code = update_group(journal, sql, id, values, count, operation, error);
    return journal_transaction_end(journal, code, operation, error);
}

static enum journal_code set_skew(struct journal *journal, int64_t id,
                                  const struct journal_skew *skew, const char *operation,
                                  struct journal_error *error)
{
    JOURNAL_STATEMENT(update);
    enum journal_code code = journal_skew_check(journal, skew, operation, error);
    if (code == JOURNAL_OK)
        code = journal_statement_prepare(&update, journal,
                                         "UPDATE groups SET " JOURNAL_SKEW_SET " WHERE id = ?",
                                         operation, error);
    if (code != JOURNAL_OK)
        return code;
    journal_skew_bind(&update, skew);
    journal_bind_integer(&update, id);
    return journal_statement_step(&update, NULL, error);
}

enum journal_code journal_group_set_skew(struct journal *journal, int64_t id,
                                         const struct journal_skew *skew,
                                         struct journal_error *error)
{
    struct journal_group group;
    enum journal_code code =
        journal_transaction_begin(journal, JOURNAL_WRITE, "set skew of group", error);
    if (code != JOURNAL_OK)
        return code;
    code = get_live(journal, id, &group, "set skew of group", error);
    if (code == JOURNAL_OK)
        code = set_skew(journal, id, skew, "set skew of group", error);
    return journal_transaction_end(journal, code, "set skew of group", error);
}

enum journal_code journal_group_switch_within(struct journal *journal, int64_t id,
                                              const struct journal_skew *skew,
                                              struct journal_error *error)
{
    struct journal_group group;
    enum journal_code code = get_live(journal, id, &group, "switch group", error);
    if (code == JOURNAL_OK && group.phase != JOURNAL_GROUP_ACTIVE)
        code = advance_group(journal, id, JOURNAL_GROUP_ACTIVE, error);
    return code == JOURNAL_OK ? set_skew(journal, id, skew, "switch group", error) : code;
}

enum journal_code journal_group_set_follow(struct journal *journal, int64_t id,
                                           enum journal_follow follow, struct journal_error *error)
{
    const int64_t value = follow;
    return change_live(journal, "UPDATE groups SET follow = ? WHERE id = ?", id, &value, 1,
                       "set follow of group", error);
}

static enum journal_code set_follower(struct journal *journal, int64_t id,
                                      const struct journal_follower *seen,
                                      const struct journal_follower *next,
                                      struct journal_error *error)
{
    struct journal_group group;
    enum journal_code code = next->pid == 0 ? get_group(journal, id, &group, "set follower", error)
                                            : get_live(journal, id, &group, "set follower", error);
    if (code != JOURNAL_OK)
        return code;
    if (group.follower.pid != seen->pid || group.follower.start_time != seen->start_time)
        return journal_error_set(error, JOURNAL_CONFLICT, 0, "set follower",
                                 "run `skewctl list` to see by whom",
                                 group.follower.pid == 0 ? "group g%lld is followed by nobody"
                                                         : "group g%lld is followed by process %d",
                                 (long long)id, (int)group.follower.pid);
    const int64_t values[] = {next->pid, (int64_t)next->start_time};
    return update_group(journal,
                        "UPDATE groups SET follower_pid = ?, follower_start_time = ? WHERE id = ?",
                        id, values, 2, "set follower", error);
}

enum journal_code journal_group_set_follower(struct journal *journal, int64_t id,
                                             const struct journal_follower *seen,
                                             const struct journal_follower *next,
                                             struct journal_error *error)
{
    enum journal_code code =
        journal_transaction_begin(journal, JOURNAL_WRITE, "set follower", error);
    if (code != JOURNAL_OK)
        return code;
    code = set_follower(journal, id, seen, next, error);
    return journal_transaction_end(journal, code, "set follower", error);
}

enum journal_code journal_group_join_within(struct journal *journal, int64_t id, int64_t injection,
                                            struct journal_error *error)
{
    struct journal_group group;
    enum journal_code code =
        id == 0 ? JOURNAL_OK : get_live(journal, id, &group, "join group", error);
    JOURNAL_STATEMENT(update);
    if (code == JOURNAL_OK)
        code = journal_statement_prepare(
            &update, journal,
            "UPDATE injections SET group_id = nullif(?, 0) WHERE id = ? AND " JOURNAL_SQL_LIVE,
            "join group", error);
    if (code != JOURNAL_OK)
        return code;
    journal_bind_integer(&update, id);
    journal_bind_integer(&update, injection);
    code = journal_statement_step(&update, NULL, error);
    if (code == JOURNAL_OK && sqlite3_changes(journal->database) == 0)
        return journal_error_set(
            error, JOURNAL_NOT_FOUND, 0, "join group", "run `skewctl list` to see what there is",
            "the journal %s has no live injection %lld", journal->path, (long long)injection);
    return code;
}

enum journal_code journal_group_join(struct journal *journal, int64_t id, int64_t injection,
                                     struct journal_error *error)
{
    enum journal_code code = journal_transaction_begin(journal, JOURNAL_WRITE, "join group", error);
    if (code != JOURNAL_OK)
        return code;
    code = journal_group_join_within(journal, id, injection, error);
    return journal_transaction_end(journal, code, "join group", error);
}

enum journal_code journal_group_members(struct journal *journal, int64_t id, bool all,
                                        struct journal_injection **members, size_t *count,
                                        struct journal_error *error)
{
    return journal_injections_select(journal,
                                     all ? "group_id = ?" : "group_id = ? AND " JOURNAL_SQL_LIVE,
                                     id, members, count, "list group", error);
}
