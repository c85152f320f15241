/*
 * text.h - making text of unknown origin fit for a terminal line or for JSON.
 *
 * Names of commands may hold any bytes. Bytes that are no UTF-8, or may not
 * stand where they would, come out as \xNN.
 */
#ifndef SKEWCTL_CLI_TEXT_H
#define SKEWCTL_CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Room for `length` bytes when every one of them is escaped. */
#define TEXT_ESCAPED_SIZE(length) (4 * (length) + 1)

/*
 * Copies text, escaping what is no UTF-8, and with `controls` also what would
 * steer a terminal or break the line. Cuts before what does not fit; always
 * terminated. Returns buffer. Does not depend on the locale.
 */
const char *text_escape(const char *text, bool controls, char *buffer, size_t size);

#endif
