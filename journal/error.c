/* error.c - see error.h. */
#include "journal/error.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ADVICE_DAMAGED                                                                             \
    "move the file, and those beside it that end in -wal and -shm, out of the way, or choose "     \
    "another with --journal"

enum journal_code journal_error_set(struct journal_error *error, enum journal_code code, int errnum,
                                    const char *operation, const char *advice, const char *format,
                                    ...)
{
    static const char gap[] = "...";
    char line[PATH_MAX + 512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    for (char *c = line; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == '\x7f')
            *c = '?';
    }

    error->code = code;
    error->errnum = errnum;
    error->operation = operation;
    snprintf(error->advice, sizeof(error->advice), "%s", advice);
    const size_t room = sizeof(error->message) - sizeof(gap);
    const size_t length = strlen(line);
    if (length < sizeof(error->message))
        memcpy(error->message, line, length + 1);
    else
        snprintf(error->message, sizeof(error->message), "%.*s%s%s", (int)(room / 2), line, gap,
                 line + length - room / 2);
    return code;
}

enum journal_code journal_code_of_errno(int errnum)
{
    return errnum == EACCES || errnum == EPERM || errnum == EROFS ? JOURNAL_NOT_PERMITTED
                                                                  : JOURNAL_FAILED;
}

enum journal_code journal_error_sqlite(struct journal_error *error, sqlite3 *database, int result,
                                       const char *path, const char *operation)
{
    const char *why = database != NULL ? sqlite3_errmsg(database) : sqlite3_errstr(result);
    const int errnum = database != NULL ? sqlite3_system_errno(database) : 0;

    if (result == SQLITE_CONSTRAINT_UNIQUE)
        return journal_error_set(error, JOURNAL_CONFLICT, 0, operation,
                                 "run `skewctl list` to see it, `skewctl recover` to end it",
                                 "the journal %s already has a live injection of this process",
                                 path);

    switch (result & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        return journal_error_set(error, JOURNAL_BUSY, 0, operation,
                                 "try again when the other skewctl has finished",
                                 "the journal %s is locked by another process", path);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return journal_error_set(error, JOURNAL_REFUSED, 0, operation, ADVICE_DAMAGED,
                                 "the journal %s is damaged: %s", path, why);
    /* Our statements are constant, so one that does not fit the schema speaks of the file. */
    case SQLITE_ERROR:
    case SQLITE_MISMATCH:
        return journal_error_damaged(error, path, operation, why);
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return journal_error_set(error, JOURNAL_NOT_PERMITTED, errnum, operation,
                                 "Make the file and its folder writable, or choose another with "
                                 "--journal.",
                                 "the journal %s may not be written: %s", path, why);
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
        return journal_error_set(error, journal_code_of_errno(errnum), errnum, operation, "",
                                 "the journal %s: %s%s%s", path, why, errnum != 0 ? ": " : "",
                                 errnum != 0 ? strerror(errnum) : "");
    case SQLITE_FULL:
        return journal_error_set(error, JOURNAL_FAILED, ENOSPC, operation,
                                 "free some space, or choose another place with --journal",
                                 "no space left to write the journal %s", path);
    case SQLITE_NOMEM:
        return journal_error_set(error, JOURNAL_FAILED, ENOMEM, operation, "",
                                 "no memory to use the journal %s", path);
    default:
        return journal_error_set(error, JOURNAL_FAILED, errnum, operation, "", "the journal %s: %s",
                                 path, why);
    }
}

enum journal_code journal_error_damaged(struct journal_error *error, const char *path,
                                        const char *operation, const char *what)
{
    return journal_error_set(error, JOURNAL_REFUSED, 0, operation, ADVICE_DAMAGED,
                             "the journal %s is damaged: %s", path, what);
}

enum journal_code journal_error_no_injection(struct journal_error *error, const char *path,
                                             const char *operation, int64_t id)
{
    return journal_error_set(error, JOURNAL_NOT_FOUND, 0, operation,
                             "run `skewctl list --all` to see what there is",
                             "the journal %s has no injection %lld", path, (long long)id);
}
