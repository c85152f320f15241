/*
 * frozen_test.c - targets in a frozen control group (cgroups(7)), as the pause of a
 * container makes them, are turned down at once and left as they were; one that is
 * frozen while skewctl works on it is unharmed, and put back once it is thawed.
 */
#include "command.h"
#include "observe.h"
#include "traced.h"
#include "victim.h"

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A refusal takes 250 ms at most; a loaded machine may need longer, but not seconds. */
#define PROMPT_NS INT64_C(2000000000)
/* At which of its ptrace(2) calls a skewctl at work finds its target frozen: every so many. */
#define STRIDE 6

static const struct version {
    const char *type, *option, *file, *freeze, *thaw;
} v1 = {"cgroup", "freezer", "freezer.state", "FROZEN", "THAWED"},
  v2 = {"cgroup2", NULL, "cgroup.freeze", "1", "0"};

/* A group, and one in it in which the target is. */
static struct {
    const struct version *version;
    char outer[300], inner[320];
} group;

static bool file_write(const char *path, const char *text)
{
    int file = open(path, O_WRONLY | O_CLOEXEC);
    bool written = file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text);
    if (file >= 0)
        close(file);
    return written;
}

static void state_set(const char *directory, const char *state)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", directory, group.version->file);
    if (!file_write(path, state))
        fail_msg("%s to %s: %s", state, path, strerror(errno));
}

/* A frozen process of version 1 cannot be killed: it is thawed before the teardown. */
static int teardown(void **state)
{
    if (*group.outer) {
        state_set(group.inner, group.version->thaw);
        state_set(group.outer, group.version->thaw);
    }
    harness_teardown(state);
    if (*group.outer && (rmdir(group.inner) != 0 || rmdir(group.outer) != 0))
        printf("%s is left: %s\n", group.outer, strerror(errno));
    *group.outer = 0;
    return 0;
}

static const char *hierarchy(const struct version *version)
{
    FILE *mounts = setmntent("/proc/self/mounts", "re");
    const char *found = NULL;
    for (struct mntent *mount; mounts && !found && (mount = getmntent(mounts));)
        if (strcmp(mount->mnt_type, version->type) == 0 &&
            (!version->option || hasmntopt(mount, version->option)))
            found = harness_format("%s", mount->mnt_dir);
    endmntent(mounts);
    return found;
}

/* Skips where this machine has no such hierarchy, or it is not ours to change. */
static void group_make(const struct version *version)
{
    const char *root = hierarchy(version);
    if (!root)
        harness_skip("no %s hierarchy with a freezer is mounted", version->type);
    group.version = version;
    snprintf(group.outer, sizeof group.outer, "%.250s/skewctl-test-%d", root, getpid());
    snprintf(group.inner, sizeof group.inner, "%s/inner", group.outer);
    if (mkdir(group.outer, 0755) != 0 || mkdir(group.inner, 0755) != 0) {
        *group.outer = 0;
        harness_skip("no control group can be made in %s: %s", root, strerror(errno));
    }
}

static void enter(const struct child *victim)
{
    const char *processes = harness_format("%s/cgroup.procs", group.inner);
    if (!file_write(processes, harness_format("%d", victim->pid)))
        fail_msg("%s: %s", processes, strerror(errno));
}

static void freeze(const char *directory)
{
    state_set(directory, group.version->freeze);
    /* Until each of its threads has come to rest. */
    const char *events = harness_format("%s/cgroup.events", group.inner);
    const char *effective = harness_format("%s/freezer.state", group.inner);
    for (int tries = 0; tries < HARNESS_DEADLINE_MS; tries++) {
        const char *said = harness_file_read(group.version == &v1 ? effective : events, NULL);
        if (said && (strstr(said, "frozen 1") || strstr(said, "FROZEN")))
            return;
        harness_sleep_ms(1);
    }
    fail_msg("%s does not freeze", directory);
}

/* A skewctl that sees the control groups, or one that does not. */
static struct run run_with(bool hidden, const char *const argv[])
{
    const char *all[64] = {"unshare", "-m", "sh", "-c", "umount -lR /sys/fs/cgroup && exec \"$@\"",
                           "sh"};
    size_t count = 6;
    for (size_t i = 0; argv[i] && count < 63; i++)
        all[count++] = argv[i];
    return program_run(hidden ? all : argv, NULL, HARNESS_DEADLINE_MS);
}

static void expect_refused(const struct run *run, bool hidden)
{
    run_expect_error(run, 3);
    if (!strstr(run->err, "frozen") && !(hidden && strstr(run->err, "uninterruptible")))
        fail_msg("that it is frozen is not said: %s", run->err);
    if (run->elapsed_ns > PROMPT_NS)
        fail_msg("it took %.1f s: %s", (double)run->elapsed_ns / 1e9, run->err);
}

