/*
 * runtimes_test.c RUNTIME - the processes of a container that a real runtime
 * made, the first one and one that came by `exec`: from the host each is found,
 * skewed, changed, listed and put back, and works on. As root, and where the
 * runtime is for ordinary users too, as one of them.
 */
#include "engine/skewctl.h"

#include "command.h"
#include "observe.h"
#include "runtime.h"
#include "victim.h"
#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)
#define MINUTE (60 * SECOND)

/* The user that root's containers run as. */
#define INSIDE 1000

static const struct runtime *runtime;

/* Whoever calls skewctl: his copy of it, and his journal. */
struct caller {
    uid_t user;
    const char *skewctl;
    const char *journal;
};

static struct caller caller_make(uid_t user)
{
    const char *folder = harness_directory(user);
    struct caller caller = {user, harness_format("%s/skewctl", folder),
                            harness_format("%s/journal.db", folder)};
    struct run copied =
        program_run((const char *const[]){"cp", skewctl_path(), caller.skewctl, NULL}, NULL,
                    HARNESS_DEADLINE_MS);
    run_expect(&copied, 0);
    return caller;
}

/*
 * Without CAP_SYS_ADMIN nobody may read the seccomp filter of another (PTRACE_SECCOMP_GET_FILTER
 * in ptrace(2)), and what cannot be read is refused unless the caller insists.
 */
static bool caller_must_insist(const struct caller *caller)
{
    return caller->user != 0 && runtime->seccomp;
}

/* Runs skewctl, which must succeed, on the processes if any are given; returns the JSON. */
static const char *call(const struct caller *caller, const char *command, const char *pids,
                        const char *offset)
{
    const char *argv[16] = {caller->skewctl, command, "--journal", caller->journal, "-o", "json"};
    size_t count = 6;
    if (pids) {
        argv[count++] = "-p";
        argv[count++] = pids;
    }
    if (offset) {
        argv[count++] = "--offset";
        argv[count++] = offset;
    }
    const struct start start = {.user = caller->user};
    if (offset && caller_must_insist(caller)) {
        struct run refused = program_run(argv, &start, HARNESS_DEADLINE_MS);
        run_expect(&refused, 3);
        argv[count++] = "--force";
    }
    struct run run = program_run(argv, &start, HARNESS_DEADLINE_MS);
    run_expect(&run, 0);
    return run.out;
}

/* Selects two processes by one selector. */
static void two_selected(struct skew_selector selector, pid_t pids[2])
{
    struct skew_error error = {0};
    pid_t *selected = NULL;
    size_t count = 0;
    enum skew_code code = skew_select(&selector, 1, false, &selected, &count, &error);
    if (code != SKEW_OK || count != 2)
        fail_msg("%zu processes selected where 2 were due: %s", count, error.message);
    memcpy(pids, selected, 2 * sizeof *pids);
    free(selected);
}

/* The first process of the container and the executed one, by every way to name them. */
static void processes_find(const struct container *container, pid_t pids[2])
{
    pid_t by_id[2];
    two_selected((struct skew_selector){.kind = SKEW_SELECT_PIDNS, .pid = container->pid}, pids);
    assert_int_equal(pids[0], container->pid);
    if (!container->id)
        return;
    two_selected((struct skew_selector){.kind = SKEW_SELECT_CONTAINER, .name = container->id},
                 by_id);
    assert_memory_equal(by_id, pids, sizeof by_id);
    if (strlen(container->id) == 64) {
        const char *prefix = harness_format("%.12s", container->id);
        two_selected((struct skew_selector){.kind = SKEW_SELECT_CONTAINER, .name = prefix}, by_id);
        assert_memory_equal(by_id, pids, sizeof by_id);
    }
}

/* That the container is as strict as it is meant to be: else the test shows nothing. */
static void confinement_expect(const struct container *container, pid_t pid)
{
    const char *inner = strrchr(observe_status(pid, pid, "NSpid"), '\t');
    assert_non_null(inner);
    assert_string_equal(observe_status(pid, pid, "Seccomp"), runtime->seccomp ? "2" : "0");
    assert_string_equal(observe_status(pid, pid, "CapEff"),
                        runtime->capable ? "00000000a80425fb" : "0000000000000000");
    const char *mounts = harness_file_read(harness_format("/proc/%d/mountinfo", pid), NULL);
    const char *root = mounts ? strstr(mounts, " / ro,") : NULL;
    if (!root)
        fail_msg("its root can be written to:\n%s", mounts);
    const char *map = harness_file_read(harness_format("/proc/%d/uid_map", pid), NULL);
    assert_non_null(map);
    int first = -1, outside = -1;
    assert_int_equal(sscanf(map, "%d %d", &first, &outside), 2);
    assert_int_equal(outside, container->user);
}

