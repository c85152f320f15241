/*
 * run_killed_test.c - kills what skews a command that skewctl run executes, at the entry
 * and at the exit of its every n-th system call: the command runs on, and recover
 * puts back whatever was done; or it was not executed at all.
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

static long stride = 17;

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

/* Steps the helper and its threads up to the point-th stop; returns whether it got there. */
static bool helper_kill(struct child *command, pid_t helper, long point)
{
    int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    bool killed = false;
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
            return killed;
        } else if (tid > 0 && WIFSTOPPED(status)) {
            int signal = WSTOPSIG(status);
            if (signal == SYSCALL_STOP && point-- == 0) {
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
static bool command_began(struct child *command)
{
    struct pollfd output = {.fd = command->output, .events = POLLIN};
    if (poll(&output, 1, HARNESS_DEADLINE_MS) != 1)
        fail_msg("the command neither began nor ended");
    if (output.revents & POLLIN) {
        assert_string_equal(child_line(command, HARNESS_DEADLINE_MS), "ready");
        return true;
    }
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

static void killed_anywhere(void **state)
{
    (void)state;
    long began = 0, skewed = 0;
    struct keep *mark = harness_mark();
    for (long point = 0;; point += stride) {
        int64_t before = harness_realtime_ns();
        struct child *command =
            child_start(skewctl_run_arguments((const char *const[]){"--offset", "-1h", NULL},
                                              (const char *const[]){victim_path("early"), NULL}),
                        &(struct start){.before_exec = be_traced});
        stop_await(command->pid);
        ptrace(PTRACE_SETOPTIONS, command->pid, 0, OPTIONS);
        pid_t between = child_of(command->pid);
        pid_t helper = child_of(between);
        bool killed = helper_kill(command, helper, point);
        if (command_began(command)) {
            began++;
            int64_t first = strtoll(child_ask(command, "first"), NULL, 10);
            bool back = first < before;
            assert_true(first >= before - (back ? HOUR : 0));
            skewed += back;
            expect_put_back(command);
            victim_check(command);
            child_send(command, "quit");
            assert_int_equal(child_wait(command, HARNESS_DEADLINE_MS), 0);
        } else {
            assert_true(killed);
        }
        harness_release(mark);
        if (!killed)
            break;
    }
    assert_true(began > skewed && skewed > 0);
}

int main(int count, char **arguments)
{
    if (count > 1)
        stride = strtol(arguments[1], NULL, 10);
    const struct CMUnitTest tests[] = {
        harness_test(killed_anywhere),
    };
    return stride < 1 ? 2 : cmocka_run_group_tests_name("run killed", tests, NULL, NULL);
}
