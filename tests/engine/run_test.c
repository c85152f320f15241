/*
 * run_test.c - skewctl run: a command skewed from its beginning, and otherwise as if
 * it had been executed without skewctl.
 */
#include "command.h"
#include "observe.h"
#include "program.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOUR INT64_C(3600000000000)

#define NOBODY 65534

static const char *const hour_back[] = {"--offset", "-1h", NULL};

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

static const char *file_write(const char *folder, const char *name, const char *text, mode_t mode)
{
    const char *path = harness_format("%s/%s", folder, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
    return path;
}

/* In no child of the test's, which would inherit open files. */
static const char *victim_copy(const char *folder, const char *victim, const char *name)
{
    const char *copy = harness_format("%s/%s", folder, name);
    struct run run =
        program_run(COMMAND("cp", victim_path(victim), copy), NULL, HARNESS_DEADLINE_MS);
    run_expect(&run, 0);
    return copy;
}

static void first_reading(const char *name)
{
    if (!victim_path(name))
        harness_skip("%s was not built", name);
    int64_t before = harness_realtime_ns();
    struct child *early = start_command(COMMAND(victim_path(name)));
    int64_t first = strtoll(child_ask(early, "first"), NULL, 10);
    assert_true(first >= before - HOUR);
    assert_true(first <= harness_realtime_ns() - HOUR);
    observe_untraced(early->pid);
    skewctl_recover(early->pid);
    assert_int_equal(observe_code_mappings(early->pid), 0);
    struct vdso own = observe_vdso_own(), now = observe_vdso(early->pid);
    assert_memory_equal(now.bytes, own.bytes, own.size);
    victim_check(early);
    child_send(early, "quit");
    assert_int_equal(child_wait(early, HARNESS_DEADLINE_MS), 0);
}

static void from_the_first_reading(void **state)
{
    (void)state;
    first_reading("early");
}

static void from_the_first_reading_static(void **state)
{
    (void)state;
    first_reading("early_static");
}

static void all_entries_musl(void **state)
{
    (void)state;
    if (!victim_path("clock_reader_musl"))
        harness_skip("there was no musl-gcc");
    struct child *reader = start_command(COMMAND(victim_path("clock_reader_musl"), "4"));
    clock_reader_expect_all(reader, -HOUR);
    clock_reader_allow(reader, "realtime", -HOUR);
}

static void runtime(const char *name, const char *const command[])
{
    const char *missing = program_missing(name);
    if (missing)
        harness_skip("%s", missing);
    struct child *child = start_command(command);
    skew_range_expect(program_measure(name, child), -HOUR, HOUR / 2);
    child_send(child, "quit");
    assert_int_equal(child_wait(child, HARNESS_DEADLINE_MS), 0);
}

static void go(void **state)
{
    (void)state;
    runtime("go", COMMAND(victim_path("ticker_go")));
}

static void python(void **state)
{
    (void)state;
    /* Not what PATH may hold: a script that executes another program. */
    if (access("/usr/bin/python3", X_OK) != 0)
        harness_skip("there is no /usr/bin/python3");
    runtime("python", COMMAND("/usr/bin/python3", victim_path("ticker.py")));
}

static void script(void **state)
{
    (void)state;
    const char *path = file_write(harness_home(), "script",
                                  "#!/bin/bash -e\nprintf '%(%s)T %s\\n' -1 \"$1\"\n", 0700);
    int64_t before = harness_realtime_ns() / 1000000000;
    struct run run = run_command(COMMAND(path, "an argument"));
    run_expect(&run, 0);
    long long seconds;
    char argument[16];
    assert_int_equal(sscanf(run.out, "%lld %15[a-z ]", &seconds, argument), 2);
    assert_string_equal(argument, "an argument");
    assert_true(seconds >= before - 3601 && seconds <= harness_realtime_ns() / 1000000000 - 3600);
}

static void children_only_inherit(void **state)
{
    (void)state;
    /* bash reads the clock itself, and in a forked child; date is another program. */
    struct run run =
        run_command(COMMAND("bash", "-c", "printf '%(%s)T ' -1; (printf '%(%s)T ' -1); date +%s"));
    run_expect(&run, 0);
    long long own, forked, executed;
    assert_int_equal(sscanf(run.out, "%lld %lld %lld", &own, &forked, &executed), 3);
    assert_in_range(forked - own, 0, 30);
    assert_in_range(executed - own, 3600, 3630);
}

static void exit_status(void **state)
{
    (void)state;
    struct run run = run_command(COMMAND("sh", "-c", "exit 7"));
    run_expect(&run, 7);
    assert_string_equal(run.err, "");
    run = run_command(COMMAND("sh", "-c", "kill -TERM $$"));
    assert_int_equal(run.signal, SIGTERM);
    /* A skewctl that ends by itself is still attached to; a sanitized one cannot look for leaks. */
    setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
    run = run_command(COMMAND("no-such-program-anywhere"));
    run_expect_error(&run, 127);
    run = run_command(COMMAND("/etc/passwd"));
    run_expect_error(&run, 126);
    unsetenv("ASAN_OPTIONS");
}

/* What a process finds when it begins: all of it as without skewctl. */
static void same_surroundings(void **state)
{
    (void)state;
    /* In a child, which has it from the shell: while it forks, that has every signal blocked. */
    static const char look[] =
        "grep -E '^(Sig[BIC]|Cap|NoNewPrivs|Uid|Gid|Groups|Seccomp:|CoreDumping)' "
        "/proc/self/status;"
        "ls /proc/$$/fd; readlink /proc/$$/fd/0; env | sort; umask; ulimit -a; nice;"
        "cat /proc/$$/task/*/children; ps -o pgid=,sid=,tty= -p $$ | wc -w";
    const char *const plain[] = {"sh", "-c", look, NULL};
    struct run without = program_run(plain, NULL, HARNESS_DEADLINE_MS);
    struct run with = run_command(plain);
    run_expect(&without, 0);
    run_expect(&with, 0);
    /* The children that the look itself has are numbered. */
    const char *end = strstr(without.out, "\nPWD=");
    assert_non_null(end);
    assert_string_equal(with.err, without.err);
    assert_int_equal(strlen(with.out) > 0, 1);
    assert_memory_equal(with.out, without.out, (size_t)(end - without.out));
}

/* Closed files stay closed, and signals ignored by the caller ignored. */
static void same_odd_surroundings(void **state)
{
    (void)state;
    static const char odd[] = "trap '' PIPE CHLD HUP; exec 0<&- 7</etc/passwd; exec \"$@\"";
    static const char look[] = "ls -l /proc/self/fd | grep -c passwd; test -e /proc/$$/fd/0 || echo"
                               " closed; grep SigIgn /proc/$$/status";
    const char *const *run = skewctl_run_arguments(hour_back, COMMAND("sh", "-c", look));
    const char *argv[32] = {"sh", "-c", odd, "sh"};
    for (size_t i = 0; run[i]; i++)
        argv[4 + i] = run[i];
    struct run with = program_run(argv, NULL, HARNESS_DEADLINE_MS);
    struct run without =
        program_run(COMMAND("sh", "-c", odd, "sh", "sh", "-c", look), NULL, HARNESS_DEADLINE_MS);
    run_expect(&without, 0);
    run_expect(&with, 0);
    assert_string_equal(with.out, without.out);
    assert_non_null(strstr(with.out, "closed"));
}

static void refused_before_it_begins(void **state)
{
    (void)state;
    if (victim_path("program_32")) {
        struct run run = run_command(COMMAND(victim_path("program_32")));
        run_expect_error(&run, 3);
    }
    /* Not to be known before it is executed: it has the name of one that sets the clock. */
    const char *daemon = victim_copy(harness_directory(geteuid()), "early", "chronyd");
    struct run run = run_command(COMMAND(daemon));
    run_expect_error(&run, 3);
    run = program_run(skewctl_run_arguments(COMMAND("--offset", "-1h", "--force"), COMMAND(daemon)),
                      NULL, HARNESS_DEADLINE_MS);
    run_expect(&run, 0);
    assert_string_equal(run.out, "ready\n");
}

/* A traced program gets no rights from its file unless its tracer may trace all. */
static void rights_of_the_file(void **state)
{
    (void)state;
    if (geteuid() != 0)
        harness_skip("only root can make a set-user-ID program of another user");
    const char *folder = harness_directory(NOBODY);
    const char *copy = harness_format("%s/id", folder);
    struct run run = program_run(COMMAND("cp", "/usr/bin/id", copy), NULL, HARNESS_DEADLINE_MS);
    run_expect(&run, 0);
    assert_int_equal(chown(copy, 1, 1), 0);
    assert_int_equal(chmod(copy, 04755), 0);
    run = run_command(COMMAND(copy, "-u"));
    run_expect(&run, 0);
    if (strcmp(run.out, "1\n") != 0)
        harness_skip("set-user-ID programs get no rights here");
    const char *skewctl = harness_format("%s/skewctl", folder);
    run = program_run(COMMAND("cp", skewctl_path(), skewctl), NULL, HARNESS_DEADLINE_MS);
    run_expect(&run, 0);
    run = program_run(COMMAND(skewctl, "run", "--journal", harness_format("%s/journal.db", folder),
                              "--offset", "-1h", copy, "-u"),
                      &(struct start){.user = NOBODY}, HARNESS_DEADLINE_MS);
    run_expect_error(&run, 3);
    run = program_run(COMMAND(skewctl, "run", "--journal", harness_format("%s/journal.db", folder),
                              "--offset", "-1h", "date", "+%s"),
                      &(struct start){.user = NOBODY}, HARNESS_DEADLINE_MS);
    run_expect(&run, 0);
    assert_true(strtoll(run.out, NULL, 10) <= harness_realtime_ns() / 1000000000 - 3600);
}

static void usage(void **state)
{
    (void)state;
    struct run run = skewctl_run("run", "--offset", "-5m", NULL);
    /* "--journal" and its file are taken for options here: there is no command. */
    run_expect_error(&run, 2);
    run = program_run(skewctl_run_arguments(COMMAND("--force"), COMMAND("true")), NULL,
                      HARNESS_DEADLINE_MS);
    run_expect_error(&run, 2);
    run = program_run(skewctl_run_arguments(COMMAND("--offset", "-5m", "-p", "1"), COMMAND("true")),
                      NULL, HARNESS_DEADLINE_MS);
    run_expect_error(&run, 2);
}

/* What cannot be journalled is not executed. */
static void no_journal(void **state)
{
    (void)state;
    struct run run = program_run(COMMAND(skewctl_path(), "run", "--journal", "/nowhere/journal",
                                         "--offset", "-5m", "--", "echo", "executed"),
                                 NULL, HARNESS_DEADLINE_MS);
    run_expect_error(&run, 3);
}

static void listed(void **state)
{
    (void)state;
    struct child *early = start_command(COMMAND(victim_path("early")));
    struct run list = skewctl_run("list", "-o", "json", NULL);
    run_expect(&list, 0);
    assert_string_equal(
        json_query(list.out, ".injections[0] | \"\\(.pid) \\(.state) \\(.command)\""),
        harness_format("%d active early", early->pid));
    skewctl_inject(early->pid, "+1h");
    skewctl_recover(early->pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(from_the_first_reading),
        harness_test(from_the_first_reading_static),
        harness_test(all_entries_musl),
        harness_test(go),
        harness_test(python),
        harness_test(script),
        harness_test(children_only_inherit),
        harness_test(exit_status),
        harness_test(same_surroundings),
        harness_test(same_odd_surroundings),
        harness_test(refused_before_it_begins),
        harness_test(rights_of_the_file),
        harness_test(usage),
        harness_test(no_journal),
        harness_test(listed),
    };
    return cmocka_run_group_tests_name("run", tests, NULL, NULL);
}
