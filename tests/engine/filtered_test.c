/*
 * filtered_test.c - targets that may not make the calls which an injection
 * needs are turned down before anything is touched; those that may are skewed
 * and put back as any other.
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define NOBODY 65534

/* NULL where the kernel cannot do that. */
static struct child *filtered_start_at(const char *path, const char *kind,
                                       const struct start *start)
{
    struct child *victim = child_start((const char *const[]){path, kind, NULL}, start);
    const char *said = child_line(victim, HARNESS_DEADLINE_MS);
    if (strcmp(said, "unsupported") == 0)
        return NULL;
    assert_string_equal(said, "ready");
    return victim;
}

static struct child *filtered_start(const char *kind)
{
    return filtered_start_at(victim_path("filtered"), kind, NULL);
}

static void expect_unharmed(struct child *victim, const struct snapshot *before)
{
    victim_check_progress(victim, 1000);
    snapshot_expect(before, victim->pid);
}

/* One line that names the reason; not a byte, a signal or a mapping in the target. */
static void expect_refused(struct child *victim, const char *reason)
{
    struct snapshot before = snapshot_take(victim->pid);
    for (int i = 0; i < 3; i++) {
        struct run run =
            skewctl_run("inject", "-p", harness_format("%d", victim->pid), "--offset", "-5m", NULL);
        expect_unharmed(victim, &before);
        run_expect_error(&run, 3);
        if (!strstr(run.err, reason))
            fail_msg("\"%s\" is not named: %s", reason, run.err);
    }
}

static void expect_whole_cycle(struct child *victim)
{
    if (geteuid() != 0)
        harness_skip("only root can read the filters of a process");
    struct snapshot before = snapshot_take(victim->pid);
    skewctl_inject(victim->pid, "-5m");
    victim_check_progress(victim, 1000);
    skewctl_inject(victim->pid, "+1h30m");
    victim_check_progress(victim, 1000);
    skewctl_recover(victim->pid);
    expect_unharmed(victim, &before);
}

static struct child *filter_start(const char *kind)
{
    struct child *victim = filtered_start(kind);
    if (!victim)
        harness_skip("the kernel has no seccomp filters");
    return victim;
}

static void mapping_kills(void **state)
{
    (void)state;
    expect_refused(filter_start("kill-mmap"), "seccomp");
}

static void mapping_traps(void **state)
{
    (void)state;
    expect_refused(filter_start("trap-mmap"), "seccomp");
}

static void mapping_fails(void **state)
{
    (void)state;
    expect_refused(filter_start("errno-mmap"), "seccomp");
}

/* What could be put in but not taken out again is not put in. */
static void unmapping_kills(void **state)
{
    (void)state;
    expect_refused(filter_start("kill-munmap"), "seccomp");
}

static void unmapping_traps(void **state)
{
    (void)state;
    expect_refused(filter_start("trap-munmap"), "seccomp");
}

static void unmapping_fails(void **state)
{
    (void)state;
    expect_refused(filter_start("errno-munmap"), "seccomp");
}

static void strict_mode(void **state)
{
    (void)state;
    expect_refused(filter_start("strict"), "strict");
}

/* Any other thread makes the calls, even if it would rather be left alone. */
static void one_thread_in_strict_mode(void **state)
{
    (void)state;
    expect_whole_cycle(filter_start("strict-one"));
}

static void one_thread_has_a_filter_that_kills(void **state)
{
    (void)state;
    expect_whole_cycle(filter_start("kill-mmap-one"));
}

/* An alarm clock is read by a system call, with which the read-back would kill the target. */
static void reading_the_clock_kills(void **state)
{
    (void)state;
    struct child *victim = filter_start("kill-clock_gettime");
    struct snapshot before = snapshot_take(victim->pid);
    const char *pid = harness_format("%d", victim->pid);
    struct run run =
        skewctl_run("inject", "-p", pid, "--offset", "-5m", "--clock", "realtime_alarm", NULL);
    expect_unharmed(victim, &before);
    run_expect_error(&run, 3);
    if (strstr(run.err, "cannot be read"))
        harness_skip("there are no alarm clocks here");
    assert_non_null(strstr(run.err, "seccomp"));
    run = skewctl_run("inject", "-p", pid, "--offset", "-5m", NULL);
    if (run.code == 3)
        harness_skip("the vDSO reads no clock by itself here");
    run_expect(&run, 0);
    run = skewctl_run("inject", "-p", pid, "--offset", "5m", "--clock", "boottime_alarm", NULL);
    run_expect_error(&run, 3);
    victim_check_progress(victim, 1000);
    skewctl_recover(victim->pid);
    expect_unharmed(victim, &before);
}

static void suspended_where_that_is_asked_for(void **state)
{
    (void)state;
    if (geteuid() != 0)
        harness_skip("only root can suspend a filter");
    static const char *const kinds[] = {"kill-mmap", "trap-munmap"};
    for (size_t i = 0; i < 2; i++) {
        struct child *victim = filter_start(kinds[i]);
        const char *pid = harness_format("%d", victim->pid);
        expect_refused(victim, "--suspend-seccomp");
        struct snapshot before = snapshot_take(victim->pid);
        for (int updated = 0; updated < 2; updated++) {
            struct run run =
                skewctl_run("inject", "-p", pid, "--offset", "-5m", "--suspend-seccomp", NULL);
            run_expect(&run, 0);
            victim_check_progress(victim, 1000);
        }
        struct run run = skewctl_run("recover", "-p", pid, "--suspend-seccomp", NULL);
        run_expect(&run, 0);
        expect_unharmed(victim, &before);
        /* The filter is in force as before. */
        expect_refused(victim, "seccomp");
    }
}

