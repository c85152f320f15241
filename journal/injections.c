/*
 * injections.c - the rows of injections with their patches: planned, advanced
 * and read back.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "journal/error.h"
#include "journal/skew.h"
#include "journal/statement.h"
#include "journal/vdso.h"

/* In the order in which plan_row() binds and read_injection() reads them. */
#define COLUMNS                                                                                    \
    "boot_id, pid_namespace, pid, start_time, command, executable_device, executable_inode, "      \
    "image_id, vdso_address, vdso_size, stub_address, stub_size, image_address, image_size, "      \
    "phase, created_ns, changed_ns, detail, inherited, " JOURNAL_SKEW_COLUMNS

/* 0 stands for none, for which the database has NULL. */
#define COLUMNS_READ "id, " COLUMNS ", coalesce(group_id, 0)"

static enum journal_code check_plan(const struct journal *journal,
                                    const struct journal_injection *injection, size_t vdso_size,
                                    struct journal_error *error)
{
    const char *wrong = NULL;

    if (!journal_text_ends(injection->key.boot_id, sizeof(injection->key.boot_id)) ||
        injection->key.boot_id[0] == '\0')
        wrong = "boot id";
    else if (injection->key.pid <= 0)
        wrong = "pid";
    else if (!journal_text_ends(injection->command, sizeof(injection->command)))
        wrong = "command";
    else if (vdso_size == 0 || vdso_size > JOURNAL_VDSO_MAX)
        wrong = "size of the vDSO";
    else if (injection->patch_count > JOURNAL_PATCHES_MAX)
        wrong = "number of patches";
    else
        wrong = journal_skew_wrong(&injection->skew);
    for (size_t i = 0; wrong == NULL && i < injection->patch_count; i++) {
        const struct journal_patch *patch = &injection->patches[i];
        if (!journal_text_ends(patch->symbol, sizeof(patch->symbol)))
            wrong = "symbol of a patch";
        else if (patch->length == 0 || patch->length > JOURNAL_PATCH_BYTES)
            wrong = "length of a patch";
    }
    if (wrong == NULL)
        return JOURNAL_OK;
    return journal_error_set(error, JOURNAL_FAILED, EINVAL, "plan", "",
                             "an injection with an invalid %s cannot be written to the journal %s",
                             wrong, journal->path);
}

static enum journal_code plan_row(struct journal *journal,
                                  const struct journal_injection *injection, int64_t vdso,
                                  struct journal_error *error)
{
    JOURNAL_STATEMENT(insert);
    enum journal_code code = journal_statement_prepare(
        &insert, journal,
        "INSERT INTO injections (" COLUMNS ", vdso, group_id)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, " JOURNAL_SKEW_VALUES
        ", ?, nullif(?, 0))",
        "plan", error);
    if (code != JOURNAL_OK)
        return code;
    journal_bind_text(&insert, injection->key.boot_id);
    journal_bind_integer(&insert, (int64_t)injection->key.pid_namespace);
    journal_bind_integer(&insert, injection->key.pid);
    journal_bind_integer(&insert, (int64_t)injection->key.start_time);
    journal_bind_text(&insert, injection->command);
    journal_bind_integer(&insert, (int64_t)injection->executable_device);
    journal_bind_integer(&insert, (int64_t)injection->executable_inode);
    journal_bind_blob(&insert, injection->image_id, sizeof(injection->image_id));
    journal_bind_integer(&insert, (int64_t)injection->vdso_address);
    journal_bind_integer(&insert, (int64_t)injection->vdso_size);
    journal_bind_integer(&insert, (int64_t)injection->stub_address);
    journal_bind_integer(&insert, (int64_t)injection->stub_size);
    journal_bind_integer(&insert, (int64_t)injection->image_address);
    journal_bind_integer(&insert, (int64_t)injection->image_size);
    journal_bind_integer(&insert, injection->phase);
    journal_bind_integer(&insert, injection->created_ns);
    journal_bind_integer(&insert, injection->changed_ns);
    journal_bind_text(&insert, injection->detail);
    journal_bind_integer(&insert, injection->inherited);
    journal_skew_bind(&insert, &injection->skew);
    journal_bind_integer(&insert, vdso);
    journal_bind_integer(&insert, injection->group);
    return journal_statement_step(&insert, NULL, error);
}

