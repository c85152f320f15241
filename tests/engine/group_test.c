/*
 * group_test.c - processes that are skewed and put back together: all or, with
 * --partial, all that can be; by what they were selected by, by the id of the group, or
 * one by one.
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <signal.h>
#include <string.h>

#define MINUTE   INT64_C(60000000000)
#define MEMBERS  5
#define ARGS_MAX 32

struct fleet {
    struct child *readers[MEMBERS];
    struct snapshot before[MEMBERS];
    const char *pids[MEMBERS];
};

static struct fleet fleet_start(void)
{
    struct fleet fleet;
    for (size_t i = 0; i < MEMBERS; i++) {
        fleet.readers[i] = victim_start("clock_reader", "2", "1000", NULL);
        fleet.before[i] = snapshot_take(fleet.readers[i]->pid);
        fleet.pids[i] = harness_format("%d", fleet.readers[i]->pid);
    }
    return fleet;
}

/* Runs skewctl with a --tree for each, the command first, the other words last. */
static struct run fleet_run(const struct fleet *fleet, const char *command,
                            const char *const more[])
{
    const char **argv = harness_memory(ARGS_MAX * sizeof *argv);
    size_t count = 0;
    argv[count++] = skewctl_path();
    argv[count++] = command;
    for (size_t i = 0; i < MEMBERS; i++) {
        argv[count++] = "--tree";
        argv[count++] = fleet->pids[i];
    }
    for (size_t i = 0; more && more[i]; i++)
        argv[count++] = more[i];
    argv[count++] = "--journal";
    argv[count++] = skewctl_journal();
    return program_run(argv, NULL, HARNESS_DEADLINE_MS);
}

static void fleet_allow(const struct fleet *fleet, int64_t offset_ns)
{
    for (size_t i = 0; i < MEMBERS; i++)
        clock_reader_allow(fleet->readers[i], "realtime", offset_ns);
}

static void fleet_expect(const struct fleet *fleet, int64_t offset_ns)
{
    for (size_t i = 0; i < MEMBERS; i++) {
        clock_reader_expect_all(fleet->readers[i], offset_ns);
        victim_check(fleet->readers[i]);
    }
}

static void fleet_expect_clean(const struct fleet *fleet)
{
    fleet_expect(fleet, 0);
    for (size_t i = 0; i < MEMBERS; i++)
        snapshot_expect(&fleet->before[i], fleet->readers[i]->pid);
}

static struct run fleet_inject(const struct fleet *fleet, const char *offset, int64_t offset_ns)
{
    fleet_allow(fleet, offset_ns);
    struct run run =
        fleet_run(fleet, "inject", (const char *const[]){"--offset", offset, "-o", "json", NULL});
    run_expect(&run, 0);
    fleet_expect(fleet, offset_ns);
    return run;
}

static const char *list_query(const char *filter)
{
    struct run run = skewctl_run("list", "-o", "json", NULL);
    run_expect(&run, 0);
    return json_query(run.out, filter);
}

static void all_are_skewed_and_put_back(void **state)
{
    (void)state;
    struct fleet fleet = fleet_start();
    struct run run = fleet_inject(&fleet, "-5m", -5 * MINUTE);
    assert_string_equal(run.err, "");
    assert_string_equal(json_query(run.out, "[.injections[].group] | unique | join(\" \")"), "g1");
    assert_string_equal(json_query(run.out, ".injections | length"), "5");
    print_message("5 processes were switched within %s us\n",
                  json_query(run.out, ".injections[0].switch_us"));
    assert_string_equal(list_query("[.injections[] | select(.group == \"g1\" and .state == "
                                   "\"active\" and .skew == \"-5m\")] | length"),
                        "5");
    run = skewctl_run("list", NULL);
    run_expect(&run, 0);
    assert_non_null(strstr(run.out, "GROUP"));
    assert_non_null(strstr(run.out, " g1 "));

    run = fleet_run(&fleet, "recover", NULL);
    run_expect(&run, 0);
    fleet_expect_clean(&fleet);
    assert_string_equal(list_query(".injections | length"), "0");
    run = fleet_run(&fleet, "recover", NULL);
    run_expect_error(&run, 4);
    run = skewctl_run("recover", "--id", "g1", NULL);
    run_expect_error(&run, 4);
}

