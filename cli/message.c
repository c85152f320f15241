/*
 * message.c - lines on standard error; see message.h.
 */
#include "cli/message.h"

#include "cli/text.h"

#include <stdarg.h>
#include <stdio.h>

/* Holds every error of the engine: target, message and advice. */
#define LINE_MAX_BYTES 1024

static const char *about = "";

void message_about(const char *subject)
{
    about = subject;
}

__attribute__((format(printf, 1, 0))) static void message_vprint(const char *format, va_list values)
{
    char line[LINE_MAX_BYTES];
    char escaped[TEXT_ESCAPED_SIZE(LINE_MAX_BYTES)];

    int length = snprintf(line, sizeof line, "%.256s", about);

    vsnprintf(line + length, sizeof line - (size_t)length, format, values);
    /* One call, so that lines of several processes do not mix. */
    fprintf(stderr, "skewctl: %s\n", text_escape(line, true, escaped, sizeof escaped));
}

void message_print(const char *format, ...)
{
    va_list values;

    va_start(values, format);
    message_vprint(format, values);
    va_end(values);
}

enum skew_code message_usage(const char *format, ...)
{
    va_list values;

    va_start(values, format);
    message_vprint(format, values);
    va_end(values);
    return SKEW_USAGE;
}

enum skew_code message_error(const struct skew_error *error, const char *command)
{
    const char *separator = error->advice[0] ? "; " : "";

    if (error->pid == 0)
        message_print("%s%s%s", error->message, separator, error->advice);
    else if (command[0] == '\0')
        message_print("pid %d: %s%s%s", error->pid, error->message, separator, error->advice);
    else
        message_print("pid %d (%s): %s%s%s", error->pid, command, error->message, separator,
                      error->advice);
    return error->code;
}
