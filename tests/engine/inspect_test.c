/*
 * inspect_test.c - skewctl inspect: each thing that a skew does not move is told while it is
 * there and no longer, with what it means; nothing is stopped or changed. And what inject
 * says of the same on standard error.
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOBODY 65534

static const char *inspect(const struct child *victim)
{
    struct run run =
        skewctl_run("inspect", "-p", harness_format("%d", victim->pid), "-o", "json", NULL);
    run_expect(&run, 0);
    return run.out;
}

/* The first such finding, compact, or "". */
static const char *finding(const char *json, const char *condition)
{
    return json_query(json,
                      harness_format("[.findings[] | select(%s)][0] // empty | tojson", condition));
}

/* Inspects until there is such a finding, or until there is none. */
static const char *finding_await(const struct child *victim, const char *condition, bool there)
{
    int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    for (;;) {
        const char *json = inspect(victim);
        const char *found = finding(json, condition);
        if ((*found != '\0') == there)
            return found;
        if (harness_monotonic_ns() > end)
            fail_msg("%s: %s in %s", there ? "not there" : "still there", condition, json);
    }
}

static void turn(struct child *victim, const char *kind, const char *how)
{
    assert_string_equal(child_ask(victim, harness_format("%s %s", how, kind)), "ok");
}

/* An hour, less what the test took so far. */
static void due_expect(const char *found)
{
    const char *text = json_query(found, ".due_ns");
    long long due = atoll(text);
    if (due > INT64_C(3600000000000) || due < INT64_C(3600000000000) - INT64_C(600000000000))
        fail_msg("%s is due in %s ns", found, text);
}

static void each_is_told_while_it_is_there(void **state)
{
    (void)state;
    static const struct {
        const char *kind, *condition, *follows;
        bool due;
    } kinds[] = {
        {"cond",
         ".subject == \"wait\" and .clock == \"realtime\" and (.found | contains(\"futex \"))",
         "no", true},
        {"monotonic", ".subject == \"wait\" and .clock == \"monotonic\"", "no", true},
        {"nanosleep", ".subject == \"wait\" and (.found | contains(\"clock_nanosleep\"))", "no",
         true},
        {"waitv", ".subject == \"wait\" and (.found | contains(\"futex_waitv\"))", "no", true},
        {"queue", ".subject == \"wait\" and (.found | contains(\"mq_timedreceive\"))", "no", true},
        {"interval", ".subject == \"wait\" and (.found | startswith(\"2 threads waiting for\"))",
         "unconcerned", false},
        {"absolute", ".subject == \"timerfd\" and .mode == \"absolute\" and .clock == \"realtime\"",
         "no", true},
        {"relative", ".subject == \"timerfd\" and .mode == \"relative\" and .clock == \"realtime\"",
         "unconcerned", true},
        {"timer", ".subject == \"timer\" and .mode == \"unknown\" and .clock == \"realtime\"",
         "unknown", false},
        {"code", ".subject == \"counter\" and (.found | contains(\"memory of no file\"))", "no",
         false},
    };
    struct child *victim = victim_start("deadlines", NULL);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        assert_string_equal(finding(inspect(victim), kinds[i].condition), "");
        turn(victim, kinds[i].kind, "on");
        const char *found = finding_await(victim, kinds[i].condition, true);
        assert_string_equal(json_query(found, ".follows"), kinds[i].follows);
        assert_string_not_equal(json_query(found, ".meaning"), "");
        assert_string_equal(json_query(found, ".due_ns == null"), kinds[i].due ? "false" : "true");
        if (kinds[i].due)
            due_expect(found);
        turn(victim, kinds[i].kind, "off");
        finding_await(victim, kinds[i].condition, false);
    }
    victim_check(victim);
}

static void those_alike_are_counted_together(void **state)
{
    (void)state;
    struct child *victim = victim_start("deadlines", NULL);
    turn(victim, "later", "on");
    finding_await(victim, ".clock == \"realtime\" and .due_ns > 3600000000000", true);
    turn(victim, "cond", "on");
    turn(victim, "monotonic", "on");
    finding_await(victim, ".clock == \"monotonic\"", true);
    const char *found = finding_await(victim, ".clock == \"realtime\" and .count == 2", true);
    due_expect(found);
    /* With the one that waits for the next line. */
    assert_string_equal(
        json_query(inspect(victim), "[.findings[] | select(.subject == \"wait\") | .count] | add"),
        "4");
}

static void memory_of_no_file_is_searched(void **state)
{
    (void)state;
    struct child *victim = victim_start("deadlines", NULL);
    turn(victim, "code", "on");
    const char *found = finding(inspect(victim), ".found | contains(\"memory of no file\")");
    assert_string_equal(json_query(found, ".count"), "3");
    assert_string_equal(json_query(found, ".found | contains(\"3 of them only probable\")"),
                        "true");
}

