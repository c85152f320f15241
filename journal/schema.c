/*
 * schema.c - see schema.h.
 *
 * The tables are created in rollback mode and only then is the database turned
 * to WAL: so the first page of the main file bears our application id from its
 * first moment, and a file can be judged by its first 100 bytes before SQLite
 * recovers, creates or writes anything.
 */
#include "journal/schema.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "journal/error.h"
#include "journal/groups.h"
#include "journal/statement.h"

/* https://www.sqlite.org/fileformat2.html, "The Database Header". */
#define HEADER_WRITE_VERSION  18
#define HEADER_READ_VERSION   19
#define VERSION_WAL           2
#define HEADER_SIZE           100
#define HEADER_USER_VERSION   60
#define HEADER_APPLICATION_ID 68
static const char header_magic[16] = "SQLite format 3";

#define OPERATION      "open"
#define SCHEMA_VERSION 4
#define APPLICATION_ID 1936418167 /* "skew" */
#define QUOTE_(value)  #value
#define QUOTE(value)   QUOTE_(value)

/*
 * Unsigned 64-bit values are stored as the signed integer of the same bits.
 * Texts are measured in bytes, one less than the field of the struct that
 * takes them.
 *
 * A new journal is made as one of version 1 that is then upgraded, so that it
 * does not differ from an old one that was.
 */
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
    "  ON injections (boot_id, pid_namespace, pid, start_time) WHERE " JOURNAL_SQL_LIVE ";"

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

    "PRAGMA application_id = " QUOTE(APPLICATION_ID) ";";

/* Groups of injections. A column that is added with REFERENCES must allow NULL. */
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
    "CREATE INDEX injections_of_group ON injections (group_id) WHERE group_id IS NOT NULL;";

/* Shapes. */
#define SHAPE_COLUMNS(table)                                                                       \
    "ALTER TABLE " table " ADD COLUMN begin_ns INTEGER NOT NULL DEFAULT 0;"                        \
    "ALTER TABLE " table " ADD COLUMN shape TEXT NOT NULL DEFAULT ''"                              \
    "  CHECK (length(CAST(shape AS BLOB)) <= 1279);"                                               \
    "ALTER TABLE " table " ADD COLUMN profile TEXT NOT NULL DEFAULT ''"                            \
    "  CHECK (length(CAST(profile AS BLOB)) <= 63);"
static const char version_3[] = SHAPE_COLUMNS("groups") SHAPE_COLUMNS("injections");

/* Slews. */
static const char version_4[] =
    "ALTER TABLE groups ADD COLUMN slew_pace INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE injections ADD COLUMN slew_pace INTEGER NOT NULL DEFAULT 0;"
    "PRAGMA user_version = " QUOTE(SCHEMA_VERSION) ";";

static const char *const versions[SCHEMA_VERSION] = {version_1, version_2, version_3, version_4};

_Static_assert(JOURNAL_PHASE_COUNT == 9 && JOURNAL_RECOVERED == 6 && JOURNAL_PATCHES_MAX == 8 &&
                   JOURNAL_PATCH_BYTES == 16,
               "the numbers in the schema are those of journal.h");
_Static_assert(sizeof(((struct journal_key *)0)->boot_id) == 40 &&
                   sizeof(((struct journal_injection *)0)->command) == 64 &&
                   sizeof(((struct journal_injection *)0)->detail) == 200 &&
                   sizeof(((struct journal_injection *)0)->image_id) == 16 &&
                   sizeof(((struct journal_patch *)0)->symbol) == 64,
               "the lengths in the schema are those of journal.h");
_Static_assert(sizeof(((struct journal_group *)0)->selectors) == 16384 &&
                   JOURNAL_FOLLOW_COUNT == 3 && JOURNAL_GROUP_PHASE_COUNT == 4,
               "the numbers in the schema are those of groups.h");
_Static_assert(sizeof(((struct journal_skew *)0)->shape) == 1280 &&
                   sizeof(((struct journal_skew *)0)->profile) == 64,
               "the lengths in the schema are those of journal.h");

static enum journal_code judge(struct journal *journal, int64_t application, int64_t version,
                               struct journal_error *error)
{
    if (application != APPLICATION_ID)
        return journal_error_set(
            error, JOURNAL_REFUSED, 0, OPERATION, "choose another with --journal",
            "%s is a database of another program, not a journal of skewctl", journal->path);
    if (version > SCHEMA_VERSION)
        return journal_error_set(error, JOURNAL_REFUSED, 0, OPERATION,
                                 "use the newer skewctl, or choose another with --journal",
                                 "the journal %s is of version %lld; this skewctl knows version %d",
                                 journal->path, (long long)version, SCHEMA_VERSION);
    if (version < 1)
        return journal_error_damaged(error, journal->path, OPERATION, "it has no schema version");
    return JOURNAL_OK;
}

