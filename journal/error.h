/*
 * error.h - how this folder fills a struct journal_error. The only place that
 * knows what an SQLite result code means to a caller.
 */
#ifndef SKEWCTL_JOURNAL_ERROR_H
#define SKEWCTL_JOURNAL_ERROR_H

#include <sqlite3.h>

#include "journal/journal.h"

/*
 * Fills the error and returns code. The message becomes one line: control
 * characters turn into '?', and of a line too long the middle is left out.
 * `operation` is a string literal; `advice` may be empty.
 */
enum journal_code journal_error_set(struct journal_error *error, enum journal_code code, int errnum,
                                    const char *operation, const char *advice, const char *format,
                                    ...) __attribute__((format(printf, 6, 7)));

/* NOT_PERMITTED where errnum speaks of access, else FAILED. */
enum journal_code journal_code_of_errno(int errnum);

/* Turns a failed SQLite call into an error. `result` is its (extended) result code. */
enum journal_code journal_error_sqlite(struct journal_error *error, sqlite3 *database, int result,
                                       const char *path, const char *operation);

/* The journal holds what skewctl never wrote; `what` says what is wrong. */
enum journal_code journal_error_damaged(struct journal_error *error, const char *path,
                                        const char *operation, const char *what);

/* JOURNAL_NOT_FOUND, by id. */
enum journal_code journal_error_no_injection(struct journal_error *error, const char *path,
                                             const char *operation, int64_t id);

#endif
