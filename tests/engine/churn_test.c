/*
 * churn_test.c - a target whose threads come and go all the time, with or
 * without its main thread: each operation works, and none waits for a thread
 * whose stop was overtaken by its end.
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MINUTE INT64_C(60000000000)
#define CYCLES 15

/* Far more than any of it takes, less than one wait of the engine that ends at its deadline. */
#define LONGEST_NS INT64_C(3000000000)

static void operate(const char *verb, struct child *victim)
{
    const char *pid = harness_format("%d", victim->pid);
    struct run run = *verb == 'i'
                         ? skewctl_run("inject", "-p", pid, "--offset", "-5m", "-o", "json", NULL)
                         : skewctl_run("recover", "-p", pid, "-o", "json", NULL);
    run_expect(&run, 0);
    if (run.elapsed_ns > LONGEST_NS)
        fail_msg("%s took %.1f s", verb, (double)run.elapsed_ns / 1e9);
}

static void expect_skew(struct child *victim, int64_t offset_ns)
{
    skew_range_expect(ticker_measure(victim), offset_ns, MINUTE);
    victim_check_progress(victim, 10);
}

static void cycles(const char *kind)
{
    struct child *victim = victim_start("churn", kind, NULL);
    /* Where the main thread has exited only a live thread has maps. */
    pid_t tid = 0;
    assert_int_equal(sscanf(child_ask(victim, "tid"), "ok %d", &tid), 1);
    size_t code = observe_code_mappings(tid);
    struct vdso vdso = observe_vdso(tid);
    struct keep *mark = harness_mark();
    for (int i = 0; i < CYCLES; i++) {
        operate("inject", victim);
        expect_skew(victim, -5 * MINUTE);
        assert_int_equal(observe_code_mappings(tid), code + 1);
        operate("recover", victim);
        expect_skew(victim, 0);
        /* Not all mappings: its stacks come and go. */
        assert_int_equal(observe_code_mappings(tid), code);
        assert_memory_equal(observe_vdso(tid).bytes, vdso.bytes, vdso.size);
        observe_untraced(victim->pid);
        harness_release(mark);
    }
}

static void beside_the_main_thread(void **state)
{
    (void)state;
    cycles(NULL);
}

static void without_a_main_thread(void **state)
{
    (void)state;
    cycles("leaderless");
}

static void each_thread_starts_the_next(void **state)
{
    (void)state;
    cycles("chain");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(beside_the_main_thread),
        harness_test(without_a_main_thread),
        harness_test(each_thread_starts_the_next),
    };
    return cmocka_run_group_tests_name("churn", tests, NULL, NULL);
}
