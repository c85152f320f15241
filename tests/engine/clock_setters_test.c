/*
 * clock_setters_test.c - programs that may set the real clock are turned down unless
 * forced: one whose own clock is skewed would "correct" that of the machine.
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOBODY 65534

/* In the child, before exec: keeps CAP_SYS_TIME as another user, raised or not. */
static void become_setter(void *ambient)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const unsigned bit = 1U << CAP_SYS_TIME;
    struct __user_cap_data_struct sets[2] = {
        {.effective = bit, .permitted = bit, .inheritable = bit}};
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 || syscall(SYS_setresuid, NOBODY, NOBODY, NOBODY) ||
        syscall(SYS_capset, &header, sets) != 0 ||
        (*(bool *)ambient && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_TIME, 0, 0) != 0))
        _exit(126);
}

static struct child *start(const char *name, bool ambient)
{
    const char *copy = harness_format("%s/%s", harness_directory(NOBODY), name);
    struct run run = program_run((const char *const[]){"cp", victim_path("idle"), copy, NULL}, NULL,
                                 HARNESS_DEADLINE_MS);
    run_expect(&run, 0);
    static bool raised;
    raised = ambient;
    struct start how = {.before_exec = become_setter, .argument = &raised};
    struct child *victim =
        child_start((const char *const[]){copy, NULL}, geteuid() == 0 ? &how : NULL);
    assert_string_equal(child_line(victim, HARNESS_DEADLINE_MS), "ready");
    return victim;
}

static void refused_unless_forced(struct child *victim)
{
    const char *pid = harness_format("%d", victim->pid);
    struct snapshot before = snapshot_take(victim->pid);
    struct run run = skewctl_run("inject", "-p", pid, "--offset", "-5m", NULL);
    run_expect_error(&run, 3);
    if (!strstr(run.err, "real clock") || !strstr(run.err, "--force"))
        fail_msg("it does not say why, and what to do: %s", run.err);
    run = skewctl_run("doctor", "-p", pid, NULL);
    run_expect(&run, 3);
    assert_non_null(strstr(run.out, "real clock"));
    snapshot_expect(&before, victim->pid);
    run = skewctl_run("inject", "-p", pid, "--offset", "-5m", "--force", NULL);
    run_expect(&run, 0);
    /* Each change is a decision of its own; to be put back is none. */
    run = skewctl_run("inject", "-p", pid, "--offset", "-6m", NULL);
    run_expect_error(&run, 3);
    skewctl_recover(victim->pid);
    snapshot_expect(&before, victim->pid);
}

static void with_the_capability(void **state)
{
    (void)state;
    if (geteuid() != 0)
        harness_skip("only root can give a program a capability");
    struct child *victim = start("idle", true);
    assert_string_equal(observe_status(victim->pid, victim->pid, "CapEff"), "0000000002000000");
    refused_unless_forced(victim);
}

/* As a daemon holds it that raises it only to set the clock. */
static void with_the_capability_not_raised(void **state)
{
    (void)state;
    const char *setcap = harness_program("setcap");
    if (!setcap || geteuid() != 0)
        harness_skip("there is no setcap, or no right to use it");
    const char *copy = harness_format("%s/idle", harness_directory(NOBODY));
    struct run run = program_run((const char *const[]){"cp", victim_path("idle"), copy, NULL}, NULL,
                                 HARNESS_DEADLINE_MS);
    run_expect(&run, 0);
    run = program_run((const char *const[]){setcap, "cap_sys_time=p", copy, NULL}, NULL,
                      HARNESS_DEADLINE_MS);
    if (run.code != 0)
        harness_skip("no file capabilities here: %s", run.err);
    struct child *victim =
        child_start((const char *const[]){copy, NULL}, &(struct start){.user = NOBODY});
    assert_string_equal(child_line(victim, HARNESS_DEADLINE_MS), "ready");
    if (strcmp(observe_status(victim->pid, victim->pid, "CapPrm"), "0000000002000000") != 0)
        harness_skip("file capabilities have no effect here");
    assert_string_equal(observe_status(victim->pid, victim->pid, "CapEff"), "0000000000000000");
    refused_unless_forced(victim);
}

static void by_the_name_of_a_daemon(void **state)
{
    (void)state;
    refused_unless_forced(start("chronyd", false));
    refused_unless_forced(start("ntpd", false));
}

static void ordinary_programs(void **state)
{
    (void)state;
    struct child *victim = start("idle", false);
    struct snapshot before = snapshot_take(victim->pid);
    skewctl_inject(victim->pid, "-5m");
    skewctl_recover(victim->pid);
    snapshot_expect(&before, victim->pid);
}

/* It has caught its signals, and waits in its main loop: select(2). */
static bool daemon_waits(pid_t pid)
{
    const char *caught = observe_status(pid, pid, "SigCgt");
    const char *call = harness_file_read(harness_format("/proc/%d/syscall", pid), NULL);
    return caught && strtoull(caught, NULL, 16) != 0 && call &&
           (strtol(call, NULL, 10) == SYS_select || strtol(call, NULL, 10) == SYS_pselect6);
}

/* A real one, told to leave the clock alone and to listen nowhere. */
static void chronyd(void **state)
{
    (void)state;
    const char *program = harness_program("chronyd");
    if (!program || geteuid() != 0)
        harness_skip("there is no chronyd, or no right to start it");
    const char *home = harness_home();
    struct child *daemon = child_start((const char *const[]){program, "-x", "-n", "-u", "root",
                                                             harness_format("pidfile %s/pid", home),
                                                             "cmdport 0", "port 0", NULL},
                                       NULL);
    int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    while (!harness_file_read(harness_format("%s/pid", home), NULL) || !daemon_waits(daemon->pid)) {
        if (!child_alive(daemon) || harness_monotonic_ns() > end)
            harness_skip("chronyd does not start here");
        harness_sleep_ms(5);
    }
    refused_unless_forced(daemon);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(with_the_capability),
        harness_test(with_the_capability_not_raised),
        harness_test(by_the_name_of_a_daemon),
        harness_test(ordinary_programs),
        harness_test(chronyd),
    };
    return cmocka_run_group_tests_name("clock setters", tests, NULL, NULL);
}
