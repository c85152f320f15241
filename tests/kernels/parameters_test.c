/*
 * parameters_test.c - what skewctl says and does on a kernel that was booted with
 * a parameter that takes away something it needs or would rather have; in the
 * guests of scripts/kernels; and what it does without one.
 *
 * Each test holds that doctor tells beforehand what inject then comes to.
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MINUTE INT64_C(60000000000)

static bool booted_with(const char *parameter)
{
    const char *line = harness_file_read("/proc/cmdline", NULL);
    return line && strstr(harness_format(" %s", line), harness_format(" %s", parameter));
}

static void need(const char *test, const char *parameter)
{
    if (booted_with(parameter))
        return;
    harness_skip_say(test, "the kernel was not booted with %s", parameter);
    skip();
}

/* Doctor's verdict and reason on a subject, as "VERDICT REASON". */
static const char *doctor_says(const char *subject, int code)
{
    struct run run = skewctl_run("doctor", "-o", "json", NULL);
    run_expect(&run, code);
    return json_query(run.out, harness_format(".checks[] | select(.check == \"%s\") | "
                                              "\"\\(.result) \\(.detail)\"",
                                              subject));
}

static void expect_text(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" where \"%s\" was due", text, part);
}

/* Inject is refused with that code, for a reason with these words. */
static void expect_refusal(struct child *victim, int code, const char *reason)
{
    struct run run =
        skewctl_run("inject", "-p", harness_format("%d", victim->pid), "--offset", "-5m", NULL);
    run_expect_error(&run, code);
    expect_text(run.err, reason);
    victim_check(victim);
}

/* Inject, update and recover, as a program that reads the clock all the time sees them. */
static void expect_cycle(void)
{
    struct child *victim = victim_start("clock_reader", "2", "100", NULL);
    struct snapshot before = snapshot_take(victim->pid);
    clock_reader_allow(victim, "realtime", -5 * MINUTE);
    skewctl_inject(victim->pid, "-5m");
    clock_reader_forbid(victim, "realtime", 0);
    victim_check_progress(victim, 10);
    clock_reader_expect_all(victim, -5 * MINUTE);
    clock_reader_expect(victim, "clock_gettime 1", 0);
    clock_reader_allow(victim, "realtime", 90 * MINUTE);
    skewctl_inject(victim->pid, "+1h30m");
    clock_reader_forbid(victim, "realtime", -5 * MINUTE);
    clock_reader_expect_all(victim, 90 * MINUTE);
    clock_reader_allow(victim, "realtime", 0);
    skewctl_recover(victim->pid);
    clock_reader_forbid(victim, "realtime", 90 * MINUTE);
    victim_check_progress(victim, 10);
    clock_reader_expect_all(victim, 0);
    snapshot_expect(&before, victim->pid);
}

static void no_parameter(void **state)
{
    (void)state;
    expect_text(doctor_says("vdso", 0), "ok ");
    expect_text(doctor_says("attach and write", 0), "ok ");
    expect_cycle();
}

static void no_vdso(void **state)
{
    (void)state;
    need(__func__, "vdso=0");
    struct child *victim = victim_start("idle", NULL);
    struct snapshot before = snapshot_take(victim->pid);
    assert_int_equal(before.vdso.size, 0);
    expect_text(doctor_says("vdso", 3), "refused this kernel gives processes no vDSO");
    expect_refusal(victim, 3, "vDSO");
    snapshot_expect(&before, victim->pid);
}

/* The vDSO makes the system call then, and so does its copy: skewed once, not twice. */
static void slow_clock_source(void **state)
{
    (void)state;
    need(__func__, "clocksource=");
    const char *source =
        harness_file_read("/sys/devices/system/clocksource/clocksource0/current_clocksource", NULL);
    assert_non_null(source);
    assert_true(
        booted_with(harness_format("clocksource=%.*s", (int)strcspn(source, "\n"), source)));
    expect_text(doctor_says("vdso", 0), "ok ");
    expect_cycle();
}

/* Then only ptrace itself can write into the vDSO. */
static void no_forced_writes(void **state)
{
    (void)state;
    need(__func__, "proc_mem.force_override=never");
    expect_text(doctor_says("attach and write", 0), "ok ");
    expect_cycle();
}

/* Nobody may look at another process's memory either, the test included. */
static void no_attaching(void **state)
{
    (void)state;
    need(__func__, "sysctl.kernel.yama.ptrace_scope=3");
    struct child *victim = victim_start("idle", NULL);
    const char *maps = observe_maps(victim->pid);
    expect_text(doctor_says("yama", 3), "refused ptrace_scope is 3");
    expect_refusal(victim, 5, "ptrace_scope");
    assert_string_equal(observe_maps(victim->pid), maps);
}

int main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        harness_test(no_parameter),     harness_test(no_vdso),      harness_test(slow_clock_source),
        harness_test(no_forced_writes), harness_test(no_attaching),
    };
    if (count > 1)
        cmocka_set_test_filter(arguments[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
