/*
 * plot.c - skewctl plot, as skewctl does it: skewctl-plot, which lies beside it, takes its place.
 *
 * That is a program of its own since it draws: the libraries for that are many, and every
 * start of skewctl would load them, into a process that has the rights to change others.
 */
#include "cli/commands.h"
#include "cli/message.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

static const char suffix[] = "-plot";

int command_plot(const struct options *options, char **argv)
{
    char path[PATH_MAX + sizeof suffix];
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX);

    (void)options;
    if (length < 0) {
        message_print("/proc/self/exe cannot be read: %s", strerror(errno));
        return SKEW_FAILED;
    }
    memcpy(path + length, suffix, sizeof suffix);
    execv(path, argv);
    message_print("%.200s, which draws, cannot be executed: %s; install it beside skewctl", path,
                  strerror(errno));
    return SKEW_FAILED;
}
