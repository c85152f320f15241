/*
 * journal_damage_test.c - files that are no journal, of another version, cut
 * short, overwritten or doctored: refused and left as they are, or survived.
 */
#include "tests/unit/journal_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void patch_file(const struct journal_fixture *fixture, off_t offset, const void *bytes,
                       size_t size)
{
    const int descriptor = open(fixture->path, O_WRONLY | O_CLOEXEC);
    assert_true(descriptor >= 0);
    assert_int_equal(pwrite(descriptor, bytes, size, offset), size);
    close(descriptor);
}

static void what_is_no_journal_is_refused(void **state)
{
    struct journal_fixture *fixture = *state;
    unsigned char bytes[65536];
    unsigned seed = 1;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)rand_r(&seed);
    journal_write_file(fixture->path, bytes, sizeof(bytes));
    journal_assert_refused_unchanged(fixture, JOURNAL_REFUSED, "no SQLite database");
    journal_write_file(fixture->path, "x", 1);
    journal_assert_refused_unchanged(fixture, JOURNAL_REFUSED, "no SQLite database");
    journal_write_file(fixture->path, "SQLite format 3", 16);
    journal_assert_refused_unchanged(fixture, JOURNAL_REFUSED, "no SQLite database");

    unlink(fixture->path);
    journal_fixture_doctor(fixture, "CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)");
    journal_assert_refused_unchanged(fixture, JOURNAL_REFUSED, "another program");
    journal_fixture_doctor(fixture, "PRAGMA application_id = 7; PRAGMA user_version = 1");
    journal_assert_refused_unchanged(fixture, JOURNAL_REFUSED, "another program");
}

static void other_versions_are_refused(void **state)
{
    struct journal_fixture *fixture = *state;
    journal_fixture_leave(fixture);
    journal_fixture_doctor(fixture, "PRAGMA user_version = 5");
    journal_assert_refused_unchanged(fixture, JOURNAL_REFUSED, "is of version 5");
    journal_fixture_doctor(fixture, "PRAGMA user_version = 2147483647");
    journal_assert_refused_unchanged(fixture, JOURNAL_REFUSED, "is of version 2147483647");
    journal_fixture_doctor(fixture, "PRAGMA user_version = 0");
    journal_assert_refused_unchanged(fixture, JOURNAL_REFUSED, "damaged");
    journal_fixture_doctor(fixture, "PRAGMA user_version = -1");
    journal_assert_refused_unchanged(fixture, JOURNAL_REFUSED, "damaged");
}

static void a_newer_version_in_the_wal_is_refused(void **state)
{
    struct journal_fixture *fixture = *state;
    sqlite3 *newer;
    journal_fixture_leave(fixture);
    assert_int_equal(sqlite3_open(fixture->path, &newer), SQLITE_OK);
    assert_int_equal(sqlite3_exec(newer, "PRAGMA user_version = 5", NULL, NULL, NULL), SQLITE_OK);
    journal_assert_refused_unchanged(fixture, JOURNAL_REFUSED, "is of version 5");
    sqlite3_close(newer);
}

static void a_truncated_journal_is_refused(void **state)
{
    struct journal_fixture *fixture = *state;
    struct stat status;
    journal_fixture_leave(fixture);
    assert_int_equal(stat(fixture->path, &status), 0);
    for (off_t size = status.st_size - 4096; size >= 4096; size -= 4096) {
        assert_int_equal(truncate(fixture->path, size), 0);
        journal_assert_refused_unchanged(fixture, JOURNAL_REFUSED, "damaged");
    }
    assert_int_equal(truncate(fixture->path, 100), 0);
    journal_assert_refused_unchanged(fixture, JOURNAL_REFUSED, "damaged");
    assert_int_equal(truncate(fixture->path, 99), 0);
    journal_assert_refused_unchanged(fixture, JOURNAL_REFUSED, "no SQLite database");
}

/*
 * Wherever 64 bytes are overwritten, the journal either is refused or every
 * call on it comes back with an error or with well-formed values.
 */