static void a_ring_is_unknown(void **state)
{
    (void)state;
    struct child *victim = victim_start("deadlines", NULL);
    assert_string_equal(finding(inspect(victim), ".subject == \"io_uring\""), "");
    const char *answer = child_ask(victim, "on ring");
    if (strcmp(answer, "ok") != 0)
        harness_skip("no io_uring here: %s", answer);
    const char *found = finding(inspect(victim), ".subject == \"io_uring\"");
    assert_string_equal(json_query(found, ".follows"), "unknown");
    turn(victim, "ring", "off");
    assert_string_equal(finding(inspect(victim), ".subject == \"io_uring\""), "");
}

static void a_time_namespace_is_told(void **state)
{
    (void)state;
    if (geteuid() != 0)
        harness_skip("it takes root to make a time namespace");
    struct child *unshare = child_start(
        (const char *const[]){"unshare", "--time", "--monotonic", "100", "--boottime", "200",
                              "--fork", "--kill-child", "sh", "-c", "echo $$; read line", NULL},
        NULL);
    struct child inside = {.pid = atoi(child_line(unshare, HARNESS_DEADLINE_MS))};
    const char *found = finding(inspect(&inside), ".subject == \"time ns\"");
    assert_string_equal(json_query(found, ".found"),
                        "clock monotonic is 100000000000 ns and boottime 200000000000 ns ahead of "
                        "skewctl's");
}

/* What is one byte string and not another is for the unit tests; here that a file is decoded. */
static void code_of_a_file_is_searched(void **state)
{
    (void)state;
    struct child *victim = victim_start("deadlines", NULL);
    const char *json = inspect(victim);
    const char *counter =
        finding(json, ".subject == \"counter\" and (.found | endswith(\"/deadlines\"))");
    const char *call =
        finding(json, ".subject == \"call\" and (.found | endswith(\"/deadlines\"))");
    assert_string_equal(json_query(counter, ".count"), "2");
    assert_string_equal(json_query(call, ".count"), "1");
    assert_string_equal(json_query(call, ".follows"), "no");
}

/* After a stop the kernel goes on with such a wait by another call, which says nothing of it. */
static void a_resumed_wait_is_unknown(void **state)
{
    (void)state;
    struct child *victim = victim_start("deadlines", NULL);
    turn(victim, "cond", "on");
    finding_await(victim, ".subject == \"wait\" and .clock == \"realtime\"", true);
    assert_int_equal(kill(victim->pid, SIGSTOP), 0);
    while (observe_status(victim->pid, victim->pid, "State")[0] != 'T')
        harness_sleep_ms(1);
    assert_int_equal(kill(victim->pid, SIGCONT), 0);
    const char *found = finding_await(victim, ".found | contains(\"restart_syscall\")", true);
    assert_string_equal(json_query(found, ".follows"), "unknown");
}

static void the_process_is_told(void **state)
{
    (void)state;
    struct child *victim = victim_start("deadlines", NULL);
    const char *json = inspect(victim);
    assert_string_equal(json_query(finding(json, ".subject == \"vdso\""), ".found"),
                        "the kernel's own");
    assert_string_equal(json_query(finding(json, ".subject == \"seccomp\""), ".found"), "none");
    assert_string_equal(json_query(finding(json, ".subject == \"time ns\""), ".follows"),
                        "unconcerned");

    skewctl_inject(victim->pid, "-5m");
    json = inspect(victim);
    assert_string_equal(json_query(finding(json, ".subject == \"vdso\""), ".found"),
                        "skewed by skewctl: realtime,realtime_coarse,tai");
    /* The image's copy of the vDSO makes system calls for the time, and is no finding. */
    assert_string_equal(finding(json, ".found | contains(\"memory of no file\")"), "");
    skewctl_recover(victim->pid);

    struct child *filtered = victim_start("filtered", "allow", NULL);
    assert_string_equal(json_query(finding(inspect(filtered), ".subject == \"seccomp\""), ".found"),
                        "filter");

    struct child *rivalled = victim_start("rivalled", NULL);
    assert_string_equal(child_ask(rivalled, "jump clock_gettime"), "ok 0");
    json = inspect(rivalled);
    assert_string_equal(json_query(finding(json, ".subject == \"vdso\""), ".found"),
                        "changed by something other than skewctl");
}

static void a_skew_that_has_ended_is_told(void **state)
{
    (void)state;
    struct child *victim = victim_start("deadlines", NULL);
    const char *pid = harness_format("%d", victim->pid);
    struct run run =
        skewctl_run("inject", "-p", pid, "--offset", "-5m", "--for", "3s", "-o", "json", NULL);
    run_expect(&run, 0);
    const char *found = finding_await(
        victim, ".subject == \"vdso\" and (.found | contains(\"which has ended\"))", true);
    assert_string_equal(json_query(found, ".follows"), "no");
    run = skewctl_run("inject", "-p", pid, "--offset", "-5m", NULL);
    run_expect(&run, 0);
    found = finding(inspect(victim), ".subject == \"vdso\"");
    assert_string_equal(json_query(found, ".found"),
                        "skewed by skewctl: realtime,realtime_coarse,tai");
    skewctl_recover(victim->pid);
}

