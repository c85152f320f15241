/*
 * follow.c - skewctl follow, and what --follow does: keeps a group complete, in the
 * foreground or from a process of its own in the background.
 */
#include "cli/follow.h"

#include "cli/commands.h"
#include "cli/message.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct following {
    int64_t group;
    int starter; /* --detach: a pipe to who waits for the beginning; else, or then, -1 */
    bool quiet;  /* says no more than what went wrong */
};

static void beginning_tell(const struct following *following, int status)
{
    unsigned char told = (unsigned char)status;

    /* Who does not hear it any more has ended, which is no reason to end. */
    if (write(following->starter, &told, 1) != 1)
        return;
}

/* A background process keeps nothing of its caller's. */
static void detach(struct following *following)
{
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

    for (int fd = STDIN_FILENO; nothing >= 0 && fd <= STDERR_FILENO; fd++)
        dup2(nothing, fd);
    if (nothing > STDERR_FILENO)
        close(nothing);
    close(following->starter);
    following->starter = -1;
    if (chdir("/") != 0)
        return;
}

static void began(void *context, enum skew_follow_way way)
{
    static const char *const ways[] = {
        [SKEW_FOLLOWS_TOLD] = "the kernel tells it of processes",
        [SKEW_FOLLOWS_POLLING] = "it looks for processes every few milliseconds",
        [SKEW_FOLLOWS_ATTACHED] = ("it is attached to all of them: no debugger can be, and each "
                                   "signal stops them for a moment"),
    };
    struct following *following = context;

    if (!following->quiet)
        message_print("group g%lld is followed by process %d; %s", (long long)following->group,
                      (int)getpid(), ways[way]);
    if (following->starter >= 0) {
        beginning_tell(following, SKEW_OK);
        detach(following);
    }
}

static void refused(void *context, const struct skew_report *report, const struct skew_error *error)
{
    (void)context;
    message_error(error, report->command);
}

static int end_tell(int64_t group, enum skew_follow_end end, int signal)
{
    switch (end) {
    case SKEW_FOLLOW_ALONE:
        message_print("group g%lld has no members any more; it has ended", (long long)group);
        return SKEW_OK;
    case SKEW_FOLLOW_RECOVERED:
        message_print("group g%lld is followed no more: it is recovered, or another follows it",
                      (long long)group);
        return SKEW_OK;
    case SKEW_FOLLOW_EXPIRED:
        message_print("the time of group g%lld is over; its processes are put back",
                      (long long)group);
        return SKEW_OK;
    case SKEW_FOLLOW_SIGNAL:
        message_print("stopped by SIG%s; group g%lld stays skewed and is followed by nobody: "
                      "skewctl follow --id g%lld takes it up again",
                      sigabbrev_np(signal), (long long)group, (long long)group);
        return 128 + signal;
    }
    return SKEW_FAILED;
}

static int follow_run(const struct options *options, struct following *following,
                      struct noticer *notices)
{
    struct skew_follow follow = {.mode = options->follow,
                                 .force = options->force,
                                 .notices = notices,
                                 .ready = began,
                                 .refused = refused,
                                 .context = following};
    struct skew_engine *engine;
    struct skew_error error = {0};
    enum skew_follow_end end;
    int signal;
    enum skew_code code = command_open_engine(options, false, &engine);

    if (code != SKEW_OK)
        return (int)code;
    code = skew_follow(engine, following->group, &follow, &end, &signal, &error);
    skew_engine_close(engine);
    if (code != SKEW_OK)
        return (int)message_error(&error, "");
    return following->quiet && end != SKEW_FOLLOW_SIGNAL ? SKEW_OK
                                                         : end_tell(following->group, end, signal);
}

/* It tells SKEW_OK when it has begun, or what it ends with before that. */
static int beginning_await(int starter)
{
    unsigned char status;
    ssize_t got;

    do
        got = read(starter, &status, 1);
    while (got < 0 && errno == EINTR);
    close(starter);
    if (got == 1)
        return status;
    message_print("the follower ended before it had begun");
    return SKEW_FAILED;
}

int follow_group(const struct options *options, int64_t group, struct noticer *notices)
{
    struct following following = {.group = group, .starter = -1};
    int ends[2];

    /* Whoever reads the output has it now, and it is not there twice. */
    fflush(stdout);
    if (!options->detach)
        return follow_run(options, &following, notices);
    if (pipe2(ends, O_CLOEXEC) != 0) {
        message_print("no follower can be started: there are no descriptors left");
        return SKEW_FAILED;
    }
    pid_t child = fork();
    if (child < 0) {
        message_print("no follower can be started: there is no room for a process");
        return SKEW_FAILED;
    }
    if (child == 0) {
        close(ends[0]);
        setsid();
        following.starter = ends[1];
        int status = follow_run(options, &following, notices);
        if (following.starter >= 0)
            beginning_tell(&following, status);
        _exit(status);
    }
    close(ends[1]);
    return beginning_await(ends[0]);
}

int follow_group_quietly(const struct options *options, int64_t group, struct noticer *notices)
{
    struct following following = {.group = group, .starter = -1, .quiet = true};

    return follow_run(options, &following, notices);
}

enum skew_code follow_prepare(struct noticer **notices)
{
    struct skew_error error = {0};

    return skew_notices_open(false, notices, &error) == SKEW_OK ? SKEW_OK
                                                                : message_error(&error, "");
}

static int follow_one(const struct options *options, int64_t group)
{
    struct noticer *notices = NULL;
    int status = (int)follow_prepare(&notices);

    if (status == SKEW_OK)
        status = follow_group(options, group, notices);
    skew_notices_close(notices);
    return status;
}

/* All whose follower died; each takes a process, so there is one at most without --detach. */
static int follow_lost(const struct options *options)
{
    struct skew_engine *engine;
    struct skew_error error = {0};
    int64_t *groups = NULL;
    size_t count = 0;
    enum skew_code code = command_open_engine(options, false, &engine);

    if (code != SKEW_OK)
        return (int)code;
    code = skew_group_list_lost(engine, &groups, &count, &error);
    skew_engine_close(engine);
    int status = code == SKEW_OK ? SKEW_OK : (int)message_error(&error, "");
    if (count > 1 && !options->detach) {
        status = (int)message_usage("%zu groups have lost their followers; name one with --id, or "
                                    "follow them all in the background with --detach",
                                    count);
        count = 0;
    }
    for (size_t i = 0; i < count; i++) {
        int one = follow_one(options, groups[i]);
        status = one != SKEW_OK ? one : status;
    }
    if (code == SKEW_OK && count == 0 && status == SKEW_OK)
        message_print("no group has lost its follower");
    free(groups);
    return status;
}

int command_follow(const struct options *options)
{
    return options->groups.count ? follow_one(options, options->groups.numbers[0])
                                 : follow_lost(options);
}
