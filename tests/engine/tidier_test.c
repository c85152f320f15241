/*
 * tidier_test.c - a program that takes away the image between two stops of an
 * inject: the inject fails and is undone, and no entry ever leads into nothing.
 */
#include "command.h"
#include "observe.h"
#include "traced.h"
#include "victim.h"

#include <stdlib.h>
#include <string.h>

struct tidying {
    struct child *victim;
    struct vdso vdso;
    int unmapped;
};

/* Only while it runs, and while nothing leads into the image. */
static void tidy_now(void *context)
{
    struct tidying *tidying = context;
    pid_t pid = tidying->victim->pid;
    if (strcmp(observe_status(pid, pid, "TracerPid"), "0") != 0 ||
        memcmp(observe_vdso(pid).bytes, tidying->vdso.bytes, tidying->vdso.size) != 0)
        return;
    const char *answer = child_ask(tidying->victim, "tidy");
    if (strncmp(answer, "ok ", 3) != 0)
        fail_msg("tidy: %s", answer);
    tidying->unmapped += atoi(answer + 3);
}

static void an_image_that_is_gone_is_not_used(void **state)
{
    (void)state;
    struct tidying tidying = {.victim = victim_start("tidier", NULL)};
    pid_t pid = tidying.victim->pid;
    const char *maps = observe_maps(pid);
    tidying.vdso = observe_vdso(pid);
    const char *const *inject =
        skewctl_arguments("inject", "-p", harness_format("%d", pid), "--offset", "-5m", NULL);
    bool meddled = true;
    for (long call = 1; meddled; call++) {
        int before = tidying.unmapped;
        struct traced run = meddled_run(inject, call, tidy_now, &tidying);
        meddled = run.meddled;
        assert_int_equal(run.code, tidying.unmapped > before ? 1 : 0);
        if (run.code == 0)
            skewctl_recover(pid);
        victim_check_progress(tidying.victim, 10);
        observe_put_back(pid, maps, &tidying.vdso);
    }
    assert_true(tidying.unmapped > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(an_image_that_is_gone_is_not_used),
    };
    return cmocka_run_group_tests_name("tidier", tests, NULL, NULL);
}
