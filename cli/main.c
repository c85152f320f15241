/*
 * main.c - skewctl, and skewctl-plot: gives up the privileges it does not need, finds the command,
 * runs it, and makes sure that what it printed has arrived.
 */
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/message.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * Descriptors 0 to 2 that the caller closed would be given to the journal or to
 * a process's memory, and output would be written there. Opened for reading,
 * so that writing still fails, and not for a command that run executes.
 */
static bool standard_files_reserve(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) == -1 && errno == EBADF &&
            open("/dev/null", O_RDONLY | O_CLOEXEC) != fd)
            return false;
    return true;
}

/* Output that did not arrive turns any status into a failure. */
static int output_close(int status)
{
    bool failed = ferror(stdout);

    errno = 0;
    if (fclose(stdout) == 0 && !failed)
        return status;
    message_print("standard output: %s; what was asked for may be done, see skewctl list",
                  errno ? strerror(errno) : "a write failed");
    return SKEW_FAILED;
}

static int command_call(enum command command, const struct options *options, char **argv)
{
    static int (*const runs[])(const struct options *) = {
        [COMMAND_INJECT] = command_inject,   [COMMAND_RUN] = command_run,
        [COMMAND_RECOVER] = command_recover, [COMMAND_LIST] = command_list,
        [COMMAND_SCAN] = command_scan,       [COMMAND_DOCTOR] = command_doctor,
        [COMMAND_FOLLOW] = command_follow,   [COMMAND_INSPECT] = command_inspect,
        [COMMAND_WATCH] = command_watch,
    };

    return command == COMMAND_PLOT ? command_plot(options, argv) : runs[command](options);
}

static int command_main(int argc, char **argv)
{
    enum command command;
    struct options options;

    if (argc < 2)
        return (int)message_usage("no command is given; see skewctl --help");
    if (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0) {
        help_print();
        return SKEW_OK;
    }
    if (strcmp(argv[1], "-V") == 0 || strcmp(argv[1], "--version") == 0) {
        puts("skewctl " SKEWCTL_VERSION);
        return SKEW_OK;
    }
    if (argv[1][0] == '-')
        return (int)message_usage("%.80s stands before the command; options stand after it, as in "
                                  "skewctl list -o json",
                                  argv[1]);
    if (!command_find(argv[1], &command))
        return (int)message_usage("there is no command '%.80s'; choose inject, run, follow, "
                                  "recover, list, watch, plot, scan, inspect or doctor",
                                  argv[1]);

    int status = (int)options_parse(command, argc - 1, argv + 1, &options);
    if (status == SKEW_OK && options.help)
        help_print_command(command);
    else if (status == SKEW_OK)
        status = command_call(command, &options, argv);
    options_free(&options);
    return status;
}

/* Which takes a right that nothing else does; the options are read later, and decide. */
static bool is_to_follow(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], "--follow", strlen("--follow")) == 0)
            return true;
    return argc > 1 && strcmp(argv[1], command_name(COMMAND_FOLLOW)) == 0;
}

int main(int argc, char **argv)
{
    struct skew_error error = {0};
    /* What a command is to find as its caller left it is not changed here. */
    bool executes = argc > 1 && strcmp(argv[1], command_name(COMMAND_RUN)) == 0;

    if (!standard_files_reserve())
        return SKEW_FAILED;
    if ((executes ? skew_privileges_return(&error)
                  : skew_privileges_drop(is_to_follow(argc, argv), &error)) != SKEW_OK)
        return (int)message_error(&error, "");
    /* A reader that went away is an error of write(2), not a reason to die half-way. */
    if (!executes)
        signal(SIGPIPE, SIG_IGN);
    setlocale(LC_CTYPE, "");
    return output_close(command_main(argc, argv));
}
