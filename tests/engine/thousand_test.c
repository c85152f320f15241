/*
 * thousand_test.c - a group of a thousand processes: all or none of them, found again by
 * list, and put back. How long that takes: scripts/bench.
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <stdlib.h>
#include <string.h>

#define PROCESSES 1000

static void every_one(void **state)
{
    (void)state;
    struct child *parent = victim_start("idle", NULL);
    const char *tree = harness_format("%d", parent->pid);
    const char *all = harness_format("%d", PROCESSES + 1);
    pid_t child = 0;
    for (int i = 0; i < PROCESSES; i++)
        child = (pid_t)atoi(child_ask(parent, "spawn") + strlen("ok "));
    struct snapshot before = snapshot_take(parent->pid), before_child = snapshot_take(child);

    struct run run = skewctl_run("inject", "--tree", tree, "--offset", "-1h", "-o", "json", NULL);
    run_expect(&run, 0);
    assert_string_equal(
        json_query(run.out, "[.injections[] | select(.state == \"active\")] | length"), all);
    run = skewctl_run("inject", "--tree", tree, "--offset", "+1h", NULL);
    run_expect(&run, 0);
    run = skewctl_run("list", "-o", "json", NULL);
    run_expect(&run, 0);
    assert_string_equal(
        json_query(run.out, "[.injections[] | select(.skew_ns == 3600000000000)] | length"), all);
    run = skewctl_run("recover", "--id", "g1", NULL);
    run_expect(&run, 0);
    snapshot_expect(&before, parent->pid);
    snapshot_expect(&before_child, child);
    /* Others here may have changed a vDSO. */
    run = skewctl_run("scan", "-o", "json", NULL);
    const char *ours = harness_format("[.traces[] | select(.pid >= %d and .pid <= %d and "
                                      ".command == \"idle\")] | length",
                                      parent->pid, child);
    assert_string_equal(json_query(run.out, ours), "0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {harness_test(every_one)};
    return cmocka_run_group_tests_name("a thousand", tests, NULL, NULL);
}
