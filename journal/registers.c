/*
 * registers.c - the registers of a thread, saved while it is held.
 *
 * Begin leaves as little as possible to commit. It takes the write lock,
 * advances the phase, and flushes the pages changed so far into the WAL: if the
 * WAL starts over, that is where SQLite writes its header and calls fsync(2).
 * The frames count for nothing until a commit frame follows. Then it reserves a
 * row, so that commit overwrites what is in the page cache
 * already, writes it with no fsync, and is done.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "journal/error.h"
#include "journal/statement.h"

#define OPERATION "save registers"

/* Room for what is usual; more is as right, but may take another page at commit. */
#define RESERVED_SIZE 512

static enum journal_code compile(struct journal *journal, const char *sql, sqlite3_stmt **statement,
                                 struct journal_error *error)
{
    if (*statement != NULL)
        return JOURNAL_OK;
    const int result =
        sqlite3_prepare_v3(journal->database, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
    if (result != SQLITE_OK)
        return journal_error_sqlite(error, journal->database, result, journal->path, OPERATION);
    return JOURNAL_OK;
}

static enum journal_code reserve_row(struct journal *journal, int64_t id,
                                     struct journal_error *error)
{
    JOURNAL_STATEMENT(insert);
    enum journal_code code = journal_statement_prepare(
        &insert, journal,
        "INSERT INTO registers (injection, tid, content) VALUES (?, 0, zeroblob(?))", OPERATION,
        error);
    if (code != JOURNAL_OK)
        return code;
    journal_bind_integer(&insert, id);
    journal_bind_integer(&insert, RESERVED_SIZE);
    return journal_statement_step(&insert, NULL, error);
}

static enum journal_code prepare_save(struct journal *journal, int64_t id, enum journal_phase phase,
                                      struct journal_error *error)
{
    enum journal_code code = journal_advance_within(journal, id, phase, NULL, OPERATION, error);
    if (code == JOURNAL_OK) {
        const int result = sqlite3_db_cacheflush(journal->database);
        if (result != SQLITE_OK)
            code = journal_error_sqlite(error, journal->database, result, journal->path, OPERATION);
    }
    if (code == JOURNAL_OK)
        code = reserve_row(journal, id, error);
    if (code == JOURNAL_OK)
        code = compile(journal, "UPDATE registers SET tid = ?, content = ? WHERE id = ?",
                       &journal->save, error);
    if (code == JOURNAL_OK)
        code = compile(journal, "COMMIT", &journal->commit, error);
    return code;
}

enum journal_code journal_registers_begin(struct journal *journal, int64_t id,
                                          enum journal_phase phase, struct journal_error *error)
{
    enum journal_code code = journal_transaction_begin(journal, JOURNAL_WRITE, OPERATION, error);
    if (code != JOURNAL_OK)
        return code;
    code = prepare_save(journal, id, phase, error);
    if (code != JOURNAL_OK)
        return journal_transaction_end(journal, code, OPERATION, error);
    journal->reserved = sqlite3_last_insert_rowid(journal->database);
    return JOURNAL_OK;
}

enum journal_code journal_registers_commit(struct journal *journal, pid_t tid,
                                           const void *registers, size_t size,
                                           struct journal_error *error)
{
    if (journal->reserved == 0)
        return journal_error_set(error, JOURNAL_FAILED, EINVAL, OPERATION, "",
                                 "registers are saved to the journal %s without having begun",
                                 journal->path);
    if (tid <= 0 || size == 0 || size > JOURNAL_REGISTERS_MAX) {
        journal_registers_abort(journal);
        return journal_error_set(error, JOURNAL_FAILED, EINVAL, OPERATION, "",
                                 "%zu bytes of registers of thread %d do not fit the journal %s",
                                 size, (int)tid, journal->path);
    }

    int result = sqlite3_bind_int(journal->save, 1, tid);
    if (result == SQLITE_OK)
        result = sqlite3_bind_blob64(journal->save, 2, registers, size, SQLITE_STATIC);
    if (result == SQLITE_OK)
        result = sqlite3_bind_int64(journal->save, 3, journal->reserved);
    if (result == SQLITE_OK)
        result = sqlite3_step(journal->save);
    if (result == SQLITE_DONE) {
        sqlite3_reset(journal->save);
        result = sqlite3_step(journal->commit);
    }
    enum journal_code code = JOURNAL_OK;
    if (result != SQLITE_DONE)
        code = journal_error_sqlite(error, journal->database, result, journal->path, OPERATION);
    /* Ends the transaction where it is still open, forgets the caller's buffer. */
    journal_registers_abort(journal);
    return code;
}

void journal_registers_abort(struct journal *journal)
{
    if (journal->reserved == 0)
        return;
    journal->reserved = 0;
    sqlite3_reset(journal->commit);
    sqlite3_reset(journal->save);
    sqlite3_clear_bindings(journal->save);
    if (sqlite3_get_autocommit(journal->database) == 0)
        sqlite3_exec(journal->database, "ROLLBACK", NULL, NULL, NULL);
}

static enum journal_code load_registers(struct journal *journal, int64_t id, pid_t *tid,
                                        void *registers, size_t *size, struct journal_error *error)
{
    JOURNAL_STATEMENT(select);
    bool row;
    enum journal_code code = journal_statement_select(
        &select, journal,
        "SELECT tid, content FROM registers WHERE injection = ? ORDER BY id DESC LIMIT 1", id, &row,
        "load registers", error);
    if (code != JOURNAL_OK)
        return code;
    if (!row)
        return journal_error_set(error, JOURNAL_NOT_FOUND, 0, "load registers", "",
                                 "the journal %s has no registers of injection %lld", journal->path,
                                 (long long)id);
    *tid = (pid_t)journal_read_integer(&select, 1, INT_MAX);
    return journal_read_sized(&select, JOURNAL_REGISTERS_MAX, registers, size, error);
}

enum journal_code journal_registers_load(struct journal *journal, int64_t id, pid_t *tid,
                                         void *registers, size_t *size, struct journal_error *error)
{
    enum journal_code code =
        journal_transaction_begin(journal, JOURNAL_READ, "load registers", error);
    if (code != JOURNAL_OK)
        return code;
    code = load_registers(journal, id, tid, registers, size, error);
    return journal_transaction_end(journal, code, "load registers", error);
}
