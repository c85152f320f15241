/*
 * target_test.c - what /proc says of a process: whatever it is called, whatever
 * is missing, and that numbers are not taken for what they are not.
 */
#include "engine/target.h"

#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Fields 3 to 22 as of proc_pid_stat(5), and some behind them. */
#define FIELDS(state, flags, start)                                                                \
    " " state " 1 2 3 0 -1 " flags " 10 11 12 13 14 15 16 17 20 0 4 0 " start                      \
    " 104857600 200 18446744073709551615\n"

static void assert_stat(const char *text, char state, uint32_t flags, uint64_t start)
{
    struct proc_stat stat = {0};
    if (!proc_stat_parse(text, &stat))
        fail_msg("refused: %s", text);
    assert_int_equal(stat.state, state);
    assert_int_equal(stat.flags, flags);
    assert_int_equal(stat.start_time, start);
}

static void stat_of_any_command(void **state)
{
    (void)state;
    static const char *const commands[] = {
        "cat",
        "",
        ")",
        "(",
        "a b",
        ") R 1 1 1 (",
        ") Z 9 9 9 9 9 9 9) S 1",
        "\n",
        "x\n) T 3 4",
        "((((((((((((((",
        "))))))))))))))",
        "%n%s%d",
        "\xff\xfe\x80",
    };
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        assert_stat(harness_format("4711 (%s)" FIELDS("S", "4194560", "987654"), commands[i]), 'S',
                    4194560, 987654);
    assert_stat("2 (kthreadd)" FIELDS("I", "2129984", "18446744073709551615"), 'I', 2129984,
                UINT64_MAX);
}

static void stat_that_is_none(void **state)
{
    (void)state;
    struct proc_stat stat;
    static const char *const texts[] = {
        "",
        "1",
        "1 (cat",
        "1 (cat)",
        "1 (cat) ",
        "1 (cat) S",
        "1 (cat) S 1 2 3 0 -1 4194560",
        "1 (cat) S 1 2 3 0 -1 flags 10 11 12 13 14 15 16 17 20 0 1 0 987654",
        "1 (cat)S 1 2 3 0 -1 4194560 10 11 12 13 14 15 16 17 20 0 1 0 987654",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (proc_stat_parse(texts[i], &stat))
            fail_msg("accepted: %s", texts[i]);
}

static void status_fields(void **state)
{
    (void)state;
    /* Only /proc escapes a newline in a name; the name itself can still look like a field. */
    static const char status[] = "Name:\tTracerPid: 99\nState:\tS (sleeping)\nTracerPid:\t0\n"
                                 "CapEff:\t000001ffffffffff\nSeccomp_filters:\t3\nSeccomp:\t2\n"
                                 "Empty:\t\nLast:\t7";
    uint64_t value = 42;
    assert_true(status_field_parse(status, "TracerPid", 10, &value));
    assert_int_equal(value, 0);
    assert_true(status_field_parse(status, "CapEff", 16, &value));
    assert_int_equal(value, UINT64_C(0x1ffffffffff));
    assert_true(status_field_parse(status, "Seccomp", 10, &value));
    assert_int_equal(value, 2);
    assert_true(status_field_parse(status, "Last", 10, &value));
    assert_int_equal(value, 7);
    value = 42;
    assert_false(status_field_parse(status, "Threads", 10, &value));
    assert_false(status_field_parse(status, "Tracer", 10, &value));
    assert_false(status_field_parse(status, "State", 10, &value));
    assert_false(status_field_parse("", "Tgid", 10, &value));
    assert_false(status_field_parse("Tgid", "Tgid", 10, &value));
    assert_false(status_field_parse("Tgid:", "Tgid", 10, &value));
    assert_int_equal(value, 42);
}

static void own_process(void **state)
{
    (void)state;
    struct target target;
    struct skew_error error = {0};
    char name[16];
    prctl(PR_GET_NAME, name);
    prctl(PR_SET_NAME, ") R 1 (\n\033");
    enum skew_code code = target_open(getpid(), &target, &error);
    prctl(PR_SET_NAME, name);
    assert_int_equal(code, SKEW_OK);
    assert_int_equal(target.pid, getpid());
    assert_int_equal(target.live_tid, getpid());
    assert_true(target.threads >= 1);
    assert_false(target.kernel_thread);
    assert_true(target.executable_known && target.executable_64bit);
    for (const char *c = target.command; *c; c++)
        assert_true((unsigned char)*c >= ' ' && *c != 0x7f);
    assert_true(target_alive(&target));
    target_close(&target);
    assert_int_equal(target.directory, -1);
}

static void a_process_that_has_ended(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    siginfo_t ended;
    assert_int_equal(waitid(P_PID, (id_t)child, &ended, WEXITED | WNOWAIT), 0);
    struct target target;
    struct skew_error error = {0};
    assert_int_equal(target_open(child, &target, &error), SKEW_NOT_FOUND);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(target_open(child, &target, &error), SKEW_NOT_FOUND);
    assert_int_equal(error.pid, child);
    assert_int_equal(target.directory, -1);
}

static void a_process_that_ends_while_open(void **state)
{
    (void)state;
    struct child *child = child_start((const char *const[]){"cat", NULL}, NULL);
    struct target target;
    struct skew_error error = {0};
    assert_int_equal(target_open(child->pid, &target, &error), SKEW_OK);
    assert_true(target_alive(&target));
    child_kill(child);
    assert_false(target_alive(&target));
    assert_true(target_file_open(&target, "maps", O_RDONLY) < 0);
    target_close(&target);
}

static void *thread_offer(void *pipe)
{
    pid_t tid = gettid();
    char byte;
    if (write(((int *)pipe)[1], &tid, sizeof tid) == sizeof tid)
        (void)!read(((int *)pipe)[2], &byte, 1);
    return NULL;
}

static void a_thread_is_no_process(void **state)
{
    (void)state;
    int ends[4];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(pipe(ends + 2), 0);
    pthread_t thread;
    pid_t tid;
    assert_int_equal(pthread_create(&thread, NULL, thread_offer, ends), 0);
    assert_int_equal(read(ends[0], &tid, sizeof tid), sizeof tid);
    struct target target;
    struct skew_error error = {0};
    enum skew_code code = target_open(tid, &target, &error);
    close(ends[3]);
    pthread_join(thread, NULL);
    for (int i = 0; i < 3; i++)
        close(ends[i]);
    assert_int_not_equal(code, SKEW_OK);
    assert_int_equal(target.directory, -1);
    assert_true(*error.message);
}

static void files_are_read_in_bounds(void **state)
{
    (void)state;
    char buffer[8] = "1234567";
    assert_int_equal(proc_file_read(AT_FDCWD, "/proc/self/status", buffer, sizeof buffer), 7);
    assert_string_equal(buffer, "Name:\tt");
    assert_int_equal(proc_file_read(AT_FDCWD, "/proc/self/none", buffer, sizeof buffer), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(proc_file_read(AT_FDCWD, "/proc/self", buffer, sizeof buffer), -1);
    assert_int_equal(errno, EISDIR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(stat_of_any_command),
        harness_test(stat_that_is_none),
        harness_test(status_fields),
        harness_test(own_process),
        harness_test(a_process_that_has_ended),
        harness_test(a_process_that_ends_while_open),
        harness_test(a_thread_is_no_process),
        harness_test(files_are_read_in_bounds),
    };
    return cmocka_run_group_tests_name("target", tests, NULL, NULL);
}
