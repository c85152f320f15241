/*
 * waits_test.c - waits that an inject, an update or a recover comes upon: no
 * EINTR that would not have come, what wakes them still does, what limits them
 * ends them when it should; and where the kernel makes that impossible, the
 * report counts what may have been seen.
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/skewctl.h"

#define MINUTE INT64_C(60000000000)
#define CYCLES 10

static struct skew_engine *engine;

static int engine_setup(void **state)
{
    harness_setup(state);
    struct skew_engine_options options = {
        .journal_path = harness_format("%s/waits.db", harness_directory(geteuid()))};
    struct skew_error error = {0};
    if (skew_engine_open(&options, &engine, &error) != SKEW_OK)
        fail_msg("%s", error.message);
    return 0;
}

static int engine_teardown(void **state)
{
    skew_engine_close(engine);
    return harness_teardown(state);
}

enum step { INJECT, UPDATE, RECOVER, STEPS };

/* Does it, and returns how many waits the report says it may have cut short. */
static unsigned step_do(enum step step, pid_t pid)
{
    struct skew_request request = {.offset_ns = step == INJECT ? -5 * MINUTE : MINUTE};
    struct skew_report report;
    struct skew_error error = {0};
    enum skew_code code = step == RECOVER ? skew_recover(engine, pid, &report, &error)
                                          : skew_inject(engine, pid, &request, &report, &error);
    if (code != SKEW_OK)
        fail_msg("step %d came to %d: %s", (int)step, (int)code, error.message);
    return report.interrupted;
}

static void say_what_is_missing(struct child *victim)
{
    const char *without = child_ask(victim, "without");
    if (strcmp(without, "ok") != 0)
        harness_skip_say(__func__, "no%s", without + 2);
}

/* How often limited waits were cut short so far; every thread waits again. */
static long interruptions(struct child *victim)
{
    long count;
    const char *answer = child_ask(victim, "interrupted");
    if (sscanf(answer, "ok %ld", &count) != 1)
        fail_msg("not all wait again: %s", answer);
    return count;
}

/* A thread that is on its way back into sigsuspend(2) has another mask for a moment. */
static void comes_back(const struct snapshot *before, struct child *victim)
{
    int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    struct snapshot now;
    do {
        now = snapshot_take(victim->pid);
    } while (snapshot_difference(before, &now) && harness_monotonic_ns() < end);
    snapshot_expect(before, victim->pid);
}

static void cycles(struct child *victim, int count, bool limited)
{
    struct snapshot before = snapshot_take(victim->pid);
    for (int i = 0; i < count; i++) {
        for (enum step step = INJECT; step < STEPS; step++) {
            long seen = limited ? interruptions(victim) : 0;
            unsigned reported = step_do(step, victim->pid);
            if (limited)
                assert_int_equal(interruptions(victim) - seen, reported);
            else
                assert_int_equal(reported, 0);
        }
        victim_check(victim);
    }
    comes_back(&before, victim);
    assert_int_equal(victim_check(victim), 0);
    assert_string_equal(child_ask(victim, "wake"), "ok");
    assert_true(victim_check(victim) > 0);
}

static void all_at_once(void **state)
{
    (void)state;
    struct child *victim = victim_start("blocked", NULL);
    say_what_is_missing(victim);
    cycles(victim, CYCLES, false);
}

/* Finite waits cannot be made again: each is counted. */
static void limits_at_once(void **state)
{
    (void)state;
    struct child *victim = victim_start("blocked", "limited", NULL);
    say_what_is_missing(victim);
    cycles(victim, CYCLES, true);
}

/* Each in the thread that makes the remote calls. */
static void each_alone(const char *kind, const char *const names[])
{
    struct keep *mark = harness_mark();
    for (size_t i = 0; names[i]; i++) {
        struct child *victim = victim_start("blocked", "alone", kind, names[i], NULL);
        if (strcmp(child_ask(victim, "without"), "ok") == 0) {
            cycles(victim, CYCLES, strcmp(kind, "limited") == 0);
        }
        child_kill(victim);
        harness_release(mark);
    }
}

static void restarted_alone(void **state)
{
    (void)state;
    static const char *const names[] = {
        "read",       "recv",  "send",      "poll",      "poll with a time-out", "ppoll",
        "select",     "futex", "condition", "nanosleep", "clock_nanosleep",      "pause",
        "sigsuspend", "wait4", "accept",    "msgrcv",    "mq_receive",           "inotify",
        "eventfd",    "fcntl", NULL};
    each_alone("restarted", names);
}

static void repeated_alone(void **state)
{
    (void)state;
    static const char *const names[] = {"epoll_wait",   "epoll_pwait",    "epoll_pwait2",
                                        "semop",        "semtimedop",     "sigwaitinfo",
                                        "io_getevents", "io_uring_enter", NULL};
    each_alone("repeated", names);
}

static void limited_alone(void **state)
{
    (void)state;
    static const char *const names[] = {
        "epoll_wait", "semtimedop", "sigtimedwait", "io_getevents", "io_uring_enter", "recv",
        "read",       "accept",     "send",         "recv of all",  "write of all",   NULL};
    each_alone("limited", names);
}

/*
 * Time runs on for a wait while it is stopped, again and again: one that began
 * anew at each stop would not end as long as the stops go on.
 */
static void limits_end_in_time(void **state)
{
    (void)state;
    struct child *victim = victim_start("timeouts", NULL);
    int64_t length = 3000, late_us = INT64_MAX;
    char name[32] = "";
    for (int tries = 0; tries < 3 && late_us > length * 1000 / 2; tries++) {
        child_ask(victim, "late");
        int64_t end = harness_monotonic_ns() + length * 1000000;
        while (harness_monotonic_ns() < end) {
            for (enum step step = INJECT; step < STEPS; step++) {
                assert_int_equal(step_do(step, victim->pid), 0);
                harness_sleep_ms(10);
            }
        }
        victim_check_progress(victim, 1);
        assert_int_equal(sscanf(child_ask(victim, "late"), "ok %" SCNd64 " %31s", &late_us, name),
                         2);
    }
    if (late_us > length * 1000 / 2)
        fail_msg("%s lasted %" PRId64 " us longer than its limit", name, late_us);
}

#define engine_test(function)                                                                      \
    cmocka_unit_test_setup_teardown(function, engine_setup, engine_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        engine_test(all_at_once),    engine_test(limits_at_once), engine_test(restarted_alone),
        engine_test(repeated_alone), engine_test(limited_alone),  engine_test(limits_end_in_time),
    };
    return cmocka_run_group_tests_name("waits", tests, NULL, NULL);
}