static void executed_expect(struct child *clock, int64_t offset)
{
    int64_t before = harness_realtime_ns();
    int64_t now = strtoll(child_ask(clock, "now"), NULL, 10) * SECOND;
    int64_t after = harness_realtime_ns();
    skew_range_expect((struct skew_range){now - after, now + SECOND - before}, offset, MINUTE);
}

static void listed_expect(const struct caller *caller, const char *state)
{
    const char *json = call(caller, "list", NULL, NULL);
    assert_string_equal(
        json_query(json, "[.injections[] | \"\\(.pid) \\(.state) \\(.skew_ns)\"] | join(\",\")"),
        state);
}

static void cycle(const struct container *container, struct child *clock, const pid_t pids[2],
                  uid_t user)
{
    struct caller caller = caller_make(user);
    struct child *reader = container->first;
    struct snapshot before[2] = {snapshot_take(pids[0]), snapshot_take(pids[1])};
    const char *both = harness_format("%d,%d", pids[0], pids[1]);

    clock_reader_allow(reader, "realtime", -5 * MINUTE);
    call(&caller, "inject", both, "-5m");
    clock_reader_forbid(reader, "realtime", 0);
    clock_reader_expect_all(reader, -5 * MINUTE);
    executed_expect(clock, -5 * MINUTE);

    clock_reader_allow(reader, "realtime", 90 * MINUTE);
    call(&caller, "inject", both, "+1h30m");
    clock_reader_forbid(reader, "realtime", -5 * MINUTE);
    clock_reader_expect(reader, "clock_gettime 0", 90 * MINUTE);
    executed_expect(clock, 90 * MINUTE);
    listed_expect(&caller, harness_format("%d active %" PRId64 ",%d active %" PRId64, pids[0],
                                          90 * MINUTE, pids[1], 90 * MINUTE));

    clock_reader_allow(reader, "realtime", 0);
    call(&caller, "recover", both, NULL);
    clock_reader_forbid(reader, "realtime", 90 * MINUTE);
    victim_check_progress(reader, 50);
    clock_reader_expect(reader, "clock_gettime 0", 0);
    executed_expect(clock, 0);
    listed_expect(&caller, "");
    for (size_t i = 0; i < 2; i++)
        snapshot_expect(&before[i], pids[i]);
}

static void container_cycle(uid_t user)
{
    const char *missing = runtime_missing(runtime);
    if (missing)
        harness_skip("there is no %s; scripts/setup --check installs it", missing);
    struct child *daemon = runtime_start(runtime, user);
    struct container *container =
        container_start(runtime, user, user ? 0 : INSIDE, harness_format("clocks_of_%u", user));
    struct child *clock = container_execute(container);
    pid_t pids[2];
    processes_find(container, pids);
    for (size_t i = 0; i < 2; i++)
        confinement_expect(container, pids[i]);
    cycle(container, clock, pids, 0);
    if (user != 0)
        cycle(container, clock, pids, user);
    child_send(clock, "end");
    child_line(clock, HARNESS_DEADLINE_MS);
    container_stop(container);
    runtime_stop(runtime, user, daemon);
}

static void as_root(void **state)
{
    (void)state;
    container_cycle(0);
}

static void rootless(void **state)
{
    (void)state;
    container_cycle(WORLD_USER);
}

static int prepare(void **state)
{
    (void)state;
    /* Where it holds controllers beside those of version 1, crun refuses the mixture. */
    if (strstr(runtime->name, "crun"))
        umount2("/sys/fs/cgroup/unified", MNT_DETACH);
    runtimes_prepare();
    return 0;
}

static int tests(void)
{
    const struct CMUnitTest both[] = {harness_test(as_root), harness_test(rootless)};
    const struct CMUnitTest root[] = {harness_test(as_root)};
    return runtime->rootless
               ? cmocka_run_group_tests_name(runtime->name, both, prepare, world_expect_empty)
               : cmocka_run_group_tests_name(runtime->name, root, prepare, world_expect_empty);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: runtimes_test RUNTIME\n");
        return 2;
    }
    runtime = runtime_find(argv[1]);
    return world_run(argv[1], tests);
}
