/*
 * run_follow_test.c - skewctl run --follow: whatever a command and its descendants
 * execute is skewed from its first instruction, and otherwise runs as without.
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOUR INT64_C(3600000000000)

static const char *const hour_back[] = {"--offset", "-1h", "--follow=exact", NULL};

#define COMMAND(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct run run_command(const char *const command[])
{
    return program_run(skewctl_run_arguments(hour_back, command), NULL, HARNESS_DEADLINE_MS);
}

static struct child *start_command(const char *const command[])
{
    struct child *child = child_start(skewctl_run_arguments(hour_back, command), NULL);
    assert_string_equal(child_line(child, HARNESS_DEADLINE_MS), "ready");
    return child;
}

/* Who follows a process; 0 for nobody. */
static pid_t follower_of(pid_t pid)
{
    return (pid_t)strtol(observe_status(pid, pid, "TracerPid"), NULL, 10);
}

/* Each line is a time in seconds, an hour back. */
static void expect_times(const struct run *run, int64_t began_ns, size_t count)
{
    int64_t now_s = harness_realtime_ns() / 1000000000;
    size_t lines = 0;
    run_expect(run, 0);
    for (const char *line = run->out; *line; line += strcspn(line, "\n") + 1) {
        int64_t seconds = strtoll(line, NULL, 10);
        if (seconds < began_ns / 1000000000 - 3600 || seconds > now_s - 3600)
            fail_msg("a program saw %lld of its own:\n%s", (long long)seconds, run->out);
        lines++;
    }
    assert_int_equal(lines, count);
}

static void every_program(void **state)
{
    (void)state;
    int64_t began = harness_realtime_ns();
    struct run run =
        run_command(COMMAND("bash", "-c",
                            "for i in 1 2 3 4 5 6 7 8 9 10; do date +%s; env date +%s; (date +%s); "
                            "printf '%(%s)T\\n' -1 & wait; done; exec date +%s"));
    expect_times(&run, began, 41);
    assert_string_equal(run.err, "");
}

/* vfork(2), posix_spawn(3), and exec by a thread that is not the first. */
static void every_way_to_execute(void **state)
{
    (void)state;
    if (access("/usr/bin/python3", X_OK) != 0)
        harness_skip("there is no /usr/bin/python3");
    int64_t began = harness_realtime_ns();
    struct run run = run_command(
        COMMAND("/usr/bin/python3", "-c",
                "import os, subprocess, threading, time\n"
                "os.waitpid(os.posix_spawn('/bin/date', ['date', '+%s'], {}), 0)\n"
                "subprocess.run(['date', '+%s'])\n"
                "print(int(time.time()), flush=True)\n"
                "threading.Thread(target=lambda: os.execv('/bin/date', ['date', '+%s'])).start()\n"
                "time.sleep(60)\n"));
    expect_times(&run, began, 4);
}

static void exit_status(void **state)
{
    (void)state;
    static const char statuses[] =
        "(exit 3); echo $?; sh -c 'kill -SEGV $$' 2>/dev/null; echo $?; sh -c 'exit 9'; echo $?;"
        "no-such-program-anywhere 2>/dev/null; echo $?; true | false | true; echo ${PIPESTATUS[@]};"
        "kill -TERM $$";
    struct run run = run_command(COMMAND("bash", "-c", statuses));
    assert_int_equal(run.signal, SIGTERM);
    assert_string_equal(run.out, "3\n139\n9\n127\n0 1 0\n");
}

/* As bash sees it: stopped, continued, ended, brought to the foreground. */
static void job_control(void **state)
{
    (void)state;
    static const char jobs[] =
        "set -m; sleep 100 & p=$!; kill -STOP $p; while ! jobs | grep -q Stopped; do :; done;"
        "jobs; kill -CONT $p; while jobs | grep -q Stopped; do :; done; jobs; kill $p; wait $p;"
        "echo $?; (kill -TSTP $BASHPID; echo resumed) & while ! jobs | grep -q Stopped; do :; done;"
        "fg %+ >/dev/null; echo $?; trap 'echo winch' WINCH; kill -WINCH $$; kill -WINCH $$; "
        "(trap 'echo term; exit 4' TERM; kill -TERM $BASHPID; :); echo $?";
    const char *const command[] = {"bash", "-c", jobs, NULL};
    struct run without = program_run(command, NULL, HARNESS_DEADLINE_MS);
    struct run with = run_command(command);
    run_expect(&without, 0);
    run_expect(&with, 0);
    assert_string_equal(with.out, without.out);
    assert_non_null(strstr(with.out, "Stopped"));
}

