/*
 * signals_test.c - a process at which signals come all the time: none is lost,
 * doubled or overtaken by inject, update and recover, each brings its value,
 * timers lose no expiry, no wait ends for a stop, nothing of it stays behind.
 *
 * Run as `signals_test CYCLES`, that many in each of two manners; prints the figures that
 * docs/safety.md quotes.
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/skewctl.h"

#define MINUTE     INT64_C(60000000000)
#define UPDATE_ONE 4 /* of so many cycles has an update, too */

static int cycles;

static void succeeds(int cycle, enum skew_code code, const struct skew_error *error)
{
    if (code != SKEW_OK)
        fail_msg("cycle %d: code %d in %s: %s", cycle, (int)code, error->operation, error->message);
}

/* What is expected of the report of each: nothing that had to be exposed. */
static void cycle_run(struct skew_engine *engine, int cycle, pid_t pid)
{
    struct skew_request request = {.offset_ns = -5 * MINUTE};
    struct skew_report report;
    struct skew_error error = {0};
    succeeds(cycle, skew_inject(engine, pid, &request, &report, &error), &error);
    assert_int_equal(report.interrupted, 0);
    if (cycle % UPDATE_ONE == 0) {
        request.offset_ns = MINUTE;
        succeeds(cycle, skew_inject(engine, pid, &request, &report, &error), &error);
        assert_int_equal(report.interrupted, 0);
    }
    enum skew_code code = skew_recover(engine, pid, &report, &error);
    /* A machine that keeps a handler from running for half a second makes it wait. */
    for (int tries = 0; code == SKEW_DRAINING && tries < 20; tries++)
        code = skew_recover(engine, pid, &report, &error);
    succeeds(cycle, code, &error);
    assert_int_equal(report.interrupted, 0);
}

static bool put_back(pid_t pid, const char *maps, const struct vdso *vdso)
{
    struct vdso now = observe_vdso(pid);
    return strcmp(observe_maps(pid), maps) == 0 && now.address == vdso->address &&
           now.size == vdso->size && memcmp(now.bytes, vdso->bytes, vdso->size) == 0;
}

static void cycles_run(const char *manner)
{
    struct skew_engine_options options = {
        .journal_path = harness_format("%s/signals.db", harness_directory(geteuid()))};
    struct skew_engine *engine;
    struct skew_error error = {0};
    if (skew_engine_open(&options, &engine, &error) != SKEW_OK)
        fail_msg("%s", error.message);
    struct child *victim = victim_start("signals", manner, NULL);
    /* Not a whole snapshot: in its handlers the victim's signal masks are others. */
    const char *maps = observe_maps(victim->pid);
    struct vdso vdso = observe_vdso(victim->pid);
    int differences = 0;
    int64_t began = harness_monotonic_ns();
    struct keep *mark = harness_mark();
    for (int i = 0; i < cycles; i++) {
        cycle_run(engine, i, victim->pid);
        observe_untraced(victim->pid);
        differences += !put_back(victim->pid, maps, &vdso);
        if (i % 100 == 99)
            victim_check(victim);
        harness_release(mark);
    }
    victim_check(victim);
    skew_engine_close(engine);

    long handled, expiries, lost, doubled, missed, spurious;
    assert_int_equal(sscanf(child_ask(victim, "figures"), "ok %ld %ld %ld %ld %ld %ld", &handled,
                            &expiries, &lost, &doubled, &missed, &spurious),
                     6);
    printf("transparency: %d cycles in %.1f s; %ld queued signals, %ld lost, %ld doubled or "
           "overtaken; %ld timer expiries, %ld missed; %ld spurious EINTR; %d state differences\n",
           cycles, (double)(harness_monotonic_ns() - began) / 1e9, handled, lost, doubled, expiries,
           missed, spurious, differences);
    assert_true(handled > cycles && expiries > cycles);
    assert_int_equal(lost + doubled + missed + spurious + differences, 0);
}

static void signals_are_not_lost(void **state)
{
    (void)state;
    cycles_run(NULL);
}

static void nor_where_their_thread_makes_the_calls(void **state)
{
    (void)state;
    cycles_run("calls");
}

int main(int count, char **arguments)
{
    cycles = count > 1 ? atoi(arguments[1]) : 300;
    const struct CMUnitTest tests[] = {
        harness_test(signals_are_not_lost),
        harness_test(nor_where_their_thread_makes_the_calls),
    };
    return cmocka_run_group_tests_name("signals", tests, NULL, NULL);
}
