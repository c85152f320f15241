/*
 * stopped_test.c - a job that is stopped, as a shell stops one, before or while
 * skewctl works on it: the work is done, the job is still stopped afterwards,
 * signals that wait for it wait on, its parent is told nothing that it would not have been
 * told, and SIGCONT continues it.
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/skewctl.h"

#define MINUTE INT64_C(60000000000)

struct scene {
    struct child *shell;
    pid_t job;
    struct skew_engine *engine;
};

static long number(struct child *shell, const char *what)
{
    long value;
    const char *answer = child_ask(shell, what);
    if (sscanf(answer, "ok %ld", &value) != 1)
        fail_msg("%s: %s", what, answer);
    return value;
}

static struct scene scene_open(const char *threads)
{
    struct scene scene = {.shell = victim_start("shell", threads, NULL)};
    scene.job = (pid_t)number(scene.shell, "job");
    struct skew_engine_options options = {
        .journal_path = harness_format("%s/stopped.db", harness_directory(geteuid()))};
    struct skew_error error = {0};
    if (skew_engine_open(&options, &scene.engine, &error) != SKEW_OK)
        fail_msg("%s", error.message);
    return scene;
}

/* "ok", or "ok " and letters: see the victim. */
static void events_expect(const struct scene *scene, const char *events)
{
    size_t due = strlen(events) > 3 ? strlen(events) - 3 : 0;
    assert_string_equal(child_ask(scene->shell, harness_format("events %zu", due)), events);
}

/* The parent has seen it stop, and so have all its threads. */
static void scene_stop(const struct scene *scene, int signal)
{
    kill(scene->job, signal);
    events_expect(scene, "ok S");
    number(scene->shell, "signals");
}

static void succeeds(enum skew_code code, const struct skew_error *error)
{
    if (code != SKEW_OK)
        fail_msg("code %d in %s: %s", (int)code, error->operation, error->message);
}

static void inject(const struct scene *scene, int64_t offset)
{
    struct skew_request request = {.offset_ns = offset};
    struct skew_report report;
    struct skew_error error = {0};
    succeeds(skew_inject(scene->engine, scene->job, &request, &report, &error), &error);
}

static void recover(const struct scene *scene)
{
    struct skew_report report;
    struct skew_error error = {0};
    succeeds(skew_recover(scene->engine, scene->job, &report, &error), &error);
}

/* A thread that is let go while its process is stopped needs a moment to stop again. */
static void still_stopped(const struct scene *scene, const struct snapshot *before)
{
    int64_t end = harness_monotonic_ns() + 5 * INT64_C(1000000000);
    struct snapshot now = snapshot_take(scene->job);
    while (before && snapshot_difference(before, &now) && harness_monotonic_ns() < end) {
        harness_sleep_ms(1);
        now = snapshot_take(scene->job);
    }
    if (before)
        snapshot_expect(before, scene->job);
    long reads = number(scene->shell, "reads");
    harness_sleep_ms(20);
    assert_int_equal(*observe_status(scene->job, scene->job, "State"), 'T');
    assert_int_equal(number(scene->shell, "reads"), reads);
}

static void expect_continues(const struct scene *scene)
{
    kill(scene->job, SIGCONT);
    events_expect(scene, "ok C");
    victim_check_progress(scene->shell, 1000);
    observe_untraced(scene->job);
}

static void stopped_before(const char *threads, int signal)
{
    struct scene scene = scene_open(threads);
    scene_stop(&scene, signal);
    struct snapshot before = snapshot_take(scene.job);
    for (int i = 0; i < 5; i++) {
        inject(&scene, -5 * MINUTE);
        inject(&scene, MINUTE);
        still_stopped(&scene, NULL);
        recover(&scene);
        still_stopped(&scene, &before);
    }
    events_expect(&scene, "ok");
    assert_int_equal(number(scene.shell, "signals"), 0);
    expect_continues(&scene);
    skew_engine_close(scene.engine);
}

static void by_sigstop(void **state)
{
    (void)state;
    stopped_before("4", SIGSTOP);
}

static void by_sigtstp(void **state)
{
    (void)state;
    stopped_before("1", SIGTSTP);
}

/* It is skewed before, stopped, continued; and the other way round. */
static void continued_while_skewed(void **state)
{
    (void)state;
    struct scene scene = scene_open("4");
    scene_stop(&scene, SIGSTOP);
    inject(&scene, -5 * MINUTE);
    expect_continues(&scene);
    scene_stop(&scene, SIGTSTP);
    recover(&scene);
    still_stopped(&scene, NULL);
    events_expect(&scene, "ok");
    expect_continues(&scene);
    skew_engine_close(scene.engine);
}

/*
 * What was sent to a stopped process is kept until it continues (signal(7)): no
 * handler runs before, and a signal that ends it does not do so before. So no
 * thread of it may be let run.
 */
