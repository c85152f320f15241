/*
 * library_test.c - the engine as another program uses it: through
 * engine/skewctl.h alone, without the command.
 */
#include "observe.h"
#include "victim.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/skewctl.h"

#define MINUTE INT64_C(60000000000)

static struct skew_engine *engine_start(const char *journal)
{
    struct skew_engine_options options = {.journal_path = journal};
    struct skew_engine *engine;
    struct skew_error error = {0};
    if (skew_engine_open(&options, &engine, &error) != SKEW_OK) {
        fail_msg("%s", error.message);
    }
    return engine;
}

static void succeeds(enum skew_code code, const struct skew_error *error)
{
    if (code != SKEW_OK) {
        fail_msg("code %d in %s: %s", (int)code, error->operation, error->message);
    }
}

static void one_engine_does_all(void **state)
{
    (void)state;
    struct child *reader = victim_start("clock_reader", "2", NULL);
    struct snapshot before = snapshot_take(reader->pid);
    struct skew_engine *engine =
        engine_start(harness_format("%s/library.db", harness_directory(geteuid())));
    struct skew_request request = {.offset_ns = -5 * MINUTE};
    struct skew_report report;
    struct skew_error error = {0};

    clock_reader_allow(reader, "realtime", -5 * MINUTE);
    succeeds(skew_inject(engine, reader->pid, &request, &report, &error), &error);
    clock_reader_forbid(reader, "realtime", 0);
    assert_int_equal(report.state, SKEW_STATE_ACTIVE);
    assert_int_equal(report.clocks, skew_clocks_default());
    assert_false(report.updated);
    assert_true(report.pause_ns > 0);
    assert_true(report.clock_gettime.valid && report.gettimeofday.valid && report.time.valid);
    assert_true(llabs(report.clock_gettime.offset_ns + 5 * MINUTE) <=
                report.clock_gettime.uncertainty_ns);

    request.offset_ns = MINUTE;
    clock_reader_allow(reader, "realtime", MINUTE);
    succeeds(skew_inject(engine, reader->pid, &request, &report, &error), &error);
    clock_reader_forbid(reader, "realtime", -5 * MINUTE);
    assert_true(report.updated);

    struct skew_report *reports;
    size_t count;
    succeeds(skew_list(engine, false, &reports, &count, &error), &error);
    assert_int_equal(count, 1);
    assert_int_equal(reports[0].pid, reader->pid);
    assert_true(reports[0].offset_ns == MINUTE);
    assert_int_equal(reports[0].id, report.id);
    free(reports);

    clock_reader_allow(reader, "realtime", 0);
    succeeds(skew_recover_id(engine, report.id, &report, &error), &error);
    clock_reader_forbid(reader, "realtime", MINUTE);
    assert_int_equal(report.state, SKEW_STATE_RECOVERED);
    victim_check_progress(reader, 50);
    snapshot_expect(&before, reader->pid);
    skew_engine_close(engine);
}

static void errors_are_values(void **state)
{
    (void)state;
    struct skew_engine *engine =
        engine_start(harness_format("%s/library.db", harness_directory(geteuid())));
    struct skew_request request = {.offset_ns = MINUTE};
    struct skew_report report;
    struct skew_error error = {0};

    assert_int_equal(skew_inject(engine, getpid(), &request, &report, &error), SKEW_REFUSED);
    assert_int_equal(error.code, SKEW_REFUSED);
    assert_int_equal(error.pid, getpid());
    assert_true(strlen(error.message) > 0 && strlen(error.advice) > 0);

    assert_int_equal(skew_recover_id(engine, 12345, &report, &error), SKEW_NOT_FOUND);
    assert_true(strlen(error.operation) > 0);

    request.offset_ns = INT64_MAX;
    assert_int_equal(skew_inject(engine, getpid(), &request, &report, &error), SKEW_USAGE);
    skew_engine_close(engine);

    struct skew_engine_options options = {.journal_path = "/nonexistent/journal.db"};
    assert_int_equal(skew_engine_open(&options, &engine, &error), SKEW_REFUSED);
    skew_engine_close(NULL);
}

static void two_engines_share_a_journal(void **state)
{
    (void)state;
    struct child *reader = victim_start("clock_reader", NULL);
    const char *path = harness_format("%s/library.db", harness_directory(geteuid()));
    struct skew_engine *one = engine_start(path), *other = engine_start(path);
    struct skew_request request = {.offset_ns = MINUTE};
    struct skew_report report;
    struct skew_error error = {0};

    clock_reader_allow(reader, "realtime", MINUTE);
    succeeds(skew_inject(one, reader->pid, &request, &report, &error), &error);
    succeeds(skew_recover(other, reader->pid, &report, &error), &error);
    assert_int_equal(skew_recover(one, reader->pid, &report, &error), SKEW_NOT_FOUND);
    victim_check(reader);
    skew_engine_close(one);
    skew_engine_close(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(one_engine_does_all),
        harness_test(errors_are_values),
        harness_test(two_engines_share_a_journal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