/* The parent of the command sees it stop and go on. */
static void stopped_and_continued(void **state)
{
    (void)state;
    struct child *reader = start_command(COMMAND(victim_path("clock_reader"), "2"));
    clock_reader_expect_all(reader, -HOUR);
    for (int i = 0; i < 20; i++) {
        siginfo_t info;
        assert_int_equal(kill(reader->pid, SIGSTOP), 0);
        assert_int_equal(waitid(P_PID, (id_t)reader->pid, &info, WSTOPPED), 0);
        assert_int_equal(info.si_code, CLD_STOPPED);
        assert_int_equal(info.si_status, SIGSTOP);
        assert_int_equal(kill(reader->pid, SIGCONT), 0);
        assert_int_equal(waitid(P_PID, (id_t)reader->pid, &info, WCONTINUED), 0);
    }
    clock_reader_expect_all(reader, -HOUR);
}

/* Real-time signals and timers, each counted by the program. */
static void signals(void **state)
{
    (void)state;
    struct child *counter = start_command(COMMAND(victim_path("signals")));
    victim_check_progress(counter, 200);
    assert_true(follower_of(counter->pid) != 0);
}

/* It says why, and the program runs. */
static void refused_program_goes_on(void **state)
{
    (void)state;
    if (!victim_path("program_32"))
        harness_skip("there was no 32-bit C library");
    struct run run = run_command(
        COMMAND("sh", "-c", harness_format("'%s' </dev/null; echo $?", victim_path("program_32"))));
    run_expect(&run, 0);
    assert_string_equal(run.out, "ready\n0\n");
    assert_non_null(strstr(run.err, "32-bit"));
    assert_ptr_equal(strchr(run.err, '\n'), strrchr(run.err, '\n'));
}

static void tracing_fails(void **state)
{
    (void)state;
    if (!harness_program("strace"))
        harness_skip("there is no strace");
    struct run run = run_command(COMMAND("strace", "-o", "/dev/null", "true"));
    assert_int_not_equal(run.code, 0);
}

static void expect_clean(struct child *child)
{
    observe_untraced(child->pid);
    assert_int_equal(observe_code_mappings(child->pid), 0);
    struct vdso own = observe_vdso_own(), now = observe_vdso(child->pid);
    assert_memory_equal(now.bytes, own.bytes, own.size);
    assert_true(victim_check(child) >= 0);
}

/* Though somebody traces it. */
static void recovered_while_followed(void **state)
{
    (void)state;
    struct child *early = start_command(COMMAND(victim_path("early")));
    assert_true(follower_of(early->pid) != 0);
    skewctl_recover(early->pid);
    expect_clean(early);
    struct child *other = start_command(COMMAND(victim_path("early")));
    struct run run = skewctl_run("recover", "--all", NULL);
    run_expect(&run, 0);
    expect_clean(other);
}

/* By SIGKILL, or asked to end: all run on, skewed. */
static void follower_ends(void **state)
{
    (void)state;
    static const int ends[] = {SIGKILL, SIGTERM};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct child *idle = start_command(COMMAND(victim_path("early")));
        pid_t follower = follower_of(idle->pid);
        assert_int_equal(kill(follower, ends[i]), 0);
        for (int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
             follower_of(idle->pid) != 0;) {
            if (harness_monotonic_ns() > end)
                fail_msg("the follower does not end");
            harness_sleep_ms(2);
        }
        assert_int_equal(observe_code_mappings(idle->pid), 1);
        victim_check(idle);
        skewctl_recover(idle->pid);
        expect_clean(idle);
    }
}

/* Nothing is left in the journal, nor of the follower. */
static void ends_with_the_last(void **state)
{
    (void)state;
    struct run run = run_command(COMMAND("sh", "-c", "date; (sleep 0.2; date) & date"));
    run_expect(&run, 0);
    int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    for (;;) {
        struct run list = skewctl_run("list", "-o", "json", NULL);
        run_expect(&list, 0);
        if (strcmp(json_query(list.out, ".injections | length"), "0") == 0)
            return;
        if (harness_monotonic_ns() > end)
            fail_msg("injections are left:\n%s", list.out);
        harness_sleep_ms(20);
    }
}