static void nothing_is_changed(void **state)
{
    (void)state;
    struct child *victim = victim_start("deadlines", NULL);
    turn(victim, "cond", "on");
    turn(victim, "absolute", "on");
    finding_await(victim, ".subject == \"wait\" and .clock == \"realtime\"", true);
    struct snapshot before = snapshot_take(victim->pid);
    const char *memory = observe_status(victim->pid, victim->pid, "VmRSS");
    for (int i = 0; i < 3; i++)
        inspect(victim);
    snapshot_expect(&before, victim->pid);
    assert_string_equal(observe_status(victim->pid, victim->pid, "VmRSS"), memory);
}

static void whoever_may_not_look_is_told_so(void **state)
{
    (void)state;
    if (geteuid() != 0)
        harness_skip("it takes root to have processes of two users");
    struct child *roots = victim_start("deadlines", NULL);
    struct run run =
        skewctl_run_as(NOBODY, "inspect", "-p", harness_format("%d", roots->pid), NULL);
    run_expect_error(&run, 5);

    /* Its own: the files are found by their paths. */
    struct start start = {.user = NOBODY};
    struct child *own =
        child_start((const char *const[]){"sh", "-c", "echo ready; read line", NULL}, &start);
    child_line(own, HARNESS_DEADLINE_MS);
    run =
        skewctl_run_as(NOBODY, "inspect", "-p", harness_format("%d", own->pid), "-o", "json", NULL);
    run_expect(&run, 0);
    assert_string_not_equal(finding(run.out, ".subject == \"counter\""), "");
    assert_string_equal(finding(run.out, ".found | contains(\"could not\")"), "");
    assert_string_equal(json_query(finding(run.out, ".subject == \"capability\""), ".found"),
                        "has no CAP_SYS_TIME");
}

static void bad_requests(void **state)
{
    (void)state;
    struct run run = skewctl_run("inspect", NULL);
    run_expect_error(&run, 2);
    run = skewctl_run("inspect", "-p", "1,2", NULL);
    run_expect_error(&run, 2);
    struct child *idle = victim_start("idle", NULL);
    pid_t pid = idle->pid;
    child_kill(idle);
    run = skewctl_run("inspect", "-p", harness_format("%d", pid), NULL);
    run_expect_error(&run, 4);
}

static struct run inject(const struct child *victim, const char *clock)
{
    return skewctl_run("inject", "-p", harness_format("%d", victim->pid), "--offset", "-5m",
                       "--clock", clock, "--dry-run", NULL);
}

static void inject_warns_of_what_it_leaves(void **state)
{
    (void)state;
    struct child *victim = victim_start("deadlines", NULL);
    struct run run = inject(victim, "realtime");
    run_expect(&run, 0);
    assert_string_equal(run.err, "");

    turn(victim, "relative", "on");
    turn(victim, "absolute", "on");
    turn(victim, "monotonic", "on");
    finding_await(victim, ".subject == \"wait\" and .clock == \"monotonic\"", true);
    run = inject(victim, "realtime");
    run_expect(&run, 0);
    assert_non_null(
        strstr(run.err, "1 timerfd set to a time of clock realtime: expires at a true time"));
    /* One line, of the one thing that goes by a clock that is to be skewed. */
    assert_string_equal(strchr(run.err, '\n'), "\n");

    run = inject(victim, "monotonic");
    run_expect(&run, 0);
    assert_non_null(strstr(run.err, "1 thread in futex until a time of clock monotonic"));
    assert_string_equal(
        strchr(run.err, '\n'),
        "\nskewctl: clock monotonic is set back with this, which programs rely on it "
        "never to do\n");

    /* A few lines say enough. */
    static const char *const more[] = {"cond", "nanosleep", "waitv", "queue", "timer"};
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        turn(victim, more[i], "on");
    finding_await(victim,
                  "[.subject, .clock] == [\"wait\", \"realtime\"] and "
                  "(.found | contains(\"mq_timedreceive\"))",
                  true);
    run = inject(victim, "realtime");
    run_expect(&run, 0);
    size_t lines = 0;
    for (const char *c = run.err; *c; c++)
        lines += *c == '\n';
    assert_int_equal(lines, 5);
    assert_non_null(strstr(run.err, "2 more of the kind; skewctl inspect"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(each_is_told_while_it_is_there),
        harness_test(those_alike_are_counted_together),
        harness_test(memory_of_no_file_is_searched),
        harness_test(a_ring_is_unknown),
        harness_test(a_time_namespace_is_told),
        harness_test(code_of_a_file_is_searched),
        harness_test(a_resumed_wait_is_unknown),
        harness_test(the_process_is_told),
        harness_test(a_skew_that_has_ended_is_told),
        harness_test(nothing_is_changed),
        harness_test(whoever_may_not_look_is_told_so),
        harness_test(bad_requests),
        harness_test(inject_warns_of_what_it_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
