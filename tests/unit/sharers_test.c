/*
 * sharers_test.c - who shares memory with whom, asked for one and for many. How an inject
 * takes it: sharing_test.
 */
#include "engine/census.h"
#include "engine/private.h"

#include "harness.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* As a process that is exiting: kcmp(2) takes one without memory for the same as every other. */
static void without_memory(void **state)
{
    (void)state;
    struct target target;
    struct skew_error error = {0};
    pid_t sharer;
    if (target_open(2, &target, &error) != SKEW_OK || strcmp(target.command, "kthreadd") != 0)
        harness_skip("kernel threads are not to be seen here");
    enum skew_code code = sharer_find(&target, NULL, &sharer, &error);
    target_close(&target);
    assert_int_equal(code, SKEW_OK);
    assert_int_equal(sharer, 0);
}

static void alone(void **state)
{
    (void)state;
    struct target target;
    struct skew_error error = {0};
    pid_t sharer;
    assert_int_equal(target_open(getpid(), &target, &error), SKEW_OK);
    enum skew_code code = sharer_find(&target, NULL, &sharer, &error);
    target_close(&target);
    assert_int_equal(code, SKEW_OK);
    assert_int_equal(sharer, 0);
}

static void *thread_main(void *unused)
{
    (void)unused;
    while (pause() < 0)
        continue;
    return NULL;
}

static int wait_here(void *unused)
{
    (void)unused;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (pause() < 0)
        continue;
    return 0;
}

/* A process of this one's memory, or with `own` of a copy of it. */
static pid_t born(bool own)
{
    static char stacks[4][4096];
    static int used;
    pid_t pid = clone(wait_here, stacks[used++ % 4] + sizeof stacks[0], own ? 0 : CLONE_VM, NULL);
    assert_true(pid > 0);
    return pid;
}

static void buried(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, __WALL), pid);
}

/* What the census says of a process: -1 for nothing, else the sharer. */
static pid_t asked(struct census *census, pid_t pid)
{
    struct target target;
    struct skew_error error = {0};
    pid_t sharer;
    assert_int_equal(target_open(pid, &target, &error), SKEW_OK);
    bool told = census_ask(census, &target, &sharer);
    target_close(&target);
    return told ? sharer : -1;
}

static void by_a_census(void **state)
{
    (void)state;
    pid_t child = born(true);
    struct census *census = census_take();
    if (!census) {
        buried(child);
        harness_skip("no census can be taken: kcmp(2) or /proc/loadavg is not to be had");
    }
    assert_int_equal(asked(census, getpid()), 0);
    assert_int_equal(asked(census, child), 0);
    /* Born since: found with those that were there, and unknown itself. */
    pid_t other = born(true), sharer = born(false);
    assert_int_equal(asked(census, getpid()), sharer);
    assert_int_equal(asked(census, child), 0);
    assert_int_equal(asked(census, other), -1);
    assert_int_equal(asked(census, sharer), -1);
    census_release(census);
    /* There already: left to be asked about one by one. */
    census = census_take();
    assert_non_null(census);
    assert_int_equal(asked(census, getpid()), -1);
    assert_int_equal(asked(census, sharer), -1);
    assert_int_equal(asked(census, child), 0);
    struct target target;
    struct skew_error error = {0};
    pid_t found;
    assert_int_equal(target_open(getpid(), &target, &error), SKEW_OK);
    assert_int_equal(sharer_find(&target, census, &found, &error), SKEW_OK);
    target_close(&target);
    assert_int_equal(found, sharer);
    buried(sharer);
    buried(other);
    /* A thread is none. */
    census_release(census);
    census = census_take();
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, thread_main, NULL), 0);
    assert_int_equal(asked(census, getpid()), 0);
    pthread_cancel(thread);
    pthread_join(thread, NULL);
    census_release(census);
    buried(child);
}

int main(void)
{
    const struct CMUnitTest tests[] = {harness_test(without_memory), harness_test(alone),
                                       harness_test(by_a_census)};
    return cmocka_run_group_tests_name("sharers", tests, NULL, NULL);
}
