/*
 * scan_test.c - skewctl scan: names every process whose vDSO is not the
 * kernel's own, and --repair puts right what is recognised and left behind.
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What scan says of one process, or a field of it; "" where it does not name it. */
static const char *scan(const struct child *victim, const char *option)
{
    const char *pid = harness_format("%d", victim->pid);
    struct run run = option ? skewctl_run("scan", "-p", pid, "-o", "json", option, NULL)
                            : skewctl_run("scan", "-p", pid, "-o", "json", NULL);
    run_expect(&run, 0);
    return run.out;
}

static const char *said(const char *json, const char *field)
{
    return json_query(json, harness_format(".traces[] | .%s", field));
}

static struct child *rivalled_start(const char *attack, const char *then)
{
    struct child *victim = victim_start("rivalled", NULL);
    assert_string_equal(child_ask(victim, attack), "ok 0");
    if (then)
        assert_string_equal(child_ask(victim, then), "ok 0");
    victim_check(victim);
    return victim;
}

static void a_clean_process_is_not_named(void **state)
{
    (void)state;
    struct child *idle = victim_start("idle", NULL);
    assert_string_equal(said(scan(idle, NULL), "origin"), "");
}

static void leftovers_of_a_rival_are_repaired(void **state)
{
    (void)state;
    struct child *victim = victim_start("rivalled", NULL);
    struct vdso pristine = observe_vdso(victim->pid);
    assert_string_equal(child_ask(victim, "jump clock_gettime"), "ok 0");
    assert_string_equal(child_ask(victim, "jump gettimeofday"), "ok 0");
    victim_check(victim);
    const char *maps = observe_maps(victim->pid);

    const char *json = scan(victim, NULL);
    assert_string_equal(said(json, "origin"), "chaos-mesh");
    assert_string_equal(said(json, "repaired"), "false");
    assert_non_null(strstr(said(json, "detail"), "clock_gettime and gettimeofday"));
    assert_memory_not_equal(observe_vdso(victim->pid).bytes, pristine.bytes, pristine.size);

    json = scan(victim, "--repair");
    assert_string_equal(said(json, "repaired"), "true");
    observe_put_back(victim->pid, maps, &pristine);
    victim_check(victim);
    assert_string_equal(said(scan(victim, NULL), "origin"), "");

    /* And now it can be skewed, and put back, as any other. */
    skewctl_inject(victim->pid, "+1s");
    skewctl_recover(victim->pid);
    observe_put_back(victim->pid, maps, &pristine);
}

static void each_function_alone_is_recognised(void **state)
{
    (void)state;
    static const char *const functions[] = {"clock_gettime", "gettimeofday", "time"};
    for (size_t i = 0; i < 3; i++) {
        struct child *victim = rivalled_start(harness_format("jump %s", functions[i]), NULL);
        assert_string_equal(said(scan(victim, "--repair"), "repaired"), "true");
        struct vdso own = observe_vdso_own();
        assert_memory_equal(observe_vdso(victim->pid).bytes, own.bytes, own.size);
        victim_check(victim);
        child_kill(victim);
    }
}

static void unknown_changes_are_only_reported(void **state)
{
    (void)state;
    struct child *victims[] = {rivalled_start("scribble", NULL),
                               rivalled_start("jump time", "scribble")};
    for (size_t i = 0; i < 2; i++) {
        struct vdso before = observe_vdso(victims[i]->pid);
        const char *json = scan(victims[i], "--repair");
        assert_string_equal(said(json, "origin"), "unknown");
        assert_string_equal(said(json, "repaired"), "false");
        assert_memory_equal(observe_vdso(victims[i]->pid).bytes, before.bytes, before.size);
        struct run run = skewctl_run("inject", "-p", harness_format("%d", victims[i]->pid),
                                     "--offset", "-5m", NULL);
        run_expect_error(&run, 3);
    }
}

/* Also where it was made with another journal: that one's owner may still want it. */
static void an_injection_in_force_stays(void **state)
{
    (void)state;
    struct child *reader = victim_start("clock_reader", "2", NULL);
    const char *pid = harness_format("%d", reader->pid);
    const char *other = harness_format("%s/journal.db", harness_directory(geteuid()));
    struct snapshot before = snapshot_take(reader->pid);
    clock_reader_allow(reader, "realtime", INT64_C(-300000000000));
    struct run run = program_run((const char *const[]){skewctl_path(), "inject", "-p", pid,
                                                       "--offset", "-5m", "--journal", other, NULL},
                                 NULL, HARNESS_DEADLINE_MS);
    run_expect(&run, 0);
    const char *json = scan(reader, "--repair");
    assert_string_equal(said(json, "origin"), "skewctl");
    assert_string_equal(said(json, "in_force"), "true");
    assert_string_equal(said(json, "repaired"), "false");
    assert_string_equal(said(json, "id"), "null");
    clock_reader_expect_all(reader, INT64_C(-300000000000));
    skewctl_recover(reader->pid);
    snapshot_expect(&before, reader->pid);
}

static void an_interrupted_operation_is_finished(void **state)
{
    (void)state;
    struct child *victim = victim_start("parked", NULL);
    const char *maps = observe_maps(victim->pid);
    struct vdso vdso = observe_vdso(victim->pid);
    const char *pid = harness_format("%d", victim->pid);
    skewctl_inject(victim->pid, "-5m");
    if (strncmp(child_ask(victim, "park elsewhere"), "ok ", 3) != 0)
        fail_msg("no read could be interrupted there");
    struct run run = skewctl_run("recover", "-p", pid, NULL);
    run_expect(&run, 7);
    const char *json = scan(victim, NULL);
    assert_string_equal(said(json, "origin"), "skewctl");
    assert_string_equal(said(json, "in_force"), "false");
    run = skewctl_run("scan", "-p", pid, "--repair", NULL);
    run_expect(&run, 7);
    assert_string_equal(child_ask(victim, "release"), "ok");
    victim_check_progress(victim, 1000);
    assert_string_equal(said(scan(victim, "--repair"), "repaired"), "true");
    observe_put_back(victim->pid, maps, &vdso);
}

/* The whole machine; some of its processes may be out of sight where the tests run. */
static void every_process_is_looked_at(void **state)
{
    (void)state;
    struct child *victims[] = {rivalled_start("jump time", NULL), rivalled_start("scribble", NULL),
                               victim_start("idle", NULL)};
    static const char *const origins[] = {"chaos-mesh", "unknown", ""};
    struct run run = skewctl_run("scan", "-o", "json", NULL);
    if (run.code != 0 && (run.code != 6 || !strstr(run.err, "may not be looked at")))
        run_expect(&run, 0);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(
            json_query(run.out,
                       harness_format(".traces[] | select(.pid == %d) | .origin", victims[i]->pid)),
            origins[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(a_clean_process_is_not_named),
        harness_test(leftovers_of_a_rival_are_repaired),
        harness_test(each_function_alone_is_recognised),
        harness_test(unknown_changes_are_only_reported),
        harness_test(an_injection_in_force_stays),
        harness_test(an_interrupted_operation_is_finished),
        harness_test(every_process_is_looked_at),
    };
    return cmocka_run_group_tests_name("scan", tests, NULL, NULL);
}
