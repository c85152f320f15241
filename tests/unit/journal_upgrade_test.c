/*
 * journal_upgrade_test.c - a journal of version 1, 2 or 3, as earlier versions of
 * skewctl made it, is upgraded where it lies, with all that it holds, or left as
 * it is.
 */
#include "tests/unit/journal_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* As it was; never to be changed. */
static const char version_1[] =

    "CREATE TABLE vdso ("
    "  id INTEGER PRIMARY KEY,"
    "  content BLOB NOT NULL UNIQUE CHECK (typeof(content) = 'blob' AND length(content) > 0));"

    "CREATE TABLE injections ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  boot_id TEXT NOT NULL CHECK (length(CAST(boot_id AS BLOB)) BETWEEN 1 AND 39),"
    "  pid_namespace INTEGER NOT NULL,"
    "  pid INTEGER NOT NULL CHECK (pid > 0),"
    "  start_time INTEGER NOT NULL,"
    "  command TEXT NOT NULL CHECK (length(CAST(command AS BLOB)) <= 63),"
    "  executable_device INTEGER NOT NULL,"
    "  executable_inode INTEGER NOT NULL,"
    "  image_id BLOB NOT NULL CHECK (typeof(image_id) = 'blob' AND length(image_id) = 16),"
    "  vdso INTEGER NOT NULL REFERENCES vdso (id),"
    "  vdso_address INTEGER NOT NULL,"
    "  vdso_size INTEGER NOT NULL,"
    "  stub_address INTEGER NOT NULL,"
    "  stub_size INTEGER NOT NULL,"
    "  image_address INTEGER NOT NULL,"
    "  image_size INTEGER NOT NULL,"
    "  offset_ns INTEGER NOT NULL,"
    "  clocks INTEGER NOT NULL,"
    "  phase INTEGER NOT NULL CHECK (phase BETWEEN 0 AND 8),"
    "  created_ns INTEGER NOT NULL,"
    "  changed_ns INTEGER NOT NULL,"
    "  detail TEXT NOT NULL CHECK (length(CAST(detail AS BLOB)) <= 199));"
    "CREATE UNIQUE INDEX live_injection"
    "  ON injections (boot_id, pid_namespace, pid, start_time) WHERE phase < 6;"

    "CREATE TABLE patches ("
    "  injection INTEGER NOT NULL REFERENCES injections (id),"
    "  position INTEGER NOT NULL CHECK (position BETWEEN 0 AND 7),"
    "  symbol TEXT NOT NULL CHECK (length(CAST(symbol AS BLOB)) <= 63),"
    "  address INTEGER NOT NULL,"
    "  length INTEGER NOT NULL CHECK (length BETWEEN 1 AND 16),"
    "  original BLOB NOT NULL CHECK (typeof(original) = 'blob' AND length(original) = 16),"
    "  PRIMARY KEY (injection, position)) WITHOUT ROWID;"

    "CREATE TABLE registers ("
    "  id INTEGER PRIMARY KEY,"
    "  injection INTEGER NOT NULL REFERENCES injections (id),"
    "  tid INTEGER NOT NULL,"
    "  content BLOB NOT NULL CHECK (typeof(content) = 'blob' AND length(content) > 0));"
    "CREATE INDEX registers_of_injection ON registers (injection);"

    "CREATE TABLE events ("
    "  id INTEGER PRIMARY KEY,"
    "  injection INTEGER NOT NULL REFERENCES injections (id),"
    "  phase INTEGER NOT NULL CHECK (phase BETWEEN 0 AND 8),"
    "  at_ns INTEGER NOT NULL,"
    "  detail TEXT NOT NULL);"

    "PRAGMA application_id = 1936418167; PRAGMA user_version = 1; PRAGMA journal_mode = WAL;";

/* What version 2 made of that: likewise. */
static const char version_2[] =
    "CREATE TABLE groups ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  boot_id TEXT NOT NULL CHECK (length(CAST(boot_id AS BLOB)) BETWEEN 1 AND 39),"
    "  pid_namespace INTEGER NOT NULL,"
    "  selectors TEXT NOT NULL CHECK (length(CAST(selectors AS BLOB)) BETWEEN 1 AND 16383),"
    "  offset_ns INTEGER NOT NULL,"
    "  clocks INTEGER NOT NULL,"
    "  deadline_ns INTEGER NOT NULL,"
    "  follow INTEGER NOT NULL CHECK (follow BETWEEN 0 AND 2),"
    "  follower_pid INTEGER NOT NULL CHECK (follower_pid >= 0),"
    "  follower_start_time INTEGER NOT NULL,"
    "  phase INTEGER NOT NULL CHECK (phase BETWEEN 0 AND 3),"
    "  created_ns INTEGER NOT NULL,"
    "  changed_ns INTEGER NOT NULL);"

    "ALTER TABLE injections ADD COLUMN group_id INTEGER REFERENCES groups (id);"
    "ALTER TABLE injections ADD COLUMN deadline_ns INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE injections ADD COLUMN inherited INTEGER NOT NULL DEFAULT 0"
    "  CHECK (inherited BETWEEN 0 AND 1);"
    "CREATE INDEX injections_of_group ON injections (group_id) WHERE group_id IS NOT NULL;"

    "PRAGMA user_version = 2;";

