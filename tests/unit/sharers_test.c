/*
 * sharers_test.c - whom nobody shares memory with. Those who do: sharing_test.
 */
#include "engine/private.h"

#include "harness.h"

#include <string.h>
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
    enum skew_code code = sharer_find(&target, &sharer, &error);
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
    enum skew_code code = sharer_find(&target, &sharer, &error);
    target_close(&target);
    assert_int_equal(code, SKEW_OK);
    assert_int_equal(sharer, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {harness_test(without_memory), harness_test(alone)};
    return cmocka_run_group_tests_name("sharers", tests, NULL, NULL);
}
