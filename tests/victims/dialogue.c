/* See dialogue.h. */
#include "dialogue.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void say(const char *text)
{
    char line[1200];
    int length = snprintf(line, sizeof line, "%s\n", text);
    if (write(1, line, (size_t)length) != length)
        exit(1);
}

void dialogue_open(void)
{
    say("ready");
}

void dialogue_poll(int milliseconds, dialogue_answer *answer)
{
    static char line[256];
    static size_t length;
    struct pollfd ready = {.fd = 0, .events = POLLIN};
    if (poll(&ready, 1, milliseconds) <= 0)
        return;
    ssize_t got = read(0, line + length, sizeof line - 1 - length);
    if (got < 0 && errno == EINTR)
        return;
    if (got <= 0)
        exit(0);
    length += (size_t)got;
    line[length] = 0;
    char *newline = strchr(line, '\n');
    if (!newline)
        return;
    *newline = 0;
    length = 0;
    if (strcmp(line, "quit") == 0)
        exit(0);
    char text[1024] = "";
    answer(line, text, sizeof text);
    say(text);
}
