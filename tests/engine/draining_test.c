/*
 * draining_test.c - recover while a thread will still return into the image:
 * the clocks are put right at once, the image stays until nobody needs it.
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

static const char *present_state(void)
{
    struct run run = skewctl_run("list", "-o", "json", NULL);
    run_expect(&run, 0);
    return json_query(run.out, "[.injections[].state] | join(\" \")");
}

static void park(struct child *victim, const char *where)
{
    const char *answer = child_ask(victim, harness_format("park %s", where));
    if (strncmp(answer, "ok ", 3) != 0)
        fail_msg("no read could be interrupted there: %s", answer);
}

static void recover_waits(struct child *victim)
{
    const char *pid = harness_format("%d", victim->pid);
    const char *maps = observe_maps(victim->pid);
    struct vdso vdso = observe_vdso(victim->pid);
    size_t code = observe_code_mappings(victim->pid);
    skewctl_inject(victim->pid, "-5m");
    park(victim, "elsewhere");

    for (int i = 0; i < 2; i++) {
        struct run run = skewctl_run("recover", "-p", pid, "-o", "json", NULL);
        run_expect(&run, 7);
        assert_string_equal(json_query(run.out, ".injections[0].state"), "draining");
        assert_string_equal(present_state(), "draining");
        assert_int_equal(observe_code_mappings(victim->pid), code + 1);
        assert_memory_equal(observe_vdso(victim->pid).bytes, vdso.bytes, vdso.size);
        observe_untraced(victim->pid);
    }

    assert_string_equal(child_ask(victim, "release"), "ok");
    victim_check_progress(victim, 1000);
    struct run run = skewctl_run("recover", "--all", NULL);
    run_expect(&run, 0);
    assert_string_equal(present_state(), "");
    observe_put_back(victim->pid, maps, &vdso);
    victim_check_progress(victim, 1000);
}

static void recover_waits_for_a_handler(void **state)
{
    (void)state;
    recover_waits(victim_start("parked", NULL));
}

/* The frame is on another stack than the one that was interrupted. */
static void recover_waits_for_a_handler_on_a_small_stack(void **state)
{
    (void)state;
    struct child *victim = victim_start("parked", "tight", NULL);
    long size;
    assert_int_equal(sscanf(child_ask(victim, "stack"), "ok %ld", &size), 1);
    if (size > 2048)
        printf("with this processor's state a handler needs a stack of %ld bytes\n", size);
    recover_waits(victim);
}

/* More stacks than are looked through seem to hang on the one that it is on. */
static void recover_waits_for_a_handler_on_many_stacks(void **state)
{
    (void)state;
    recover_waits(victim_start("parked", "deep", NULL));
}

/*
 * The program ends between the tries of a recover. One that is not ended before the last
 * try, on a machine that is busy with other things, shows nothing: then once more.
 */
static void killed_while_recover_waits(void **state)
{
    (void)state;
    for (int tries = 0; tries < 5; tries++) {
        struct child *victim = victim_start("parked", NULL);
        struct vdso vdso = observe_vdso(victim->pid);
        skewctl_inject(victim->pid, "-5m");
        park(victim, "elsewhere");
        struct child *recover =
            child_start(skewctl_arguments("recover", "--all", "-o", "json", NULL), NULL);
        int64_t deadline = harness_monotonic_ns() + INT64_C(20000000000);
        while (memcmp(observe_vdso(victim->pid).bytes, vdso.bytes, vdso.size) != 0) {
            assert_true(harness_monotonic_ns() < deadline);
            harness_sleep_ms(1);
        }
        child_kill(victim);
        int status = child_wait(recover, 20);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == 7)
            continue;
        assert_int_equal(WEXITSTATUS(status), 0);
        assert_string_equal(present_state(), "");
        return;
    }
    fail_msg("no program could be ended before the last try");
}

/* While the old image drains there is no place for another skew: it is said so, and no second
 * image. */
static void inject_while_draining(void **state)
{
    (void)state;
    struct child *victim = victim_start("parked", NULL);
    const char *maps = observe_maps(victim->pid);
    struct vdso vdso = observe_vdso(victim->pid);
    size_t code = observe_code_mappings(victim->pid);
    skewctl_inject(victim->pid, "-5m");
    park(victim, "elsewhere");
    const char *pid = harness_format("%d", victim->pid);
    struct run run = skewctl_run("recover", "-p", pid, NULL);
    run_expect(&run, 7);
    run = skewctl_run("inject", "-p", pid, "--offset", "+1h30m", "-o", "json", NULL);
    run_expect(&run, 7);
    assert_string_equal(json_query(run.out, ".injections[0].state"), "draining");
    assert_string_equal(present_state(), "draining");
    assert_int_equal(observe_code_mappings(victim->pid), code + 1);
    assert_string_equal(child_ask(victim, "release"), "ok");
    victim_check_progress(victim, 1000);
    run = skewctl_run("recover", "-p", pid, NULL);
    run_expect(&run, 0);
    observe_put_back(victim->pid, maps, &vdso);
}

/* The other way round: a handler that interrupted the vDSO goes back into it, patched or not. */
static void inject_into_a_read(struct child *victim)
{
    const char *maps = observe_maps(victim->pid);
    struct vdso vdso = observe_vdso(victim->pid);
    park(victim, "vdso");
    skewctl_inject(victim->pid, "-5m");
    assert_string_equal(child_ask(victim, "release"), "ok");
    victim_check_progress(victim, 1000);
    skewctl_recover(victim->pid);
    victim_check_progress(victim, 1000);
    observe_put_back(victim->pid, maps, &vdso);
}

static void inject_into_an_interrupted_read(void **state)
{
    (void)state;
    inject_into_a_read(victim_start("parked", NULL));
}

static void inject_into_a_read_interrupted_on_a_small_stack(void **state)
{
    (void)state;
    inject_into_a_read(victim_start("parked", "tight", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(recover_waits_for_a_handler),
        harness_test(recover_waits_for_a_handler_on_a_small_stack),
        harness_test(recover_waits_for_a_handler_on_many_stacks),
        harness_test(killed_while_recover_waits),
        harness_test(inject_while_draining),
        harness_test(inject_into_an_interrupted_read),
        harness_test(inject_into_a_read_interrupted_on_a_small_stack),
    };
    return cmocka_run_group_tests_name("draining", tests, NULL, NULL);
}
