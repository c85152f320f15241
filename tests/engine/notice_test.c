/*
 * notice_test.c - noticing processes that are born, exec and exit: told by the
 * kernel, and by polling.
 */
#include "engine/notice.h"

#include "observe.h"
#include "victim.h"

#include <errno.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BATCH 64

static struct noticer *opened;

static int notice_teardown(void **state)
{
    noticer_close(opened);
    opened = NULL;
    return harness_teardown(state);
}

/* By the connector, or skips; or by polling. */
static struct noticer *open_by(enum notice_way way)
{
    struct skew_error error = {0};
    if (noticer_open(way == NOTICE_BY_POLLING, &opened, &error) != SKEW_OK)
        fail_msg("%s", error.message);
    if (noticer_way(opened) != way)
        harness_skip("the kernel's notices of processes are not to be had: that takes "
                     "CONFIG_PROC_EVENTS, CAP_NET_ADMIN and the initial namespaces");
    return opened;
}

/* The next notice of that kind: of that process if pid is not 0, of a child of parent if that is
 * not 0. */
static struct notice await(struct noticer *noticer, enum notice_kind kind, pid_t pid, pid_t parent)
{
    static struct notice notices[BATCH];
    static size_t count, next;
    int64_t limit = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    static struct noticer *last;
    if (noticer != last)
        count = next = 0;
    last = noticer;
    while (harness_monotonic_ns() < limit) {
        if (next == count) {
            struct pollfd readable = {.fd = noticer_descriptor(noticer), .events = POLLIN};
            poll(&readable, 1, 100);
            count = noticer_read(noticer, notices, BATCH);
            next = 0;
        }
        while (next < count) {
            struct notice notice = notices[next++];
            if (notice.kind == kind && (pid == 0 || notice.pid == pid) &&
                (parent == 0 || notice.parent == parent))
                return notice;
        }
    }
    fail_msg("no notice of kind %d of process %d or a child of %d", (int)kind, pid, parent);
    return (struct notice){0};
}

static void life_is_noticed(enum notice_way way)
{
    struct noticer *noticer = open_by(way);
    struct child *idle = victim_start("idle", NULL);
    await(noticer, NOTICE_BORN, idle->pid, getpid());
    pid_t child = (pid_t)atoi(child_ask(idle, "spawn") + 3);
    await(noticer, NOTICE_BORN, child, idle->pid);
    assert_true(noticer_watch(noticer, idle->pid));
    assert_true(noticer_watch(noticer, child));
    assert_string_equal(child_ask(idle, "exec"), "ready");
    await(noticer, NOTICE_EXECED, idle->pid, 0);
    /* And a second time. */
    assert_string_equal(child_ask(idle, "exec"), "ready");
    await(noticer, NOTICE_EXECED, idle->pid, 0);
    kill(child, SIGKILL);
    child_kill(idle);
    await(noticer, NOTICE_EXITED, idle->pid, 0);
    assert_false(way == NOTICE_BY_POLLING && noticer_watch(noticer, idle->pid));
}

static void exec_of_a_vfork_child(enum notice_way way)
{
    struct noticer *noticer = open_by(way);
    struct child *idle = victim_start("idle", NULL);
    child_send(idle, "vfork");
    pid_t child = await(noticer, NOTICE_BORN, 0, idle->pid).pid;
    assert_true(noticer_watch(noticer, child));
    await(noticer, NOTICE_EXECED, child, 0);
    assert_int_equal(atoi(child_line(idle, HARNESS_DEADLINE_MS) + 3), child);
}

/* Threads come and go by the hundred: none is a process. */
static void threads_are_no_processes(enum notice_way way)
{
    struct noticer *noticer = open_by(way);
    struct child *churn = victim_start("churn", NULL);
    victim_check_progress(churn, 200);
    struct child *last = victim_start("idle", NULL);
    for (;;) {
        struct notice notice = await(noticer, NOTICE_BORN, 0, 0);
        if (notice.parent == churn->pid)
            fail_msg("a thread %d was taken for a process", notice.pid);
        if (notice.pid == last->pid)
            return;
    }
}

static pid_t fork_as(pid_t wanted)
{
    struct clone_args arguments = {
        .exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&wanted, .set_tid_size = 1};
    pid_t child = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
    if (child == 0)
        for (;;)
            pause();
    return child;
}

static void a_number_is_used_again(enum notice_way way)
{
    struct noticer *noticer = open_by(way);
    struct child *idle = victim_start("idle", NULL);
    await(noticer, NOTICE_BORN, idle->pid, 0);
    assert_true(noticer_watch(noticer, idle->pid));
    child_kill(idle);
    await(noticer, NOTICE_EXITED, idle->pid, 0);
    pid_t child = fork_as(idle->pid);
    if (child < 0 && (errno == EPERM || errno == ENOSYS || errno == EEXIST))
        harness_skip("a process with a chosen number cannot be made: %s", strerror(errno));
    assert_int_equal(child, idle->pid);
    struct notice born = await(noticer, NOTICE_BORN, child, 0);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_int_equal(born.parent, getpid());
    await(noticer, NOTICE_EXITED, child, 0);
}

/* Hundreds that hardly live; whoever lives on behind them is noticed all the same. */
static void a_storm_of_short_lives(enum notice_way way)
{
    enum { STORM = 500 };
    struct noticer *noticer = open_by(way);
    size_t descriptors = 0;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < STORM; i++) {
            pid_t child = fork();
            if (child == 0)
                _exit(0);
            noticer_watch(noticer, child);
            waitpid(child, NULL, 0);
        }
        struct child *last = victim_start("idle", NULL);
        await(noticer, NOTICE_BORN, last->pid, getpid());
        assert_true(noticer_watch(noticer, last->pid));
        assert_string_equal(child_ask(last, "exec"), "ready");
        await(noticer, NOTICE_EXECED, last->pid, 0);
        child_kill(last);
        await(noticer, NOTICE_EXITED, last->pid, 0);
        size_t now = 0;
        for (int fd = 0; fd < 1000; fd++)
            now += fcntl(fd, F_GETFD) >= 0;
        assert_true(round == 0 || now <= descriptors);
        descriptors = now;
    }
}