/* The same targets again, in another order: the same group, and nobody is stopped for it. */
static void an_update_stops_nobody(void **state)
{
    (void)state;
    struct fleet fleet = fleet_start();
    fleet_inject(&fleet, "-5m", -5 * MINUTE);
    struct fleet turned = fleet;
    turned.pids[0] = fleet.pids[4];
    turned.pids[4] = fleet.pids[0];
    struct run run = fleet_inject(&turned, "+1h", 60 * MINUTE);
    assert_string_equal(json_query(run.out, "[.injections[] | select(.pause_us == null and "
                                            ".updated and .group == \"g1\")] | length"),
                        "5");
    /* And by its number; what no clock can show is refused, and changes nothing. */
    fleet_allow(&fleet, -90 * MINUTE);
    run = skewctl_run("inject", "--id", "g1", "--offset", "-90m", "-o", "json", NULL);
    run_expect(&run, 0);
    assert_string_equal(json_query(run.out, "[.injections[] | select(.pause_us == null and "
                                            ".updated and .group == \"g1\")] | length"),
                        "5");
    fleet_expect(&fleet, -90 * MINUTE);
    run = skewctl_run("inject", "--id", "g1", "--offset", "100000d", NULL);
    assert_int_equal(run.code, 2);
    fleet_expect(&fleet, -90 * MINUTE);
    run = skewctl_run("recover", "--id", "g1", NULL);
    run_expect(&run, 0);
    fleet_expect_clean(&fleet);
    run = skewctl_run("inject", "--id", "g1", "--offset", "1s", NULL);
    run_expect_error(&run, 4);
    run = skewctl_run("inject", "--id", "g77", "--offset", "1s", NULL);
    run_expect_error(&run, 4);
}

static void one_member_by_itself_the_others_by_id(void **state)
{
    (void)state;
    struct fleet fleet = fleet_start();
    fleet_inject(&fleet, "-5m", -5 * MINUTE);
    skewctl_recover(fleet.readers[2]->pid);
    snapshot_expect(&fleet.before[2], fleet.readers[2]->pid);
    clock_reader_expect_all(fleet.readers[3], -5 * MINUTE);
    struct run run = skewctl_run("recover", "--id", "g9", NULL);
    run_expect_error(&run, 4);
    run = skewctl_run("recover", "--id", "g1", NULL);
    run_expect(&run, 0);
    fleet_expect_clean(&fleet);
}

/* A group ends with its last member, however that ends. */
static void a_group_ends_with_its_members(void **state)
{
    (void)state;
    struct fleet fleet = fleet_start();
    fleet_inject(&fleet, "-5m", -5 * MINUTE);
    for (size_t i = 0; i < MEMBERS; i++) {
        if (i % 2)
            skewctl_recover(fleet.readers[i]->pid);
        else
            child_kill(fleet.readers[i]);
    }
    assert_string_equal(list_query(".injections | length"), "0");
    struct run run = skewctl_run("recover", "--id", "g1", NULL);
    run_expect_error(&run, 4);
    assert_non_null(strstr(run.err, "has ended"));
}

/* Whom the selectors named is no more, but the group remembers the others. */
static void recovered_though_a_selector_names_nobody(void **state)
{
    (void)state;
    struct fleet fleet = fleet_start();
    fleet_inject(&fleet, "-5m", -5 * MINUTE);
    child_kill(fleet.readers[0]);
    struct run run = fleet_run(&fleet, "recover", NULL);
    run_expect(&run, 0);
    for (size_t i = 1; i < MEMBERS; i++)
        snapshot_expect(&fleet.before[i], fleet.readers[i]->pid);
    assert_string_equal(list_query(".injections | length"), "0");
}

static void undone_if_one_cannot_be(void **state)
{
    (void)state;
    struct fleet fleet = fleet_start();
    struct child *unable = victim_start("idle", "no-vdso", NULL);
    const char *pid = harness_format("%d", unable->pid);
    /* One of them is skewed already, and stays so. */
    clock_reader_allow(fleet.readers[0], "realtime", MINUTE);
    skewctl_inject(fleet.readers[0]->pid, "1m");
    struct snapshot skewed = snapshot_take(fleet.readers[0]->pid);

    struct run run =
        fleet_run(&fleet, "inject", (const char *const[]){"-p", pid, "--offset", "-5m", NULL});
    run_expect(&run, 3);
    assert_non_null(strstr(run.err, harness_format("pid %s (idle): it has no vDSO", pid)));
    assert_non_null(strstr(run.err, "nobody was skewed"));
    clock_reader_expect_all(fleet.readers[0], MINUTE);
    snapshot_expect(&skewed, fleet.readers[0]->pid);
    for (size_t i = 1; i < MEMBERS; i++)
        snapshot_expect(&fleet.before[i], fleet.readers[i]->pid);
    assert_string_equal(list_query("[.injections[] | .group] | tostring"), "[null]");

    fleet_allow(&fleet, -5 * MINUTE);
    run = fleet_run(&fleet, "inject",
                    (const char *const[]){"-p", pid, "--offset", "-5m", "--partial", NULL});
    run_expect(&run, 6);
    assert_non_null(strstr(run.err, "it has no vDSO"));
    fleet_expect(&fleet, -5 * MINUTE);
    assert_string_equal(list_query("[.injections[] | select(.group == \"g2\")] | length"), "5");
    run = skewctl_run("recover", "--all", NULL);
    run_expect(&run, 0);
    fleet_expect_clean(&fleet);
    victim_check(unable);
}

