/*
 * cgroup_test.c - who is in a cgroup, and which container that is, by lines as
 * the container programs make them.
 */
#include "engine/cgroup.h"

#include "harness.h"

#include <string.h>

#define HEX       "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEX_OTHER "0123456789abffff0123456789abcdef0123456789abcdef0123456789abcdef"

static void a_cgroup_holds_what_is_below_it(void **state)
{
    (void)state;
    static const char lines[] = "5:devices:/a/b\n4:memory:/x\n1:name=systemd:/a/b\n0::/\n";
    assert_true(cgroup_contains(lines, "/a"));
    assert_true(cgroup_contains(lines, "/a/b"));
    assert_true(cgroup_contains(lines, "/a/b/"));
    assert_true(cgroup_contains(lines, "/x"));
    assert_true(cgroup_contains(lines, "/"));
    assert_false(cgroup_contains(lines, "/a/b/c"));
    assert_false(cgroup_contains(lines, "/a/bc"));
    assert_false(cgroup_contains(lines, "/a/"
                                        "c"));
    assert_false(cgroup_contains("", "/"));
    assert_false(cgroup_contains("nonsense\n", "/"));
    assert_true(cgroup_contains("0::/with:colon/x", "/with:colon"));
}

static const struct {
    const char *lines;
    const char *wanted;
    const char *id; /* NULL: not found */
} containers[] = {
    {"0::/system.slice/docker-" HEX ".scope\n", "0123456789ab", HEX},
    {"0::/system.slice/docker-" HEX ".scope\n", HEX, HEX},
    {"5:pids:/docker/" HEX "\n0::/\n", "0123", HEX},
    {"5:pids:/docker/" HEX "\n0::/\n", "docker", NULL},
    {"0::/libpod_parent/libpod-" HEX "\n", "0123456789ab", HEX},
    {"0::/machine.slice/libpod-" HEX ".scope/container\n", "0123456789ab", HEX},
    {"0::/machine.slice/libpod-conmon-" HEX ".scope\n", "0123456789ab", NULL},
    {"3:cpu:/libpod_parent/" HEX_OTHER "/libpod-" HEX "\n", "0123456789abcdef", HEX},
    {"3:cpu:/libpod_parent/" HEX_OTHER "/libpod-" HEX "\n", "0123456789abff", NULL},
    {"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-" HEX ".scope\n", "0123", HEX},
    {"0::/kubepods/burstable/poduid/" HEX "\n", "0123", HEX},
    {"0::/kubepods.slice/crio-" HEX ".scope\n", "0123", HEX},
    {"4:memory:/process_api/abc/r1\n2:cpu:/r1\n0::/r1\n", "r1", "r1"},
    {"2:cpu:/r1\n", "r", NULL},
    {"2:cpu:/c2\n0::/\n", "c2", "c2"},
    {"2:cpu:/default/t1\n", "t1", "t1"},
    {"2:cpu:/r1/init.scope\n", "r1", "r1"},
    {"0::/system.slice/docker-" HEX ".scope\n", "1234", NULL},
    {"0::/system.slice/docker-" HEX ".scope\n", "", NULL},
    {"0::/\n", "r1", NULL},
};

static void containers_are_known_by_their_cgroup(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof containers / sizeof *containers; i++) {
        char id[CONTAINER_ID_SIZE] = "";
        bool found = cgroup_container_find(containers[i].lines, containers[i].wanted, id);
        if (found != (containers[i].id != NULL) || (found && strcmp(id, containers[i].id) != 0))
            fail_msg("%s in %s: got %s", containers[i].wanted, containers[i].lines,
                     found ? id : "nothing");
    }
}

static void folders_of_mounts_become_paths(void **state)
{
    (void)state;
    static const char mounts[] =
        "31 23 0:28 / /sys/fs/cgroup rw shared:9 - tmpfs tmpfs rw\n"
        "32 31 0:29 / /sys/fs/cgroup/cpu rw shared:10 - cgroup cgroup rw,cpu\n"
        "33 31 0:30 /docker/x /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
        "34 31 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
    char path[256];
    assert_true(cgroup_path_from_mount(mounts, "/sys/fs/cgroup/unified/a/b", path, sizeof path));
    assert_string_equal(path, "/a/b");
    assert_true(cgroup_path_from_mount(mounts, "/sys/fs/cgroup/cpu", path, sizeof path));
    assert_string_equal(path, "/");
    assert_true(cgroup_path_from_mount(mounts, "/sys/fs/cgroup/pids/a", path, sizeof path));
    assert_string_equal(path, "/docker/x/a");
    assert_true(cgroup_path_from_mount(mounts, "/sys/fs/cgroup/pids", path, sizeof path));
    assert_string_equal(path, "/docker/x");
    assert_false(cgroup_path_from_mount(mounts, "/sys/fs/cgroup/memory/a", path, sizeof path));
    assert_false(cgroup_path_from_mount(mounts, "/a/b", path, sizeof path));
    assert_false(cgroup_path_from_mount("", "/a/b", path, sizeof path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(a_cgroup_holds_what_is_below_it),
        harness_test(containers_are_known_by_their_cgroup),
        harness_test(folders_of_mounts_become_paths),
    };
    return cmocka_run_group_tests_name("cgroup", tests, NULL, NULL);
}
