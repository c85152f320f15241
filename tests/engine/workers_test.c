/*
 * workers_test.c - threads that the kernel runs inside a process, for io_uring:
 * no operation stops them, so that none of their requests fails with EINTR,
 * and none is asked to make a call.
 */
#include "command.h"
#include "observe.h"
#include "traced.h"
#include "victim.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/io_uring.h>

#define CYCLES 5

static bool rings_are_had(void)
{
    struct io_uring_params parameters = {0};
    int ring = (int)syscall(SYS_io_uring_setup, 1, &parameters);
    if (ring >= 0)
        close(ring);
    return ring >= 0;
}

static void cycles(const char *kind, const char *name)
{
    if (!rings_are_had())
        harness_skip("no io_uring: %s", strerror(errno));
    const char *fifo = harness_format("%s/fifo", harness_home());
    assert_int_equal(mkfifo(fifo, 0600), 0);
    struct child *victim = victim_start("workers", kind, fifo, NULL);
    assert_string_equal(child_ask(victim, "serve"), "ok");
    const char *found = child_ask(victim, "name");
    if (strncmp(found, name, strlen(name)) != 0)
        harness_skip("this kernel has no such thread in the process: %s", found);
    const char *maps = observe_maps(victim->pid);
    struct vdso vdso = observe_vdso(victim->pid);
    struct keep *mark = harness_mark();
    for (int i = 0; i < CYCLES; i++) {
        for (int step = 0; step < 3; step++) {
            const char *json = step == 0   ? skewctl_inject(victim->pid, "-5m")
                               : step == 1 ? skewctl_inject(victim->pid, "+1h30m")
                                           : skewctl_recover(victim->pid);
            assert_string_equal(json_query(json, ".injections[0].interrupted"), "0");
            victim_check(victim);
        }
        assert_string_equal(child_ask(victim, "serve"), "ok");
        harness_release(mark);
    }
    victim_check(victim);
    observe_put_back(victim->pid, maps, &vdso);
}

static void beside_a_worker(void **state)
{
    (void)state;
    cycles("async", "ok iou-");
}

static void beside_a_poller(void **state)
{
    (void)state;
    cycles("sqpoll", "ok iou-");
}

static void begin_now(void *context)
{
    struct child *victim = context;
    assert_string_equal(child_ask(victim, "begin"), "ok");
    for (int tries = 0; strncmp(child_ask(victim, "name"), "ok ", 3) != 0; tries++) {
        assert_true(tries < 1000);
        harness_sleep_ms(1);
    }
}

/* Looked for in vain, then one is born before the threads are listed. */
static void before_a_worker(void **state)
{
    (void)state;
    if (!rings_are_had())
        harness_skip("no io_uring: %s", strerror(errno));
    const char *fifo = harness_format("%s/fifo", harness_home());
    assert_int_equal(mkfifo(fifo, 0600), 0);
    for (int i = 0; i < CYCLES; i++) {
        struct child *victim = victim_start("workers", "late", fifo, NULL);
        const char *const *argv = skewctl_arguments(
            "inject", "-p", harness_format("%d", victim->pid), "--offset", "-5m", NULL);
        struct traced run = meddled_run(argv, 1, begin_now, victim);
        if (!run.meddled || run.code != 0)
            fail_msg("code %d, %s", run.code, run.err);
        victim_check(victim);
        assert_string_equal(child_ask(victim, "serve"), "ok");
        victim_check(victim);
        skewctl_recover(victim->pid);
        child_kill(victim);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(beside_a_worker),
        harness_test(beside_a_poller),
        harness_test(before_a_worker),
    };
    return cmocka_run_group_tests_name("workers", tests, NULL, NULL);
}
