/*
 * journal_safety_test.c - the claims at the top of journal.c: what was
 * acknowledged outlives SIGKILL, what was not is not there, writers wait for
 * each other up to a deadline, and saving registers never calls fsync(2).
 */
#include "tests/unit/journal_fixture.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { DEADLINE_S = 30 };

/* These stand in for those of libc, in SQLite too, and count. */
static atomic_int syncs;

int fsync(int descriptor)
{
    atomic_fetch_add(&syncs, 1);
    return (int)syscall(SYS_fsync, descriptor);
}

int fdatasync(int descriptor)
{
    atomic_fetch_add(&syncs, 1);
    return (int)syscall(SYS_fdatasync, descriptor);
}

struct saving {
    struct journal *journal;
    size_t size;
    enum journal_code code;
    struct journal_error error;
    int syncs;
};

static void *save_registers(void *argument)
{
    static const unsigned char registers[4096] = {1, 2, 3};
    struct saving *saving = argument;
    const int before = atomic_load(&syncs);
    saving->code =
        journal_registers_commit(saving->journal, 77, registers, saving->size, &saving->error);
    saving->syncs = atomic_load(&syncs) - before;
    return NULL;
}

/* From another thread, as the engine does. */
static void save_in_thread(struct saving *saving)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, save_registers, saving), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    if (saving->code != JOURNAL_OK)
        fail_msg("%s", saving->error.message);
}

static void saving_registers_never_syncs(void **state)
{
    struct journal_fixture *fixture = *state;
    static const char *const before[] = {
        "SELECT 1",
        "PRAGMA wal_checkpoint(PASSIVE)",
        "PRAGMA wal_checkpoint(RESTART)",
        "PRAGMA wal_checkpoint(TRUNCATE)",
    };
    bool synced_in_begin = false;
    const int64_t id = journal_fixture_plan(fixture, 1, JOURNAL_PLANNED);
    for (int round = 0; round < 100; round++) {
        struct saving saving = {.journal = fixture->journal, .size = round % 3 == 0 ? 4096 : 216};
        /* A checkpoint by another process makes the next writer start the WAL over. */
        journal_fixture_doctor(fixture, before[round % 4]);
        const int syncs_before = atomic_load(&syncs);
        assert_int_equal(
            journal_registers_begin(fixture->journal, id, JOURNAL_INJECTING, &fixture->error),
            JOURNAL_OK);
        synced_in_begin |= atomic_load(&syncs) != syncs_before;
        save_in_thread(&saving);
        assert_int_equal(saving.syncs, 0);
    }
    /* Else the counter counts nothing. */
    assert_true(synced_in_begin);
}

static void only_closing_checkpoints(void **state)
{
    struct journal_fixture *fixture = *state;
    for (pid_t pid = 1; pid <= 200; pid++)
        journal_fixture_plan(fixture, pid, JOURNAL_ACTIVE);
    /* All that was written is in the WAL: the main file alone knows nothing of it. */
    sqlite3 *database;
    sqlite3_stmt *statement;
    char uri[160];
    snprintf(uri, sizeof(uri), "file:%s?immutable=1", fixture->path);
    for (int closed = 0; closed < 2; closed++) {
        if (closed) {
            journal_close(fixture->journal);
            fixture->journal = NULL;
        }
        assert_int_equal(sqlite3_open_v2(uri, &database, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, 0),
                         SQLITE_OK);
        assert_int_equal(
            sqlite3_prepare_v2(database, "SELECT count(*) FROM injections", -1, &statement, NULL),
            SQLITE_OK);
        assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
        assert_int_equal(sqlite3_column_int(statement, 0), closed ? 200 : 0);
        sqlite3_finalize(statement);
        sqlite3_close(database);
    }
}

/* Each skewctl is a process of its own: what one leaves must not pile up for the next. */
static void the_log_stays_short(void **state)
{
    struct journal_fixture *fixture = *state;
    char path[sizeof(fixture->path) + 8];
    struct stat log;
    snprintf(path, sizeof(path), "%s-wal", fixture->path);
    for (pid_t pid = 1; pid <= 300; pid++) {
        journal_fixture_plan(fixture, pid, JOURNAL_ACTIVE);
        journal_close(fixture->journal);
        assert_int_equal(journal_open(fixture->path, &fixture->journal, &fixture->error),
                         JOURNAL_OK);
        assert_int_equal(stat(path, &log), 0);
        assert_true(log.st_size < 2 << 20);
    }
}

/* What a child reports through its pipe: it is done with the step. */
struct report {
    int64_t id;
    enum journal_phase phase;
};

struct writer {
    pid_t pid;
    int output;
};

static struct writer start_writer(struct journal_fixture *fixture,
                                  void (*body)(struct journal_fixture *fixture, int output))
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(DEADLINE_S);
        close(ends[0]);
        body(fixture, ends[1]);
        _exit(1);
    }
    close(ends[1]);
    return (struct writer){.pid = child, .output = ends[0]};
}