static enum journal_code plan_patches(struct journal *journal,
                                      const struct journal_injection *injection,
                                      struct journal_error *error)
{
    JOURNAL_STATEMENT(insert);
    enum journal_code code = journal_statement_prepare(
        &insert, journal,
        "INSERT INTO patches (injection, position, symbol, address, length, original)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        "plan", error);
    for (size_t i = 0; code == JOURNAL_OK && i < injection->patch_count; i++) {
        const struct journal_patch *patch = &injection->patches[i];
        journal_statement_reset(&insert);
        journal_bind_integer(&insert, injection->id);
        journal_bind_integer(&insert, (int64_t)i);
        journal_bind_text(&insert, patch->symbol);
        journal_bind_integer(&insert, (int64_t)patch->address);
        journal_bind_integer(&insert, patch->length);
        journal_bind_blob(&insert, patch->original, sizeof(patch->original));
        code = journal_statement_step(&insert, NULL, error);
    }
    return code;
}

static enum journal_code record_event(struct journal *journal, int64_t id, enum journal_phase phase,
                                      int64_t at_ns, const char *detail, const char *operation,
                                      struct journal_error *error)
{
    JOURNAL_STATEMENT(insert);
    enum journal_code code = journal_statement_prepare(
        &insert, journal,
        "INSERT INTO events (injection, phase, at_ns, detail) VALUES (?, ?, ?, ?)", operation,
        error);
    if (code != JOURNAL_OK)
        return code;
    journal_bind_integer(&insert, id);
    journal_bind_integer(&insert, phase);
    journal_bind_integer(&insert, at_ns);
    journal_bind_text(&insert, detail);
    return journal_statement_step(&insert, NULL, error);
}

enum journal_code journal_plan(struct journal *journal, struct journal_injection *injection,
                               const void *vdso, size_t vdso_size, struct journal_error *error)
{
    int64_t stored;
    enum journal_code code = check_plan(journal, injection, vdso_size, error);
    if (code == JOURNAL_OK)
        code = journal_transaction_begin(journal, JOURNAL_WRITE, "plan", error);
    if (code != JOURNAL_OK)
        return code;

    struct journal_injection planned = *injection;
    planned.phase = JOURNAL_PLANNED;
    planned.created_ns = planned.changed_ns = journal_now_ns();
    planned.detail[0] = '\0';
    code = journal_vdso_store(journal, vdso, vdso_size, &stored, error);
    if (code == JOURNAL_OK)
        code = plan_row(journal, &planned, stored, error);
    planned.id = sqlite3_last_insert_rowid(journal->database);
    if (code == JOURNAL_OK)
        code = plan_patches(journal, &planned, error);
    if (code == JOURNAL_OK)
        code = record_event(journal, planned.id, planned.phase, planned.created_ns, planned.detail,
                            "plan", error);
    code = journal_transaction_end(journal, code, "plan", error);
    if (code == JOURNAL_OK)
        *injection = planned;
    return code;
}

enum journal_code journal_phase_within(struct journal *journal, int64_t id,
                                       enum journal_phase *phase, const char *operation,
                                       struct journal_error *error)
{
    JOURNAL_STATEMENT(select);
    bool row;
    enum journal_code code = journal_statement_select(
        &select, journal, "SELECT phase FROM injections WHERE id = ?", id, &row, operation, error);
    if (code != JOURNAL_OK)
        return code;
    if (!row)
        return journal_error_no_injection(error, journal->path, operation, id);
    *phase = (enum journal_phase)journal_read_integer(&select, 0, JOURNAL_PHASE_COUNT - 1);
    return journal_statement_check(&select, error);
}

enum journal_code journal_advance_within(struct journal *journal, int64_t id,
                                         enum journal_phase phase, const char *detail,
                                         const char *operation, struct journal_error *error)
{
    enum journal_phase present = JOURNAL_GONE;
    enum journal_code code = journal_phase_within(journal, id, &present, operation, error);
    if (code != JOURNAL_OK)
        return code;
    if (!journal_phase_may_follow(present, phase))
        return journal_error_set(error, JOURNAL_ILLEGAL, 0, operation, "",
                                 "injection %lld is %s and cannot become %s", (long long)id,
                                 journal_phase_name(present), journal_phase_name(phase));

    char kept[sizeof(((struct journal_injection *)0)->detail)];
    snprintf(kept, sizeof(kept), "%s", detail != NULL ? detail : "");
    const int64_t now = journal_now_ns();
    JOURNAL_STATEMENT(update);
    code = journal_statement_prepare(
        &update, journal,
        "UPDATE injections SET phase = ?, changed_ns = ?, detail = ? WHERE id = ?", operation,
        error);
    if (code != JOURNAL_OK)
        return code;
    journal_bind_integer(&update, phase);
    journal_bind_integer(&update, now);
    journal_bind_text(&update, kept);
    journal_bind_integer(&update, id);
    code = journal_statement_step(&update, NULL, error);
    if (code != JOURNAL_OK)
        return code;
    return record_event(journal, id, phase, now, kept, operation, error);
}

enum journal_code journal_advance(struct journal *journal, int64_t id, enum journal_phase phase,
                                  const char *detail, struct journal_error *error)
{
    enum journal_code code = journal_transaction_begin(journal, JOURNAL_WRITE, "advance", error);
    if (code != JOURNAL_OK)
        return code;
    code = journal_advance_within(journal, id, phase, detail, "advance", error);
    return journal_transaction_end(journal, code, "advance", error);
}

static enum journal_code gone_within(struct journal *journal, const struct journal_injection *seen,
                                     const char *detail, struct journal_error *error)
{
    enum journal_phase present = JOURNAL_GONE;
    enum journal_code code = journal_phase_within(journal, seen->id, &present, "advance", error);
    if (code == JOURNAL_OK && present != seen->phase)
        return journal_error_set(error, JOURNAL_ILLEGAL, 0, "advance", "",
                                 "injection %lld is %s and no longer %s", (long long)seen->id,
                                 journal_phase_name(present), journal_phase_name(seen->phase));
    return code == JOURNAL_OK
               ? journal_advance_within(journal, seen->id, JOURNAL_GONE, detail, "advance", error)
               : code;
}

enum journal_code journal_gone(struct journal *journal, const struct journal_injection *seen,
                               const char *detail, struct journal_error *error)
{
    enum journal_code code = journal_transaction_begin(journal, JOURNAL_WRITE, "advance", error);
    if (code != JOURNAL_OK)
        return code;
    code = gone_within(journal, seen, detail, error);
    return journal_transaction_end(journal, code, "advance", error);
}

enum journal_code journal_set_skew_within(struct journal *journal, int64_t id,
                                          const struct journal_skew *skew,
                                          struct journal_error *error)
{
    enum journal_phase present = JOURNAL_GONE;
    enum journal_code code = journal_skew_check(journal, skew, "set skew", error);
    if (code == JOURNAL_OK)
        code = journal_phase_within(journal, id, &present, "set skew", error);
    if (code != JOURNAL_OK)
        return code;
    if (!journal_phase_live(present))
        return journal_error_set(error, JOURNAL_ILLEGAL, 0, "set skew", "",
                                 "injection %lld is %s: its skew cannot change", (long long)id,
                                 journal_phase_name(present));
    JOURNAL_STATEMENT(update);
    code = journal_statement_prepare(&update, journal,
                                     "UPDATE injections SET " JOURNAL_SKEW_SET " WHERE id = ?",
                                     "set skew", error);
    if (code != JOURNAL_OK)
        return code;
    journal_skew_bind(&update, skew);
    journal_bind_integer(&update, id);
    return journal_statement_step(&update, NULL, error);
}

enum journal_code journal_set_skew(struct journal *journal, int64_t id,
                                   const struct journal_skew *skew, struct journal_error *error)
{
    enum journal_code code = journal_transaction_begin(journal, JOURNAL_WRITE, "set skew", error);
    if (code != JOURNAL_OK)
        return code;
    code = journal_set_skew_within(journal, id, skew, error);
    return journal_transaction_end(journal, code, "set skew", error);
}

static enum journal_code read_patches(struct journal *journal, struct journal_injection *injection,
                                      const char *operation, struct journal_error *error)
{
    JOURNAL_STATEMENT(select);
    bool row;
    enum journal_code code =
        journal_statement_select(&select, journal,
                                 "SELECT position, symbol, address, length, original FROM patches"
                                 " WHERE injection = ? ORDER BY position",
                                 injection->id, &row, operation, error);
    injection->patch_count = 0;
    for (; code == JOURNAL_OK && row; code = journal_statement_step(&select, &row, error)) {
        const size_t position = injection->patch_count;
        if (position == JOURNAL_PATCHES_MAX)
            return journal_error_damaged(error, journal->path, operation,
                                         "an injection has too many patches");
        struct journal_patch *patch = &injection->patches[position];
        journal_read_integer(&select, (int64_t)position, (int64_t)position);
        journal_read_text(&select, patch->symbol, sizeof(patch->symbol));
        patch->address = journal_read_unsigned(&select);
        patch->length = (uint8_t)journal_read_integer(&select, 1, JOURNAL_PATCH_BYTES);
        journal_read_bytes(&select, patch->original, sizeof(patch->original));
        code = journal_statement_check(&select, error);
        if (code != JOURNAL_OK)
            return code;
        injection->patch_count++;
    }
    return code;
}

/* Reads the present row of a SELECT COLUMNS_READ together with its patches. */
static enum journal_code read_injection(struct journal_statement *select,
                                        struct journal_injection *injection,
                                        struct journal_error *error)
{
    *injection = (struct journal_injection){0};
    injection->id = journal_read_integer(select, 1, INT64_MAX);
    journal_read_text(select, injection->key.boot_id, sizeof(injection->key.boot_id));
    injection->key.pid_namespace = journal_read_unsigned(select);
    injection->key.pid = (pid_t)journal_read_integer(select, 1, INT_MAX);
    injection->key.start_time = journal_read_unsigned(select);
    journal_read_text(select, injection->command, sizeof(injection->command));
    injection->executable_device = journal_read_unsigned(select);
    injection->executable_inode = journal_read_unsigned(select);
    journal_read_bytes(select, injection->image_id, sizeof(injection->image_id));
    injection->vdso_address = journal_read_unsigned(select);
    injection->vdso_size = journal_read_unsigned(select);
    injection->stub_address = journal_read_unsigned(select);
    injection->stub_size = journal_read_unsigned(select);
    injection->image_address = journal_read_unsigned(select);
    injection->image_size = journal_read_unsigned(select);
    injection->phase = (enum journal_phase)journal_read_integer(select, 0, JOURNAL_PHASE_COUNT - 1);
    injection->created_ns = journal_read_integer(select, INT64_MIN, INT64_MAX);
    injection->changed_ns = journal_read_integer(select, INT64_MIN, INT64_MAX);
    journal_read_text(select, injection->detail, sizeof(injection->detail));
    injection->inherited = journal_read_integer(select, 0, 1) == 1;
    journal_skew_read(select, &injection->skew);
    injection->group = journal_read_integer(select, 0, INT64_MAX);
    const enum journal_code code = journal_statement_check(select, error);
    if (code != JOURNAL_OK)
        return code;
    return read_patches(select->journal, injection, select->operation, error);
}

static enum journal_code get_injection(struct journal *journal, int64_t id,
                                       struct journal_injection *injection,
                                       struct journal_error *error)
{
    JOURNAL_STATEMENT(select);
    bool row;
    enum journal_code code = journal_statement_select(
        &select, journal, "SELECT " COLUMNS_READ " FROM injections WHERE id = ?", id, &row, "get",
        error);
    if (code != JOURNAL_OK)
        return code;
    return row ? read_injection(&select, injection, error)
               : journal_error_no_injection(error, journal->path, "get", id);
}

enum journal_code journal_get(struct journal *journal, int64_t id,
                              struct journal_injection *injection, struct journal_error *error)
{
    enum journal_code code = journal_transaction_begin(journal, JOURNAL_READ, "get", error);
    if (code != JOURNAL_OK)
        return code;
    code = get_injection(journal, id, injection, error);
    return journal_transaction_end(journal, code, "get", error);
}

static enum journal_code find_injection(struct journal *journal, const struct journal_key *key,
                                        struct journal_injection *injection,
                                        struct journal_error *error)
{
    JOURNAL_STATEMENT(select);
    bool row;
    enum journal_code code =
        journal_statement_prepare(&select, journal,
                                  "SELECT " COLUMNS_READ " FROM injections"
                                  " WHERE boot_id = ? AND pid_namespace = ? AND pid = ?"
                                  " AND start_time = ? AND " JOURNAL_SQL_LIVE,
                                  "find", error);
    if (code != JOURNAL_OK)
        return code;
    journal_bind_text(&select, key->boot_id);
    journal_bind_integer(&select, (int64_t)key->pid_namespace);
    journal_bind_integer(&select, key->pid);
    journal_bind_integer(&select, (int64_t)key->start_time);
    code = journal_statement_step(&select, &row, error);
    if (code != JOURNAL_OK)
        return code;
    if (!row)
        return journal_error_set(error, JOURNAL_NOT_FOUND, 0, "find", "",
                                 "the journal %s has no live injection of process %d",
                                 journal->path, (int)key->pid);
    return read_injection(&select, injection, error);
}

enum journal_code journal_find_live(struct journal *journal, const struct journal_key *key,
                                    struct journal_injection *injection,
                                    struct journal_error *error)
{
    enum journal_code code = journal_transaction_begin(journal, JOURNAL_READ, "find", error);
    if (code != JOURNAL_OK)
        return code;
    code = find_injection(journal, key, injection, error);
    return journal_transaction_end(journal, code, "find", error);
}

static enum journal_code list_injections(struct journal *journal, const char *condition, int64_t id,
                                         struct journal_injection **injections, size_t *count,
                                         const char *operation, struct journal_error *error)
{
    JOURNAL_STATEMENT(select);
    size_t capacity = 0;
    bool row;
    char sql[512];
    snprintf(sql, sizeof sql, "SELECT " COLUMNS_READ " FROM injections WHERE %s ORDER BY id",
             condition);
    enum journal_code code = journal_statement_prepare(&select, journal, sql, operation, error);
    if (code != JOURNAL_OK)
        return code;
    for (int i = sqlite3_bind_parameter_count(select.handle); i > 0; i--)
        journal_bind_integer(&select, id);
    while ((code = journal_statement_step(&select, &row, error)) == JOURNAL_OK && row) {
        if (*count == capacity) {
            capacity = capacity == 0 ? 16 : 2 * capacity;
            void *larger = reallocarray(*injections, capacity, sizeof(**injections));
            if (larger == NULL)
                return journal_error_set(error, JOURNAL_FAILED, ENOMEM, operation, "",
                                         "no memory to list the journal %s", journal->path);
            *injections = larger;
        }
        code = read_injection(&select, &(*injections)[*count], error);
        if (code != JOURNAL_OK)
            return code;
        (*count)++;
    }
    return code;
}

enum journal_code journal_injections_select(struct journal *journal, const char *condition,
                                            int64_t id, struct journal_injection **injections,
                                            size_t *count, const char *operation,
                                            struct journal_error *error)
{
    *injections = NULL;
    *count = 0;
    enum journal_code code = journal_transaction_begin(journal, JOURNAL_READ, operation, error);
    if (code != JOURNAL_OK)
        return code;
    code = list_injections(journal, condition, id, injections, count, operation, error);
    code = journal_transaction_end(journal, code, operation, error);
    if (code != JOURNAL_OK) {
        free(*injections);
        *injections = NULL;
        *count = 0;
    }
    return code;
}

enum journal_code journal_list(struct journal *journal, bool all,
                               struct journal_injection **injections, size_t *count,
                               struct journal_error *error)
{
    return journal_injections_select(journal, all ? "true" : JOURNAL_SQL_LIVE, 0, injections, count,
                                     "list", error);
}

enum journal_code journal_list_expired(struct journal *journal, int64_t now_ns,
                                       struct journal_injection **injections, size_t *count,
                                       struct journal_error *error)
{
    return journal_injections_select(journal,
                                     JOURNAL_SQL_LIVE " AND deadline_ns <> 0 AND deadline_ns <= ?",
                                     now_ns, injections, count, "list", error);
}
