/* vdso.c - see vdso.h. */
#include "journal/vdso.h"

#include "journal/error.h"
#include "journal/statement.h"

enum journal_code journal_vdso_store(struct journal *journal, const void *content, size_t size,
                                     int64_t *id, struct journal_error *error)
{
    JOURNAL_STATEMENT(insert);
    JOURNAL_STATEMENT(select);
    bool row;
    enum journal_code code = journal_statement_prepare(
        &insert, journal, "INSERT INTO vdso (content) VALUES (?) ON CONFLICT DO NOTHING", "plan",
        error);
    if (code != JOURNAL_OK)
        return code;
    journal_bind_blob(&insert, content, size);
    code = journal_statement_step(&insert, NULL, error);
    if (code == JOURNAL_OK)
        code = journal_statement_prepare(&select, journal, "SELECT id FROM vdso WHERE content = ?",
                                         "plan", error);
    if (code != JOURNAL_OK)
        return code;
    journal_bind_blob(&select, content, size);
    code = journal_statement_step(&select, &row, error);
    if (code != JOURNAL_OK)
        return code;
    *id = journal_read_integer(&select, 1, INT64_MAX);
    return journal_statement_check(&select, error);
}

static enum journal_code load_vdso(struct journal *journal, int64_t id, void *vdso, size_t *size,
                                   struct journal_error *error)
{
    JOURNAL_STATEMENT(select);
    bool row;
    enum journal_code code = journal_statement_select(
        &select, journal,
        "SELECT content FROM injections LEFT JOIN vdso ON vdso.id = injections.vdso"
        " WHERE injections.id = ?",
        id, &row, "load vDSO", error);
    if (code != JOURNAL_OK)
        return code;
    if (!row)
        return journal_error_no_injection(error, journal->path, "load vDSO", id);
    return journal_read_sized(&select, JOURNAL_VDSO_MAX, vdso, size, error);
}

enum journal_code journal_vdso_load(struct journal *journal, int64_t id, void *vdso, size_t *size,
                                    struct journal_error *error)
{
    enum journal_code code = journal_transaction_begin(journal, JOURNAL_READ, "load vDSO", error);
    if (code != JOURNAL_OK)
        return code;
    code = load_vdso(journal, id, vdso, size, error);
    return journal_transaction_end(journal, code, "load vDSO", error);
}