/* The clock is put right all the same; only the image has to stay for want of the call. */
static void unmapping_forbidden_since(void **state)
{
    (void)state;
    if (geteuid() != 0)
        harness_skip("only root can suspend a filter");
    struct child *victim = filter_start("allow");
    const char *pid = harness_format("%d", victim->pid);
    struct snapshot before = snapshot_take(victim->pid);
    skewctl_inject(victim->pid, "-5m");
    assert_string_equal(child_ask(victim, "forbid"), "ok");
    struct run run = skewctl_run("recover", "-p", pid, NULL);
    run_expect(&run, 7);
    if (!strstr(run.err, "seccomp") || !strstr(run.err, "clock is true again"))
        fail_msg("it does not say what stands in the way, and what was done: %s", run.err);
    victim_check_progress(victim, 1000);
    struct vdso now = observe_vdso(victim->pid);
    assert_memory_equal(now.bytes, before.vdso.bytes, now.size);
    run = skewctl_run("recover", "-p", pid, "--suspend-seccomp", NULL);
    run_expect(&run, 0);
    expect_unharmed(victim, &before);
}

static void all_is_allowed(void **state)
{
    (void)state;
    expect_whole_cycle(filter_start("allow"));
}

static void list_of_allowed_calls_as_containers_have(void **state)
{
    (void)state;
    expect_whole_cycle(filter_start("list"));
}

/* No mapping is ever writable and executable at once. */
static void no_mapping_for_both_write_and_execute(void **state)
{
    (void)state;
    expect_whole_cycle(filter_start("no-write-execute"));
}

/* Without the privilege to read it any filter may be one that kills: that risk is the user's. */
static void filter_that_only_root_could_read(void **state)
{
    (void)state;
    if (geteuid() != 0)
        harness_skip("only root can become another user");
    const char *copy = harness_format("%s/filtered", harness_directory(NOBODY));
    struct run run = program_run((const char *const[]){"cp", victim_path("filtered"), copy, NULL},
                                 NULL, HARNESS_DEADLINE_MS);
    run_expect(&run, 0);
    struct child *victim = filtered_start_at(copy, "list", &(struct start){.user = NOBODY});
    if (!victim)
        harness_skip("the kernel has no seccomp filters");
    struct snapshot before = snapshot_take(victim->pid);
    const char *pid = harness_format("%d", victim->pid);
    run = skewctl_run_as(NOBODY, "inject", "-p", pid, "--offset", "-5m", NULL);
    expect_unharmed(victim, &before);
    run_expect_error(&run, 3);
    if (!strstr(run.err, "seccomp") || !strstr(run.err, "--force"))
        fail_msg("it does not say what stands in the way, and what to do: %s", run.err);
    run = skewctl_run_as(NOBODY, "inject", "-p", pid, "--offset", "-5m", "--force", NULL);
    run_expect(&run, 0);
    victim_check_progress(victim, 1000);
    run = skewctl_run_as(NOBODY, "recover", "-p", pid, NULL);
    run_expect(&run, 0);
    expect_unharmed(victim, &before);
}

/* A tracer can see whether system calls are dispatched since Linux 6.4. */
static struct child *dispatch_start(const char *kind)
{
    struct utsname system;
    unsigned major = 0, minor = 0;
    uname(&system);
    sscanf(system.release, "%u.%u", &major, &minor);
    struct child *victim = filtered_start(kind);
    if (!victim || major < 6 || (major == 6 && minor < 4))
        harness_skip("the kernel has no system call user dispatch that can be seen from outside");
    return victim;
}

static void every_thread_dispatches(void **state)
{
    (void)state;
    expect_refused(dispatch_start("dispatch"), "system call");
}

/* Another thread can make the calls. */
static void one_thread_dispatches(void **state)
{
    (void)state;
    struct child *victim = dispatch_start("dispatch-one");
    struct snapshot before = snapshot_take(victim->pid);
    for (int i = 0; i < 5; i++) {
        struct run run =
            skewctl_run("inject", "-p", harness_format("%d", victim->pid), "--offset", "-5m", NULL);
        victim_check_progress(victim, 1000);
        if (run.code == 3) {
            run_expect_error(&run, 3);
        } else {
            run_expect(&run, 0);
            skewctl_recover(victim->pid);
        }
        expect_unharmed(victim, &before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(mapping_kills),
        harness_test(mapping_traps),
        harness_test(mapping_fails),
        harness_test(unmapping_kills),
        harness_test(unmapping_traps),
        harness_test(unmapping_fails),
        harness_test(strict_mode),
        harness_test(one_thread_in_strict_mode),
        harness_test(one_thread_has_a_filter_that_kills),
        harness_test(reading_the_clock_kills),
        harness_test(suspended_where_that_is_asked_for),
        harness_test(unmapping_forbidden_since),
        harness_test(all_is_allowed),
        harness_test(list_of_allowed_calls_as_containers_have),
        harness_test(no_mapping_for_both_write_and_execute),
        harness_test(filter_that_only_root_could_read),
        harness_test(every_thread_dispatches),
        harness_test(one_thread_dispatches),
    };
    return cmocka_run_group_tests_name("filtered", tests, NULL, NULL);
}
