/*
 * error.h - errors as values: how the engine fills a struct skew_error.
 */
#ifndef SKEWCTL_ENGINE_ERROR_H
#define SKEWCTL_ENGINE_ERROR_H

#include "engine/skewctl.h"
#include "journal/journal.h"

/*
 * Fills the error and returns its code, so that a failure is one statement.
 * `operation` must be a string literal. errnum 0 means that no system call
 * failed; otherwise its text is appended to the message. Formats: not for use
 * while a target is stopped.
 */
enum skew_code error_set(struct skew_error *error, enum skew_code code, pid_t pid, int errnum,
                         const char *operation, const char *format, ...)
    __attribute__((format(printf, 6, 7)));

/* The same from literals alone, for use while a target is stopped. */
enum skew_code error_set_plain(struct skew_error *error, enum skew_code code, pid_t pid, pid_t tid,
                               int errnum, const char *operation, const char *message);

/* Says what to do about it. */
void error_advise(struct skew_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Puts the thread that error_set_plain only took note of into the message. */
void error_name_thread(struct skew_error *error);

/* Whether what was looked at had changed by the time it was touched: it can be tried again. */
bool error_is_of_look(enum skew_code code, const struct skew_error *error);

/* Turns an error of the journal into one of the engine. */
enum skew_code error_from_journal(struct skew_error *error, pid_t pid,
                                  const struct journal_error *journal_error);

/* The code for a failed system call on a target: ESRCH, EPERM and EACCES have their own. */
enum skew_code error_code_for(int errnum);

#endif
