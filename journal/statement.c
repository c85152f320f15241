/* statement.c - see statement.h. */
#include "journal/statement.h"

#include <errno.h>
#include <string.h>

#include "journal/error.h"

enum journal_code journal_statement_prepare(struct journal_statement *statement,
                                            struct journal *journal, const char *sql,
                                            const char *operation, struct journal_error *error)
{
    *statement =
        (struct journal_statement){.journal = journal, .operation = operation, .sound = true};
    const int result = sqlite3_prepare_v2(journal->database, sql, -1, &statement->handle, NULL);
    if (result != SQLITE_OK)
        return journal_error_sqlite(error, journal->database, result, journal->path, operation);
    return JOURNAL_OK;
}

void journal_statement_release(struct journal_statement *statement)
{
    sqlite3_finalize(statement->handle);
    statement->handle = NULL;
}

void journal_statement_reset(struct journal_statement *statement)
{
    sqlite3_reset(statement->handle);
    statement->result = SQLITE_OK;
    statement->parameter = 0;
}

static void note_bind(struct journal_statement *statement, int result)
{
    if (statement->result == SQLITE_OK)
        statement->result = result;
}

void journal_bind_integer(struct journal_statement *statement, int64_t value)
{
    note_bind(statement, sqlite3_bind_int64(statement->handle, ++statement->parameter, value));
}

void journal_bind_text(struct journal_statement *statement, const char *text)
{
    note_bind(statement, sqlite3_bind_text(statement->handle, ++statement->parameter, text, -1,
                                           SQLITE_STATIC));
}

void journal_bind_blob(struct journal_statement *statement, const void *blob, size_t size)
{
    note_bind(statement, sqlite3_bind_blob64(statement->handle, ++statement->parameter, blob, size,
                                             SQLITE_STATIC));
}

enum journal_code journal_statement_step(struct journal_statement *statement, bool *row,
                                         struct journal_error *error)
{
    int result = statement->result;
    if (result == SQLITE_OK)
        result = sqlite3_step(statement->handle);
    statement->column = 0;
    statement->sound = true;
    if (row != NULL)
        *row = result == SQLITE_ROW;
    if (result != SQLITE_ROW && result != SQLITE_DONE)
        return journal_error_sqlite(error, statement->journal->database, result,
                                    statement->journal->path, statement->operation);
    return JOURNAL_OK;
}

enum journal_code journal_statement_select(struct journal_statement *statement,
                                           struct journal *journal, const char *sql, int64_t id,
                                           bool *row, const char *operation,
                                           struct journal_error *error)
{
    enum journal_code code = journal_statement_prepare(statement, journal, sql, operation, error);
    if (code != JOURNAL_OK)
        return code;
    journal_bind_integer(statement, id);
    return journal_statement_step(statement, row, error);
}

/* The number of the next column, which must be of the given type; -1 where it is not. */
static int next_column(struct journal_statement *statement, int type)
{
    const int column = statement->column++;
    if (sqlite3_column_type(statement->handle, column) == type)
        return column;
    statement->sound = false;
    return -1;
}

int64_t journal_read_integer(struct journal_statement *statement, int64_t least, int64_t most)
{
    const int column = next_column(statement, SQLITE_INTEGER);
    if (column < 0)
        return 0;
    const int64_t value = sqlite3_column_int64(statement->handle, column);
    if (value < least || value > most) {
        statement->sound = false;
        return 0;
    }
    return value;
}

uint64_t journal_read_unsigned(struct journal_statement *statement)
{
    return (uint64_t)journal_read_integer(statement, INT64_MIN, INT64_MAX);
}

void journal_read_text(struct journal_statement *statement, char *text, size_t capacity)
{
    text[0] = '\0';
    const int column = next_column(statement, SQLITE_TEXT);
    if (column < 0)
        return;
    const unsigned char *value = sqlite3_column_text(statement->handle, column);
    const size_t length = (size_t)sqlite3_column_bytes(statement->handle, column);
    if (value == NULL || length >= capacity || memchr(value, '\0', length) != NULL) {
        statement->sound = false;
        return;
    }
    memcpy(text, value, length);
    text[length] = '\0';
}

/* A blob of 1 to `most` bytes, valid until the next step; NULL if it is not. */
static const void *read_blob(struct journal_statement *statement, size_t most, size_t *size)
{
    *size = 0;
    const int column = next_column(statement, SQLITE_BLOB);
    if (column < 0)
        return NULL;
    const void *blob = sqlite3_column_blob(statement->handle, column);
    const size_t length = (size_t)sqlite3_column_bytes(statement->handle, column);
    if (blob == NULL || length > most) {
        statement->sound = false;
        return NULL;
    }
    *size = length;
    return blob;
}

void journal_read_bytes(struct journal_statement *statement, void *bytes, size_t size)
{
    size_t length;
    const void *blob = read_blob(statement, size, &length);
    if (blob != NULL && length == size)
        memcpy(bytes, blob, size);
    else
        statement->sound = false;
}

enum journal_code journal_statement_check(const struct journal_statement *statement,
                                          struct journal_error *error)
{
    if (statement->sound)
        return JOURNAL_OK;
    return journal_error_damaged(error, statement->journal->path, statement->operation,
                                 "a row holds a value that skewctl does not write");
}

enum journal_code journal_read_sized(struct journal_statement *statement, size_t most, void *buffer,
                                     size_t *size, struct journal_error *error)
{
    const size_t capacity = *size;
    const void *blob = read_blob(statement, most, size);
    const enum journal_code code = journal_statement_check(statement, error);
    if (code != JOURNAL_OK)
        return code;
    if (*size > capacity)
        return journal_error_set(error, JOURNAL_FAILED, ERANGE, statement->operation, "",
                                 "%zu bytes of the journal %s do not fit into %zu", *size,
                                 statement->journal->path, capacity);
    memcpy(buffer, blob, *size);
    return JOURNAL_OK;
}
