/*
 * cycle_test.c - inject, read, recover: the target runs on undisturbed at each
 * stage and is as before at the end (promise P4).
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <signal.h>
#include <sys/wait.h>

#define MINUTE INT64_C(60000000000)

static void cycle(const char *threads)
{
    struct child *reader = victim_start("clock_reader", threads, NULL);
    struct snapshot before = snapshot_take(reader->pid);
    size_t code = observe_code_mappings(reader->pid);

    clock_reader_allow(reader, "realtime", -5 * MINUTE);
    const char *json = skewctl_inject(reader->pid, "-5m");
    clock_reader_forbid(reader, "realtime", 0);
    assert_string_equal(json_query(json, ".injections[0].state"), "active");
    assert_string_equal(json_query(json, ".injections[0].skew_ns"), "-300000000000");
    assert_string_equal(json_query(json, ".injections[0].updated"), "false");
    assert_string_equal(json_query(json, ".injections[0].threads"), threads);
    observe_untraced(reader->pid);
    assert_int_equal(observe_code_mappings(reader->pid), code + 1);
    victim_check_progress(reader, 200);
    clock_reader_expect_all(reader, -5 * MINUTE);

    clock_reader_allow(reader, "realtime", 0);
    json = skewctl_recover(reader->pid);
    clock_reader_forbid(reader, "realtime", -5 * MINUTE);
    assert_string_equal(json_query(json, ".injections[0].state"), "recovered");
    snapshot_expect(&before, reader->pid);
    victim_check_progress(reader, 200);
    clock_reader_expect_all(reader, 0);
    snapshot_expect(&before, reader->pid);
}

static void one_thread(void **state)
{
    (void)state;
    cycle("1");
}

static void sixteen_threads(void **state)
{
    (void)state;
    cycle("16");
}

/* The pristine vDSO is the one this very process has, too. */
static void vdso_is_the_kernels_own(void **state)
{
    (void)state;
    struct child *reader = victim_start("clock_reader", NULL);
    struct vdso own = observe_vdso_own();
    skewctl_inject(reader->pid, "-5m");
    struct vdso patched = observe_vdso(reader->pid);
    assert_int_equal(patched.size, own.size);
    assert_memory_not_equal(patched.bytes, own.bytes, own.size);
    skewctl_recover(reader->pid);
    assert_memory_equal(observe_vdso(reader->pid).bytes, own.bytes, own.size);
}

static void dry_run_changes_nothing(void **state)
{
    (void)state;
    struct child *reader = victim_start("clock_reader", "4", NULL);
    struct snapshot before = snapshot_take(reader->pid);
    struct run run = skewctl_run("inject", "-p", harness_format("%d", reader->pid), "--offset",
                                 "-5m", "--dry-run", "-o", "json", NULL);
    run_expect(&run, 0);
    assert_string_equal(json_query(run.out, ".injections[0].dry_run"), "true");
    snapshot_expect(&before, reader->pid);
    victim_check_progress(reader, 50);
    run = skewctl_run("list", "--all", "-o", "json", NULL);
    run_expect(&run, 0);
    assert_string_equal(json_query(run.out, ".injections | length"), "0");
}

/* A thread that is let go while its process is stopped needs a moment to stop again. */
static void expect_settles(const struct snapshot *before, pid_t pid)
{
    int64_t end = harness_monotonic_ns() + 5 * INT64_C(1000000000);
    struct snapshot now = snapshot_take(pid);
    while (snapshot_difference(before, &now) && harness_monotonic_ns() < end) {
        harness_sleep_ms(1);
        now = snapshot_take(pid);
    }
    snapshot_expect(before, pid);
}

static void stopped_stays_stopped(void **state)
{
    (void)state;
    struct child *reader = victim_start("clock_reader", "4", NULL);
    siginfo_t info;
    kill(reader->pid, SIGSTOP);
    /* Reported once all threads have stopped. */
    assert_int_equal(waitid(P_PID, (id_t)reader->pid, &info, WSTOPPED), 0);
    struct snapshot before = snapshot_take(reader->pid);
    skewctl_inject(reader->pid, "-5m");
    harness_sleep_ms(20);
    assert_int_equal(*observe_status(reader->pid, reader->pid, "State"), 'T');
    skewctl_recover(reader->pid);
    expect_settles(&before, reader->pid);
    kill(reader->pid, SIGCONT);
    victim_check_progress(reader, 50);
}

static void several_in_one_call(void **state)
{
    (void)state;
    struct child *readers[5];
    struct snapshot before[5];
    const char *pids = "";
    for (size_t i = 0; i < 5; i++) {
        readers[i] = victim_start("clock_reader", "2", "500", NULL);
        before[i] = snapshot_take(readers[i]->pid);
        clock_reader_allow(readers[i], "realtime", -5 * MINUTE);
        pids = harness_format("%s%s%d", pids, i ? "," : "", readers[i]->pid);
    }
    struct run run = skewctl_run("inject", "-p", pids, "--offset", "-5m", "-o", "json", NULL);
    run_expect(&run, 0);
    assert_string_equal(json_query(run.out, "[.injections[] | .state] | unique | join(\" \")"),
                        "active");
    assert_string_equal(json_query(run.out, "[.injections[] | .pid] | join(\",\")"), pids);
    for (size_t i = 0; i < 5; i++)
        clock_reader_expect(readers[i], "clock_gettime 0", -5 * MINUTE);
    run = skewctl_run("recover", "-p", pids, NULL);
    run_expect(&run, 0);
    for (size_t i = 0; i < 5; i++) {
        snapshot_expect(&before[i], readers[i]->pid);
        victim_check_progress(readers[i], 5);
        clock_reader_expect(readers[i], "clock_gettime 0", 0);
    }
}

static void many_cycles_leave_nothing(void **state)
{
    (void)state;
    struct child *reader = victim_start("clock_reader", "3", NULL);
    struct snapshot before = snapshot_take(reader->pid);
    clock_reader_allow(reader, "realtime", -5 * MINUTE);
    for (int i = 0; i < 20; i++) {
        skewctl_inject(reader->pid, "-5m");
        victim_check_progress(reader, 5);
        skewctl_recover(reader->pid);
        snapshot_expect(&before, reader->pid);
    }
    clock_reader_forbid(reader, "realtime", -5 * MINUTE);
    victim_check_progress(reader, 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(one_thread),
        harness_test(sixteen_threads),
        harness_test(vdso_is_the_kernels_own),
        harness_test(dry_run_changes_nothing),
        harness_test(stopped_stays_stopped),
        harness_test(several_in_one_call),
        harness_test(many_cycles_leave_nothing),
    };
    return cmocka_run_group_tests_name("cycle", tests, NULL, NULL);
}
