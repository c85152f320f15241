/*
 * bad_journal_test.c - a journal that is not one, or not ours to use: every
 * command says so in one line, exits as documented and touches no target.
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOBODY 65534

/* All commands that open the journal, with this one. */
static void expect_turned_down(const char *journal, int code)
{
    /* What is wrong may be the file or its folder. */
    const char *folder = harness_format("%.*s", (int)(strrchr(journal, '/') - journal), journal);
    struct child *victim = victim_start("idle", NULL);
    const char *pid = harness_format("%d", victim->pid);
    struct snapshot before = snapshot_take(victim->pid);
    const char *const commands[][9] = {
        {skewctl_path(), "inject", "-p", pid, "--offset", "-5m", "--journal", journal, NULL},
        {skewctl_path(), "recover", "-p", pid, "--journal", journal, NULL},
        {skewctl_path(), "recover", "--all", "--journal", journal, NULL},
        {skewctl_path(), "list", "--journal", journal, NULL},
    };
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        struct run run = program_run(commands[i], NULL, HARNESS_DEADLINE_MS);
        run_expect_error(&run, code);
        if (!strstr(run.err, folder))
            fail_msg("the journal %s is not named: %s", journal, run.err);
    }
    snapshot_expect(&before, victim->pid);
}

static void file_write(const char *path, off_t offset, const void *bytes, size_t size)
{
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || pwrite(file, bytes, size, offset) != (ssize_t)size || close(file) != 0)
        fail_msg("writing %s: %s", path, strerror(errno));
}

static void directory(void **state)
{
    (void)state;
    const char *path = harness_format("%s/journal.db", harness_directory(geteuid()));
    assert_int_equal(mkdir(path, 0700), 0);
    expect_turned_down(path, 3);
}

static void symbolic_link(void **state)
{
    (void)state;
    const char *folder = harness_directory(geteuid());
    const char *path = harness_format("%s/journal.db", folder);
    const char *elsewhere = harness_format("%s/elsewhere.db", folder);
    assert_int_equal(symlink(elsewhere, path), 0);
    expect_turned_down(path, 3);
    assert_int_equal(access(elsewhere, F_OK), -1);
}

static void symbolic_link_folder(void **state)
{
    (void)state;
    const char *folder = harness_directory(geteuid());
    const char *link = harness_format("%s/link", harness_directory(geteuid()));
    assert_int_equal(symlink(folder, link), 0);
    expect_turned_down(harness_format("%s/journal.db", link), 3);
}

static void not_a_database(void **state)
{
    (void)state;
    const char *path = harness_format("%s/journal.db", harness_directory(geteuid()));
    char text[8192];
    memset(text, 'x', sizeof text);
    file_write(path, 0, text, sizeof text);
    expect_turned_down(path, 3);
    size_t size;
    assert_memory_equal(harness_file_read(path, &size), text, sizeof text);
    assert_int_equal(size, sizeof text);
}

static void journal_create(void)
{
    struct run run = skewctl_run("list", NULL);
    run_expect(&run, 0);
}

/* Its pages overwritten, its header left: found when it is read, not when it is opened. */
static void damaged(void **state)
{
    (void)state;
    journal_create();
    size_t size;
    assert_non_null(harness_file_read(skewctl_journal(), &size));
    assert_true(size > 4096);
    char text[4096 - 100];
    memset(text, 0xff, sizeof text);
    file_write(skewctl_journal(), 100, text, sizeof text);
    expect_turned_down(skewctl_journal(), 3);
}

/* Sound, and of this version, yet it lacks what every command reads. */
static void without_a_table(void **state)
{
    (void)state;
    journal_create();
    sqlite3 *database;
    assert_int_equal(sqlite3_open(skewctl_journal(), &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, "DROP TABLE injections", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(database), SQLITE_OK);
    expect_turned_down(skewctl_journal(), 3);
}

/* The user version of the database header, four bytes at 60 (sqlite.org/fileformat.html). */
static void of_a_newer_version(void **state)
{
    (void)state;
    journal_create();
    file_write(skewctl_journal(), 60, "\x00\x01\x00\x00", 4);
    expect_turned_down(skewctl_journal(), 3);
}

static void of_another_user(void **state)
{
    (void)state;
    if (geteuid() != 0)
        harness_skip("only root can give files away");
    journal_create();
    assert_int_equal(chown(skewctl_journal(), NOBODY, NOBODY), 0);
    expect_turned_down(skewctl_journal(), 5);
}

static void writable_by_others(void **state)
{
    (void)state;
    journal_create();
    assert_int_equal(chmod(skewctl_journal(), 0666), 0);
    expect_turned_down(skewctl_journal(), 5);
}

/* The journal of a user who may not write it; root may write all. */
static void read_only(void **state)
{
    (void)state;
    if (geteuid() != 0)
        harness_skip("only root can become another user");
    const char *folder = harness_directory(NOBODY);
    const char *path = harness_format("%s/journal.db", folder);
    const char *command = harness_format("%s/skewctl", folder);
    struct run run = program_run((const char *const[]){"cp", skewctl_path(), command, NULL}, NULL,
                                 HARNESS_DEADLINE_MS);
    run_expect(&run, 0);
    const char *const list[] = {command, "list", "--journal", path, NULL};
    run = program_run(list, &(struct start){.user = NOBODY}, HARNESS_DEADLINE_MS);
    run_expect(&run, 0);
    assert_int_equal(chmod(path, 0400), 0);
    run = program_run(list, &(struct start){.user = NOBODY}, HARNESS_DEADLINE_MS);
    run_expect_error(&run, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(directory),
        harness_test(symbolic_link),
        harness_test(symbolic_link_folder),
        harness_test(not_a_database),
        harness_test(damaged),
        harness_test(without_a_table),
        harness_test(of_a_newer_version),
        harness_test(of_another_user),
        harness_test(writable_by_others),
        harness_test(read_only),
    };
    return cmocka_run_group_tests_name("bad journals", tests, NULL, NULL);
}
