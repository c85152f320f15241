/*
 * message.h - the one line on standard error that tells what went wrong:
 * "skewctl: what, why; what to do". Control characters are escaped.
 */
#ifndef SKEWCTL_CLI_MESSAGE_H
#define SKEWCTL_CLI_MESSAGE_H

#include "engine/skewctl.h"

/* From now on every line begins with that text, which stays the caller's; "" for nothing. */
void message_about(const char *subject);

/* Prints "skewctl: " and the line, without a newline of the caller's. */
__attribute__((format(printf, 1, 2))) void message_print(const char *format, ...);

/* The same for a request that makes no sense. Returns SKEW_USAGE. */
__attribute__((format(printf, 1, 2))) enum skew_code message_usage(const char *format, ...);

/* Prints an error of the engine; `command` is the target's, or empty. Returns its code. */
enum skew_code message_error(const struct skew_error *error, const char *command);

#endif
