/* See command.h. */
#include "command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARGUMENTS_MAX 512

const char *skewctl_path(void)
{
    const char *path = getenv("SKEWCTL");
    return path && *path ? path : TESTS_SKEWCTL;
}

const char *skewctl_journal(void)
{
    return harness_format("%s/journal.db", harness_home());
}

/* NULL-terminated: skewctl, first, the rest, --journal FILE. */
static const char **collect(const char *file, const char *first, va_list rest)
{
    const char **argv = harness_memory((ARGUMENTS_MAX + 4) * sizeof *argv);
    size_t count = 0;
    argv[count++] = skewctl_path();
    for (const char *argument = first; argument; argument = va_arg(rest, const char *)) {
        if (count == ARGUMENTS_MAX)
            fail_msg("too many arguments");
        argv[count++] = argument;
    }
    argv[count++] = "--journal";
    argv[count] = file;
    return argv;
}

const char *const *skewctl_arguments(const char *argument, ...)
{
    va_list rest;
    va_start(rest, argument);
    const char *const *argv = collect(skewctl_journal(), argument, rest);
    va_end(rest);
    return argv;
}

static size_t append(const char **argv, size_t count, const char *const more[])
{
    for (; *more; more++) {
        if (count == ARGUMENTS_MAX)
            fail_msg("too many arguments");
        argv[count++] = *more;
    }
    return count;
}

const char *const *skewctl_run_arguments(const char *const options[], const char *const command[])
{
    const char **argv = harness_memory((ARGUMENTS_MAX + 1) * sizeof *argv);
    const char *const front[] = {skewctl_path(), "run", "--journal", skewctl_journal(), NULL};
    size_t count = append(argv, 0, front);
    count = append(argv, count, options);
    count = append(argv, count, (const char *const[]){"--", NULL});
    append(argv, count, command);
    return argv;
}

struct run skewctl_run(const char *argument, ...)
{
    va_list rest;
    va_start(rest, argument);
    const char *const *argv = collect(skewctl_journal(), argument, rest);
    va_end(rest);
    return program_run(argv, NULL, HARNESS_DEADLINE_MS);
}

struct run skewctl_run_as(uid_t user, const char *argument, ...)
{
    va_list rest;
    va_start(rest, argument);
    const char *folder = harness_directory(user);
    const char *copy = harness_format("%s/skewctl", folder);
    const char **argv = collect(harness_format("%s/journal.db", folder), argument, rest);
    va_end(rest);
    struct run copied =
        program_run((const char *const[]){"cp", argv[0], copy, NULL}, NULL, HARNESS_DEADLINE_MS);
    run_expect(&copied, 0);
    argv[0] = copy;
    return program_run((const char *const *)argv, &(struct start){.user = user},
                       HARNESS_DEADLINE_MS);
}

const char *skewctl_inject(pid_t pid, const char *offset)
{
    struct run run = skewctl_run("inject", "-p", harness_format("%d", pid), "--offset", offset,
                                 "-o", "json", NULL);
    run_expect(&run, 0);
    return run.out;
}

const char *skewctl_recover(pid_t pid)
{
    struct run run = skewctl_run("recover", "-p", harness_format("%d", pid), "-o", "json", NULL);
    run_expect(&run, 0);
    return run.out;
}

void run_expect(const struct run *run, int code)
{
    if (run->code != code)
        fail_msg("exit code %d (signal %d) where %d was due\nstdout: %s\nstderr: %s", run->code,
                 run->signal, code, run->out, run->err);
}

void run_expect_error(const struct run *run, int code)
{
    run_expect(run, code);
    const char *newline = strchr(run->err, '\n');
    if (!newline || newline == run->err || newline[1] || *run->out)
        fail_msg("not one line on stderr and nothing on stdout\nstdout: %s\nstderr: %s", run->out,
                 run->err);
}

const char *json_query(const char *json, const char *filter)
{
    const char *path = harness_format("%s/query.json", harness_home());
    FILE *file = fopen(path, "we");
    if (!file || fputs(json, file) < 0 || fclose(file) != 0)
        fail_msg("%s: %s", path, strerror(errno));
    struct run run = program_run((const char *const[]){"jq", "-r", filter, path, NULL}, NULL,
                                 HARNESS_DEADLINE_MS);
    if (run.code != 0)
        fail_msg("jq '%s' failed: %s on\n%s", filter, run.err, json);
    return harness_format("%.*s", (int)strcspn(run.out, "\n"), run.out);
}
