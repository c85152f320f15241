/*
 * command.h - the skewctl command as the tests run it, with a journal of the
 * test's own, and what is expected of its exit code and output.
 *
 * Memory and failures are as in harness.h.
 */
#ifndef TESTS_COMMAND_H
#define TESTS_COMMAND_H

#include "harness.h"

/*
 * The skewctl under test: $SKEWCTL, else the one of this build. The arguments
 * end with NULL; "--journal FILE" of this test is appended.
 */
const char *skewctl_path(void);
const char *skewctl_journal(void);
/* argv for execv(3): the path, the arguments, the journal, NULL. */
const char *const *skewctl_arguments(const char *argument, ...) __attribute__((sentinel));
/* argv of skewctl run with these options, the journal, "--" and the command; both NULL-terminated.
 */
const char *const *skewctl_run_arguments(const char *const options[], const char *const command[]);
struct run skewctl_run(const char *argument, ...) __attribute__((sentinel));
/*
 * The same as another user: a copy of the command, and a journal, in a folder
 * of that user.
 */
struct run skewctl_run_as(uid_t user, const char *argument, ...) __attribute__((sentinel));
/* Injects or recovers one process, which must succeed; returns the JSON it printed. */
const char *skewctl_inject(pid_t pid, const char *offset);
const char *skewctl_recover(pid_t pid);
/* The run came to that code; otherwise the test fails and shows what was said. */
void run_expect(const struct run *run, int code);
/* As run_expect, and there is nothing on stdout and exactly one line on stderr. */
void run_expect_error(const struct run *run, int code);
/* The result of a jq filter on JSON text, raw, without the last newline; fails on bad JSON. */
const char *json_query(const char *json, const char *filter);

#endif
