/*
 * select_test.c - which processes are meant by a tree, a cgroup, a container or
 * a pid namespace. How lines of /proc/PID/cgroup are read: cgroup_test.
 */
#include "engine/skewctl.h"

#include "harness.h"
#include "victim.h"

#include <stdlib.h>
#include <unistd.h>

/* Selects by one selector; the code, and whom in memory of the harness. */
static enum skew_code choose(enum skew_select_kind kind, pid_t pid, const char *name, bool force,
                             const pid_t **chosen, size_t *count)
{
    const struct skew_selector selector = {.kind = kind, .pid = pid, .name = name};
    struct skew_error error = {0};
    pid_t *pids = NULL;
    enum skew_code code = skew_select(&selector, 1, force, &pids, count, &error);
    pid_t *kept = harness_memory((*count + 1) * sizeof *kept);
    for (size_t i = 0; code == SKEW_OK && i < *count; i++)
        kept[i] = pids[i];
    free(pids);
    *chosen = kept;
    return code;
}

static bool among(pid_t pid, const pid_t *pids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (pids[i] == pid)
            return true;
    return false;
}

static void a_tree_is_a_process_and_its_descendants(void **state)
{
    (void)state;
    struct child *parent = victim_start("idle", NULL), *other = victim_start("idle", NULL);
    pid_t children[2];
    for (int i = 0; i < 2; i++)
        children[i] = (pid_t)atoi(child_ask(parent, "spawn") + 3);
    const pid_t *pids;
    size_t count;
    assert_int_equal(choose(SKEW_SELECT_TREE, parent->pid, NULL, false, &pids, &count), SKEW_OK);
    assert_int_equal(count, 3);
    assert_int_equal(pids[0], parent->pid);
    assert_true(among(children[0], pids, count) && among(children[1], pids, count));
    assert_false(among(other->pid, pids, count));

    /* Without the caller, whose tree this is. */
    assert_int_equal(choose(SKEW_SELECT_TREE, getpid(), NULL, false, &pids, &count),
                     SKEW_NOT_FOUND);
    child_kill(other);
    assert_int_equal(choose(SKEW_SELECT_TREE, other->pid, NULL, false, &pids, &count),
                     SKEW_NOT_FOUND);
}

static void a_pid_namespace_is_not_the_whole_system(void **state)
{
    (void)state;
    struct child *idle = victim_start("idle", NULL);
    const pid_t *pids;
    size_t count;
    assert_int_equal(choose(SKEW_SELECT_PIDNS, idle->pid, NULL, false, &pids, &count),
                     SKEW_REFUSED);
    assert_int_equal(choose(SKEW_SELECT_PIDNS, idle->pid, NULL, true, &pids, &count), SKEW_OK);
    assert_true(among(idle->pid, pids, count));
    assert_false(among(getpid(), pids, count));
}

static void a_cgroup_has_its_members(void **state)
{
    (void)state;
    struct child *idle = victim_start("idle", NULL);
    const pid_t *pids;
    size_t count;
    assert_int_equal(choose(SKEW_SELECT_CGROUP, 0, "/", false, &pids, &count), SKEW_OK);
    assert_true(among(idle->pid, pids, count));
    assert_int_equal(choose(SKEW_SELECT_CGROUP, 0, "/no/such/group", false, &pids, &count),
                     SKEW_NOT_FOUND);
    assert_int_equal(choose(SKEW_SELECT_CGROUP, 0, "no-path", false, &pids, &count), SKEW_USAGE);
    assert_int_equal(choose(SKEW_SELECT_CONTAINER, 0, "no-such-container", false, &pids, &count),
                     SKEW_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(a_tree_is_a_process_and_its_descendants),
        harness_test(a_pid_namespace_is_not_the_whole_system),
        harness_test(a_cgroup_has_its_members),
    };
    return cmocka_run_group_tests_name("select", tests, NULL, NULL);
}
