/*
 * run.c - skewctl run: executes a command, skewed from its first instruction.
 *
 * The process that was called skewctl becomes the command itself, as with env(1) or
 * nice(1): its parent, process group, terminal, descriptors, signals and exit status
 * are the command's own, without anybody in between. Who attaches to it and skews it
 * is a helper: a grandchild of it, whose parent has ended, so that the command has no
 * child that it does not know of; in a session of its own, so that signals from the
 * terminal do not reach it; with no file of the command's open but standard error.
 *
 * If the helper dies, the command runs on, skewed or not yet (engine/exact.c). If it
 * dies before it has attached, the command is not executed.
 */
#include "cli/commands.h"
#include "cli/follow.h"
#include "cli/message.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* As env(1) and nice(1). */
#define STATUS_CANNOT_EXECUTE 126
#define STATUS_NOT_FOUND      127

/* What the helper tells the process that becomes the command. */
struct word {
    enum { WORD_PRESENT, WORD_ATTACHED, WORD_FAILED } kind;
    int status; /* of WORD_FAILED: what to end with; the reason has been said */
    pid_t helper;
};

struct helper {
    int socket; /* to the process that becomes the command; -1 once it has heard all */
};

static void word_send(struct helper *helper, int kind, int status)
{
    struct word word = {.kind = kind, .status = status, .helper = getpid()};

    if (helper->socket >= 0)
        send(helper->socket, &word, sizeof word, MSG_NOSIGNAL);
}

static bool word_receive(int socket, struct word *word)
{
    ssize_t got;

    do
        got = recv(socket, word, sizeof *word, MSG_WAITALL);
    while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof *word;
}

static void attached(void *context)
{
    struct helper *helper = context;

    word_send(helper, WORD_ATTACHED, 0);
    close(helper->socket);
    helper->socket = -1;
}

static void refused(void *context, const struct skew_report *report, const struct skew_error *error)
{
    (void)context;
    message_error(error, report->command);
}

/* Nothing of the command's stays open in the helper but the end of standard error. */
static bool files_let_go(int socket)
{
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

    return nothing >= 0 && dup2(nothing, STDIN_FILENO) >= 0 && dup2(nothing, STDOUT_FILENO) >= 0 &&
           (socket == STDERR_FILENO + 1 ||
            close_range(STDERR_FILENO + 1, (unsigned)socket - 1, 0) == 0) &&
           close_range((unsigned)socket + 1, ~0U, 0) == 0;
}

static int helper_run(const struct options *options, struct helper *helper, pid_t pid)
{
    struct skew_run run = {
        .pid = pid,
        .command = options->arguments[0],
        .follow = options->follow,
        .request = request_from(options),
        .attached = attached,
        .refused = refused,
        .context = helper,
    };
    struct skew_engine *engine;
    struct skew_report report;
    struct skew_run_end end;
    struct skew_error error = {0};
    struct noticer *notices = NULL;
    bool watches = options->follow == SKEW_FOLLOW_WATCH;
    enum skew_code code = skew_privileges_drop(watches, &error);

    if (code != SKEW_OK)
        return (int)message_error(&error, "");
    code = watches ? follow_prepare(&notices) : SKEW_OK;
    if (code == SKEW_OK)
        code = command_open_engine(options, false, &engine);
    if (code != SKEW_OK)
        return (int)code;
    command_warn_back(&run.request);
    code = skew_run(engine, &run, &report, &end, &error);
    skew_engine_close(engine);
    if (code == SKEW_OK && watches && !end.signal && !end.over)
        return follow_group_quietly(options, end.group, notices);
    if (end.signal)
        message_print("group g%" PRId64 " is not followed any more, because of SIG%s; it stays "
                      "skewed until it is recovered",
                      end.group, sigabbrev_np(end.signal));
    /* Later, what could not be executed or skewed has been said. */
    if (code != SKEW_OK && (helper->socket >= 0 || options->follow == SKEW_FOLLOW_EXACT))
        message_error(&error, report.command);
    return (int)code;
}

/* Never returns. */
static void helper_main(const struct options *options, int socket, pid_t pid)
{
    struct helper helper = {.socket = socket};
    struct word go;
    int status = SKEW_FAILED;

    signal(SIGCHLD, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    setsid();
    if (!files_let_go(socket)) {
        message_print("cannot let go of the files of the command: %s", strerror(errno));
    } else {
        word_send(&helper, WORD_PRESENT, 0);
        if (word_receive(socket, &go))
            status = helper_run(options, &helper, pid);
    }
    word_send(&helper, WORD_FAILED, status);
    _exit(status);
}

/* Returns false, having said why, if there is no helper. */
static bool helper_start(const struct options *options, int ours, int theirs)
{
    pid_t pid = getpid();
    pid_t between = fork();

    if (between == 0) {
        pid_t helper = fork();
        if (helper == 0) {
            close(ours);
            helper_main(options, theirs, pid);
        }
        _exit(helper < 0 ? errno : 0);
    }
    int status = 0;
    int errnum = errno;
    while (between > 0 && waitpid(between, &status, 0) < 0 && errno == EINTR)
        continue;
    if (between > 0 && WIFEXITED(status))
        errnum = WEXITSTATUS(status);
    if (between < 0 || errnum != 0) {
        message_print("cannot start a helper: %s", strerror(errnum));
        return false;
    }
    return true;
}

/* Waits until the helper has attached; returns 0, or the status to end with. */
static int helper_await(int socket)
{
    struct word word;

    while (word_receive(socket, &word)) {
        if (word.kind == WORD_FAILED)
            return word.status;
        if (word.kind == WORD_ATTACHED)
            return 0;
        /* Where Yama lets only ancestors trace: PR_SET_PTRACER(2const). Elsewhere it fails. */
        prctl(PR_SET_PTRACER, word.helper, 0, 0, 0);
        send(socket, &word, sizeof word, MSG_NOSIGNAL);
    }
    message_print("the helper ended before it had attached; the command was not executed");
    return SKEW_FAILED;
}

/* Returns only if it fails. */
static int command_execute(char *const *arguments)
{
    execvp(arguments[0], arguments);
    int errnum = errno;
    message_print("cannot execute %.200s: %s", arguments[0], strerror(errnum));
    return errnum == ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_EXECUTE;
}

int command_run(const struct options *options)
{
    struct skew_error error = {0};
    int sockets[2];

    if (skew_run_check(options->arguments[0], &error) != SKEW_OK)
        return (int)message_error(&error, "");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0) {
        message_print("cannot start a helper: %s", strerror(errno));
        return SKEW_FAILED;
    }
    if (!helper_start(options, sockets[0], sockets[1]))
        return SKEW_FAILED;
    close(sockets[1]);
    int status = helper_await(sockets[0]);
    if (status != 0)
        return status;
    return command_execute(options->arguments);
}