/* Frozen by `directory`, injected before or not. */
static void refused_while_frozen(const char *directory, bool injected, bool hidden)
{
    struct child *victim = victim_start("clock_reader", "3", NULL);
    const char *pid = harness_format("%d", victim->pid);
    enter(victim);
    struct snapshot before = snapshot_take(victim->pid);
    clock_reader_allow(victim, "realtime", INT64_C(-300000000000));
    if (injected)
        skewctl_inject(victim->pid, "-5m");
    struct snapshot present = snapshot_take(victim->pid);
    freeze(directory);
    struct run run =
        run_with(hidden, skewctl_arguments("inject", "-p", pid, "--offset", "-5m", NULL));
    expect_refused(&run, hidden);
    if (injected) {
        run = run_with(hidden, skewctl_arguments("recover", "-p", pid, NULL));
        /* With version 2 its threads can be stopped and its clock put right, but no more. */
        if (hidden && run.code == 7)
            present = snapshot_take(victim->pid);
        else
            expect_refused(&run, hidden);
    } else if (!hidden) {
        run = skewctl_run("doctor", "-p", pid, NULL);
        run_expect(&run, 3);
        assert_non_null(strstr(run.out, "frozen"));
    }
    snapshot_expect(&present, victim->pid);
    state_set(directory, group.version->thaw);
    victim_check_progress(victim, 50);
    snapshot_expect(&present, victim->pid);
    if (!injected)
        skewctl_inject(victim->pid, "-5m");
    skewctl_recover(victim->pid);
    snapshot_expect(&before, victim->pid);
    victim_check_progress(victim, 50);
}

static void refused(const struct version *version, bool hidden)
{
    if (geteuid() != 0)
        harness_skip("only root can freeze a process");
    group_make(version);
    refused_while_frozen(group.inner, false, hidden);
    refused_while_frozen(group.outer, true, hidden);
}

static void frozen_by_version_1(void **state)
{
    (void)state;
    refused(&v1, false);
}

static void frozen_by_version_2(void **state)
{
    (void)state;
    refused(&v2, false);
}

/* As in a container that has no cgroup file system. */
static void control_groups_not_to_be_seen(void **state)
{
    (void)state;
    if (!harness_program("unshare"))
        harness_skip("there is no unshare to hide the control groups with");
    refused(&v1, true);
}

static void control_groups_of_version_2_not_to_be_seen(void **state)
{
    (void)state;
    if (!harness_program("unshare"))
        harness_skip("there is no unshare to hide the control groups with");
    refused(&v2, true);
}

static void freeze_now(void *context)
{
    state_set(context, group.version->freeze);
}

/* Whatever skewctl came to, the target is well once it is thawed, and can be put back. */
static void frozen_under_way(const struct version *version, const char *command)
{
    if (geteuid() != 0)
        harness_skip("only root can freeze a process");
    group_make(version);
    struct keep *mark = harness_mark();
    int meddled = 0;
    for (long call = 1;; call += STRIDE) {
        struct child *victim = victim_start("clock_reader", "2", NULL);
        const char *pid = harness_format("%d", victim->pid);
        clock_reader_allow(victim, "realtime", INT64_C(-300000000000));
        enter(victim);
        struct snapshot before = snapshot_take(victim->pid);
        bool recover = strcmp(command, "recover") == 0;
        if (recover)
            skewctl_inject(victim->pid, "-5m");
        const char *const *argv =
            recover ? skewctl_arguments("recover", "-p", pid, NULL)
                    : skewctl_arguments("inject", "-p", pid, "--offset", "-5m", NULL);
        struct traced run = meddled_run(argv, call, freeze_now, group.inner);
        meddled += run.meddled;
        state_set(group.inner, group.version->thaw);
        if (run.code == -1 || run.code == 2 || run.code > 7)
            fail_msg("frozen at call %ld: code %d, %s", call, run.code, run.err);
        victim_check_progress(victim, 10);
        observe_untraced(victim->pid);
        struct run last = skewctl_run("recover", "-p", pid, NULL);
        if (last.code != 0 && last.code != 4)
            fail_msg("frozen at call %ld (code %d, %s): recover came to %d, %s", call, run.code,
                     run.err, last.code, last.err);
        struct snapshot after = snapshot_take(victim->pid);
        const char *difference = snapshot_difference(&before, &after);
        if (difference)
            fail_msg("frozen at call %ld (code %d, %s) it left\n%s", call, run.code, run.err,
                     difference);
        victim_check_progress(victim, 10);
        child_kill(victim);
        harness_release(mark);
        if (!run.meddled)
            break;
    }
    assert_true(meddled > 2);
}

static void frozen_by_version_1_during_inject(void **state)
{
    (void)state;
    frozen_under_way(&v1, "inject");
}

static void frozen_by_version_2_during_inject(void **state)
{
    (void)state;
    frozen_under_way(&v2, "inject");
}

static void frozen_by_version_2_during_recover(void **state)
{
    (void)state;
    frozen_under_way(&v2, "recover");
}

#define frozen_test(function) cmocka_unit_test_setup_teardown(function, harness_setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        frozen_test(frozen_by_version_1),
        frozen_test(frozen_by_version_2),
        frozen_test(control_groups_not_to_be_seen),
        frozen_test(control_groups_of_version_2_not_to_be_seen),
        frozen_test(frozen_by_version_1_during_inject),
        frozen_test(frozen_by_version_2_during_inject),
        frozen_test(frozen_by_version_2_during_recover),
    };
    return cmocka_run_group_tests_name("frozen", tests, NULL, NULL);
}
