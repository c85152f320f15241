/*
 * runtimes_test.c RUNTIME - the processes of a container that a real runtime
 * made, the first one and one that came by `exec`: from the host they are skewed,
 * changed, listed and put back, and work on, by each of the ways to name them. Who comes
 * by `exec` while the container is followed is skewed, too. As root, without capabilities and
 * with those that are the default, and where the runtime is for ordinary users too, as one
 * of them.
 */
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
#define TICK   (SECOND / 100)

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

/* A way to name processes. */
struct target {
    const char *option;
    const char *value;
};

#define WAYS_MAX 5
struct ways {
    struct target targets[WAYS_MAX];
    size_t count;
};

static void way_add(struct ways *ways, const char *option, const char *value)
{
    ways->targets[ways->count++] = (struct target){option, value};
}

/* The path of the line that shows the container, whichever hierarchies it is in. */
static const char *cgroup_of(const struct container *container)
{
    char *lines = harness_file_read(harness_format("/proc/%d/cgroup", container->pid), NULL);
    for (char *line = lines ? strtok(lines, "\n") : NULL; line; line = strtok(NULL, "\n"))
        if (strstr(line, container->id))
            return strchr(strchr(line, ':') + 1, ':') + 1;
    fail_msg("no cgroup of process %d shows the container", container->pid);
    return NULL;
}

/* All that name everybody in the container, who may come later. */
static struct ways ways_find(const struct container *container)
{
    struct ways ways = {.count = 0};
    way_add(&ways, "--pidns", harness_format("%d", container->pid));
    if (!container->id) {
        harness_skip_say(runtime->name, "--container and --cgroup for ordinary users: with control "
                                        "groups of version 1 they have none of their own");
        return ways;
    }
    way_add(&ways, "--cgroup", cgroup_of(container));
    way_add(&ways, "--container", container->id);
    if (strcmp(container->listed, container->id) != 0)
        way_add(&ways, "--container", container->listed);
    return ways;
}

/* Runs skewctl, which must end with that code, on the target if one is given. */
static const char *run_skewctl(const struct caller *caller, const char *command,
                               const struct target *target, const char *offset, bool follow,
                               bool insist, int code)
{
    const char *argv[16] = {caller->skewctl, command, "--journal", caller->journal, "-o", "json"};
    size_t count = 6;
    if (target) {
        argv[count++] = target->option;
        argv[count++] = target->value;
    }
    if (offset) {
        argv[count++] = "--offset";
        argv[count++] = offset;
    }
    if (follow) {
        argv[count++] = "--follow";
        argv[count++] = "--detach";
    }
    const struct start start = {.user = caller->user};
    if (insist)
        argv[count++] = "--force";
    struct run run = program_run(argv, &start, HARNESS_DEADLINE_MS);
    run_expect(&run, code);
    return run.out;
}

/* The same, which must succeed; returns the JSON. */
static const char *call(const struct caller *caller, const char *command,
                        const struct target *target, const char *offset, bool follow)
{
    return run_skewctl(caller, command, target, offset, follow,
                       offset && caller_must_insist(caller), 0);
}

/* The process that was executed in there: the only one beside the first. */
static pid_t executed_find(const struct container *container)
{
    struct run run =
        program_run((const char *const[]){"pgrep", "--ns", harness_format("%d", container->pid),
                                          "--nslist", "pid", "-x", "awk", NULL},
                    NULL, HARNESS_DEADLINE_MS);
    run_expect(&run, 0);
    return atoi(run.out);
}

