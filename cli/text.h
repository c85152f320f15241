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
#include <stdint.h>

/* Room for `length` bytes when every one of them is escaped. */
#define TEXT_ESCAPED_SIZE(length) (4 * (length) + 1)

/*
 * Copies text, escaping what is no UTF-8, and with `controls` also what would
 * steer a terminal or break the line. Cuts before what does not fit; always
 * terminated. Returns buffer. Does not depend on the locale.
 */
const char *text_escape(const char *text, bool controls, char *buffer, size_t size);

/*
 * Nanoseconds since 1970 as RFC 3339 in UTC with that many decimals of a second, 1 to 9, cut
 * off, and `zone` behind it, as "Z". Returns buffer.
 */
#define TEXT_TIME_MAX 48
const char *text_time(int64_t time_ns, int decimals, const char *zone,
                      char buffer[static TEXT_TIME_MAX]);

#endif
