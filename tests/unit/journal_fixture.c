/* journal_fixture.c - see journal_fixture.h. */
#include "tests/unit/journal_fixture.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int journal_fixture_set_up_folder(void **state)
{
    struct journal_fixture *fixture = calloc(1, sizeof(*fixture));
    if (fixture == NULL)
        return -1;
    snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/skewctl-journal-XXXXXX");
    if (mkdtemp(fixture->folder) == NULL) {
        free(fixture);
        return -1;
    }
    snprintf(fixture->path, sizeof(fixture->path), "%s/journal.db", fixture->folder);
    *state = fixture;
    return 0;
}

int journal_fixture_set_up(void **state)
{
    if (journal_fixture_set_up_folder(state) != 0)
        return -1;
    struct journal_fixture *fixture = *state;
    if (journal_open(fixture->path, &fixture->journal, &fixture->error) == JOURNAL_OK)
        return 0;
    print_error("%s\n", fixture->error.message);
    return -1;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

int journal_fixture_tear_down(void **state)
{
    struct journal_fixture *fixture = *state;
    journal_close(fixture->journal);
    const int result = nftw(fixture->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(fixture);
    return result;
}

void journal_fixture_reopen(struct journal_fixture *fixture)
{
    journal_close(fixture->journal);
    assert_int_equal(journal_open(fixture->path, &fixture->journal, &fixture->error), JOURNAL_OK);
}

enum journal_phase journal_fixture_phase(struct journal_fixture *fixture, int64_t id)
{
    struct journal *other;
    struct journal_injection injection;
    assert_int_equal(journal_open(fixture->path, &other, &fixture->error), JOURNAL_OK);
    assert_int_equal(journal_get(other, id, &injection, &fixture->error), JOURNAL_OK);
    journal_close(other);
    return injection.phase;
}

struct journal_injection journal_sample(pid_t pid)
{
    const uint64_t n = (uint64_t)pid;
    struct journal_injection injection = {
        .key = {.boot_id = "3d4e0b1c-7f6a-4a52-9a0e-0c5f5a9c6b11",
                .pid_namespace = UINT64_C(4026531836) + n,
                .pid = pid,
                .start_time = 1000 + n},
        .executable_device = 0xfd00 + n,
        .executable_inode = 77 + n,
        .vdso_address = UINT64_C(0x7ffff7fc1000) + n,
        .vdso_size = 0x2000 + n,
        .stub_address = UINT64_C(0xffffffffff600000) + n,
        .stub_size = 110 + n,
        .image_address = UINT64_C(0x7ffff7fb0000) + n,
        .image_size = 0x6000 + n,
        .skew = {.offset_ns = -INT64_C(300000000000) - pid,
                 .clocks = UINT64_C(0x8000000000000821) + n,
                 .deadline_ns = pid % 2 != 0 ? INT64_C(1800000000000000000) + pid : 0,
                 .begin_ns = pid % 2 != 0 ? INT64_C(1700000000000000000) + pid : 0},
        .inherited = pid % 3 == 0,
        .patch_count = 2,
        .patches = {{.symbol = "__vdso_clock_gettime", .address = 0x1000 + n, .length = 5},
                    {.symbol = "__vdso_time", .address = 0x2000 + n, .length = 16}},
    };
    memset(injection.skew.shape, 'r', n % sizeof(injection.skew.shape));
    memset(injection.skew.profile, 'p', n % sizeof(injection.skew.profile));
    snprintf(injection.command, sizeof(injection.command), "command \xff %d", (int)pid);
    for (size_t i = 0; i < sizeof(injection.image_id); i++)
        injection.image_id[i] = (uint8_t)(n + i);
    for (size_t i = 0; i < JOURNAL_PATCH_BYTES; i++) {
        injection.patches[0].original[i] = (uint8_t)(0x90 + n + i);
        injection.patches[1].original[i] = (uint8_t)(i == 0 ? 0 : 0x50 + i);
    }
    return injection;
}

int64_t journal_fixture_plan(struct journal_fixture *fixture, pid_t pid, enum journal_phase phase)
{
    /* The shortest way to each phase. */
    static const enum journal_phase ways[JOURNAL_PHASE_COUNT][3] = {
        [JOURNAL_INJECTING] = {JOURNAL_INJECTING},
        [JOURNAL_ACTIVE] = {JOURNAL_INJECTING, JOURNAL_ACTIVE},
        [JOURNAL_UPDATING] = {JOURNAL_INJECTING, JOURNAL_ACTIVE, JOURNAL_UPDATING},
        [JOURNAL_RECOVERING] = {JOURNAL_RECOVERING},
        [JOURNAL_DRAINING] = {JOURNAL_RECOVERING, JOURNAL_DRAINING},
        [JOURNAL_RECOVERED] = {JOURNAL_RECOVERED},
        [JOURNAL_GONE] = {JOURNAL_GONE},
        [JOURNAL_FAILED_UNDONE] = {JOURNAL_FAILED_UNDONE},
    };
    struct journal_injection injection = journal_sample(pid);
    assert_int_equal(journal_plan(fixture->journal, &injection, "vdso", 4, &fixture->error),
                     JOURNAL_OK);
    for (size_t i = 0; i < 3 && ways[phase][i] != JOURNAL_PLANNED; i++)
        assert_int_equal(
            journal_advance(fixture->journal, injection.id, ways[phase][i], NULL, &fixture->error),
            JOURNAL_OK);
    return injection.id;
}

static sqlite3 *open_past(const struct journal_fixture *fixture)
{
    sqlite3 *database;
    assert_int_equal(sqlite3_open(fixture->path, &database), SQLITE_OK);
    sqlite3_busy_timeout(database, 2000);
    return database;
}

void journal_fixture_doctor(const struct journal_fixture *fixture, const char *sql)
{
    sqlite3 *database = open_past(fixture);
    assert_int_equal(sqlite3_exec(database, "PRAGMA ignore_check_constraints = ON", 0, 0, 0), 0);
    if (sqlite3_exec(database, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(database));
    sqlite3_close(database);
}

int64_t journal_fixture_count(const struct journal_fixture *fixture, const char *sql)
{
    sqlite3 *database = open_past(fixture);
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_prepare_v2(database, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    const int64_t count = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(database);
    return count;
}

void journal_assert_error(const struct journal_error *error, enum journal_code code,
                          enum journal_code expected, const char *fragment)
{
    if (code != expected)
        fail_msg("code %d instead of %d: %s", code, expected, error->message);
    assert_int_equal(error->code, code);
    assert_non_null(error->operation);
    if (strstr(error->message, fragment) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", error->message, fragment);
    assert_null(strchr(error->message, '\n'));
    assert_true(strlen(error->advice) < sizeof(error->advice) - 1);
}

void journal_assert_refused(struct journal_fixture *fixture, const char *path,
                            enum journal_code expected, const char *fragment)
{
    struct journal *journal = NULL;
    const enum journal_code code = journal_open(path, &journal, &fixture->error);
    journal_assert_error(&fixture->error, code, expected, fragment);
    assert_null(journal);
    assert_true(fixture->error.advice[0] != '\0');
}

void journal_write_file(const char *path, const void *content, size_t size)
{
    const int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, content, size), size);
    close(descriptor);
}

size_t journal_read_file(const char *path, void *content, size_t capacity)
{
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(descriptor >= 0);
    const ssize_t size = read(descriptor, content, capacity);
    assert_true(size >= 0);
    close(descriptor);
    return (size_t)size;
}

void journal_assert_refused_unchanged(struct journal_fixture *fixture, enum journal_code expected,
                                      const char *fragment)
{
    static unsigned char before[1 << 20], after[1 << 20];
    struct stat status_before, status_after;
    const size_t size = journal_read_file(fixture->path, before, sizeof(before));
    assert_int_equal(lstat(fixture->path, &status_before), 0);
    journal_assert_refused(fixture, fixture->path, expected, fragment);
    assert_int_equal(lstat(fixture->path, &status_after), 0);
    assert_int_equal(journal_read_file(fixture->path, after, sizeof(after)), size);
    assert_memory_equal(before, after, size);
    assert_int_equal(status_before.st_mtim.tv_sec, status_after.st_mtim.tv_sec);
    assert_int_equal(status_before.st_mtim.tv_nsec, status_after.st_mtim.tv_nsec);
    assert_int_equal(status_before.st_mode, status_after.st_mode);
    assert_int_equal(status_before.st_ino, status_after.st_ino);
}

void journal_fixture_leave(struct journal_fixture *fixture)
{
    journal_fixture_reopen(fixture);
    journal_fixture_plan(fixture, 1, JOURNAL_ACTIVE);
    journal_close(fixture->journal);
    fixture->journal = NULL;
    journal_fixture_doctor(fixture, "PRAGMA wal_checkpoint(TRUNCATE)");
}
