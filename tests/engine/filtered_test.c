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

/* NULL where the kernel cannot do that. */
static struct child *filtered_start(const char *kind)
{
    struct child *victim =
        child_start((const char *const[]){victim_path("filtered"), kind, NULL}, NULL);
    const char *said = child_line(victim, HARNESS_DEADLINE_MS);
    if (strcmp(said, "unsupported") == 0)
        return NULL;
    assert_string_equal(said, "ready");
    return victim;
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

static void all_is_allowed(void **state)
{
    (void)state;
    expect_whole_cycle(filter_start("allow"));
}

static void container_list(void **state)
{
    (void)state;
    expect_whole_cycle(filter_start("list"));
}

/* No mapping is ever writable and executable at once. */
static void no_write_and_execute(void **state)
{
    (void)state;
    expect_whole_cycle(filter_start("no-write-execute"));
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
        harness_test(mapping_kills),         harness_test(mapping_traps),
        harness_test(mapping_fails),         harness_test(unmapping_kills),
        harness_test(unmapping_traps),       harness_test(unmapping_fails),
        harness_test(all_is_allowed),        harness_test(container_list),
        harness_test(no_write_and_execute),  harness_test(every_thread_dispatches),
        harness_test(one_thread_dispatches),
    };
    return cmocka_run_group_tests_name("filtered", tests, NULL, NULL);
}