static void with_a_signal_waiting(int signal, bool deadly)
{
    struct scene scene = scene_open("2");
    struct snapshot clean = snapshot_take(scene.job);
    scene_stop(&scene, SIGSTOP);
    struct snapshot before = snapshot_take(scene.job);
    struct skew_request request = {.offset_ns = -5 * MINUTE};
    struct skew_report report;
    struct skew_error error = {0};

    kill(scene.job, signal);
    assert_int_equal(skew_inject(scene.engine, scene.job, &request, &report, &error), SKEW_REFUSED);
    still_stopped(&scene, &before);
    if (deadly) {
        kill(scene.job, SIGCONT);
        /* That it continued may be told, or be overtaken by its end. */
        const char *told = child_ask(scene.shell, "events 1");
        if (strcmp(told, "ok C") == 0)
            told = child_ask(scene.shell, "events 1");
        assert_int_equal(told[strlen(told) - 1], 'E');
        skew_engine_close(scene.engine);
        return;
    }
    expect_continues(&scene);
    assert_int_equal(number(scene.shell, "terms"), 1);

    inject(&scene, -5 * MINUTE);
    scene_stop(&scene, SIGSTOP);
    kill(scene.job, signal);
    assert_int_equal(skew_inject(scene.engine, scene.job, &request, &report, &error), SKEW_REFUSED);
    still_stopped(&scene, NULL);
    /* The clock is put right; only the image has to wait. */
    assert_int_equal(skew_recover(scene.engine, scene.job, &report, &error), SKEW_DRAINING);
    still_stopped(&scene, NULL);
    assert_memory_equal(observe_vdso(scene.job).bytes, clean.vdso.bytes, clean.vdso.size);
    assert_int_equal(number(scene.shell, "terms"), 1);
    events_expect(&scene, "ok");
    expect_continues(&scene);
    assert_int_equal(number(scene.shell, "terms"), 2);
    recover(&scene);
    snapshot_expect(&clean, scene.job);
    skew_engine_close(scene.engine);
}

static void a_signal_with_a_handler_waits_on(void **state)
{
    (void)state;
    with_a_signal_waiting(SIGTERM, false);
}

static void a_deadly_signal_waits_on(void **state)
{
    (void)state;
    with_a_signal_waiting(SIGHUP, true);
}

/* A second one waits until the process continues, and is dropped then. */
static void stopped_twice(void **state)
{
    (void)state;
    struct scene scene = scene_open("2");
    scene_stop(&scene, SIGSTOP);
    kill(scene.job, SIGSTOP);
    kill(scene.job, SIGTSTP);
    inject(&scene, -5 * MINUTE);
    still_stopped(&scene, NULL);
    recover(&scene);
    still_stopped(&scene, NULL);
    events_expect(&scene, "ok");
    expect_continues(&scene);
    skew_engine_close(scene.engine);
}

/* Stops and continues that come at any moment: each is told once, none besides. */
static void stopped_meanwhile(void **state)
{
    (void)state;
    struct scene scene = scene_open("3");
    const char *pid = harness_format("%d", scene.job);
    for (int i = 0; i < 30; i++) {
        struct child *skewctl = child_start(
            i % 2 == 0 ? (const char *const[]){skewctl_path(), "inject", "-p", pid, "--offset",
                                               "-5m", "--journal", skewctl_journal(), NULL}
                       : (const char *const[]){skewctl_path(), "recover", "-p", pid, "--journal",
                                               skewctl_journal(), NULL},
            NULL);
        usleep((useconds_t)(i * 300));
        kill(scene.job, i % 3 ? SIGSTOP : SIGTSTP);
        int status = child_wait(skewctl, HARNESS_DEADLINE_MS);
        assert_int_equal(status, 0);
        events_expect(&scene, "ok S");
        still_stopped(&scene, NULL);
        /* Continued while it works, on every other round. */
        if (i % 4 == 3) {
            skewctl =
                child_start((const char *const[]){skewctl_path(), "inject", "-p", pid, "--offset",
                                                  "+1h", "--journal", skewctl_journal(), NULL},
                            NULL);
            usleep((useconds_t)(i * 200));
            kill(scene.job, SIGCONT);
            assert_int_equal(child_wait(skewctl, HARNESS_DEADLINE_MS), 0);
            events_expect(&scene, "ok C");
            victim_check_progress(scene.shell, 100);
            skewctl_recover(scene.job);
        } else {
            expect_continues(&scene);
        }
    }
    skew_engine_close(scene.engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(by_sigstop),
        harness_test(by_sigtstp),
        harness_test(continued_while_skewed),
        harness_test(a_signal_with_a_handler_waits_on),
        harness_test(a_deadly_signal_waits_on),
        harness_test(stopped_twice),
        harness_test(stopped_meanwhile),
    };
    return cmocka_run_group_tests_name("stopped", tests, NULL, NULL);
}
