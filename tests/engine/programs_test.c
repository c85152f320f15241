/*
 * programs_test.c - targets that nobody here wrote: an interpreter, a server,
 * runtimes that find the vDSO by themselves, another libc. Each is skewed,
 * changed, recovered, and goes on working.
 */
#include "command.h"
#include "observe.h"
#include "program.h"

#define MINUTE INT64_C(60000000000)

/* No bound on how finely: the answer travels through pipes and foreign runtimes. */
#define ANY_WIDTH (MINUTE / 2)

struct program {
    const char *name;
    struct child *child;
};

static void expect(const struct program *program, int64_t offset)
{
    skew_range_expect(program_measure(program->name, program->child), offset, ANY_WIDTH);
    program_check(program->name, program->child, 20);
}

static struct child *cycle(const char *name)
{
    const char *missing = program_missing(name);
    if (missing)
        harness_skip("%s", missing);
    struct program program = {name, program_start(name)};
    pid_t pid = program.child->pid;
    size_t code = observe_code_mappings(pid);
    expect(&program, 0);

    skewctl_inject(pid, "-5m");
    assert_int_equal(observe_code_mappings(pid), code + 1);
    expect(&program, -5 * MINUTE);

    skewctl_inject(pid, "+1h30m");
    assert_int_equal(observe_code_mappings(pid), code + 1);
    expect(&program, 90 * MINUTE);

    program_recover(name, program.child);
    assert_int_equal(observe_code_mappings(pid), code);
    expect(&program, 0);
    return program.child;
}

static void ticker_cycle(const char *name)
{
    struct child *ticker = cycle(name);
    child_send(ticker, "quit");
    assert_int_equal(child_wait(ticker, HARNESS_DEADLINE_MS), 0);
}

static void python(void **state)
{
    (void)state;
    ticker_cycle("python");
}

static void go(void **state)
{
    (void)state;
    ticker_cycle("go");
}

static void java(void **state)
{
    (void)state;
    ticker_cycle("java");
}

static void redis(void **state)
{
    (void)state;
    cycle("redis");
}

static void musl_static(void **state)
{
    (void)state;
    if (!victim_path("clock_reader_musl"))
        harness_skip("there was no musl-gcc");
    struct child *reader = victim_start("clock_reader_musl", "4", NULL);
    struct snapshot before = snapshot_take(reader->pid);
    clock_reader_allow(reader, "realtime", -5 * MINUTE);
    skewctl_inject(reader->pid, "-5m");
    clock_reader_forbid(reader, "realtime", 0);
    victim_check_progress(reader, 200);
    clock_reader_expect_all(reader, -5 * MINUTE);
    clock_reader_allow(reader, "realtime", 0);
    skewctl_recover(reader->pid);
    clock_reader_forbid(reader, "realtime", -5 * MINUTE);
    victim_check_progress(reader, 200);
    snapshot_expect(&before, reader->pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(python), harness_test(redis),       harness_test(go),
        harness_test(java),   harness_test(musl_static),
    };
    return cmocka_run_group_tests_name("programs", tests, NULL, NULL);
}