/* All are put back when the time is over, without anybody asking for it. */
static void until_the_deadline(void **state)
{
    (void)state;
    static const char *const options[] = {"--offset", "-1h", "--follow", "--for", "1s", NULL};
    int64_t began_s = harness_realtime_ns() / 1000000000;
    struct run run =
        program_run(skewctl_run_arguments(
                        options, COMMAND("bash", "-c",
                                         "date +%s; while grep -q 'TracerPid:[[:space:]]*[1-9]' "
                                         "/proc/$$/status; do sleep 0.05; done; date +%s")),
                    NULL, HARNESS_DEADLINE_MS);
    long long first, second;
    assert_int_equal(sscanf(run.out, "%lld %lld", &first, &second), 2);
    assert_in_range(first, began_s - 3600, began_s - 3500);
    assert_in_range(second, began_s + 1, began_s + 100);
    assert_string_equal(run.err, "");
    int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    for (;;) {
        struct run list = skewctl_run("list", "-o", "json", NULL);
        if (strcmp(json_query(list.out, ".injections | length"), "0") == 0)
            return;
        assert_true(harness_monotonic_ns() < end);
        harness_sleep_ms(20);
    }
}

/* One that is over before anybody could watch it is no failure. */
static void watched_and_over(void **state)
{
    (void)state;
    static const char *const options[] = {"--offset", "-1h", "--follow=watch", NULL};
    for (int i = 0; i < 20; i++) {
        struct run run =
            program_run(skewctl_run_arguments(options, COMMAND("true")), NULL, HARNESS_DEADLINE_MS);
        run_expect(&run, 0);
        assert_string_equal(run.err, "");
    }
}

/* A skewctl that somebody runs in there sees what is so, and not itself. */
static void skewctl_among_them(void **state)
{
    (void)state;
    const char *list =
        harness_format("'%s' list -o json --journal '%s'; true", skewctl_path(), skewctl_journal());
    struct run run = run_command(COMMAND("bash", "-c", list));
    run_expect(&run, 0);
    assert_string_equal(json_query(run.out, "[.injections[] | .command + \" \" + .state] | "
                                            "join(\", \")"),
                        "bash active");
    /* One that was to be skewed itself knows no vDSO to go by. */
    static const char *const once[] = {"--offset", "-1h", NULL};
    run = program_run(skewctl_run_arguments(
                          once, COMMAND(skewctl_path(), "list", "--journal", skewctl_journal())),
                      NULL, HARNESS_DEADLINE_MS);
    unsetenv("ASAN_OPTIONS");
    run_expect_error(&run, 3);
    assert_non_null(strstr(run.err, "skewed"));
}

/* The command from its first instruction, what it executes soon after; nobody is traced. */
static void watched(void **state)
{
    (void)state;
    static const char *const options[] = {"--offset", "-1h", "--follow=watch", NULL};
    /* A program that goes on until it is skewed. */
    static const char shell[] =
        "printf '%(%s)T\\n' -1; bash -c 'true_s=$1; while now_s=$(printf \"%(%s)T\" -1); "
        "[ $now_s -gt $true_s ]; do sleep 0.01; done; echo $now_s' sh $((EPOCHSECONDS + 60));"
        "grep TracerPid /proc/$$/status";
    int64_t now_s = harness_realtime_ns() / 1000000000;
    struct run run = program_run(skewctl_run_arguments(options, COMMAND("bash", "-c", shell)), NULL,
                                 HARNESS_DEADLINE_MS);
    long long first, second;
    assert_int_equal(sscanf(run.out, "%lld %lld", &first, &second), 2);
    assert_in_range(first, now_s - 3600, now_s - 3500);
    assert_in_range(second, now_s - 3600, now_s - 3500);
    assert_non_null(strstr(run.out, "TracerPid:\t0\n"));
    assert_string_equal(run.err, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(every_program),
        harness_test(every_way_to_execute),
        harness_test(exit_status),
        harness_test(job_control),
        harness_test(stopped_and_continued),
        harness_test(signals),
        harness_test(refused_program_goes_on),
        harness_test(tracing_fails),
        harness_test(recovered_while_followed),
        harness_test(follower_ends),
        harness_test(ends_with_the_last),
        harness_test(until_the_deadline),
        harness_test(skewctl_among_them),
        harness_test(watched),
        harness_test(watched_and_over),
    };
    return cmocka_run_group_tests_name("run follow", tests, NULL, NULL);
}