static void damage_anywhere_is_survived(void **state)
{
    struct journal_fixture *fixture = *state;
    static unsigned char pristine[1 << 20], vdso[1 << 20];
    unsigned char noise[64];
    unsigned seed = 7, refused = 0;

    journal_fixture_leave(fixture);
    const size_t size = journal_read_file(fixture->path, pristine, sizeof(pristine));
    assert_true(size >= 8192 && size < sizeof(pristine));
    for (size_t offset = 0; offset + sizeof(noise) <= size; offset += 2 * sizeof(noise)) {
        struct journal *journal;
        struct journal_error *error = &fixture->error;
        for (size_t i = 0; i < sizeof(noise); i++)
            noise[i] = (unsigned char)rand_r(&seed);
        journal_write_file(fixture->path, pristine, size);
        patch_file(fixture, (off_t)offset, noise, sizeof(noise));
        enum journal_code code = journal_open(fixture->path, &journal, error);
        refused += code != JOURNAL_OK;
        if (code == JOURNAL_OK) {
            struct journal_injection *list;
            size_t count, length = sizeof(vdso);
            pid_t tid;
            code = journal_list(journal, true, &list, &count, error);
            assert_true(code == JOURNAL_OK || code == JOURNAL_REFUSED);
            for (size_t i = 0; i < count; i++) {
                assert_true(list[i].patch_count <= JOURNAL_PATCHES_MAX);
                assert_non_null(memchr(list[i].command, '\0', sizeof(list[i].command)));
            }
            free(list);
            journal_vdso_load(journal, 1, vdso, &length, error);
            length = sizeof(vdso);
            journal_registers_load(journal, 1, &tid, vdso, &length, error);
            journal_advance(journal, 1, JOURNAL_RECOVERING, NULL, error);
            if (journal_registers_begin(journal, 1, JOURNAL_RECOVERING, error) == JOURNAL_OK)
                journal_registers_commit(journal, 1, "regs", 4, error);
        }
        journal_close(journal);
        static const char *const beside[] = {"-wal", "-shm"};
        for (size_t i = 0; i < 2; i++) {
            char path[128];
            snprintf(path, sizeof(path), "%s%s", fixture->path, beside[i]);
            unlink(path);
        }
    }
    assert_true(refused > 0);
}

static void doctored_rows_are_refused(void **state)
{
    struct journal_fixture *fixture = *state;
    struct journal_error *error = &fixture->error;
    static const char *const doctorings[] = {
        "UPDATE injections SET boot_id = printf('%.*c', 40, 'x')",
        "UPDATE injections SET boot_id = x'00'",
        "UPDATE injections SET boot_id = CAST(x'610062' AS TEXT)",
        "UPDATE injections SET pid = 0",
        "UPDATE injections SET pid = 4294967297",
        "UPDATE injections SET pid = 'many'",
        "UPDATE injections SET start_time = 1.5",
        "UPDATE injections SET command = printf('%.*c', 100000, 'x')",
        "UPDATE injections SET image_id = zeroblob(15)",
        "UPDATE injections SET image_id = zeroblob(100000)",
        "UPDATE injections SET image_id = 'sixteen letters!'",
        "UPDATE injections SET clocks = x'01'",
        "UPDATE injections SET phase = -1",
        "UPDATE injections SET phase = 4294967296",
        "UPDATE injections SET phase = 'active'",
        "UPDATE injections SET detail = printf('%.*c', 200, 'x')",
        "UPDATE injections SET deadline_ns = 'never'",
        "UPDATE injections SET begin_ns = x'00'",
        "UPDATE injections SET shape = printf('%.*c', 1280, 'x')",
        "UPDATE injections SET profile = printf('%.*c', 64, 'x')",
        "UPDATE injections SET inherited = 2",
        "UPDATE injections SET group_id = -1",
        "UPDATE injections SET group_id = x'01'",
        "UPDATE patches SET symbol = printf('%.*c', 64, 'x')",
        "UPDATE patches SET length = 0",
        "UPDATE patches SET length = 17",
        "UPDATE patches SET length = 261",
        "UPDATE patches SET original = zeroblob(17)",
        "UPDATE patches SET original = 5",
        "UPDATE patches SET position = position + 1 WHERE position = 1",
        "UPDATE patches SET position = -1 WHERE position = 0",
        ("INSERT INTO patches SELECT injection, 2 + value, symbol, address, length, original"
         " FROM patches, json_each('[0,1,2,3,4,5,6]') WHERE position = 0"),
    };
    const int64_t id = journal_fixture_plan(fixture, 1, JOURNAL_PLANNED);
    journal_fixture_doctor(fixture, "CREATE TABLE kept AS SELECT * FROM injections;"
                                    "CREATE TABLE kept_patches AS SELECT * FROM patches");
    for (size_t i = 0; i < sizeof(doctorings) / sizeof(doctorings[0]); i++) {
        struct journal_injection injection, *list;
        size_t count;
        journal_fixture_doctor(fixture, doctorings[i]);
        journal_assert_error(error, journal_get(fixture->journal, id, &injection, error),
                             JOURNAL_REFUSED, "damaged");
        journal_assert_error(error, journal_list(fixture->journal, true, &list, &count, error),
                             JOURNAL_REFUSED, "damaged");
        assert_null(list);
        assert_int_equal(count, 0);
        journal_fixture_doctor(fixture, "DELETE FROM patches; DELETE FROM injections;"
                                        "INSERT INTO injections SELECT * FROM kept;"
                                        "INSERT INTO patches SELECT * FROM kept_patches");
        assert_int_equal(journal_get(fixture->journal, id, &injection, error), JOURNAL_OK);
    }
}

