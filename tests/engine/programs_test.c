/*
 * programs_test.c - targets that nobody here wrote: an interpreter, a server,
 * runtimes that find the vDSO by themselves, another libc. Each is skewed,
 * changed, recovered, and goes on working.
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define MINUTE INT64_C(60000000000)

/* No bound on how finely: the answer travels through pipes and foreign runtimes. */
#define ANY_WIDTH (MINUTE / 2)

/* How a program of some kind is asked for the time and for its health. */
struct program {
    struct child *child;
    struct skew_range (*measure)(struct program *program);
    void (*check)(struct program *program);
    const char *socket;
};

static void expect(struct program *program, int64_t offset)
{
    skew_range_expect(program->measure(program), offset, ANY_WIDTH);
    program->check(program);
}

/*
 * Runtimes that interrupt their threads with signals may be caught inside the
 * image: then the clocks are right at once and the image goes with a later call.
 */
static void recover_at_last(struct program *program, pid_t pid)
{
    int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    for (;;) {
        struct run run = skewctl_run("recover", "-p", harness_format("%d", pid), NULL);
        if (run.code != 7 || harness_monotonic_ns() > end) {
            run_expect(&run, 0);
            return;
        }
        expect(program, 0);
    }
}

static void cycle(struct program *program)
{
    pid_t pid = program->child->pid;
    struct vdso before = observe_vdso(pid);
    size_t code = observe_code_mappings(pid);
    expect(program, 0);

    skewctl_inject(pid, "-5m");
    assert_int_equal(observe_code_mappings(pid), code + 1);
    expect(program, -5 * MINUTE);

    skewctl_inject(pid, "+1h30m");
    assert_int_equal(observe_code_mappings(pid), code + 1);
    expect(program, 90 * MINUTE);

    recover_at_last(program, pid);
    assert_int_equal(observe_code_mappings(pid), code);
    struct vdso after = observe_vdso(pid);
    assert_int_equal(after.size, before.size);
    assert_memory_equal(after.bytes, before.bytes, before.size);
    observe_untraced(pid);
    expect(program, 0);
}

static struct skew_range ticker_program_measure(struct program *program)
{
    return ticker_measure(program->child);
}

static void ticker_program_check(struct program *program)
{
    victim_check_progress(program->child, 20);
}

static void ticker_cycle(const char *const argv[])
{
    struct program program = {.child = child_start(argv, NULL),
                              .measure = ticker_program_measure,
                              .check = ticker_program_check};
    assert_string_equal(child_line(program.child, HARNESS_DEADLINE_MS), "ready");
    cycle(&program);
    child_send(program.child, "quit");
    assert_int_equal(child_wait(program.child, HARNESS_DEADLINE_MS), 0);
}

static void python(void **state)
{
    (void)state;
    if (!harness_program("python3"))
        harness_skip("there is no python3");
    ticker_cycle((const char *const[]){"python3", victim_path("ticker.py"), NULL});
}

static void go(void **state)
{
    (void)state;
    if (!victim_path("ticker_go"))
        harness_skip("there was no Go compiler");
    ticker_cycle((const char *const[]){victim_path("ticker_go"), NULL});
}

static void java(void **state)
{
    (void)state;
    if (!victim_path("Ticker.class") || !harness_program("java"))
        harness_skip("there is no Java virtual machine, or was no compiler");
    ticker_cycle((const char *const[]){"java", "-cp", victim_path("."), "-Xmx64m", "Ticker", NULL});
}

static struct run redis_ask(struct program *program, const char *command)
{
    return program_run((const char *const[]){"redis-cli", "-s", program->socket, command, NULL},
                       NULL, HARNESS_DEADLINE_MS);
}

static struct skew_range redis_measure(struct program *program)
{
    int64_t before = harness_realtime_ns();
    struct run run = redis_ask(program, "TIME");
    int64_t after = harness_realtime_ns(), seconds, microseconds;
    run_expect(&run, 0);
    if (sscanf(run.out, "%" SCNd64 " %" SCNd64, &seconds, &microseconds) != 2)
        fail_msg("redis answered TIME with: %s", run.out);
    int64_t now = seconds * INT64_C(1000000000) + microseconds * 1000;
    return (struct skew_range){now - after, now + 999 - before};
}

static void redis_check(struct program *program)
{
    struct run run = redis_ask(program, "PING");
    run_expect(&run, 0);
    assert_string_equal(run.out, "PONG\n");
}

static void redis(void **state)
{
    (void)state;
    /* One program under several names, of which the server's comes with a service. */
    const char *binary = harness_program("redis-check-rdb");
    if (!binary || !harness_program("redis-cli"))
        harness_skip("there is no redis");
    const char *folder = harness_home();
    const char *server = harness_format("%s/redis-server", folder);
    assert_int_equal(symlink(binary, server), 0);
    const char *socket = harness_format("%s/socket", folder);
    struct program program = {
        .child = child_start((const char *const[]){server, "--port", "0", "--unixsocket", socket,
                                                   "--dir", folder, "--save", "", "--daemonize",
                                                   "no", "--logfile", "log", NULL},
                             NULL),
        .measure = redis_measure,
        .check = redis_check,
        .socket = socket,
    };
    int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    while (redis_ask(&program, "PING").code != 0) {
        if (!child_alive(program.child) || harness_monotonic_ns() > end)
            fail_msg("redis-server does not answer");
        harness_sleep_ms(20);
    }
    cycle(&program);
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