/* What version 3 made of that. */
#define SHAPE_COLUMNS(table)                                                                       \
    "ALTER TABLE " table " ADD COLUMN begin_ns INTEGER NOT NULL DEFAULT 0;"                        \
    "ALTER TABLE " table " ADD COLUMN shape TEXT NOT NULL DEFAULT ''"                              \
    "  CHECK (length(CAST(shape AS BLOB)) <= 1279);"                                               \
    "ALTER TABLE " table " ADD COLUMN profile TEXT NOT NULL DEFAULT ''"                            \
    "  CHECK (length(CAST(profile AS BLOB)) <= 63);"
static const char version_3[] =
    SHAPE_COLUMNS("groups") SHAPE_COLUMNS("injections") "PRAGMA user_version = 3;";

static const char rows_1[] =
    "INSERT INTO vdso VALUES (1, x'7f454c46');"
    "INSERT INTO injections VALUES (7, '3d4e0b1c-7f6a-4a52-9a0e-0c5f5a9c6b11', 4026531836, 42,"
    "  1000, 'sleep', 1, 2, x'000102030405060708090a0b0c0d0e0f', 1, 4096, 8192, 5000, 110,"
    "  12288, 4096, -3600000000000, 2081, 2, 11, 12, '');"
    "INSERT INTO patches VALUES (7, 0, '__vdso_time', 4200, 5, "
    "x'00112233445566778899aabbccddeeff');"
    "INSERT INTO registers VALUES (1, 7, 42, x'72656773');"
    "INSERT INTO events VALUES (1, 7, 0, 11, ''), (2, 7, 2, 12, '');";

static void journal_make(const struct journal_fixture *fixture, int version, const char *more)
{
    unlink(fixture->path);
    journal_fixture_doctor(fixture, version_1);
    journal_fixture_doctor(fixture, rows_1);
    if (version >= 2)
        journal_fixture_doctor(fixture, version_2);
    if (version >= 3)
        journal_fixture_doctor(fixture, version_3);
    journal_fixture_doctor(fixture, more);
    journal_fixture_doctor(fixture, "PRAGMA wal_checkpoint(TRUNCATE)");
}

static void holds_stays(struct journal_fixture *fixture, int version)
{
    struct journal_error *error = &fixture->error;
    struct journal_injection injection;
    char buffer[8];
    size_t size = sizeof(buffer);
    pid_t tid;
    journal_make(fixture, version, "");
    assert_int_equal(journal_open(fixture->path, &fixture->journal, error), JOURNAL_OK);
    assert_int_equal(journal_fixture_count(fixture, "PRAGMA user_version"), 4);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(journal_get(fixture->journal, 7, &injection, error), JOURNAL_OK);
        assert_int_equal(injection.key.pid, 42);
        assert_string_equal(injection.command, "sleep");
        assert_int_equal(injection.skew.offset_ns, -INT64_C(3600000000000));
        assert_int_equal(injection.phase, JOURNAL_ACTIVE);
        assert_int_equal(injection.group, 0);
        assert_int_equal(injection.skew.deadline_ns, 0);
        assert_string_equal(injection.skew.shape, "");
        assert_int_equal(injection.skew.slew_pace, 0);
        assert_false(injection.inherited);
        assert_int_equal(injection.patch_count, 1);
        journal_fixture_reopen(fixture);
    }
    assert_int_equal(journal_registers_load(fixture->journal, 7, &tid, buffer, &size, error),
                     JOURNAL_OK);
    size = sizeof(buffer);
    assert_int_equal(journal_vdso_load(fixture->journal, 7, buffer, &size, error), JOURNAL_OK);
    /* And it is one to work with, in which no number is used twice. */
    assert_int_equal(journal_advance(fixture->journal, 7, JOURNAL_RECOVERED, NULL, error),
                     JOURNAL_OK);
    assert_int_equal(journal_fixture_plan(fixture, 1, JOURNAL_ACTIVE), 8);
}