/* The time from an exec to the notice of it, read as soon as it is there. */
static void how_long_it_takes(enum notice_way way)
{
    enum { TIMES = 20 };
    struct noticer *noticer = open_by(way);
    struct child *idle = victim_start("idle", NULL);
    assert_true(noticer_watch(noticer, idle->pid));
    int64_t longest = 0, sum = 0;
    for (int i = 0; i < TIMES; i++) {
        int64_t before = harness_monotonic_ns();
        child_send(idle, "exec");
        await(noticer, NOTICE_EXECED, idle->pid, 0);
        int64_t taken = harness_monotonic_ns() - before;
        assert_string_equal(child_line(idle, HARNESS_DEADLINE_MS), "ready");
        longest = taken > longest ? taken : longest;
        sum += taken;
    }
    printf("from asking for an exec to its notice %s: mean %.2f ms, longest %.2f ms\n",
           way == NOTICE_BY_CONNECTOR ? "by the connector" : "by polling",
           (double)sum / TIMES / 1e6, (double)longest / 1e6);
}

#define both_ways(function)                                                                        \
    static void function##_by_connector(void **state)                                              \
    {                                                                                              \
        (void)state;                                                                               \
        function(NOTICE_BY_CONNECTOR);                                                             \
    }                                                                                              \
    static void function##_by_polling(void **state)                                                \
    {                                                                                              \
        (void)state;                                                                               \
        function(NOTICE_BY_POLLING);                                                               \
    }
both_ways(life_is_noticed);
both_ways(exec_of_a_vfork_child);
both_ways(threads_are_no_processes);
both_ways(a_number_is_used_again);
both_ways(a_storm_of_short_lives);
both_ways(how_long_it_takes);

/* What does not fit into the socket is lost, and that is said; then it goes on. */
static void lost_notices_are_said_to_be_lost(void **state)
{
    (void)state;
    struct noticer *noticer = open_by(NOTICE_BY_CONNECTOR);
    int small = 0;
    assert_int_equal(
        setsockopt(noticer_descriptor(noticer), SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    for (int i = 0; i < 50; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        waitpid(child, NULL, 0);
    }
    await(noticer, NOTICE_MISSED, 0, 0);
    small = 1 << 20;
    setsockopt(noticer_descriptor(noticer), SOL_SOCKET, SO_RCVBUFFORCE, &small, sizeof small);
    struct child *idle = victim_start("idle", NULL);
    await(noticer, NOTICE_BORN, idle->pid, getpid());
}

/* In a pid namespace of its own, with its own /proc; the code is an exit status. */
static int in_another_namespace(void)
{
    struct skew_error error = {0};
    struct noticer *noticer;
    struct notice notices[BATCH];
    if (mount("proc", "/proc", "proc", 0, NULL) != 0)
        return 10;
    if (noticer_open(false, &noticer, &error) != SKEW_OK)
        return 11;
    if (noticer_way(noticer) != NOTICE_BY_POLLING)
        return 12;
    pid_t child = fork();
    if (child == 0)
        for (;;)
            pause();
    for (int tries = 0; tries < 100; tries++) {
        struct pollfd readable = {.fd = noticer_descriptor(noticer), .events = POLLIN};
        poll(&readable, 1, 100);
        size_t count = noticer_read(noticer, notices, BATCH);
        for (size_t i = 0; i < count; i++)
            if (notices[i].kind == NOTICE_BORN && notices[i].pid == child)
                return 0;
    }
    return 13;
}

/* The kernel would number processes otherwise than /proc: polling, also while others listen. */
static void another_pid_namespace(void **state)
{
    (void)state;
    open_by(NOTICE_BY_CONNECTOR);
    pid_t outer = fork();
    if (outer == 0) {
        if (unshare(CLONE_NEWPID | CLONE_NEWNS) != 0 ||
            mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
            _exit(1);
        pid_t first = fork();
        if (first == 0)
            _exit(in_another_namespace());
        int status = 0;
        waitpid(first, &status, 0);
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 2);
    }
    int status;
    assert_int_equal(waitpid(outer, &status, 0), outer);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 1)
        harness_skip("no pid namespace can be made");
    assert_int_equal(WEXITSTATUS(status), 0);
}

#define notice_test(function)                                                                      \
    cmocka_unit_test_setup_teardown(function, harness_setup, notice_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        notice_test(life_is_noticed_by_connector),
        notice_test(life_is_noticed_by_polling),
        notice_test(exec_of_a_vfork_child_by_connector),
        notice_test(exec_of_a_vfork_child_by_polling),
        notice_test(threads_are_no_processes_by_connector),
        notice_test(threads_are_no_processes_by_polling),
        notice_test(a_number_is_used_again_by_connector),
        notice_test(a_number_is_used_again_by_polling),
        notice_test(a_storm_of_short_lives_by_connector),
        notice_test(a_storm_of_short_lives_by_polling),
        notice_test(lost_notices_are_said_to_be_lost),
        notice_test(another_pid_namespace),
        notice_test(how_long_it_takes_by_connector),
        notice_test(how_long_it_takes_by_polling),
    };
    return cmocka_run_group_tests_name("notice", tests, NULL, NULL);
}
