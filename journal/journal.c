/*
 * journal.c - opening and closing, transactions, and why the order of writes
 * keeps promise P2 ("journal before touch").
 *
 * 1. A change is one transaction. In WAL mode COMMIT appends frames to the -wal
 *    file, the last of them marked as the commit, and returns. The bytes are
 *    then in the kernel's page cache: SIGKILL of skewctl cannot take them back.
 *    A power loss can, but it takes every target too, and the boot id tells.
 * 2. Killed before the commit frame is complete, the next opener ignores the
 *    frames: no commit mark with a valid checksum. Its locks are dropped by the
 *    kernel. So a row is there entirely or not at all, and a caller who touches
 *    a process only after JOURNAL_OK has never done what is not written down.
 *    The converse does not hold: what is written may not have been done, which
 *    is why the journal is a hint (P3).
 * 3. Every change reads the present phase under the write lock that it holds
 *    until COMMIT (BEGIN IMMEDIATE), so of two skewctl that race to take the
 *    same step one is refused. One live injection per process is a UNIQUE index.
 * 4. While a thread is held nothing may wait for a disk. In WAL mode with
 *    synchronous=NORMAL SQLite calls fsync(2) in two places only: a checkpoint,
 *    which is never automatic here and happens in journal_close() alone; and the
 *    first frame after the WAL starts over, which registers.c gets over with in
 *    journal_registers_begin().
 */
#include "journal/journal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "journal/connection.h"
#include "journal/error.h"
#include "journal/place.h"
#include "journal/schema.h"

/* Many may write at once, on a disk that takes its time. */
#define WAIT_LIMIT_MS 10000
/*
 * After a wait in vain, until a commit: whoever holds a lock for so long keeps it, and a command
 * with ten things to write would wait for each.
 */
#define WAIT_AGAIN_MS 500

/* 1 MiB of pages of 4 KiB: a WAL left behind must be read by whoever opens it next. */
#define WAL_FRAMES_MAX 256

/*
 * Another skewctl, or another thread of this one, holds the lock for some hundred
 * microseconds as a rule: SQLite's own handler sleeps for milliseconds between its tries.
 */
#define WAIT_LEAST_NS 50000
#define WAIT_MOST_NS  2000000

static int64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static int wait_for_lock(void *context, int tries)
{
    struct journal *journal = context;
    int64_t now_ns = monotonic_ns();
    long wait_ns = tries < 8 ? (long)WAIT_LEAST_NS << (tries / 2) : WAIT_MOST_NS;
    int limit_ms = journal->wait_limit_ms;

    if (tries == 0)
        journal->busy_since_ns = now_ns;
    if (journal->waited_in_vain && limit_ms > WAIT_AGAIN_MS)
        limit_ms = WAIT_AGAIN_MS;
    if (now_ns - journal->busy_since_ns > limit_ms * INT64_C(1000000)) {
        journal->waited_in_vain = journal->waited_in_vain || limit_ms > WAIT_AGAIN_MS;
        return 0;
    }
    nanosleep(&(struct timespec){.tv_nsec = wait_ns}, NULL);
    return 1;
}

static int note_commit(void *context, sqlite3 *database, const char *name, int frames)
{
    (void)database;
    (void)name;
    struct journal *journal = context;
    journal->wal_frames = frames;
    journal->waited_in_vain = false;
    return SQLITE_OK;
}

