/*
 * limits_test.c - targets that may map no more, or whose vDSO is not as it was: each
 * is skewed and put back as any other, or turned down and left as it was.
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define NOBODY 65534

static struct child *limited_start(const char *kind)
{
    struct child *victim =
        child_start((const char *const[]){victim_path("limited"), kind, NULL}, NULL);
    const char *said = child_line(victim, HARNESS_DEADLINE_MS);
    if (strcmp(said, "unsupported") == 0)
        harness_skip("this kernel does not do \"%s\"", kind);
    assert_string_equal(said, "ready");
    return victim;
}

/* And told beforehand by doctor, where that can be known. */
static void expect_refused(struct child *victim, const char *reason, bool foreseen)
{
    const char *pid = harness_format("%d", victim->pid);
    struct snapshot before = snapshot_take(victim->pid);
    struct run run = skewctl_run("inject", "-p", pid, "--offset", "-5m", NULL);
    run_expect_error(&run, 3);
    if (!strstr(run.err, reason))
        fail_msg("\"%s\" is not named: %s", reason, run.err);
    snapshot_expect(&before, victim->pid);
    victim_check(victim);
    run = skewctl_run("doctor", "-p", pid, NULL);
    run_expect(&run, foreseen ? 3 : 0);
    if (!strstr(run.out, reason))
        fail_msg("doctor does not name \"%s\": %s", reason, run.out);
}

static void expect_whole_cycle(struct child *victim)
{
    struct snapshot before = snapshot_take(victim->pid);
    skewctl_inject(victim->pid, "-5m");
    skewctl_inject(victim->pid, "1h");
    victim_check(victim);
    skewctl_recover(victim->pid);
    snapshot_expect(&before, victim->pid);
    victim_check(victim);
}

static void limit_reached(int resource, const char *reason)
{
    struct child *victim = victim_start("idle", NULL);
    struct rlimit before, low;
    assert_int_equal(prlimit(victim->pid, resource, NULL, &before), 0);
    low = before;
    low.rlim_cur = 4096;
    assert_int_equal(prlimit(victim->pid, resource, &low, NULL), 0);
    expect_refused(victim, reason, true);
    assert_int_equal(prlimit(victim->pid, resource, &before, NULL), 0);
    expect_whole_cycle(victim);
}

static void address_space_limit(void **state)
{
    (void)state;
    limit_reached(RLIMIT_AS, "RLIMIT_AS");
}

static void data_limit(void **state)
{
    (void)state;
    limit_reached(RLIMIT_DATA, "RLIMIT_DATA");
}

/* Only the kernel knows: the call fails, and the journal says that it is over. */
static void locked_memory_limit(void **state)
{
    (void)state;
    if (geteuid() != 0)
        harness_skip("only root can lock that much memory");
    struct child *victim = limited_start("locked");
    for (int i = 1; i <= 2; i++) {
        expect_refused(victim, "", false);
        struct run run = skewctl_run("list", "--all", "-o", "json", NULL);
        run_expect(&run, 0);
        assert_string_equal(json_query(run.out, "[.injections[].state] | unique | join(\" \")"),
                            "failed");
        assert_string_equal(json_query(run.out, ".injections | length"), harness_format("%d", i));
    }
    struct run run = skewctl_run("doctor", "-p", harness_format("%d", victim->pid), NULL);
    assert_non_null(strstr(run.out, "RLIMIT_MEMLOCK"));
}

static void mappings_limit(void **state)
{
    (void)state;
    expect_refused(limited_start("mappings"), "max_map_count", true);
}

static void no_gap_near_the_vdso(void **state)
{
    (void)state;
    expect_refused(limited_start("full"), "no gap", true);
}

static void nothing_may_become_executable(void **state)
{
    (void)state;
    expect_whole_cycle(limited_start("no-gain"));
}

static void not_dumpable(void **state)
{
    (void)state;
    if (geteuid() != 0)
        harness_skip("only root may trace a process that is not dumpable");
    expect_whole_cycle(limited_start("private"));
}

/* As root's, for a user whose own process it is. */
static void not_dumpable_for_its_owner(void **state)
{
    (void)state;
    if (geteuid() != 0)
        harness_skip("only root can become another user");
    const char *copy = harness_format("%s/limited", harness_directory(NOBODY));
    struct run run = program_run((const char *const[]){"cp", victim_path("limited"), copy, NULL},
                                 NULL, HARNESS_DEADLINE_MS);
    run_expect(&run, 0);
    struct child *victim =
        child_start((const char *const[]){copy, "private", NULL}, &(struct start){.user = NOBODY});
    assert_string_equal(child_line(victim, HARNESS_DEADLINE_MS), "ready");
    struct snapshot before = snapshot_take(victim->pid);
    run = skewctl_run_as(NOBODY, "inject", "-p", harness_format("%d", victim->pid), "--offset",
                         "-5m", NULL);
    run_expect_error(&run, 5);
    snapshot_expect(&before, victim->pid);
    victim_check(victim);
}

static void sealed_vdso(void **state)
{
    (void)state;
    expect_whole_cycle(limited_start("sealed"));
}

/* As a sandbox gives its programs that runs on this kernel. */
static void vdso_without_its_name(void **state)
{
    (void)state;
    expect_refused(limited_start("nameless"), "no vDSO", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(address_space_limit),  harness_test(data_limit),
        harness_test(locked_memory_limit),  harness_test(mappings_limit),
        harness_test(no_gap_near_the_vdso), harness_test(nothing_may_become_executable),
        harness_test(not_dumpable),         harness_test(not_dumpable_for_its_owner),
        harness_test(sealed_vdso),          harness_test(vdso_without_its_name),
    };
    return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
