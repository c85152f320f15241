/*
 * run_killed_test.c - kills what skews a command that skewctl run executes, at the entry
 * and at the exit of its every n-th system call: the command runs on, and recover
 * puts back whatever was done; or it was not executed at all. The same where the command is
 * followed, and executes two programs.
 *
 *     run_killed_test [N]
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#define HOUR INT64_C(3600000000000)

#define SYSCALL_STOP (SIGTRAP | 0x80) /* PTRACE_O_TRACESYSGOOD */
#define OPTIONS                                                                                    \
    (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE)

#define STOPS_WHEN_READY 30

static long stride = 17;

struct life {
    struct child *command;
    bool follow;
    bool ready;        /* the last program of it is */
    long long seconds; /* what the one before saw */
};

struct tally {
    long began, skewed;
};

static void be_traced(void *unused)
{
    (void)unused;
    ptrace(PTRACE_TRACEME, 0, 0, 0);
}

/* Waits for a stop of that thread, which must come; returns its event. */
static int stop_await(pid_t tid)
{
    int status;
    while (waitpid(tid, &status, __WALL) < 0)
        if (errno != EINTR)
            fail_msg("waitpid: %s", strerror(errno));
    if (!WIFSTOPPED(status))
        fail_msg("process %d ended", tid);
    return status >> 16;
}

/* Lets a traced process fork, and lets it go; its child is held at its beginning. */
static pid_t child_of(pid_t parent)
{
    unsigned long child = 0;
    while (child == 0) {
        ptrace(PTRACE_CONT, parent, 0, 0);
        int event = stop_await(parent);
        if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_CLONE ||
            event == PTRACE_EVENT_VFORK)
            ptrace(PTRACE_GETEVENTMSG, parent, 0, &child);
    }
    ptrace(PTRACE_DETACH, parent, 0, 0);
    stop_await((pid_t)child);
    return (pid_t)child;
}

/* Takes in what the command has written so far. */
static void life_look(struct life *life, int wait_ms)
{
    struct pollfd output = {.fd = life->command->output, .events = POLLIN};
    const struct child *command = life->command;
    while (!life->ready && (memchr(command->buffer, '\n', command->buffered) ||
                            (poll(&output, 1, wait_ms) == 1 && (output.revents & POLLIN) != 0))) {
        const char *line = child_line(life->command, HARNESS_DEADLINE_MS);
        life->ready = strcmp(line, "ready") == 0;
        life->seconds = life->ready ? life->seconds : strtoll(line, NULL, 10);
    }
}

/*
 * Steps the helper and its threads up to the point-th stop; returns whether it got there.
 * Once the command is ready there is little more to come, and a follower does not end.
 */
static bool helper_kill(struct life *life, pid_t helper, long point)
{
    struct child *command = life->command;
    int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    bool killed = false, reached = true;
    long left = STOPS_WHEN_READY;
    ptrace(PTRACE_SYSCALL, helper, 0, 0);
    for (;;) {
        int status;
        pid_t tid = waitpid(-1, &status, __WALL);
        if (tid < 0 && errno != EINTR)
            fail_msg("waitpid: %s", strerror(errno));
        if (harness_monotonic_ns() > end)
            fail_msg("the helper does not end");
        if (tid == command->pid) {
            command->ended = true;
            command->status = status;
        } else if (tid == helper && !WIFSTOPPED(status)) {
            return killed && reached;
        } else if (tid > 0 && WIFSTOPPED(status)) {
            int signal = WSTOPSIG(status);
            if (life->follow)
                life_look(life, 0);
            if (signal == SYSCALL_STOP && (point-- == 0 || (life->ready && left-- == 0))) {
                reached = point < 0;
                kill(helper, SIGKILL);
                killed = true;
                continue;
            }
            bool passed = signal != SYSCALL_STOP && signal != SIGSTOP && status >> 16 == 0;
            ptrace(PTRACE_SYSCALL, tid, 0, passed ? signal : 0);
        }
    }
}

/* Whether it was executed: if not it must have ended, and said so. */
static bool command_began(struct life *life)
{
    struct child *command = life->command;
    life_look(life, HARNESS_DEADLINE_MS);
    if (life->ready)
        return true;
    if (!command->ended)
        child_wait(command, HARNESS_DEADLINE_MS);
    assert_int_equal(WEXITSTATUS(command->status), 1);
    return false;
}

static void expect_put_back(struct child *command)
{
    struct run run = skewctl_run("recover", "--all", NULL);
    run_expect(&run, 0);
    assert_int_equal(observe_code_mappings(command->pid), 0);
    struct vdso own = observe_vdso_own(), now = observe_vdso(command->pid);
    assert_memory_equal(now.bytes, own.bytes, own.size);
    observe_untraced(command->pid);
}

/* Up to two programs: neither sees anything but the true time or that of an hour ago. */
static void expect_true_or_back(const struct life *life, int64_t before, struct tally *tally)
{
    int64_t first = strtoll(child_ask(life->command, "first"), NULL, 10);
    bool back = first < before;
    assert_true(first >= before - (back ? HOUR : 0));
    tally->began++;
    tally->skewed += back;
    if (life->follow) {
        int64_t seconds = before / 1000000000;
        assert_true(life->seconds >= seconds ||
                    (life->seconds >= seconds - 3600 && life->seconds < seconds - 3000));
    }
}

static void killed_anywhere(bool follow)
{
    const char *const alone[] = {victim_path("early"), NULL};
    const char *const both[] = {"sh", "-c", "date +%s; exec \"$0\"", victim_path("early"), NULL};
    struct tally tally = {0};
    struct keep *mark = harness_mark();
    for (long point = 0;; point += stride) {
        int64_t before = harness_realtime_ns();
        struct life life = {.follow = follow};
        life.command = child_start(
            skewctl_run_arguments(
                (const char *const[]){"--offset", "-1h", follow ? "--follow" : NULL, NULL},
                follow ? both : alone),
            &(struct start){.before_exec = be_traced});
        stop_await(life.command->pid);
        ptrace(PTRACE_SETOPTIONS, life.command->pid, 0, OPTIONS);
        pid_t helper = child_of(child_of(life.command->pid));
        bool killed = helper_kill(&life, helper, point);
        if (command_began(&life)) {
            expect_true_or_back(&life, before, &tally);
            expect_put_back(life.command);
            victim_check(life.command);
            child_send(life.command, "quit");
            assert_int_equal(child_wait(life.command, HARNESS_DEADLINE_MS), 0);
        } else {
            assert_true(killed);
        }
        harness_release(mark);
        if (!killed)
            break;
    }
    assert_true(tally.began > tally.skewed && tally.skewed > 0);
}

static void alone(void **state)
{
    (void)state;
    killed_anywhere(false);
}

static void followed(void **state)
{
    (void)state;
    killed_anywhere(true);
}

int main(int count, char **arguments)
{
    if (count > 1)
        stride = strtol(arguments[1], NULL, 10);
    const struct CMUnitTest tests[] = {
        harness_test(alone),
        harness_test(followed),
    };
    return stride < 1 ? 2 : cmocka_run_group_tests_name("run killed", tests, NULL, NULL);
}