/* That the container is as strict as it is meant to be: else the test shows nothing. */
static void confinement_expect(const struct container *container, pid_t pid)
{
    const char *inner = strrchr(observe_status(pid, pid, "NSpid"), '\t');
    assert_non_null(inner);
    assert_string_equal(observe_status(pid, pid, "Seccomp"), runtime->seccomp ? "2" : "0");
    assert_string_equal(observe_status(pid, pid, "CapEff"),
                        container->capable ? runtime->capabilities : "0000000000000000");
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

/* It tells whole seconds, of which the next begins with a tick of the kernel. */
static struct skew_range executed_measure(struct child *clock)
{
    int64_t before = harness_realtime_ns();
    int64_t now = strtoll(child_ask(clock, "now"), NULL, 10) * SECOND;
    int64_t after = harness_realtime_ns();
    return (struct skew_range){now - after, now + SECOND + TICK - before};
}

static void executed_expect(struct child *clock, int64_t offset)
{
    skew_range_expect(executed_measure(clock), offset, MINUTE);
}

/* Those processes with that offset and no others; pids[1] may be 0. */
static void listed_expect(const struct caller *caller, const pid_t pids[2], int64_t offset)
{
    bool swapped = pids[1] && pids[1] < pids[0];
    const char *first = harness_format("%d active %" PRId64, pids[swapped ? 1 : 0], offset);
    const char *json = call(caller, "list", NULL, NULL, false);
    assert_string_equal(
        json_query(json, "[.injections | sort_by(.pid)[] | \"\\(.pid) \\(.state) \\(.skew_ns)\"] "
                         "| join(\",\")"),
        !pids[1] ? first
                 : harness_format("%s,%d active %" PRId64, first, pids[swapped ? 0 : 1], offset));
}

static void nothing_listed_expect(const struct caller *caller)
{
    assert_string_equal(json_query(call(caller, "list", NULL, NULL, false), ".injections | length"),
                        "0");
}

static void cycle(const struct container *container, struct child *clock, const pid_t pids[2],
                  const struct caller *caller, const struct target *target)
{
    struct child *reader = container->first;
    struct snapshot before[2] = {snapshot_take(pids[0]), snapshot_take(pids[1])};

    clock_reader_allow(reader, "realtime", -5 * MINUTE);
    call(caller, "inject", target, "-5m", false);
    clock_reader_forbid(reader, "realtime", 0);
    clock_reader_expect_all(reader, -5 * MINUTE);
    executed_expect(clock, -5 * MINUTE);

    clock_reader_allow(reader, "realtime", 90 * MINUTE);
    call(caller, "inject", target, "+1h30m", false);
    clock_reader_forbid(reader, "realtime", -5 * MINUTE);
    clock_reader_expect(reader, "clock_gettime 0", 90 * MINUTE);
    executed_expect(clock, 90 * MINUTE);
    listed_expect(caller, pids, 90 * MINUTE);

    clock_reader_allow(reader, "realtime", 0);
    call(caller, "recover", target, NULL, false);
    clock_reader_forbid(reader, "realtime", 90 * MINUTE);
    victim_check_progress(reader, 50);
    clock_reader_expect(reader, "clock_gettime 0", 0);
    executed_expect(clock, 0);
    nothing_listed_expect(caller);
    for (size_t i = 0; i < 2; i++)
        snapshot_expect(&before[i], pids[i]);
}

static void executed_end(struct child *clock)
{
    child_send(clock, "end");
    assert_int_equal(child_wait(clock, HARNESS_DEADLINE_MS), 0);
}

/* Until it has been noticed, whoever comes has the true time; nobody ever has another one. */
static void executed_await(struct child *clock, int64_t offset)
{
    int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    for (;;) {
        struct skew_range seen = executed_measure(clock);
        if (seen.low_ns <= offset && offset <= seen.high_ns)
            return;
        skew_range_expect(seen, 0, MINUTE);
        if (harness_monotonic_ns() > end)
            fail_msg("who was executed in the container is not skewed");
        harness_sleep_ms(5);
    }
}

static void follow(const struct container *container, const struct caller *caller,
                   const struct target *target)
{
    struct child *reader = container->first;
    struct snapshot before = snapshot_take(container->pid);
    clock_reader_allow(reader, "realtime", -5 * MINUTE);
    call(caller, "inject", target, "-5m", true);
    struct child *clock = container_execute(container);
    executed_await(clock, -5 * MINUTE);
    clock_reader_expect_all(reader, -5 * MINUTE);
    pid_t executed = executed_find(container);
    listed_expect(caller, (pid_t[2]){container->pid, executed}, -5 * MINUTE);

    call(caller, "recover", target, NULL, false);
    clock_reader_forbid(reader, "realtime", -5 * MINUTE);
    victim_check_progress(reader, 50);
    executed_expect(clock, 0);
    nothing_listed_expect(caller);
    snapshot_expect(&before, container->pid);
    observe_untraced(executed);
    executed_end(clock);
}

static void container_check(const struct container *container, const struct ways *ways, uid_t user)
{
    const struct caller caller = caller_make(user);
    struct child *clock = container_execute(container);
    const pid_t pids[2] = {container->pid, executed_find(container)};
    for (size_t i = 0; i < 2; i++)
        confinement_expect(container, pids[i]);
    if (caller_must_insist(&caller))
        run_skewctl(&caller, "inject", &ways->targets[0], "-5m", false, false, 3);
    for (size_t i = 0; i < ways->count; i++)
        cycle(container, clock, pids, &caller, &ways->targets[i]);
    executed_end(clock);
    /* By the others: watch_test. */
    follow(container, &caller, &ways->targets[ways->count - 1]);
}

static void container_cycle(uid_t user, uid_t inside, bool capable)
{
    const char *missing = runtime_missing(runtime);
    if (missing)
        harness_skip("there is no %s; scripts/setup --check installs it", missing);
    struct child *daemon = runtime_start(runtime, user);
    struct container *container =
        container_start(runtime, user, inside, capable,
                        harness_format("clocks_of_%u%s", user, capable ? "_capable" : ""));
    struct ways ways = ways_find(container);
    /* One of the ways, as the runtime lists it, will do here. */
    if (capable && !runtime->always_capable)
        ways = (struct ways){.targets = {ways.targets[ways.count - 1]}, .count = 1};
    container_check(container, &ways, 0);
    if (user != 0)
        container_check(container, &ways, user);
    container_stop(container);
    runtime_stop(runtime, user, daemon);
}

static void as_root(void **state)
{
    (void)state;
    container_cycle(0, INSIDE, false);
}

static void as_root_with_capabilities(void **state)
{
    (void)state;
    container_cycle(0, 0, true);
}

static void rootless(void **state)
{
    (void)state;
    container_cycle(WORLD_USER, 0, false);
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
    /* cmocka leaves out what has no function. */
    const struct CMUnitTest none = {0};
    const struct CMUnitTest tests[] = {
        runtime->always_capable ? none : (struct CMUnitTest)harness_test(as_root),
        runtime->capabilities ? (struct CMUnitTest)harness_test(as_root_with_capabilities) : none,
        runtime->rootless ? (struct CMUnitTest)harness_test(rootless) : none,
    };
    return cmocka_run_group_tests_name(runtime->name, tests, prepare, world_expect_empty);
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
