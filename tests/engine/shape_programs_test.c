/*
 * shape_programs_test.c - shapes as programs see them that nobody here wrote: a server's keys
 * that expire, a runtime's clock that drifts, a certificate that has run out, and clocks that
 * jump to and fro. Judged is by differences between clocks, never by how fast anything is.
 */
#include "command.h"
#include "observe.h"
#include "postgresql.h"
#include "program.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)
#define HOUR   (3600 * SECOND)

/* Has the entry in passwd(5) that postgresql wants of its user, who may not be root. */
#define NOBODY 65534

/* Skews with one shape; when that began. */
static int64_t inject(pid_t pid, const char *option, const char *value)
{
    struct run run = skewctl_run("inject", "-p", harness_format("%d", pid), option, value, NULL);
    run_expect(&run, 0);
    run = skewctl_run("list", "-o", "json", NULL);
    run_expect(&run, 0);
    return harness_time_parse(json_query(run.out, ".injections[0].shape_begin"));
}

#define PACE 100
#define TTL  (100 * SECOND)

/* What a clock shows that has gone at PACE since it began to. */
static int64_t shown(int64_t time_ns, int64_t begin_ns)
{
    return time_ns + (PACE - 1) * (time_ns - begin_ns);
}

/* redis keeps its times in milliseconds. */
static void redis_keys_expire_early(void **state)
{
    (void)state;
    const int64_t slack = 2000000;
    const char *missing = program_missing("redis");
    if (missing)
        harness_skip("%s", missing);
    struct child *redis = program_start("redis");
    int64_t first = harness_realtime_ns();
    assert_string_equal(child_ask(redis, "SET soon value EX 100"), "+OK\r");
    int64_t last = harness_realtime_ns();
    assert_string_equal(child_ask(redis, "SET late value EX 100000"), "+OK\r");
    int64_t begin = inject(redis->pid, "--rate", "100");
    for (;;) {
        int64_t before = harness_realtime_ns();
        const char *there = child_ask(redis, "EXISTS soon");
        int64_t after = harness_realtime_ns();
        if (strcmp(there, ":1\r") != 0) {
            assert_string_equal(there, ":0\r");
            assert_true(shown(after, begin) >= first + TTL - slack);
            /* Nothing but the skew can have made it so. */
            assert_true(after < last + TTL);
            break;
        }
        assert_true(shown(before, begin) <= last + TTL + slack);
        harness_sleep_ms(2);
    }
    assert_string_equal(child_ask(redis, "EXISTS late"), ":1\r");
    program_recover("redis", redis);
    assert_string_equal(child_ask(redis, "EXISTS late"), ":1\r");
}

/* A millisecond of System.currentTimeMillis(), in nanoseconds, and when it began, by a clock that
 * is not skewed. */
struct turn {
    int64_t shown, first, last;
};

static struct turn turn_of(struct child *java)
{
    struct turn turn;
    const char *said = child_ask(java, "turn");
    if (sscanf(said, "%" SCNd64 " %" SCNd64 " %" SCNd64, &turn.shown, &turn.first, &turn.last) != 3)
        fail_msg("the turn of a millisecond: %s", said);
    turn.shown *= 1000000;
    return turn;
}

/* Watches for as long as it takes to tell the drift to within 2 % of it, in millionths. */
static void drift_expect(struct child *java, double expected)
{
    double tolerance = 0.02 * (expected < 0 ? -expected : expected);
    int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    struct turn begin = turn_of(java);
    for (;;) {
        harness_sleep_ms(200);
        struct turn now = turn_of(java);
        double passed = (double)(now.shown - begin.shown);
        double low = (passed / (double)(now.last - begin.first) - 1) * 1e6;
        double high = (passed / (double)(now.first - begin.last) - 1) * 1e6;
        if (low >= expected - tolerance && high <= expected + tolerance)
            return;
        if (low > expected + tolerance || high < expected - tolerance)
            fail_msg("a drift of %.3f to %.3f ppm, not %.0f", low, high, expected);
        if (harness_monotonic_ns() > end)
            fail_msg("the drift is known only to within %.3f to %.3f ppm", low, high);
    }
}

