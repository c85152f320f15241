/*
 * statement.h - one SQL statement: parameters bound in order, rows read back in
 * order. Every value read is checked for type and range, because a journal may
 * have been tampered with: nothing read here can overflow a buffer.
 */
#ifndef SKEWCTL_JOURNAL_STATEMENT_H
#define SKEWCTL_JOURNAL_STATEMENT_H

#include "journal/connection.h"

struct journal_statement {
    struct journal *journal;
    const char *operation;
    sqlite3_stmt *handle;
    int result; /* of the first bind that failed */
    int parameter;
    int column;
    bool sound; /* every value of the present row was as it should be */
};

/* Declares a statement that releases itself at the end of its scope. */
#define JOURNAL_STATEMENT(name)                                                                    \
    __attribute__((cleanup(journal_statement_release))) struct journal_statement name = {0}

enum journal_code journal_statement_prepare(struct journal_statement *statement,
                                            struct journal *journal, const char *sql,
                                            const char *operation, struct journal_error *error);
void journal_statement_release(struct journal_statement *statement);
/* Makes it ready to be bound and stepped once more. */
void journal_statement_reset(struct journal_statement *statement);

/* A failed bind is reported by the next step. Text and blobs must outlive it. */
void journal_bind_integer(struct journal_statement *statement, int64_t value);
void journal_bind_text(struct journal_statement *statement, const char *text);
void journal_bind_blob(struct journal_statement *statement, const void *blob, size_t size);

/* *row tells whether there is a row to read; may be NULL where none is expected. */
enum journal_code journal_statement_step(struct journal_statement *statement, bool *row,
                                         struct journal_error *error);

/*
 * Prepares and steps a statement whose only parameter is an id: *row tells whether there
 * is a row to read.
 */
enum journal_code journal_statement_select(struct journal_statement *statement,
                                           struct journal *journal, const char *sql, int64_t id,
                                           bool *row, const char *operation,
                                           struct journal_error *error);

/* On a value that is not as described they clear `sound` and give back nothing. */
int64_t journal_read_integer(struct journal_statement *statement, int64_t least, int64_t most);
uint64_t journal_read_unsigned(struct journal_statement *statement);
void journal_read_text(struct journal_statement *statement, char *text, size_t capacity);
void journal_read_bytes(struct journal_statement *statement, void *bytes, size_t size);

/* JOURNAL_REFUSED where a value of the present row was unsound. */
enum journal_code journal_statement_check(const struct journal_statement *statement,
                                          struct journal_error *error);

/*
 * Reads the row's last value, a blob of 1 to `most` bytes, into a buffer of
 * *size bytes and checks the row. Where the buffer is too small the error is
 * JOURNAL_FAILED with ERANGE; *size is the length of the blob either way.
 */
enum journal_code journal_read_sized(struct journal_statement *statement, size_t most, void *buffer,
                                     size_t *size, struct journal_error *error);

#endif
