/*
 * threads_test.c - a target of a thousand threads, each of which reads the clock: none is
 * left out, none is left stopped or traced.
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#define MINUTE  INT64_C(60000000000)
#define THREADS "1000"
/* Between two reads of a thread, so that the machine is not busy with them alone. */
#define PAUSE_US "200000"

static void a_thousand_threads(void **state)
{
    (void)state;
    struct child *reader = victim_start("clock_reader", THREADS, PAUSE_US, NULL);
    struct snapshot before = snapshot_take(reader->pid);
    clock_reader_allow(reader, "realtime", -5 * MINUTE);
    const char *json = skewctl_inject(reader->pid, "-5m");
    clock_reader_forbid(reader, "realtime", 0);
    assert_string_equal(json_query(json, ".injections[0].threads"), THREADS);
    observe_untraced(reader->pid);
    victim_check_progress(reader, 1);

    clock_reader_allow(reader, "realtime", MINUTE);
    skewctl_inject(reader->pid, "+1m");
    clock_reader_forbid(reader, "realtime", -5 * MINUTE);
    victim_check_progress(reader, 1);
    clock_reader_expect_all(reader, MINUTE);

    clock_reader_allow(reader, "realtime", 0);
    skewctl_recover(reader->pid);
    clock_reader_forbid(reader, "realtime", MINUTE);
    victim_check_progress(reader, 1);
    snapshot_expect(&before, reader->pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(a_thousand_threads),
    };
    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
