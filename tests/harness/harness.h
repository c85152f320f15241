/*
 * harness.h - what all tests share: processes that are always cleaned up,
 * conversations and runs with a deadline, and memory that lives as long as the
 * test. See also command.h (running skewctl), victim.h (target programs) and
 * observe.h (what can be seen of a process).
 *
 * Any failure in here fails the running cmocka test; in a program without
 * cmocka tests it ends the program. Either way every process started here is
 * killed and reaped by its pid: in the teardown, at exit, and, should the test
 * program itself be killed, by the kernel (PR_SET_PDEATHSIG).
 *
 * Whatever a function returns by pointer belongs to the harness and lives
 * until harness_teardown. Times are milliseconds unless a name says otherwise.
 * One thread only.
 */
#ifndef TESTS_HARNESS_H
#define TESTS_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

/* Long enough for anything that works, however slow and loaded the machine is. */
#define HARNESS_DEADLINE_MS 30000

/* For cmocka_unit_test_setup_teardown; a plain program may call them with NULL. */
int harness_setup(void **state);
int harness_teardown(void **state);
#define harness_test(function)                                                                     \
    cmocka_unit_test_setup_teardown(function, harness_setup, harness_teardown)

/* Says why on stdout, so that scripts/test can list it, and skips the running test. */
#define harness_skip(...)                                                                          \
    do {                                                                                           \
        harness_skip_say(__func__, __VA_ARGS__);                                                   \
        skip();                                                                                    \
    } while (0)
void harness_skip_say(const char *test, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* CLOCK_MONOTONIC and CLOCK_REALTIME in nanoseconds; true time, nobody skews the tests. */
int64_t harness_monotonic_ns(void);
int64_t harness_realtime_ns(void);
/* A time as in 2026-01-02T03:04:05.678Z, in nanoseconds since 1970. */
int64_t harness_time_parse(const char *text);
void harness_sleep_ms(int milliseconds);

/* Zeroed memory, and sprintf into memory, of the harness. */
void *harness_memory(size_t size);
char *harness_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * For loops within one test: frees the memory that was handed out since the
 * mark, children that have ended included. Running children and folders stay,
 * and so does what was there before.
 */
struct keep *harness_mark(void);
void harness_release(struct keep *mark);

/* The folder of this test, the same at each call within it. */
const char *harness_home(void);
/* Another folder of mode 0700 of this test alone, owned by that user, removed in the teardown. */
const char *harness_directory(uid_t owner);

/* The whole of a file, terminated; NULL where it cannot be read. */
char *harness_file_read(const char *path, size_t *size);

/* Where a program of that name is in PATH, or NULL. */
const char *harness_program(const char *name);

/*
 * A started program. Write lines to it, read lines from it; its stderr is the
 * test's own.
 */
struct child {
    pid_t pid;
    int input;  /* its stdin */
    int output; /* its stdout */
    bool ended; /* reaped; status is valid and pid is no more */
    int status; /* as of waitpid(2) */
    size_t buffered;
    char buffer[8192];
};

/* How to start a program. NULL or all zero is the ordinary way. */
struct start {
    uid_t user;                  /* not 0: run as that user, group of the same number */
    void (*before_exec)(void *); /* in the child, after all else; async-signal-safe */
    void *argument;              /* its argument */
};

/* argv ends with NULL; argv[0] is searched in PATH. */
struct child *child_start(const char *const argv[], const struct start *start);
/* Sends one line; the newline is added. */
void child_send(struct child *child, const char *line);
/* The next line without its newline; fails at end of file or after the deadline. */
const char *child_line(struct child *child, int deadline);
/* Sends a line and returns the line that answers it. */
const char *child_ask(struct child *child, const char *line);
/* Waits for its end; returns the status of waitpid(2). */
int child_wait(struct child *child, int deadline);
/* Whether it still runs (a zombie does not). */
bool child_alive(struct child *child);
/* Kills and reaps it; harmless on an ended one. */
void child_kill(struct child *child);

/* What a program that ran to its end left. */
struct run {
    int code;           /* exit code, or -1 if a signal ended it */
    int signal;         /* that signal, or 0 */
    int64_t elapsed_ns; /* from fork to reaped */
    const char *out;
    const char *err;
};

/* Runs a program with an empty stdin; fails when the deadline passes. */
struct run program_run(const char *const argv[], const struct start *start, int deadline);

#endif
