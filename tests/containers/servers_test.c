/*
 * servers_test.c - servers of several processes that nobody here wrote, some of
 * which are forked while their parent is skewed: postgresql and its backends,
 * nginx and its workers, redis and the child that saves. All show the skew, and
 * after a recover none of them differs from how the kernel made it.
 */
#include "engine/skewctl.h"

#include "command.h"
#include "observe.h"
#include "postgresql.h"
#include "program.h"
#include "world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)
#define MINUTE (60 * SECOND)

#define SERVER_FOLDER WORLD_USER_HOME "/server"

/* A server's processes at one moment; those of these tests do not end by themselves soon after. */
struct members {
    pid_t *pid;
    size_t count;
    const char *list; /* as skewctl -p takes it */
};

static struct members members_of(pid_t root)
{
    const struct skew_selector selector = {.kind = SKEW_SELECT_TREE, .pid = root};
    struct skew_error error = {0};
    struct members members = {.list = ""};
    pid_t *pids = NULL;
    if (skew_select(&selector, 1, false, &pids, &members.count, &error) != SKEW_OK)
        fail_msg("%s", error.message);
    members.pid = harness_memory((members.count + 1) * sizeof *members.pid);
    for (size_t i = 0; i < members.count; i++) {
        members.pid[i] = pids[i];
        members.list = harness_format("%s%s%d", members.list, i ? "," : "", pids[i]);
    }
    free(pids);
    return members;
}

static void inject(pid_t root, const char *offset)
{
    struct run run = skewctl_run("inject", "-p", members_of(root).list, "--offset", offset, NULL);
    run_expect(&run, 0);
}

/* The whole server; then nothing is left in any process of this world, nor in the journal. */
static void recover(pid_t root, size_t at_least)
{
    struct members members = members_of(root);
    assert_true(members.count >= at_least);
    struct run run = skewctl_run("recover", "-p", members.list, NULL);
    run_expect(&run, 0);
    run = skewctl_run("scan", "-o", "json", NULL);
    run_expect(&run, 0);
    assert_string_equal(json_query(run.out, ".traces | length"), "0");
    run = skewctl_run("list", "-o", "json", NULL);
    run_expect(&run, 0);
    assert_string_equal(json_query(run.out, ".injections | length"), "0");

    struct vdso own = observe_vdso_own();
    for (size_t i = 0; i < members.count; i++) {
        struct vdso vdso = observe_vdso(members.pid[i]);
        assert_int_equal(vdso.size, own.size);
        assert_memory_equal(vdso.bytes, own.bytes, own.size);
        assert_int_equal(observe_code_mappings(members.pid[i]), 0);
        observe_untraced(members.pid[i]);
    }
}

static void connection_expect(struct child *connection, int64_t offset)
{
    int64_t before = harness_realtime_ns();
    int64_t now = postgresql_now(connection);
    int64_t after = harness_realtime_ns();
    skew_range_expect((struct skew_range){now - after, now + 999 - before}, offset, MINUTE);
}

static void postgresql(void **state)
{
    (void)state;
    if (!postgresql_installed())
        harness_skip("there is no postgresql; scripts/setup --test installs it");
    struct child *server = postgresql_start(SERVER_FOLDER, WORLD_USER);
    struct child *connections[3] = {postgresql_connect(SERVER_FOLDER)};
    connection_expect(connections[0], 0);

    inject(server->pid, "-5m");
    connection_expect(connections[0], -5 * MINUTE);
    connections[1] = postgresql_connect(SERVER_FOLDER);
    connection_expect(connections[1], -5 * MINUTE);

    /* The server, what runs in its background, and the two backends. */
    recover(server->pid, 4);
    connections[2] = postgresql_connect(SERVER_FOLDER);
    for (size_t i = 0; i < 3; i++) {
        connection_expect(connections[i], 0);
        postgresql_disconnect(connections[i]);
    }
    postgresql_stop(server);
}

#define PORT    80
#define WORKERS 3

/* What one request to nginx, over a connection of its own, is answered. */
struct answer {
    pid_t worker;
    struct skew_range skew; /* of the Date header */
};

static bool ask_nginx(struct answer *answer)
{
    static const char request[] = "GET / HTTP/1.0\r\n\r\n";
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char text[2048];
    size_t length = 0;
    ssize_t got = -1;
    int64_t before = harness_realtime_ns();
    int end = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct timeval deadline = {.tv_sec = HARNESS_DEADLINE_MS / 1000};
    setsockopt(end, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline);
    if (connect(end, (const struct sockaddr *)&address, sizeof address) == 0 &&
        send(end, request, sizeof request - 1, MSG_NOSIGNAL) > 0)
        while ((got = recv(end, text + length, sizeof text - 1 - length, 0)) > 0)
            length += (size_t)got;
    close(end);
    int64_t after = harness_realtime_ns();
    text[length] = 0;
    const char *date = strstr(text, "\r\nDate: "), *body = strstr(text, "\r\n\r\n");
    struct tm broken = {0};
    if (got != 0 || !date || !body || !strptime(date + 8, "%a, %d %b %Y %T GMT", &broken))
        return false;
    int64_t now = timegm(&broken) * SECOND;
    *answer = (struct answer){atoi(body + 4), {now - after, now + SECOND - before}};
    return true;
}

/*
 * Asks until each worker has answered, and with `replaced` none of those before;
 * the kernel spreads the connections among them. *workers is who they are.
 */
