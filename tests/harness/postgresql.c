/* See postgresql.h. */
#include "postgresql.h"

#include "command.h"

#include <glob.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* A role of the database, whoever is asked to be it. */
#define ROLE "tester"

/* One of its programs; NULL where it is not installed. */
static const char *program(const char *name)
{
    glob_t found;
    const char *path = NULL;
    if (glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &found) == 0) {
        const char *last = found.gl_pathv[found.gl_pathc - 1];
        path = harness_format("%.*s/%s", (int)(strrchr(last, '/') - last), last, name);
    }
    globfree(&found);
    return path;
}

bool postgresql_installed(void)
{
    return program("initdb") != NULL;
}

struct child *postgresql_start(const char *folder, uid_t user)
{
    const struct start start = {.user = user};
    struct run made = program_run((const char *const[]){program("initdb"), "-N", "-A", "trust",
                                                        "-U", ROLE, "-D", folder, NULL},
                                  &start, 2 * HARNESS_DEADLINE_MS);
    run_expect(&made, 0);
    struct child *server = child_start(
        (const char *const[]){program("postgres"), "-D", folder, "-c", "listen_addresses=", "-c",
                              harness_format("unix_socket_directories=%s", folder), "-c",
                              "fsync=off", "-c", "logging_collector=on",
                              /* Else what it shares is left behind where it is killed. */
                              "-c", "dynamic_shared_memory_type=mmap",
                              /* Its workers come and go. */
                              "-c", "autovacuum=off", NULL},
        &start);
    const char *const ready[] = {program("pg_isready"), "-q", "-h", folder, NULL};
    int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    while (program_run(ready, NULL, HARNESS_DEADLINE_MS).code != 0) {
        if (!child_alive(server) || harness_monotonic_ns() > end)
            fail_msg("postgresql does not answer");
        harness_sleep_ms(20);
    }
    return server;
}

void postgresql_stop(struct child *server)
{
    assert_int_equal(kill(server->pid, SIGINT), 0);
    assert_int_equal(child_wait(server, HARNESS_DEADLINE_MS), 0);
}

struct child *postgresql_connect(const char *folder)
{
    return child_start(
        (const char *const[]){program("psql"), "-XqAt", "-h", folder, "-U", ROLE, "postgres", NULL},
        NULL);
}

static int64_t number(struct child *connection, const char *statement)
{
    const char *said = child_ask(connection, statement);
    char *end;
    int64_t value = strtoll(said, &end, 10);
    if (end == said || *end)
        fail_msg("postgresql answered %s with: %s", statement, said);
    return value;
}

pid_t postgresql_backend(struct child *connection)
{
    return (pid_t)number(connection, "select pg_backend_pid();");
}

int64_t postgresql_now(struct child *connection)
{
    return number(connection,
                  "select trunc(extract(epoch from clock_timestamp()) * 1000000)::bigint;") *
           1000;
}

void postgresql_disconnect(struct child *connection)
{
    child_send(connection, "\\q");
    assert_int_equal(child_wait(connection, HARNESS_DEADLINE_MS), 0);
}