static bool read_report(const struct writer *writer, struct report *report)
{
    struct pollfd wait = {.fd = writer->output, .events = POLLIN};
    return poll(&wait, 1, DEADLINE_S * 1000) == 1 &&
           read(writer->output, report, sizeof(*report)) == sizeof(*report);
}

static void kill_writer(const struct writer *writer)
{
    int status;
    assert_int_equal(kill(writer->pid, SIGKILL), 0);
    assert_int_equal(waitpid(writer->pid, &status, 0), writer->pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void begin_and_wait(struct journal_fixture *fixture, int output)
{
    struct journal *journal;
    struct report report = {.id = 1, .phase = JOURNAL_INJECTING};
    if (journal_open(fixture->path, &journal, &fixture->error) != JOURNAL_OK ||
        journal_registers_begin(journal, report.id, report.phase, &fixture->error) != JOURNAL_OK)
        _exit(1);
    if (write(output, &report, sizeof(report)) != sizeof(report))
        _exit(1);
    pause();
}

static void a_writer_killed_before_commit_leaves_nothing(void **state)
{
    struct journal_fixture *fixture = *state;
    struct report report;
    assert_int_equal(journal_fixture_plan(fixture, 1, JOURNAL_PLANNED), 1);
    journal_close(fixture->journal);
    fixture->journal = NULL;

    const struct writer writer = start_writer(fixture, begin_and_wait);
    const bool begun = read_report(&writer, &report);
    kill_writer(&writer);
    close(writer.output);
    assert_true(begun);

    journal_fixture_reopen(fixture);
    assert_int_equal(journal_fixture_phase(fixture, 1), JOURNAL_PLANNED);
    assert_int_equal(journal_fixture_count(fixture, "SELECT count(*) FROM registers"), 0);
    /* Its lock died with it. */
    assert_int_equal(journal_advance(fixture->journal, 1, JOURNAL_INJECTING, NULL, &fixture->error),
                     JOURNAL_OK);
}

static void report_step(int output, int64_t id, enum journal_phase phase)
{
    const struct report report = {.id = id, .phase = phase};
    if (write(output, &report, sizeof(report)) != sizeof(report))
        _exit(1);
}

static void write_for_ever(struct journal_fixture *fixture, int output)
{
    struct journal_error error;
    for (pid_t pid = getpid();; pid++) {
        struct journal *journal;
        struct journal_injection injection = journal_sample(pid);
        injection.key.start_time = (uint64_t)getpid();
        if (journal_open(fixture->path, &journal, &error) != JOURNAL_OK ||
            journal_plan(journal, &injection, "vdso", 4, &error) != JOURNAL_OK)
            _exit(1);
        report_step(output, injection.id, JOURNAL_PLANNED);
        if (journal_registers_begin(journal, injection.id, JOURNAL_INJECTING, &error) !=
                JOURNAL_OK ||
            journal_registers_commit(journal, pid, "regs", 4, &error) != JOURNAL_OK)
            _exit(1);
        report_step(output, injection.id, JOURNAL_INJECTING);
        if (journal_advance(journal, injection.id, JOURNAL_ACTIVE, NULL, &error) != JOURNAL_OK)
            _exit(1);
        report_step(output, injection.id, JOURNAL_ACTIVE);
        journal_close(journal);
    }
}

static void what_was_acknowledged_outlives_the_writer(void **state)
{
    struct journal_fixture *fixture = *state;
    enum { ROUNDS = 40 };
    unsigned seed = 3;
    journal_close(fixture->journal);
    fixture->journal = NULL;
    for (int round = 0; round < ROUNDS; round++) {
        struct report report = {0}, last = {0};
        const struct writer writer = start_writer(fixture, write_for_ever);
        bool heard = true;
        for (int steps = 1 + rand_r(&seed) % 40; heard && steps > 0; steps--)
            heard = read_report(&writer, &report);
        nanosleep(&(struct timespec){.tv_nsec = rand_r(&seed) % 500000}, NULL);
        kill_writer(&writer);
        assert_true(heard);
        for (last = report; read_report(&writer, &report);)
            last = report;
        close(writer.output);

        struct journal *journal;
        struct journal_injection injection, *list;
        size_t count;
        assert_int_equal(journal_open(fixture->path, &journal, &fixture->error), JOURNAL_OK);
        assert_int_equal(journal_get(journal, last.id, &injection, &fixture->error), JOURNAL_OK);
        assert_true(injection.phase >= last.phase);
        assert_int_equal(injection.patch_count, 2);
        assert_int_equal(journal_list(journal, true, &list, &count, &fixture->error), JOURNAL_OK);
        /* At most the one step that was under way had not been heard of. */
        assert_true(list[count - 1].id <= last.id + 1);
        for (size_t i = 0; i < count; i++) {
            char registers[8];
            size_t size = sizeof(registers);
            pid_t tid;
            const enum journal_code code = journal_registers_load(
                journal, list[i].id, &tid, registers, &size, &fixture->error);
            assert_int_equal(code,
                             list[i].phase == JOURNAL_PLANNED ? JOURNAL_NOT_FOUND : JOURNAL_OK);
        }
        free(list);
        journal_close(journal);
    }
    sqlite3 *database;
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_open(fixture->path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(database, "PRAGMA integrity_check", -1, &statement, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(statement, 0), "ok");
    sqlite3_finalize(statement);
    sqlite3_close(database);
}

static double seconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static void a_held_lock_is_busy_after_the_deadline(void **state)
{
    struct journal_fixture *fixture = *state;
    struct journal *other;
    struct journal_injection injection, planned = journal_sample(2);
    struct timespec start;
    const int64_t id = journal_fixture_plan(fixture, 1, JOURNAL_PLANNED);
    assert_int_equal(journal_open(fixture->path, &other, &fixture->error), JOURNAL_OK);
    assert_int_equal(journal_registers_begin(other, id, JOURNAL_INJECTING, &fixture->error),
                     JOURNAL_OK);

    journal_wait_limit(fixture->journal, 2000);
    clock_gettime(CLOCK_MONOTONIC, &start);
    journal_assert_error(&fixture->error,
                         journal_plan(fixture->journal, &planned, "vdso", 4, &fixture->error),
                         JOURNAL_BUSY, "locked by another process");
    const double waited = seconds_since(&start);
    assert_true(waited > 1 && waited < DEADLINE_S);
    /* Whoever has not let go of it for so long is not waited for as long again. */
    clock_gettime(CLOCK_MONOTONIC, &start);
    assert_int_equal(journal_plan(fixture->journal, &planned, "vdso", 4, &fixture->error),
                     JOURNAL_BUSY);
    assert_true(seconds_since(&start) < waited / 2);
    /* Readers do not wait. */
    assert_int_equal(journal_get(fixture->journal, id, &injection, &fixture->error), JOURNAL_OK);
    assert_int_equal(injection.phase, JOURNAL_PLANNED);

    journal_registers_abort(other);
    assert_int_equal(journal_plan(fixture->journal, &planned, "vdso", 4, &fixture->error),
                     JOURNAL_OK);
    journal_close(other);
}

static void *release_soon(void *argument)
{
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    journal_registers_abort(argument);
    return NULL;
}

static void a_lock_released_in_time_is_waited_for(void **state)
{
    struct journal_fixture *fixture = *state;
    struct journal *other;
    pthread_t thread;
    const int64_t id = journal_fixture_plan(fixture, 1, JOURNAL_PLANNED);
    assert_int_equal(journal_open(fixture->path, &other, &fixture->error), JOURNAL_OK);
    assert_int_equal(journal_registers_begin(other, id, JOURNAL_INJECTING, &fixture->error),
                     JOURNAL_OK);
    assert_int_equal(pthread_create(&thread, NULL, release_soon, other), 0);
    const enum journal_code code =
        journal_advance(fixture->journal, id, JOURNAL_GONE, NULL, &fixture->error);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(code, JOURNAL_OK);
    journal_close(other);
}

static void open_and_plan(struct journal_fixture *fixture, int output)
{
    struct journal *journal;
    struct journal_injection injection = journal_sample(getpid());
    if (journal_open(fixture->path, &journal, &fixture->error) == JOURNAL_OK &&
        journal_plan(journal, &injection, "vdso", 4, &fixture->error) == JOURNAL_OK)
        report_step(output, injection.id, JOURNAL_PLANNED);
    else
        fprintf(stderr, "%s\n", fixture->error.message);
    journal_close(journal);
}

static void many_may_create_it_at_once(void **state)
{
    struct journal_fixture *fixture = *state;
    enum { WRITERS = 8 };
    struct writer writers[WRITERS];
    struct report report;
    int planned = 0;
    for (int i = 0; i < WRITERS; i++)
        writers[i] = start_writer(fixture, open_and_plan);
    for (int i = 0; i < WRITERS; i++) {
        planned += read_report(&writers[i], &report);
        assert_int_equal(waitpid(writers[i].pid, NULL, 0), writers[i].pid);
        close(writers[i].output);
    }
    assert_int_equal(planned, WRITERS);
    assert_int_equal(journal_fixture_count(fixture, "SELECT count(*) FROM injections"), WRITERS);
    assert_int_equal(journal_fixture_count(fixture, "SELECT count(*) FROM vdso"), 1);
}

#define WITH_JOURNAL(test)                                                                         \
    cmocka_unit_test_setup_teardown(test, journal_fixture_set_up, journal_fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_JOURNAL(saving_registers_never_syncs),
        WITH_JOURNAL(only_closing_checkpoints),
        WITH_JOURNAL(the_log_stays_short),
        WITH_JOURNAL(a_writer_killed_before_commit_leaves_nothing),
        WITH_JOURNAL(what_was_acknowledged_outlives_the_writer),
        WITH_JOURNAL(a_held_lock_is_busy_after_the_deadline),
        WITH_JOURNAL(a_lock_released_in_time_is_waited_for),
        cmocka_unit_test_setup_teardown(many_may_create_it_at_once, journal_fixture_set_up_folder,
                                        journal_fixture_tear_down),
    };
    return cmocka_run_group_tests_name("journal safety", tests, NULL, NULL);
}
