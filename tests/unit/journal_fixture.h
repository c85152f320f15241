/*
 * journal_fixture.h - what the tests of the journal share: a folder of their
 * own with an open journal in it, and injections to put there.
 */
#ifndef SKEWCTL_TESTS_JOURNAL_FIXTURE_H
#define SKEWCTL_TESTS_JOURNAL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "journal/journal.h"

struct journal_fixture {
    char folder[64];
    char path[96];
    struct journal *journal; /* NULL where the test was set up without */
    struct journal_error error;
};

/* For cmocka: the state is a struct journal_fixture. */
int journal_fixture_set_up_folder(void **state);
int journal_fixture_set_up(void **state);
int journal_fixture_tear_down(void **state);

void journal_fixture_reopen(struct journal_fixture *fixture);

/* The phase as another connection sees it. */
enum journal_phase journal_fixture_phase(struct journal_fixture *fixture, int64_t id);

/* An injection of process `pid` with two patches; differs in every field by pid. */
struct journal_injection journal_sample(pid_t pid);

/* Plans journal_sample(pid) and walks it to the phase. */
int64_t journal_fixture_plan(struct journal_fixture *fixture, pid_t pid, enum journal_phase phase);

/* Runs SQL on the file past the journal, with CHECK constraints and foreign keys off. */
void journal_fixture_doctor(const struct journal_fixture *fixture, const char *sql);
int64_t journal_fixture_count(const struct journal_fixture *fixture, const char *sql);

/* One line, not cut off, and the code that was returned. */
void journal_assert_error(const struct journal_error *error, enum journal_code code,
                          enum journal_code expected, const char *fragment);

/* Leaves a closed journal with one injection, all of it in the main file. */
void journal_fixture_leave(struct journal_fixture *fixture);

/* Opening is refused, with advice. */
void journal_assert_refused(struct journal_fixture *fixture, const char *path,
                            enum journal_code expected, const char *fragment);
/* The fixture's file is refused, and neither its bytes nor its times nor its mode change. */
void journal_assert_refused_unchanged(struct journal_fixture *fixture, enum journal_code expected,
                                      const char *fragment);

void journal_write_file(const char *path, const void *content, size_t size);
size_t journal_read_file(const char *path, void *content, size_t capacity);

#endif
