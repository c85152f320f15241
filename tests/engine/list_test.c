/*
 * list_test.c - what list shows, checked against the live processes; and
 * recover by id, by pid and of all.
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <string.h>

static const char *list_json(bool history)
{
    struct run run = skewctl_run("list", "-o", "json", history ? "--all" : NULL, NULL);
    run_expect(&run, 0);
    return run.out;
}

/* The states of the injections of a process, oldest first. */
static const char *states(bool history, pid_t pid)
{
    return json_query(
        list_json(history),
        harness_format("[.injections[] | select(.pid == %d) | .state] | join(\" \")", pid));
}

static void nothing_to_list(void **state)
{
    (void)state;
    assert_string_equal(json_query(list_json(false), ".injections | length"), "0");
    assert_string_equal(json_query(list_json(true), ".injections | length"), "0");
    struct run run = skewctl_run("list", NULL);
    run_expect(&run, 0);
    assert_string_equal(run.err, "");
}

static void fields_of_an_active_one(void **state)
{
    (void)state;
    struct child *idle = victim_start("idle", NULL);
    const char *pid = harness_format("%d", idle->pid);
    skewctl_inject(idle->pid, "-5m");
    const char *json = list_json(false);
    assert_string_equal(json_query(json, ".injections | length"), "1");
    static const char *const fields[][2] = {
        {"command", "idle"},
        {"skew", "-5m"},
        {"skew_ns", "-300000000000"},
        {"state", "active"},
        {"clocks", "realtime,realtime_coarse,tai"},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        assert_string_equal(json_query(json, harness_format(".injections[0].%s", fields[i][0])),
                            fields[i][1]);
    assert_string_equal(json_query(json, ".injections[0].pid"), pid);
    assert_string_equal(json_query(json, ".injections[0].id | type"), "number");

    struct run table = skewctl_run("list", NULL);
    run_expect(&table, 0);
    assert_non_null(strstr(table.out, pid));
    assert_non_null(strstr(table.out, "active"));
    assert_non_null(strstr(table.out, "-5m"));
    skewctl_recover(idle->pid);
    assert_string_equal(states(false, idle->pid), "");
    assert_string_equal(states(true, idle->pid), "recovered");
}

static void gone_after_exit(void **state)
{
    (void)state;
    struct child *idle = victim_start("idle", NULL);
    skewctl_inject(idle->pid, "-5m");
    child_kill(idle);
    assert_string_equal(states(false, idle->pid), "");
    assert_string_equal(states(true, idle->pid), "gone");
}

/* The pid and its start time stay; what was injected does not. */
static void gone_after_exec(void **state)
{
    (void)state;
    struct child *idle = victim_start("idle", NULL);
    skewctl_inject(idle->pid, "-5m");
    assert_string_equal(child_ask(idle, "exec"), "ready");
    struct snapshot after = snapshot_take(idle->pid);
    assert_string_equal(states(false, idle->pid), "");
    assert_string_equal(states(true, idle->pid), "gone");
    struct run run = skewctl_run("recover", "-p", harness_format("%d", idle->pid), NULL);
    run_expect_error(&run, 4);
    snapshot_expect(&after, idle->pid);
    victim_check(idle);
    /* It may be injected anew. */
    skewctl_inject(idle->pid, "-5m");
    assert_string_equal(states(true, idle->pid), "gone active");
    skewctl_recover(idle->pid);
    snapshot_expect(&after, idle->pid);
}

static void recover_by_id(void **state)
{
    (void)state;
    struct child *idle = victim_start("idle", NULL);
    struct snapshot before = snapshot_take(idle->pid);
    const char *id = json_query(skewctl_inject(idle->pid, "-5m"), ".injections[0].id");
    struct run run = skewctl_run("recover", "--id", "4711", NULL);
    run_expect_error(&run, 4);
    run = skewctl_run("recover", "--id", id, NULL);
    run_expect(&run, 0);
    snapshot_expect(&before, idle->pid);
    assert_string_equal(states(true, idle->pid), "recovered");
}

static void recover_of_what_is_not_injected(void **state)
{
    (void)state;
    struct child *idle = victim_start("idle", NULL);
    struct snapshot before = snapshot_take(idle->pid);
    struct run run = skewctl_run("recover", "-p", harness_format("%d", idle->pid), NULL);
    run_expect_error(&run, 4);
    snapshot_expect(&before, idle->pid);
}

static void recover_all(void **state)
{
    (void)state;
    struct child *idle[3];
    struct snapshot before[3];
    for (size_t i = 0; i < 3; i++) {
        idle[i] = victim_start("idle", NULL);
        before[i] = snapshot_take(idle[i]->pid);
        skewctl_inject(idle[i]->pid, "-5m");
    }
    child_kill(idle[1]);
    struct run run = skewctl_run("recover", "--all", NULL);
    run_expect(&run, 0);
    snapshot_expect(&before[0], idle[0]->pid);
    snapshot_expect(&before[2], idle[2]->pid);
    assert_string_equal(json_query(list_json(false), ".injections | length"), "0");
    assert_string_equal(json_query(list_json(true), "[.injections[].state] | join(\" \")"),
                        "recovered gone recovered");
    run = skewctl_run("recover", "--all", NULL);
    run_expect(&run, 0);
}

static void some_done_and_some_not(void **state)
{
    (void)state;
    struct child *idle = victim_start("idle", NULL), *dead = victim_start("idle", NULL);
    struct snapshot before = snapshot_take(idle->pid);
    const char *pids = harness_format("%d,%d", dead->pid, idle->pid);
    child_kill(dead);
    struct run run = skewctl_run("inject", "-p", pids, "--offset", "-5m", "-o", "json", NULL);
    run_expect(&run, 6);
    assert_string_equal(json_query(run.out, "[.injections[].pid] | join(\",\")"),
                        harness_format("%d", idle->pid));
    run = skewctl_run("recover", "-p", pids, NULL);
    run_expect(&run, 6);
    snapshot_expect(&before, idle->pid);
}

/* There /proc shows other start times, and yet it is the same process. */
static void seen_from_another_time_namespace(void **state)
{
    (void)state;
    const char *const probe[] = {"unshare", "-T", "--boottime", "5000", "--fork", "true", NULL};
    if (harness_program("unshare") == NULL || program_run(probe, NULL, 5000).code != 0) {
        harness_skip("no time namespace can be made here");
    }
    struct child *idle = victim_start("idle", NULL);
    skewctl_inject(idle->pid, "-5m");
    const char *const argv[] = {"unshare",         "-T",           "--boottime", "5000",
                                "--fork",          skewctl_path(), "list",       "--journal",
                                skewctl_journal(), "-o",           "json",       NULL};
    struct run run = program_run(argv, NULL, HARNESS_DEADLINE_MS);
    run_expect(&run, 0);
    assert_string_equal(json_query(run.out, ".injections[0].state"), "active");
    assert_string_equal(states(false, idle->pid), "active");
    skewctl_recover(idle->pid);
}

/* As wide as the terminal is, and nothing left out; whole where there is none. */
static void a_long_skew_is_wrapped(void **state)
{
    (void)state;
    static const char steps[] = "30s:250ms,1m:-250ms,1m30s:1s,2m:2s,2m30s:3s,3m:4s";
    static const char shape[] = "rate=1.0002 sine=5s/1m step=30s:250ms,1m:-250ms,1m30s:1s,2m:2s,"
                                "2m30s:3s,3m:4s";
    struct child *idle = victim_start("idle", NULL);
    struct run run = skewctl_run("inject", "-p", harness_format("%d", idle->pid), "--rate",
                                 "1.0002", "--sine", "5s/1m", "--step", steps, NULL);
    run_expect(&run, 0);
    run = skewctl_run("list", NULL);
    run_expect(&run, 0);
    assert_non_null(strstr(run.out, shape));
    assert_string_equal(json_query(list_json(false), ".injections[0].shape"), shape);

    const char *list =
        harness_format("stty cols 80; %s list --journal %s", skewctl_path(), skewctl_journal());
    run = program_run((const char *const[]){"script", "-qec", list, "/dev/null", NULL}, NULL,
                      HARNESS_DEADLINE_MS);
    run_expect(&run, 0);
    assert_null(strstr(run.out, shape));
    assert_non_null(strstr(run.out, "3m:4s"));
    for (const char *line = run.out; *line; line += strspn(line, "\r\n")) {
        size_t length = strcspn(line, "\r\n");
        if (length > 80)
            fail_msg("a line has %zu columns:\n%s", length, run.out);
        line += length;
    }
    skewctl_recover(idle->pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(nothing_to_list),
        harness_test(fields_of_an_active_one),
        harness_test(gone_after_exit),
        harness_test(gone_after_exec),
        harness_test(recover_by_id),
        harness_test(recover_of_what_is_not_injected),
        harness_test(recover_all),
        harness_test(some_done_and_some_not),
        harness_test(seen_from_another_time_namespace),
        harness_test(a_long_skew_is_wrapped),
    };
    return cmocka_run_group_tests_name("list", tests, NULL, NULL);
}
