/*
 * oracle_test.c - the tests' own means can fail: each oracle notices the kind
 * of damage that it is there for, and nothing outlives a test.
 */
#include "observe.h"
#include "victim.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static void expect_bad(struct child *victim, const char *why)
{
    const char *answer = child_ask(victim, "check");
    if (strncmp(answer, "bad ", 4) != 0 || !strstr(answer, why))
        fail_msg("\"%s\" where a complaint about %s was due", answer, why);
}

static void clock_reader_notices_an_offset(void **state)
{
    (void)state;
    struct child *reader = victim_start("clock_reader", "3", NULL);
    victim_check_progress(reader, 50);
    clock_reader_allow(reader, "realtime", 1000000);
    clock_reader_forbid(reader, "realtime", 0);
    harness_sleep_ms(50);
    expect_bad(reader, "not allowed");
}

static void clock_reader_notices_a_monotonic_offset(void **state)
{
    (void)state;
    struct child *reader = victim_start("clock_reader", NULL);
    clock_reader_allow(reader, "monotonic", -1000000);
    clock_reader_forbid(reader, "monotonic", 0);
    harness_sleep_ms(50);
    expect_bad(reader, "monotonic");
}

static void stop_and_let_go(const char *tid)
{
    pid_t thread = 0;
    assert_int_equal(sscanf(tid, "%d", &thread), 1);
    assert_int_equal(ptrace(PTRACE_SEIZE, thread, 0, 0), 0);
    assert_int_equal(ptrace(PTRACE_INTERRUPT, thread, 0, 0), 0);
    assert_int_equal(waitpid(thread, NULL, __WALL), thread);
    assert_int_equal(ptrace(PTRACE_DETACH, thread, 0, 0), 0);
}

/* A plain stop is seen by epoll_wait and sigwaitinfo, which are not restarted: ptrace(2), BUGS. */
static void blocked_notices_a_plain_stop(void **state)
{
    (void)state;
    struct child *victim = victim_start("blocked", NULL);
    struct snapshot snapshot = snapshot_take(victim->pid);
    victim_check(victim);
    for (const char *line = snapshot.facts; line && *line;) {
        char tid[16];
        if (sscanf(line, "thread %15s runs", tid) == 1 &&
            strncmp(strchr(line + 7, ' '), " runs", 5) == 0)
            stop_and_let_go(tid);
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    harness_sleep_ms(50);
    expect_bad(victim, "Interrupted");
}

static void expect_difference(const struct snapshot *before, pid_t pid, const char *what)
{
    struct snapshot after = snapshot_take(pid);
    const char *difference = snapshot_difference(before, &after);
    if (!difference || !strstr(difference, what))
        fail_msg("\"%s\" is not in the difference: %s", what, difference ? difference : "none");
}

static void snapshot_notices_a_byte_of_the_vdso(void **state)
{
    (void)state;
    struct child *idle = victim_start("idle", NULL);
    struct snapshot before = snapshot_take(idle->pid);
    snapshot_expect(&before, idle->pid);
    int memory = open(harness_format("/proc/%d/mem", idle->pid), O_RDWR | O_CLOEXEC);
    char byte = 'x';
    /* The last byte, which no function owns; some kernels let only a tracer write it. */
    off_t where = (off_t)(before.vdso.address + before.vdso.size - 1);
    ssize_t wrote = pwrite(memory, &byte, 1, where);
    close(memory);
    if (wrote != 1)
        harness_skip("the kernel lets nobody but a tracer write there");
    expect_difference(&before, idle->pid, "vdso: 1 bytes differ");
}

static void snapshot_notices_a_stop(void **state)
{
    (void)state;
    struct child *idle = victim_start("idle", NULL);
    struct snapshot before = snapshot_take(idle->pid);
    siginfo_t info;
    assert_int_equal(kill(idle->pid, SIGSTOP), 0);
    assert_int_equal(waitid(P_PID, (id_t)idle->pid, &info, WSTOPPED), 0);
    expect_difference(&before, idle->pid, "stopped");
}

static void snapshot_notices_a_tracer(void **state)
{
    (void)state;
    struct child *idle = victim_start("idle", NULL);
    struct snapshot before = snapshot_take(idle->pid);
    assert_int_equal(ptrace(PTRACE_SEIZE, idle->pid, 0, 0), 0);
    expect_difference(&before, idle->pid, "TracerPid");
}

static void snapshot_notices_mappings_and_threads(void **state)
{
    (void)state;
    struct child *reader = victim_start("clock_reader", "2", "1000", NULL);
    struct child *other = victim_start("clock_reader", "3", "1000", NULL);
    struct snapshot before = snapshot_take(reader->pid);
    expect_difference(&before, other->pid, "+ map ");
    expect_difference(&before, other->pid, "+ thread ");
    assert_int_equal(observe_thread_count(other->pid), 3);
}

static void nothing_outlives_a_test(void **state)
{
    pid_t pid = victim_start("idle", NULL)->pid;
    const char *folder = strdup(harness_home());
    assert_int_equal(access(folder, F_OK), 0);
    harness_teardown(state);
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(errno, ESRCH);
    assert_int_equal(access(folder, F_OK), -1);
    free((void *)folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(clock_reader_notices_an_offset),
        harness_test(clock_reader_notices_a_monotonic_offset),
        harness_test(blocked_notices_a_plain_stop),
        harness_test(snapshot_notices_a_byte_of_the_vdso),
        harness_test(snapshot_notices_a_stop),
        harness_test(snapshot_notices_a_tracer),
        harness_test(snapshot_notices_mappings_and_threads),
        harness_test(nothing_outlives_a_test),
    };
    return cmocka_run_group_tests_name("oracles", tests, NULL, NULL);
}