static void java_drifts_by_200_ppm(void **state)
{
    (void)state;
    const char *missing = program_missing("java");
    if (missing)
        harness_skip("%s", missing);
    struct child *java = program_start("java");
    inject(java->pid, "--rate", "+200ppm");
    drift_expect(java, 200);
    inject(java->pid, "--rate", "-200ppm");
    drift_expect(java, -200);
    program_recover("java", java);
    child_send(java, "quit");
    assert_int_equal(child_wait(java, HARNESS_DEADLINE_MS), 0);
}

/* openssl verify reads the time with time(). */
static void openssl_sees_an_expired_certificate(void **state)
{
    (void)state;
    static const struct {
        const char *option, *value, *fault;
    } skews[] = {{"--offset", "3650d", "certificate has expired"},
                 {"--step", "0:3650d", "certificate has expired"},
                 {"--ramp", "3650d/1us", "certificate has expired"},
                 {"--step", "0:20d,1us:20d", "certificate has expired"},
                 {"--ramp", "-3650d/1us", "certificate is not yet valid"},
                 {"--offset", "10d", NULL},
                 {"--step", "1h:3650d", NULL},
                 {"--ramp", "3650d/200d", NULL}};
    if (!harness_program("openssl"))
        harness_skip("there is no openssl");
    const char *key = harness_format("%s/key.pem", harness_home());
    const char *certificate = harness_format("%s/certificate.pem", harness_home());
    struct run made = program_run(
        (const char *const[]){"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                              "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=tested", "-days",
                              "30", "-keyout", key, "-out", certificate, NULL},
        NULL, HARNESS_DEADLINE_MS);
    run_expect(&made, 0);
    const char *const verify[] = {"openssl", "verify", "-CAfile", certificate, certificate, NULL};
    struct run run = program_run(verify, NULL, HARNESS_DEADLINE_MS);
    run_expect(&run, 0);
    for (size_t i = 0; i < sizeof skews / sizeof *skews; i++) {
        const char *const options[] = {skews[i].option, skews[i].value, NULL};
        run = program_run(skewctl_run_arguments(options, verify), NULL, HARNESS_DEADLINE_MS);
        run_expect(&run, skews[i].fault ? 2 : 0);
        if (skews[i].fault && !strstr(run.err, skews[i].fault))
            fail_msg("%s %s: openssl says: %s", skews[i].option, skews[i].value, run.err);
    }
}

#define STROBE      "200ms/10ms"
#define STROBE_HIGH (200 * SECOND / 1000)
#define STROBE_SPAN (SECOND / 100)
/* Clocks of two processors need not agree to the nanosecond. */
#define STROBE_EDGE 20000

/*
 * On which of its two levels a strobe was between two instants: 1 or 0, or -1 where it
 * was on both, or may have been.
 */
static int strobe_level(int64_t before, int64_t after, int64_t begin)
{
    int64_t first = (before - STROBE_EDGE - begin) / STROBE_SPAN;
    int64_t last = (after + STROBE_EDGE - begin) / STROBE_SPAN;
    return first == last ? first % 2 == 0 : -1;
}

/*
 * Asks for the time, which is told down to `resolution`, until each level was met often
 * enough; no answer may be on neither.
 */
static void strobe_expect(struct child *asked, int64_t (*now)(struct child *), int64_t resolution,
                          int64_t begin)
{
    int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    unsigned met[2] = {0, 0};
    while (met[0] < 20 || met[1] < 20) {
        if (harness_monotonic_ns() > end)
            fail_msg("the levels were met %u and %u times", met[0], met[1]);
        struct keep *mark = harness_mark();
        int64_t before = harness_realtime_ns();
        int64_t said = now(asked);
        int64_t after = harness_realtime_ns();
        harness_release(mark);
        int level = strobe_level(before, after, begin);
        int64_t low = said - after - STROBE_EDGE;
        int64_t high = said + resolution - 1 - before + STROBE_EDGE;
        bool on[2] = {low <= 0 && high >= 0, low <= STROBE_HIGH && high >= STROBE_HIGH};
        if (level < 0 ? !on[0] && !on[1] : !on[level])
            fail_msg("off by %" PRId64 " to %" PRId64 " ns on level %d", low, high, level);
        if (level >= 0)
            met[level]++;
    }
}