static void what_it_holds_stays(void **state)
{
    holds_stays(*state, 1);
}

static void what_version_2_holds_stays(void **state)
{
    holds_stays(*state, 2);
}

static void what_version_3_holds_stays(void **state)
{
    holds_stays(*state, 3);
}

/* Nothing tells an upgraded journal from a new one but what is in it. */
static void becomes_like_new(struct journal_fixture *fixture, int version)
{
    char attach[256];
    struct journal *fresh;
    char path[128];
    journal_make(fixture, version, "");
    assert_int_equal(journal_open(fixture->path, &fixture->journal, &fixture->error), JOURNAL_OK);
    snprintf(path, sizeof(path), "%s/new.db", fixture->folder);
    assert_int_equal(journal_open(path, &fresh, &fixture->error), JOURNAL_OK);
    journal_close(fresh);

    sqlite3 *database;
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_open(fixture->path, &database), SQLITE_OK);
    snprintf(attach, sizeof(attach), "ATTACH '%s' AS new", path);
    assert_int_equal(sqlite3_exec(database, attach, NULL, NULL, NULL), SQLITE_OK);
    static const char difference[] =
        "SELECT count(*), (SELECT count(*) FROM new.sqlite_schema) FROM"
        " (SELECT * FROM (SELECT name, sql FROM main.sqlite_schema EXCEPT"
        "                 SELECT name, sql FROM new.sqlite_schema)"
        "  UNION ALL"
        "  SELECT * FROM (SELECT name, sql FROM new.sqlite_schema EXCEPT"
        "                 SELECT name, sql FROM main.sqlite_schema))";
    assert_int_equal(sqlite3_prepare_v2(database, difference, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(statement, 0), 0);
    assert_true(sqlite3_column_int(statement, 1) > 8);
    sqlite3_finalize(statement);
    sqlite3_close(database);
}

static void it_becomes_like_a_new_one(void **state)
{
    becomes_like_new(*state, 1);
}

static void version_2_becomes_like_a_new_one(void **state)
{
    becomes_like_new(*state, 2);
}

static void version_3_becomes_like_a_new_one(void **state)
{
    becomes_like_new(*state, 3);
}

static void many_upgrade_it_at_once(void **state)
{
    struct journal_fixture *fixture = *state;
    for (int round = 0; round < 10; round++) {
        pid_t children[8];
        journal_make(fixture, 1 + round % 3, "");
        for (size_t i = 0; i < sizeof(children) / sizeof(children[0]); i++) {
            children[i] = fork();
            assert_true(children[i] >= 0);
            if (children[i] == 0) {
                struct journal *journal;
                struct journal_error error;
                _exit(journal_open(fixture->path, &journal, &error) == JOURNAL_OK ? 0 : 1);
            }
        }
        for (size_t i = 0; i < sizeof(children) / sizeof(children[0]); i++) {
            int status;
            assert_int_equal(waitpid(children[i], &status, 0), children[i]);
            assert_int_equal(status, 0);
        }
        assert_int_equal(journal_fixture_count(fixture, "PRAGMA user_version"), 4);
        assert_int_equal(journal_fixture_count(
                             fixture, "SELECT count(*) FROM injections WHERE group_id IS NULL"),
                         1);
    }
}

static void one_that_cannot_be_upgraded_stays_as_it_is(void **state)
{
    struct journal_fixture *fixture = *state;
    journal_make(fixture, 1, "PRAGMA foreign_keys = OFF; DROP TABLE injections");
    journal_assert_refused_unchanged(fixture, JOURNAL_REFUSED, "damaged");
    journal_make(fixture, 1, "CREATE TABLE groups (id)");
    journal_assert_refused_unchanged(fixture, JOURNAL_REFUSED, "damaged");
    assert_int_equal(journal_fixture_count(fixture, "PRAGMA user_version"), 1);
}

#define WITH_FOLDER(test)                                                                          \
    cmocka_unit_test_setup_teardown(test, journal_fixture_set_up_folder, journal_fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(what_it_holds_stays),
        WITH_FOLDER(what_version_2_holds_stays),
        WITH_FOLDER(what_version_3_holds_stays),
        WITH_FOLDER(it_becomes_like_a_new_one),
        WITH_FOLDER(version_2_becomes_like_a_new_one),
        WITH_FOLDER(version_3_becomes_like_a_new_one),
        WITH_FOLDER(many_upgrade_it_at_once),
        WITH_FOLDER(one_that_cannot_be_upgraded_stays_as_it_is),
    };
    return cmocka_run_group_tests_name("journal upgrade", tests, NULL, NULL);
}