static void workers_expect(pid_t workers[WORKERS], const pid_t replaced[WORKERS], int64_t offset)
{
    int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    size_t count = 0;
    while (count < WORKERS) {
        if (harness_monotonic_ns() > end)
            fail_msg("only %zu workers of nginx answer", count);
        struct answer answer;
        if (!ask_nginx(&answer)) {
            harness_sleep_ms(20);
            continue;
        }
        skew_range_expect(answer.skew, offset, MINUTE);
        bool known = false;
        for (size_t i = 0; i < WORKERS; i++)
            known = known || (replaced && replaced[i] == answer.worker);
        for (size_t i = 0; i < count; i++)
            known = known || workers[i] == answer.worker;
        if (!known)
            workers[count++] = answer.worker;
    }
}

/* Those that a reload replaced end when their last connection has. */
static void members_await(pid_t root, size_t count)
{
    int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    while (members_of(root).count != count) {
        if (harness_monotonic_ns() > end)
            fail_msg("%zu processes where %zu were due", members_of(root).count, count);
        harness_sleep_ms(20);
    }
}

static struct child *nginx_start(void)
{
    const char *path = SERVER_FOLDER "/nginx.conf";
    const char *text = harness_format(
        "daemon off; worker_processes %d; pid nginx.pid; error_log error.log;"
        "events {} http { access_log off; client_body_temp_path a; proxy_temp_path b;"
        "fastcgi_temp_path c; uwsgi_temp_path d; scgi_temp_path e;"
        "server { listen 127.0.0.1:%d reuseport; location / { return 200 \"$pid\\n\"; } } }\n",
        WORKERS, PORT);
    struct run made = program_run((const char *const[]){"mkdir", "-p", SERVER_FOLDER, NULL}, NULL,
                                  HARNESS_DEADLINE_MS);
    run_expect(&made, 0);
    FILE *file = fopen(path, "we");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0)
        fail_msg("%s: %s", path, strerror(errno));
    return child_start(
        (const char *const[]){"nginx", "-p", SERVER_FOLDER, "-e", "error.log", "-c", path, NULL},
        NULL);
}

static void nginx(void **state)
{
    (void)state;
    if (!harness_program("nginx"))
        harness_skip("there is no nginx; scripts/setup --check installs it");
    struct child *server = nginx_start();
    pid_t first[WORKERS], second[WORKERS];
    workers_expect(first, NULL, 0);

    inject(server->pid, "-5m");
    workers_expect(first, NULL, -5 * MINUTE);
    /* Workers that were never injected take over from those that were. */
    assert_int_equal(kill(server->pid, SIGHUP), 0);
    workers_expect(second, first, -5 * MINUTE);
    members_await(server->pid, 1 + WORKERS);

    recover(server->pid, 1 + WORKERS);
    workers_expect(second, NULL, 0);
    assert_int_equal(kill(server->pid, SIGQUIT), 0);
    assert_int_equal(child_wait(server, HARNESS_DEADLINE_MS), 0);
}

/* How long the child saves: longer than what is done meanwhile takes. */
#define KEYS   24
#define KEY_US "500000"

static void save_begin(struct child *redis)
{
    assert_string_equal(child_ask(redis, "CONFIG SET rdb-key-save-delay " KEY_US), "+OK\r");
    for (int i = 0; i < KEYS; i++)
        assert_string_equal(child_ask(redis, harness_format("SET key%d value", i)), "+OK\r");
    assert_string_equal(child_ask(redis, "BGSAVE"), "+Background saving started\r");
    assert_int_equal(members_of(redis->pid).count, 2);
}

static void redis_expect(struct child *redis, int64_t offset)
{
    skew_range_expect(program_measure("redis", redis), offset, MINUTE);
}

static bool redis_says(struct child *redis, const char *wanted)
{
    child_send(redis, "INFO persistence");
    bool said = false;
    for (const char *line; strcmp(line = child_line(redis, HARNESS_DEADLINE_MS), "\r") != 0;)
        said = said || strcmp(line, wanted) == 0;
    return said;
}

/* The child ends well: redis would say so otherwise. */
static void save_finish(struct child *redis)
{
    int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    while (redis_says(redis, "rdb_bgsave_in_progress:1\r")) {
        if (harness_monotonic_ns() > end)
            fail_msg("redis does not end its saving");
        harness_sleep_ms(100);
    }
    assert_true(redis_says(redis, "rdb_last_bgsave_status:ok\r"));
    assert_true(redis_says(redis, "rdb_saves:1\r"));
}

static void redis(void **state)
{
    (void)state;
    const char *missing = program_missing("redis");
    if (missing)
        harness_skip("%s", missing);
    struct child *early = program_start("redis"), *late = program_start("redis");
    save_begin(early);
    inject(early->pid, "-5m");
    redis_expect(early, -5 * MINUTE);
    inject(late->pid, "-5m");
    save_begin(late);
    redis_expect(late, -5 * MINUTE);

    struct members saving = members_of(early->pid);
    assert_int_equal(saving.count, 2);
    struct run run = skewctl_run("recover", "-p", saving.list, NULL);
    run_expect(&run, 0);
    recover(late->pid, 2);
    redis_expect(early, 0);
    redis_expect(late, 0);
    save_finish(early);
    save_finish(late);
}

static int empty(void **state)
{
    struct run run = program_run((const char *const[]){"rm", "-rf", SERVER_FOLDER, NULL}, NULL,
                                 HARNESS_DEADLINE_MS);
    run_expect(&run, 0);
    return harness_teardown(state);
}

static int tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(postgresql, harness_setup, empty),
        cmocka_unit_test_setup_teardown(nginx, harness_setup, empty),
        harness_test(redis),
    };
    return cmocka_run_group_tests_name("servers", tests, NULL, world_expect_empty);
}

int main(void)
{
    return world_run("servers_test", tests);
}
