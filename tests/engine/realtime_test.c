/*
 * realtime_test.c - a target whose real-time thread (sched(7)) never gives up
 * the one processor that skewctl may use, so that skewctl runs only in what the
 * kernel keeps for others: it takes longer, and ends all the same.
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#define MINUTE INT64_C(60000000000)

/* Kept across execve(2). */
static void priority_raise(void *nothing)
{
    const struct sched_param parameters = {.sched_priority = 50};
    (void)nothing;
    sched_setscheduler(0, SCHED_FIFO, &parameters);
}

static bool realtime_allowed(void)
{
    const struct sched_param realtime = {.sched_priority = 50}, usual = {0};
    return sched_setscheduler(0, SCHED_FIFO, &realtime) == 0 &&
           sched_setscheduler(0, SCHED_OTHER, &usual) == 0;
}

/* Without throttling (sched(7)) older kernels would keep nothing for others. */
static bool throttled(void)
{
    const char *runtime = harness_file_read("/proc/sys/kernel/sched_rt_runtime_us", NULL);
    return runtime && strncmp(runtime, "-1", 2) != 0;
}

static void it_does_not_starve_skewctl(void **state)
{
    (void)state;
    if (!realtime_allowed())
        harness_skip("real-time scheduling: %s", strerror(errno));
    if (!throttled())
        harness_skip("real-time threads may take a processor for ever here");
    cpu_set_t before_set, one;
    CPU_ZERO(&one);
    CPU_SET((unsigned)sched_getcpu(), &one);
    sched_getaffinity(0, sizeof before_set, &before_set);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);

    struct child *reader =
        child_start((const char *const[]){victim_path("clock_reader"), "1", NULL},
                    &(struct start){.before_exec = priority_raise});
    assert_string_equal(child_line(reader, HARNESS_DEADLINE_MS), "ready");
    assert_int_equal(sched_getscheduler(reader->pid), SCHED_FIFO);
    struct snapshot before = snapshot_take(reader->pid);
    clock_reader_allow(reader, "realtime", -5 * MINUTE);
    clock_reader_allow(reader, "realtime", 90 * MINUTE);
    skewctl_inject(reader->pid, "-5m");
    clock_reader_expect_all(reader, -5 * MINUTE);
    skewctl_inject(reader->pid, "+1h30m");
    clock_reader_expect_all(reader, 90 * MINUTE);
    skewctl_recover(reader->pid);
    clock_reader_forbid(reader, "realtime", -5 * MINUTE);
    clock_reader_forbid(reader, "realtime", 90 * MINUTE);
    victim_check_progress(reader, 100);
    snapshot_expect(&before, reader->pid);
    sched_setaffinity(0, sizeof before_set, &before_set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(it_does_not_starve_skewctl),
    };
    return cmocka_run_group_tests_name("realtime", tests, NULL, NULL);
}
