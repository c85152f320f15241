/* See program.h. */
#include "program.h"

#include "command.h"
#include "observe.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* One program under several names, of which the server's own comes with a service. */
#define REDIS "redis-check-rdb"

const char *program_missing(const char *name)
{
    if (strcmp(name, "python") == 0)
        return harness_program("python3") ? NULL : "there is no python3";
    if (strcmp(name, "go") == 0)
        return victim_path("ticker_go") ? NULL : "there was no Go compiler";
    if (strcmp(name, "java") == 0)
        return victim_path("Ticker.class") && harness_program("java")
                   ? NULL
                   : "there is no Java virtual machine, or was no compiler";
    return harness_program(REDIS) ? NULL : "there is no redis";
}

static struct child *ticker_start(const char *const argv[])
{
    struct child *ticker = child_start(argv, NULL);
    assert_string_equal(child_line(ticker, HARNESS_DEADLINE_MS), "ready");
    return ticker;
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        fail_msg("%s is too long for a socket", path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    int end = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (end >= 0 && connect(end, (struct sockaddr *)&address, sizeof address) == 0)
        return end;
    if (end >= 0)
        close(end);
    return -1;
}

/* Its lines come and go through a connection, not through the pipes that it was started with. */
static struct child *redis_start(void)
{
    const char *folder = harness_directory(geteuid());
    const char *server = harness_format("%s/redis-server", folder);
    assert_int_equal(symlink(harness_program(REDIS), server), 0);
    const char *path = harness_format("%s/socket", folder);
    struct child *redis = child_start(
        (const char *const[]){server, "--port", "0", "--unixsocket", path, "--dir", folder,
                              "--save", "", "--daemonize", "no", "--logfile", "log", NULL},
        NULL);
    int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    int connection;
    while ((connection = connect_to(path)) < 0) {
        if (!child_alive(redis) || harness_monotonic_ns() > end)
            fail_msg("redis-server does not answer");
        harness_sleep_ms(20);
    }
    close(redis->input);
    close(redis->output);
    redis->input = connection;
    redis->output = dup(connection);
    assert_string_equal(child_ask(redis, "PING"), "+PONG\r");
    return redis;
}

struct child *program_start(const char *name)
{
    if (strcmp(name, "python") == 0)
        return ticker_start((const char *const[]){"python3", victim_path("ticker.py"), NULL});
    if (strcmp(name, "go") == 0)
        return ticker_start((const char *const[]){victim_path("ticker_go"), NULL});
    if (strcmp(name, "java") == 0)
        return ticker_start(
            (const char *const[]){"java", "-cp", victim_path("."), "-Xmx64m", "Ticker", NULL});
    return redis_start();
}

/* An array of two strings, each behind a line with its length. */
static struct skew_range redis_measure(struct child *redis)
{
    int64_t before = harness_realtime_ns();
    assert_string_equal(child_ask(redis, "TIME"), "*2\r");
    int64_t parts[2];
    for (int i = 0; i < 2; i++) {
        child_line(redis, HARNESS_DEADLINE_MS);
        const char *part = child_line(redis, HARNESS_DEADLINE_MS);
        if (sscanf(part, "%" SCNd64, &parts[i]) != 1)
            fail_msg("redis answered TIME with: %s", part);
    }
    int64_t after = harness_realtime_ns();
    int64_t now = parts[0] * INT64_C(1000000000) + parts[1] * 1000;
    return (struct skew_range){now - after, now + 999 - before};
}

struct skew_range program_measure(const char *name, struct child *program)
{
    return strcmp(name, "redis") == 0 ? redis_measure(program) : ticker_measure(program);
}

void program_check(const char *name, struct child *program, int64_t more)
{
    if (strcmp(name, "redis") == 0)
        assert_string_equal(child_ask(program, "PING"), "+PONG\r");
    else
        victim_check_progress(program, more);
}

void program_recover(const char *name, struct child *program)
{
    const int64_t deadline = HARNESS_DEADLINE_MS * INT64_C(1000000);
    int64_t end = harness_monotonic_ns() + deadline;
    struct run run;
    do {
        run = skewctl_run("recover", "-p", harness_format("%d", program->pid), NULL);
        if (run.code != 7)
            run_expect(&run, 0);
        skew_range_expect(program_measure(name, program), 0, deadline);
    } while (run.code == 7 && harness_monotonic_ns() < end);
    run_expect(&run, 0);
    struct vdso own = observe_vdso_own(), vdso = observe_vdso(program->pid);
    assert_int_equal(vdso.size, own.size);
    assert_memory_equal(vdso.bytes, own.bytes, own.size);
    observe_untraced(program->pid);
}