static void doctored_blobs_are_refused(void **state)
{
    struct journal_fixture *fixture = *state;
    struct journal_error *error = &fixture->error;
    static const char *const doctorings[] = {
        ("UPDATE vdso SET content = zeroblob((1 << 20) + 1);"
         "UPDATE registers SET content = zeroblob(4097)"),
        "UPDATE vdso SET content = x''; UPDATE registers SET content = x''",
        "UPDATE vdso SET content = 'text'; UPDATE registers SET content = 'text'",
        "UPDATE vdso SET content = 5; UPDATE registers SET content = 5",
        "DELETE FROM vdso; UPDATE registers SET tid = 4294967297, content = x'01'",
        "UPDATE registers SET tid = 'none'",
        "DROP TABLE vdso; DROP TABLE registers",
    };
    static unsigned char buffer[2 << 20];
    const int64_t id = journal_fixture_plan(fixture, 1, JOURNAL_PLANNED);
    assert_int_equal(journal_registers_begin(fixture->journal, id, JOURNAL_INJECTING, error),
                     JOURNAL_OK);
    assert_int_equal(journal_registers_commit(fixture->journal, 5, "regs", 4, error), JOURNAL_OK);
    for (size_t i = 0; i < sizeof(doctorings) / sizeof(doctorings[0]); i++) {
        size_t size = sizeof(buffer);
        pid_t tid;
        journal_fixture_doctor(fixture, doctorings[i]);
        journal_assert_error(error, journal_vdso_load(fixture->journal, id, buffer, &size, error),
                             JOURNAL_REFUSED, "damaged");
        size = sizeof(buffer);
        journal_assert_error(
            error, journal_registers_load(fixture->journal, id, &tid, buffer, &size, error),
            JOURNAL_REFUSED, "damaged");
    }
}

#define WITH_FOLDER(test)                                                                          \
    cmocka_unit_test_setup_teardown(test, journal_fixture_set_up_folder, journal_fixture_tear_down)
#define WITH_JOURNAL(test)                                                                         \
    cmocka_unit_test_setup_teardown(test, journal_fixture_set_up, journal_fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(what_is_no_journal_is_refused),
        WITH_FOLDER(other_versions_are_refused),
        WITH_FOLDER(a_newer_version_in_the_wal_is_refused),
        WITH_FOLDER(a_truncated_journal_is_refused),
        WITH_FOLDER(damage_anywhere_is_survived),
        WITH_JOURNAL(doctored_rows_are_refused),
        WITH_JOURNAL(doctored_blobs_are_refused),
    };
    return cmocka_run_group_tests_name("journal damage", tests, NULL, NULL);
}
