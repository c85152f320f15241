/*
 * debug_container_test.c - skewctl in a container of its own that shares the pid
 * namespace of another, whose processes it skews and puts back: a Kubernetes
 * debug container. It has as few capabilities as will do, and mostly the default
 * seccomp profile.
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

#define SECOND INT64_C(1000000000)
#define MINUTE (60 * SECOND)

#define CAPABILITIES(...) ((const char *const[]){__VA_ARGS__, NULL})

struct beside {
    struct container *container;
    struct child *daemon;
    struct child *shell;
};

/* `inside`: the user of the processes that are to be skewed. */
static struct beside beside_start(const char *name, uid_t inside, const struct debug *debug)
{
    const struct runtime *runtime = runtime_find(name);
    const char *missing = runtime_missing(runtime);
    if (missing)
        harness_skip("there is no %s; scripts/setup --check installs it", missing);
    struct beside beside = {.daemon = runtime_start(runtime, 0)};
    beside.container = container_start(runtime, 0, inside, false, "beside");
    beside.shell = container_debug(beside.container, debug);
    return beside;
}

static void beside_stop(const struct beside *beside)
{
    child_send(beside->shell, "exit 0");
    assert_int_equal(child_wait(beside->shell, HARNESS_DEADLINE_MS), 0);
    container_stop(beside->container);
    runtime_stop(beside->container->runtime, 0, beside->daemon);
}

/* Has the shell run skewctl, which must end with that code; returns what it said, in one line. */
static const char *call(const struct beside *beside, int code, const char *arguments)
{
    child_send(beside->shell, harness_format("/skewctl %s --journal " CONTAINER_OWN
                                             "/journal.db >" CONTAINER_OWN "/said 2>&1; echo $?;"
                                             "echo $(busybox cat " CONTAINER_OWN "/said)",
                                             arguments));
    int ended = atoi(child_line(beside->shell, HARNESS_DEADLINE_MS));
    const char *said = child_line(beside->shell, HARNESS_DEADLINE_MS);
    if (ended != code)
        fail_msg("skewctl %s: exit code %d where %d was due: %s", arguments, ended, code, said);
    return said;
}

/* What a debug container is there for; `insist`: the seccomp filter cannot be read. */
static void cycle(const struct beside *beside, bool insist)
{
    const char *force = insist ? " --force" : "";
    struct child *reader = beside->container->first;
    pid_t pid = beside->container->pid;
    struct snapshot before = snapshot_take(pid);

    /* It is process 1 here, which is no reason to refuse it. */
    if (insist) {
        const char *said = call(beside, 3, "inject -p 1 --offset -5m");
        assert_non_null(strstr(said, "seccomp"));
        assert_non_null(strstr(said, "--force"));
    }
    snapshot_expect(&before, pid);
    clock_reader_allow(reader, "realtime", -5 * MINUTE);
    call(beside, 0, harness_format("inject -p 1 --offset -5m%s", force));
    clock_reader_forbid(reader, "realtime", 0);
    clock_reader_expect_all(reader, -5 * MINUTE);

    clock_reader_allow(reader, "realtime", 90 * MINUTE);
    call(beside, 0, harness_format("inject -p 1 --offset +1h30m%s", force));
    clock_reader_forbid(reader, "realtime", -5 * MINUTE);
    clock_reader_expect(reader, "clock_gettime 0", 90 * MINUTE);
    const char *listed = call(beside, 0, "list -o json");
    assert_string_equal(json_query(listed, ".injections[] | \"\\(.pid) \\(.state) \\(.skew_ns)\""),
                        harness_format("1 active %" PRId64, 90 * MINUTE));

    clock_reader_allow(reader, "realtime", 0);
    call(beside, 0, "recover -p 1");
    clock_reader_forbid(reader, "realtime", 90 * MINUTE);
    victim_check_progress(reader, 50);
    clock_reader_expect(reader, "clock_gettime 0", 0);
    snapshot_expect(&before, pid);
    assert_string_equal(json_query(call(beside, 0, "list -o json"), ".injections | length"), "0");
}

static void docker_root_beside_root(void **state)
{
    (void)state;
    struct beside beside =
        beside_start("docker", 0, &(struct debug){.capabilities = CAPABILITIES("SYS_PTRACE")});
    cycle(&beside, true);
    beside_stop(&beside);
}

static void podman_root_beside_root(void **state)
{
    (void)state;
    struct beside beside =
        beside_start("podman", 0, &(struct debug){.capabilities = CAPABILITIES("SYS_PTRACE")});
    cycle(&beside, true);
    beside_stop(&beside);
}

/* The files of /proc/PID belong to that user, and CAP_SYS_PTRACE does not open them. */
static void root_beside_another_user(void **state)
{
    (void)state;
    struct beside beside =
        beside_start("podman", 1000, &(struct debug){.capabilities = CAPABILITIES("SYS_PTRACE")});
    struct snapshot before = snapshot_take(beside.container->pid);
    const char *said = call(&beside, 5, "inject -p 1 --offset -5m --force");
    assert_non_null(strstr(said, "CAP_DAC_OVERRIDE"));
    said = call(&beside, 6, "scan");
    assert_non_null(strstr(said, "CAP_DAC_OVERRIDE"));
    snapshot_expect(&before, beside.container->pid);
    beside_stop(&beside);

    beside =
        beside_start("podman", 1000,
                     &(struct debug){.capabilities = CAPABILITIES("SYS_PTRACE", "DAC_OVERRIDE")});
    cycle(&beside, true);
    beside_stop(&beside);
}

static void a_user_beside_himself(void **state)
{
    (void)state;
    struct beside beside = beside_start(
        "podman", 1000, &(struct debug){.user = 1000, .capabilities = CAPABILITIES(NULL)});
    if (strstr(call(&beside, 0, "doctor"), "only CAP_SYS_PTRACE may attach"))
        harness_skip("kernel.yama.ptrace_scope asks for CAP_SYS_PTRACE here");
    cycle(&beside, true);
    beside_stop(&beside);
}

/* Who is filtered may not read filters, whatever his capabilities. */
static void filters_are_read_by_the_unfiltered(void **state)
{
    (void)state;
    const char *const *both = CAPABILITIES("SYS_PTRACE", "SYS_ADMIN");
    struct beside beside = beside_start("podman", 0, &(struct debug){.capabilities = both});
    assert_non_null(strstr(call(&beside, 0, "doctor -p 1"), "under a seccomp filter itself"));
    call(&beside, 3, "inject -p 1 --offset -5m");
    beside_stop(&beside);

    beside = beside_start("podman", 0, &(struct debug){.capabilities = both, .unconfined = true});
    cycle(&beside, false);
    beside_stop(&beside);
}

static int prepare(void **state)
{
    (void)state;
    runtimes_prepare();
    return 0;
}

static int tests(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(docker_root_beside_root),
        harness_test(podman_root_beside_root),
        harness_test(root_beside_another_user),
        harness_test(a_user_beside_himself),
        harness_test(filters_are_read_by_the_unfiltered),
    };
    return cmocka_run_group_tests_name("debug container", tests, prepare, world_expect_empty);
}

int main(void)
{
    return world_run("debug_container_test", tests);
}