/* What a dry run tells is not done, and leaves no group behind. */
static void a_dry_run_changes_nothing(void **state)
{
    (void)state;
    struct fleet fleet = fleet_start();
    struct run run =
        fleet_run(&fleet, "inject",
                  (const char *const[]){"--offset", "-5m", "--dry-run", "-o", "json", NULL});
    run_expect(&run, 0);
    assert_string_equal(
        json_query(run.out, "[.injections[] | select(.dry_run and .group == null)] | length"), "5");
    fleet_expect_clean(&fleet);
    fleet_inject(&fleet, "-5m", -5 * MINUTE);
    assert_string_equal(list_query(".injections[0].group"), "g1");
    run = fleet_run(&fleet, "recover", NULL);
    run_expect(&run, 0);
    fleet_expect_clean(&fleet);
}

static void bad_requests_are_refused(void **state)
{
    (void)state;
    static const char *const bad[][8] = {
        {"inject", "-p", "1", "--offset", "1s", "--partial", NULL},
        {"inject", "--tree", "0", "--offset", "1s", NULL},
        {"inject", "--tree", "many", "--offset", "1s", NULL},
        {"inject", "--cgroup", "", "--offset", "1s", NULL},
        {"inject", "--cgroup", "relative", "--offset", "1s", NULL},
        {"inject", "--id", "3", "--offset", "1s", NULL},
        {"inject", "--id", "g1", "--offset", "1s", "--follow", NULL},
        {"recover", "--id", "g", NULL},
        {"recover", "--id", "g0", NULL},
        {"recover", "--id", "1,,g2", NULL},
        {"recover", "--id", "g1", "--all", NULL},
        {"recover", "--tree", "1", "--crashed", NULL},
        {"recover", "--tree", "1", "--partial", NULL},
        {"list", "--tree", "1", NULL},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *const *word = bad[i];
        struct run run = skewctl_run(word[0], word[1], word[2], word[3], word[3] ? word[4] : NULL,
                                     word[3] && word[4] ? word[5] : NULL, NULL);
        run_expect_error(&run, 2);
    }
    struct child *gone = victim_start("idle", NULL);
    const char *pid = harness_format("%d", gone->pid);
    child_kill(gone);
    struct run run = skewctl_run("inject", "--tree", pid, "--offset", "1s", NULL);
    run_expect_error(&run, 4);
    run = skewctl_run("recover", "--tree", pid, NULL);
    run_expect_error(&run, 4);
    run = skewctl_run("inject", "--container", "f00f00f00f00", "--offset", "1s", NULL);
    run_expect_error(&run, 4);
}

/* Programs that come and go while they are selected and skewed. */
static void a_tree_that_keeps_starting_programs(void **state)
{
    (void)state;
    static const char *const shell[] = {
        "sh", "-c", "echo ready; while :; do sleep 0.01; /bin/true; done", NULL};
    struct child *child = child_start(shell, NULL);
    assert_string_equal(child_line(child, HARNESS_DEADLINE_MS), "ready");
    const char *pid = harness_format("%d", child->pid);
    struct vdso own = observe_vdso_own();
    const char *maps = observe_maps(child->pid);
    for (int round = 0; round < 4; round++) {
        struct run run = skewctl_run("inject", "--tree", pid, "--offset", "-5m", "--partial", NULL);
        if (run.code != 0 && run.code != 6 && run.code != 3)
            run_expect(&run, 0);
        run = skewctl_run("recover", "--tree", pid, NULL);
        if (run.code != 0 && run.code != 4)
            run_expect(&run, 0);
        assert_true(child_alive(child));
    }
    observe_put_back(child->pid, maps, &own);
    struct run run = skewctl_run("recover", "--all", NULL);
    run_expect(&run, 0);
    assert_string_equal(list_query(".injections | length"), "0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(all_are_skewed_and_put_back),
        harness_test(an_update_stops_nobody),
        harness_test(one_member_by_itself_the_others_by_id),
        harness_test(a_group_ends_with_its_members),
        harness_test(recovered_though_a_selector_names_nobody),
        harness_test(undone_if_one_cannot_be),
        harness_test(a_dry_run_changes_nothing),
        harness_test(bad_requests_are_refused),
        harness_test(a_tree_that_keeps_starting_programs),
    };
    return cmocka_run_group_tests_name("group", tests, NULL, NULL);
}
