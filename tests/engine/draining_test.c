/*
 * draining_test.c - recover while a thread will still return into the image:
 * the clocks are put right at once, the image stays until nobody needs it.
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <string.h>

static const char *present_state(void)
{
    struct run run = skewctl_run("list", "-o", "json", NULL);
    run_expect(&run, 0);
    return json_query(run.out, "[.injections[].state] | join(\" \")");
}

static void recover_waits_for_a_handler(void **state)
{
    (void)state;
    struct child *victim = victim_start("parked", NULL);
    const char *pid = harness_format("%d", victim->pid);
    struct snapshot before = snapshot_take(victim->pid);
    size_t code = observe_code_mappings(victim->pid);
    skewctl_inject(victim->pid, "-5m");
    const char *where = child_ask(victim, "park");
    if (strncmp(where, "elsewhere ", 10) != 0)
        fail_msg("the read was interrupted at: %s", where);

    for (int i = 0; i < 2; i++) {
        struct run run = skewctl_run("recover", "-p", pid, "-o", "json", NULL);
        run_expect(&run, 7);
        assert_string_equal(json_query(run.out, ".injections[0].state"), "draining");
        assert_string_equal(present_state(), "draining");
        assert_int_equal(observe_code_mappings(victim->pid), code + 1);
        assert_memory_equal(observe_vdso(victim->pid).bytes, before.vdso.bytes, before.vdso.size);
        observe_untraced(victim->pid);
    }

    assert_string_equal(child_ask(victim, "release"), "ok");
    victim_check_progress(victim, 1000);
    struct run run = skewctl_run("recover", "--all", NULL);
    run_expect(&run, 0);
    assert_string_equal(present_state(), "");
    snapshot_expect(&before, victim->pid);
    victim_check_progress(victim, 1000);
}

/* Whoever is skewed again while the old image drains gets no second one. */
static void inject_while_draining(void **state)
{
    (void)state;
    struct child *victim = victim_start("parked", NULL);
    struct snapshot before = snapshot_take(victim->pid);
    size_t code = observe_code_mappings(victim->pid);
    skewctl_inject(victim->pid, "-5m");
    child_ask(victim, "park");
    const char *pid = harness_format("%d", victim->pid);
    struct run run = skewctl_run("recover", "-p", pid, NULL);
    run_expect(&run, 7);
    run = skewctl_run("inject", "-p", pid, "--offset", "+1h30m", NULL);
    if (run.code != 0)
        run_expect_error(&run, 7);
    assert_int_equal(observe_code_mappings(victim->pid), code + 1);
    assert_string_equal(child_ask(victim, "release"), "ok");
    victim_check_progress(victim, 1000);
    run = skewctl_run("recover", "-p", pid, NULL);
    run_expect(&run, 0);
    snapshot_expect(&before, victim->pid);
}

/* The other way round: a handler that interrupted the vDSO goes back into it, patched or not. */
static void inject_into_an_interrupted_read(void **state)
{
    (void)state;
    struct child *victim = victim_start("parked", NULL);
    struct snapshot before = snapshot_take(victim->pid);
    const char *where = child_ask(victim, "park");
    if (strncmp(where, "vdso ", 5) != 0)
        fail_msg("the read was interrupted at: %s", where);
    skewctl_inject(victim->pid, "-5m");
    assert_string_equal(child_ask(victim, "release"), "ok");
    victim_check_progress(victim, 1000);
    skewctl_recover(victim->pid);
    victim_check_progress(victim, 1000);
    snapshot_expect(&before, victim->pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(recover_waits_for_a_handler),
        harness_test(inject_while_draining),
        harness_test(inject_into_an_interrupted_read),
    };
    return cmocka_run_group_tests_name("draining", tests, NULL, NULL);
}
