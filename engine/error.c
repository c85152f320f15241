/*
 * error.c - fills error values. The only place that turns errno into words.
 */
#include "engine/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum skew_code error_set(struct skew_error *error, enum skew_code code, pid_t pid, int errnum,
                         const char *operation, const char *format, ...)
{
    *error =
        (struct skew_error){.code = code, .pid = pid, .errnum = errnum, .operation = operation};
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    if (errnum != 0 && length >= 0 && (size_t)length < sizeof error->message) {
        snprintf(error->message + length, sizeof error->message - (size_t)length, ": %s",
                 strerrordesc_np(errnum));
    }
    return code;
}

enum skew_code error_set_plain(struct skew_error *error, enum skew_code code, pid_t pid, pid_t tid,
                               int errnum, const char *operation, const char *message)
{
    error->code = code;
    error->pid = pid;
    error->tid = tid;
    error->errnum = errnum;
    error->operation = operation;
    error->journal = false;
    error->advice[0] = '\0';
    size_t used = strnlen(message, sizeof error->message - 1);
    memcpy(error->message, message, used);
    error->message[used] = '\0';
    const char *reason = errnum != 0 ? strerrordesc_np(errnum) : NULL;
    if (reason != NULL) {
        size_t room = sizeof error->message - 1 - used;
        size_t length = strlen(reason);
        if (length + 2 <= room) {
            memcpy(error->message + used, ": ", 2);
            memcpy(error->message + used + 2, reason, length + 1);
        }
    }
    return code;
}

void error_name_thread(struct skew_error *error)
{
    if (error->tid == 0 || error->tid == error->pid) {
        return;
    }
    char message[sizeof error->message];
    snprintf(message, sizeof message, "thread %d: %.280s", (int)error->tid, error->message);
    memcpy(error->message, message, sizeof message);
}

void error_advise(struct skew_error *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->advice, sizeof error->advice, format, arguments);
    va_end(arguments);
}

enum skew_code error_from_journal(struct skew_error *error, pid_t pid,
                                  const struct journal_error *journal_error)
{
    enum skew_code code = SKEW_FAILED;
    switch (journal_error->code) {
    case JOURNAL_OK:
        return SKEW_OK;
    case JOURNAL_NOT_FOUND:
        code = SKEW_NOT_FOUND;
        break;
    case JOURNAL_NOT_PERMITTED:
        code = SKEW_NOT_PERMITTED;
        break;
    case JOURNAL_CONFLICT:
    case JOURNAL_REFUSED:
        code = SKEW_REFUSED;
        break;
    case JOURNAL_ILLEGAL:
    case JOURNAL_BUSY:
    case JOURNAL_FAILED:
        break;
    }
    *error = (struct skew_error){.code = code,
                                 .pid = pid,
                                 .errnum = journal_error->errnum,
                                 .journal = true,
                                 .operation = journal_error->operation};
    memcpy(error->message, journal_error->message, sizeof journal_error->message);
    memcpy(error->advice, journal_error->advice, sizeof journal_error->advice);
    return code;
}

enum skew_code error_code_for(int errnum)
{
    switch (errnum) {
    case ESRCH:
    case ENOENT:
        return SKEW_NOT_FOUND;
    case EPERM:
    case EACCES:
        return SKEW_NOT_PERMITTED;
    default:
        return SKEW_FAILED;
    }
}

bool error_is_of_look(enum skew_code code, const struct skew_error *error)
{
    return code == SKEW_FAILED && error->operation != NULL &&
           strcmp(error->operation, "look again") == 0;
}