static int64_t ticker_now(struct child *ticker)
{
    int64_t now;
    const char *said = child_ask(ticker, "now");
    if (sscanf(said, "%" SCNd64, &now) != 1)
        fail_msg("\"%s\" where a time was due", said);
    return now;
}

static void ticker_shows_a_strobe(const char *name)
{
    const char *missing = program_missing(name);
    if (missing)
        harness_skip("%s", missing);
    struct child *ticker = program_start(name);
    int64_t begin = inject(ticker->pid, "--strobe", STROBE);
    strobe_expect(ticker, ticker_now, 1, begin);
    program_check(name, ticker, 20);
    program_recover(name, ticker);
    child_send(ticker, "quit");
    assert_int_equal(child_wait(ticker, HARNESS_DEADLINE_MS), 0);
}

static void python_shows_a_strobe(void **state)
{
    (void)state;
    ticker_shows_a_strobe("python");
}

static void go_shows_a_strobe(void **state)
{
    (void)state;
    ticker_shows_a_strobe("go");
}

static void postgresql_shows_a_strobe(void **state)
{
    (void)state;
    if (!postgresql_installed())
        harness_skip("there is no postgresql");
    uid_t user = geteuid() == 0 ? NOBODY : geteuid();
    const char *folder = harness_directory(user);
    struct child *server = postgresql_start(folder, user);
    struct child *connection = postgresql_connect(folder);
    pid_t backend = postgresql_backend(connection);
    /* The first time it is asked it opens files, which it keeps. */
    postgresql_now(connection);
    struct snapshot before = snapshot_take(backend);
    int64_t begin = inject(backend, "--strobe", STROBE);
    strobe_expect(connection, postgresql_now, 1000, begin);
    struct run run = skewctl_run("recover", "-p", harness_format("%d", backend), NULL);
    run_expect(&run, 0);
    snapshot_expect(&before, backend);
    postgresql_disconnect(connection);
    postgresql_stop(server);
}

/*
 * Each value that a program of another libc sees is judged by itself, in the shortest of
 * intervals; where a measurement meets both levels, its lower limit is that of the upper one.
 */
static void musl_static_shows_a_strobe(void **state)
{
    (void)state;
    if (!victim_path("clock_reader_musl"))
        harness_skip("there was no musl-gcc");
    struct child *reader = victim_start("clock_reader_musl", "4", NULL);
    struct snapshot before = snapshot_take(reader->pid);
    clock_reader_allow(reader, "realtime", HOUR);
    inject(reader->pid, "--strobe", "1h/50us");
    static const char *const entries[] = {"clock_gettime 0", "gettimeofday"};
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
        for (;;) {
            struct skew_range range = clock_reader_measure(reader, entries[i]);
            if (range.low_ns > HOUR - SECOND / 10 && range.high_ns < SECOND / 10)
                break;
            if (harness_monotonic_ns() > end)
                fail_msg("%s is off by %" PRId64 "..%" PRId64 " ns", entries[i], range.low_ns,
                         range.high_ns);
        }
    }
    victim_check_progress(reader, 200);
    struct run run = skewctl_run("recover", "-p", harness_format("%d", reader->pid), NULL);
    run_expect(&run, 0);
    clock_reader_forbid(reader, "realtime", HOUR);
    victim_check_progress(reader, 200);
    snapshot_expect(&before, reader->pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(redis_keys_expire_early),
        harness_test(java_drifts_by_200_ppm),
        harness_test(openssl_sees_an_expired_certificate),
        harness_test(python_shows_a_strobe),
        harness_test(go_shows_a_strobe),
        harness_test(postgresql_shows_a_strobe),
        harness_test(musl_static_shows_a_strobe),
    };
    return cmocka_run_group_tests_name("shapes in programs of others", tests, NULL, NULL);
}