static int32_t big_endian(const unsigned char *bytes)
{
    return (int32_t)((uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
                     bytes[3]);
}

static enum journal_code judge_header(struct journal *journal, bool *empty,
                                      struct journal_error *error)
{
    sqlite3_file *file = NULL;
    unsigned char header[HEADER_SIZE] = {0};
    struct stat status;

    /* Not xFileSize: it takes a file of one byte for an empty one. */
    if (stat(journal->path, &status) != 0) {
        const int errnum = errno;
        return journal_error_set(error, journal_code_of_errno(errnum), errnum, OPERATION, "",
                                 "the journal %s: %s", journal->path, strerror(errnum));
    }
    *empty = status.st_size == 0;
    if (*empty)
        return JOURNAL_OK;

    /* Through SQLite's own descriptor: place.c says why not through one of ours. */
    int result = sqlite3_file_control(journal->database, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    if (result == SQLITE_OK && status.st_size >= HEADER_SIZE)
        result = file->pMethods->xRead(file, header, sizeof(header), 0);
    if (result != SQLITE_OK)
        return journal_error_sqlite(error, NULL, result, journal->path, OPERATION);
    if (status.st_size < HEADER_SIZE || memcmp(header, header_magic, sizeof(header_magic)) != 0)
        return journal_error_set(
            error, JOURNAL_REFUSED, 0, OPERATION, "choose another with --journal",
            "%s is not a journal of skewctl: it is no SQLite database", journal->path);
    return judge(journal, big_endian(header + HEADER_APPLICATION_ID),
                 big_endian(header + HEADER_USER_VERSION), error);
}

static enum journal_code read_pragma(struct journal *journal, const char *sql, int64_t *value,
                                     struct journal_error *error)
{
    JOURNAL_STATEMENT(statement);
    bool row;
    enum journal_code code = journal_statement_prepare(&statement, journal, sql, OPERATION, error);
    if (code == JOURNAL_OK)
        code = journal_statement_step(&statement, &row, error);
    if (code != JOURNAL_OK)
        return code;
    *value = journal_read_integer(&statement, INT32_MIN, INT32_MAX);
    return journal_statement_check(&statement, error);
}

static enum journal_code judge_database(struct journal *journal, int64_t *version,
                                        struct journal_error *error)
{
    int64_t application;
    enum journal_code code = read_pragma(journal, "PRAGMA application_id", &application, error);
    if (code == JOURNAL_OK)
        code = read_pragma(journal, "PRAGMA user_version", version, error);
    return code == JOURNAL_OK ? judge(journal, application, *version, error) : code;
}

enum journal_code journal_schema_create(struct journal *journal, struct journal_error *error)
{
    int64_t version;
    enum journal_code code = journal_transaction_begin(journal, JOURNAL_WRITE, OPERATION, error);
    if (code != JOURNAL_OK)
        return code;
    /* Another skewctl may have done it while this one waited for the lock. */
    code = read_pragma(journal, "PRAGMA user_version", &version, error);
    for (; code == JOURNAL_OK && version >= 0 && version < SCHEMA_VERSION; version++)
        code = journal_execute(journal, versions[version], OPERATION, error);
    return journal_transaction_end(journal, code, OPERATION, error);
}

static enum journal_code turn_to_wal(struct journal *journal, struct journal_error *error)
{
    JOURNAL_STATEMENT(statement);
    char mode[16];
    enum journal_code code = journal_statement_prepare(
        &statement, journal, "PRAGMA journal_mode = WAL", OPERATION, error);
    if (code == JOURNAL_OK)
        code = journal_statement_step(&statement, NULL, error);
    if (code != JOURNAL_OK)
        return code;
    journal_read_text(&statement, mode, sizeof(mode));
    if (strcmp(mode, "wal") != 0)
        return journal_error_set(
            error, JOURNAL_REFUSED, 0, OPERATION, "choose a local file system with --journal",
            "the file system of the journal %s does not support shared memory", journal->path);
    return JOURNAL_OK;
}

unsigned char *journal_schema_serialize(size_t *size)
{
    sqlite3 *database = NULL;
    sqlite3_int64 length = 0;
    unsigned char *bytes = NULL;
    int result = sqlite3_open(":memory:", &database);
    for (int i = 0; i < SCHEMA_VERSION && result == SQLITE_OK; i++)
        result = sqlite3_exec(database, versions[i], NULL, NULL, NULL);
    if (result == SQLITE_OK)
        bytes = sqlite3_serialize(database, "main", &length, 0);
    sqlite3_close(database);
    /*
     * In WAL mode from birth: several skewctl that turned it to WAL at once would
     * get in each other's way without waiting. The file format's version numbers
     * say so (https://www.sqlite.org/fileformat2.html, 1.3.3).
     */
    if (bytes != NULL)
        bytes[HEADER_WRITE_VERSION] = bytes[HEADER_READ_VERSION] = VERSION_WAL;
    *size = (size_t)length;
    return bytes;
}

enum journal_code journal_schema_prepare(struct journal *journal, struct journal_error *error)
{
    bool empty = false;
    int64_t version = 0;
    enum journal_code code = judge_header(journal, &empty, error);
    if (code == JOURNAL_OK && empty)
        code = journal_schema_create(journal, error);
    /* Once more through SQLite: what is newest may still be in the WAL. */
    if (code == JOURNAL_OK)
        code = judge_database(journal, &version, error);
    if (code == JOURNAL_OK && version < SCHEMA_VERSION)
        code = journal_schema_create(journal, error);
    return code == JOURNAL_OK ? turn_to_wal(journal, error) : code;
}