static enum journal_code configure(struct journal *journal, struct journal_error *error)
{
    static const struct {
        int option;
        int value;
    } options[] = {
        {SQLITE_DBCONFIG_ENABLE_FKEY, 1},
        {SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1},
        /* The file may have been tampered with: run no code that it brings along. */
        {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
        {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
        {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        {SQLITE_DBCONFIG_DEFENSIVE, 1},
    };
    int result = sqlite3_busy_handler(journal->database, wait_for_lock, journal);
    journal->wait_limit_ms = WAIT_LIMIT_MS;

    for (size_t i = 0; result == SQLITE_OK && i < sizeof(options) / sizeof(options[0]); i++)
        result = sqlite3_db_config(journal->database, options[i].option, options[i].value, NULL);
    if (result != SQLITE_OK)
        return journal_error_sqlite(error, journal->database, result, journal->path, "open");
    /* The hook takes the place of the one that would checkpoint after a commit. */
    sqlite3_wal_hook(journal->database, note_commit, journal);
    return JOURNAL_OK;
}

static enum journal_code settle(struct journal *journal, struct journal_error *error)
{
    /* temp_store: no temporary file may be needed while a thread is held. */
    return journal_execute(journal,
                           "PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY;"
                           "PRAGMA cell_size_check = ON;",
                           "open", error);
}

static enum journal_code open_database(struct journal *journal, int more_flags,
                                       struct journal_error *error)
{
    const int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_EXRESCODE | more_flags;
    const int result = sqlite3_open_v2(journal->path, &journal->database, flags, NULL);
    if (result != SQLITE_OK)
        return journal_error_sqlite(error, journal->database, result, journal->path, "open");
    /* SQLite falls back to reading where it may not write. */
    if (sqlite3_db_readonly(journal->database, "main") != 0)
        return journal_error_sqlite(error, NULL, SQLITE_READONLY, journal->path, "open");
    return configure(journal, error);
}

static enum journal_code open_file(const char *path, struct journal *journal,
                                   struct journal_error *error)
{
    enum journal_code code = journal_place_prepare(path, &journal->path, error);
    if (code == JOURNAL_OK)
        code = open_database(journal, SQLITE_OPEN_NOFOLLOW, error);
    if (code == JOURNAL_OK)
        code = journal_schema_prepare(journal, error);
    return code == JOURNAL_OK ? settle(journal, error) : code;
}

static enum journal_code open_memory(struct journal *journal, struct journal_error *error)
{
    journal->path = strdup(":memory:");
    if (journal->path == NULL)
        return journal_error_set(error, JOURNAL_FAILED, ENOMEM, "open", "",
                                 "no memory to open a journal");
    enum journal_code code = open_database(journal, SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY, error);
    if (code == JOURNAL_OK)
        code = journal_schema_create(journal, error);
    return code == JOURNAL_OK ? settle(journal, error) : code;
}

static enum journal_code open_with(bool in_memory, const char *path, struct journal **journal,
                                   struct journal_error *error)
{
    *journal = NULL;
    struct journal *opened = calloc(1, sizeof(*opened));
    if (opened == NULL)
        return journal_error_set(error, JOURNAL_FAILED, ENOMEM, "open", "",
                                 "no memory to open the journal");
    enum journal_code code =
        in_memory ? open_memory(opened, error) : open_file(path, opened, error);
    if (code != JOURNAL_OK) {
        journal_close(opened);
        return code;
    }
    *journal = opened;
    return JOURNAL_OK;
}

enum journal_code journal_open(const char *path, struct journal **journal,
                               struct journal_error *error)
{
    return open_with(false, path, journal, error);
}

enum journal_code journal_open_memory(struct journal **journal, struct journal_error *error)
{
    return open_with(true, NULL, journal, error);
}

void journal_close(struct journal *journal)
{
    if (journal == NULL)
        return;
    journal_registers_abort(journal);
    sqlite3_finalize(journal->save);
    sqlite3_finalize(journal->commit);
    /*
     * To be cut off, since whoever opens a log next takes all of it for new and
     * writes behind its end. Waits for nobody: what it cannot do now, a later
     * close does.
     */
    if (journal->wal_frames > WAL_FRAMES_MAX) {
        sqlite3_busy_handler(journal->database, NULL, NULL);
        sqlite3_wal_checkpoint_v2(journal->database, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL,
                                  NULL);
    }
    sqlite3_close(journal->database);
    free(journal->path);
    free(journal);
}

void journal_wait_limit(struct journal *journal, int milliseconds)
{
    journal->wait_limit_ms = milliseconds < 0 ? WAIT_LIMIT_MS : milliseconds;
}

const char *journal_path(const struct journal *journal)
{
    return journal->path;
}

int64_t journal_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

bool journal_text_ends(const char *text, size_t capacity)
{
    return memchr(text, '\0', capacity) != NULL;
}

enum journal_code journal_execute(struct journal *journal, const char *sql, const char *operation,
                                  struct journal_error *error)
{
    const int result = sqlite3_exec(journal->database, sql, NULL, NULL, NULL);
    if (result != SQLITE_OK)
        return journal_error_sqlite(error, journal->database, result, journal->path, operation);
    return JOURNAL_OK;
}

enum journal_code journal_transaction_begin(struct journal *journal, enum journal_access access,
                                            const char *operation, struct journal_error *error)
{
    if (journal->reserved != 0)
        return journal_error_set(error, JOURNAL_FAILED, EBUSY, operation, "",
                                 "the journal %s is in the middle of saving registers",
                                 journal->path);
    return journal_execute(journal, access == JOURNAL_WRITE ? "BEGIN IMMEDIATE" : "BEGIN",
                           operation, error);
}

enum journal_code journal_transaction_end(struct journal *journal, enum journal_code code,
                                          const char *operation, struct journal_error *error)
{
    if (code == JOURNAL_OK)
        code = journal_execute(journal, "COMMIT", operation, error);
    /* Where SQLite has rolled back by itself there is nothing left to do. */
    if (code != JOURNAL_OK && sqlite3_get_autocommit(journal->database) == 0)
        sqlite3_exec(journal->database, "ROLLBACK", NULL, NULL, NULL);
    return code;
}
