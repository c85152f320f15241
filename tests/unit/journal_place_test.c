/*
 * journal_place_test.c - where the journal may lie, and that a file which may
 * not be used is left as it was. What needs another user or a mount
 * is skipped, and said to be, where the test may not do that.
 */
#include "tests/unit/journal_fixture.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534

enum { CHILD_PASSED = 0, CHILD_FAILED = 1, CHILD_SKIPPED = 77, CHILD_DEADLINE_S = 30 };

static void a_new_journal_is_private(void **state)
{
    struct journal_fixture *fixture = *state;
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    const mode_t mask = umask(0);
    journal_fixture_leave(fixture);
    journal_fixture_reopen(fixture);
    journal_fixture_plan(fixture, 2, JOURNAL_ACTIVE);
    umask(mask);
    for (size_t i = 0; i < 3; i++) {
        char path[128];
        struct stat status;
        snprintf(path, sizeof(path), "%s%s", fixture->path, suffixes[i]);
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 07777, 0600);
    }
    assert_string_equal(journal_path(fixture->journal), fixture->path);
}

static void an_empty_file_is_a_new_journal(void **state)
{
    struct journal_fixture *fixture = *state;
    journal_write_file(fixture->path, "", 0);
    journal_fixture_reopen(fixture);
    journal_fixture_plan(fixture, 1, JOURNAL_ACTIVE);
}

static void other_types_of_file_are_refused(void **state)
{
    struct journal_fixture *fixture = *state;
    char path[128], target[128];

    snprintf(path, sizeof(path), "%s/directory", fixture->folder);
    assert_int_equal(mkdir(path, 0700), 0);
    journal_assert_refused(fixture, path, JOURNAL_REFUSED, "is a directory");
    snprintf(path, sizeof(path), "%s/", fixture->folder);
    journal_assert_refused(fixture, path, JOURNAL_REFUSED, "is a directory");
    journal_assert_refused(fixture, "/", JOURNAL_REFUSED, "is a directory");

    snprintf(path, sizeof(path), "%s/fifo", fixture->folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    journal_assert_refused(fixture, path, JOURNAL_REFUSED, "is a FIFO");

    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", fixture->folder);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    journal_assert_refused(fixture, address.sun_path, JOURNAL_REFUSED, "is a socket");
    close(listener);

    journal_fixture_leave(fixture);
    snprintf(path, sizeof(path), "%s/symlink", fixture->folder);
    assert_int_equal(symlink("journal.db", path), 0);
    journal_assert_refused(fixture, path, JOURNAL_REFUSED, "is a symlink");
    snprintf(path, sizeof(path), "%s/dangling", fixture->folder);
    snprintf(target, sizeof(target), "%s/nothing", fixture->folder);
    assert_int_equal(symlink(target, path), 0);
    journal_assert_refused(fixture, path, JOURNAL_REFUSED, "is a symlink");
    assert_int_equal(access(target, F_OK), -1);

    journal_assert_refused(fixture, "", JOURNAL_REFUSED, "is empty");
}

static void folders_are_checked(void **state)
{
    struct journal_fixture *fixture = *state;
    char path[256], link[128];

    snprintf(path, sizeof(path), "%s/missing/journal.db", fixture->folder);
    journal_assert_refused(fixture, path, JOURNAL_REFUSED, "missing does not exist");
    *strrchr(path, '/') = '\0';
    assert_int_equal(access(path, F_OK), -1);

    journal_fixture_leave(fixture);
    snprintf(link, sizeof(link), "%s/link", fixture->folder);
    assert_int_equal(symlink(fixture->folder, link), 0);
    snprintf(path, sizeof(path), "%s/journal.db", link);
    journal_assert_refused(fixture, path, JOURNAL_REFUSED, "link is a symlink");
    snprintf(path, sizeof(path), "%s///journal.db", link);
    journal_assert_refused(fixture, path, JOURNAL_REFUSED, "link is a symlink");
    snprintf(path, sizeof(path), "%s/journal.db/journal.db", fixture->folder);
    journal_assert_refused(fixture, path, JOURNAL_REFUSED, "is a file");

    /* A symlink further up is somebody's choice of disk, and fine. */
    snprintf(path, sizeof(path), "%s/real", fixture->folder);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/real/inner", fixture->folder);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(link, sizeof(link), "%s/above", fixture->folder);
    assert_int_equal(symlink("real", link), 0);
    snprintf(path, sizeof(path), "%s/inner/journal.db", link);
    assert_int_equal(journal_open(path, &fixture->journal, &fixture->error), JOURNAL_OK);

    assert_int_equal(chmod(fixture->folder, 0770), 0);
    journal_assert_refused(fixture, fixture->path, JOURNAL_NOT_PERMITTED, "by others (mode 0770)");
    assert_int_equal(chmod(fixture->folder, 0702), 0);
    journal_assert_refused(fixture, fixture->path, JOURNAL_NOT_PERMITTED, "by others (mode 0702)");
    assert_int_equal(chmod(fixture->folder, 0500), 0);
    journal_assert_refused(fixture, fixture->path, JOURNAL_NOT_PERMITTED, "is read-only");
    assert_int_equal(chmod(fixture->folder, 0755), 0);
    journal_fixture_reopen(fixture);
}

static void modes_are_checked(void **state)
{
    struct journal_fixture *fixture = *state;
    journal_fixture_leave(fixture);
    assert_int_equal(chmod(fixture->path, 0620), 0);
    journal_assert_refused_unchanged(fixture, JOURNAL_NOT_PERMITTED, "by others (mode 0620)");
    assert_int_equal(chmod(fixture->path, 0602), 0);
    journal_assert_refused_unchanged(fixture, JOURNAL_NOT_PERMITTED, "by others (mode 0602)");
    assert_int_equal(chmod(fixture->path, 0400), 0);
    journal_assert_refused_unchanged(fixture, JOURNAL_NOT_PERMITTED, "is read-only");
    assert_int_equal(chmod(fixture->path, 0644), 0);
    journal_fixture_reopen(fixture);
}

static void another_owner_is_refused(void **state)
{
    struct journal_fixture *fixture = *state;
    if (geteuid() != 0) {
        print_message("skipped: only root can give a file away\n");
        skip();
    }
    journal_fixture_leave(fixture);
    assert_int_equal(chown(fixture->path, NOBODY, NOBODY), 0);
    journal_assert_refused_unchanged(fixture, JOURNAL_NOT_PERMITTED, "belongs to user 65534");
    assert_int_equal(chown(fixture->path, 0, 0), 0);
    assert_int_equal(chown(fixture->folder, NOBODY, NOBODY), 0);
    journal_assert_refused_unchanged(fixture, JOURNAL_NOT_PERMITTED, "belongs to user 65534");
}

static void a_path_too_long_is_refused(void **state)
{
    struct journal_fixture *fixture = *state;
    char path[8192];
    int length = snprintf(path, sizeof(path), "%s", fixture->folder);
    for (int depth = 0; depth < 5; depth++) {
        length += snprintf(path + length, sizeof(path) - (size_t)length, "/%0100d", depth);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    snprintf(path + length, sizeof(path) - (size_t)length, "/journal.db");
    journal_assert_refused(fixture, path, JOURNAL_REFUSED, "is longer than");
    assert_int_equal(access(path, F_OK), -1);

    memset(path, 'x', sizeof(path) - 1);
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';
    journal_assert_refused(fixture, path, JOURNAL_REFUSED, "is longer than 4095 bytes");
    path[1000] = '/';
    path[1010] = '\0';
    journal_assert_refused(fixture, path, JOURNAL_REFUSED, "File name too long");

    snprintf(path, sizeof(path), "%s/two\nlines\x1b/journal.db", fixture->folder);
    journal_assert_refused(fixture, path, JOURNAL_REFUSED, "two?lines?");
}

/* Runs a body that may change user, mounts and environment; it returns a CHILD_ value. */
static void assert_child_passes(struct journal_fixture *fixture,
                                int (*body)(struct journal_fixture *fixture))
{
    int status;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(CHILD_DEADLINE_S);
        _exit(body(fixture));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == CHILD_SKIPPED) {
        print_message("skipped: this user may not unshare, mount or change user\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), CHILD_PASSED);
}

static int expect(const char *path, enum journal_code expected, const char *fragment)
{
    struct journal *journal;
    struct journal_error error = {0};
    const enum journal_code code = journal_open(path, &journal, &error);
    journal_close(journal);
    if (code == expected && strstr(error.message, fragment) != NULL)
        return CHILD_PASSED;
    fprintf(stderr, "code %d instead of %d: %s\n", code, expected, error.message);
    return CHILD_FAILED;
}

static bool has_mode(const char *folder, const char *name, mode_t mode)
{
    char path[256];
    struct stat status;
    snprintf(path, sizeof(path), "%s%s", folder, name);
    if (stat(path, &status) == 0 && (status.st_mode & 07777) == mode)
        return true;
    fprintf(stderr, "%s is absent or not of mode %04o\n", path, (unsigned)mode);
    return false;
}

static int use_own_mounts(void)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return CHILD_SKIPPED;
    return CHILD_PASSED;
}

static int read_only_body(struct journal_fixture *fixture)
{
    char missing[128];
    snprintf(missing, sizeof(missing), "%s/other.db", fixture->folder);
    if (use_own_mounts() != CHILD_PASSED ||
        mount(fixture->folder, fixture->folder, NULL, MS_BIND, NULL) != 0 ||
        mount(NULL, fixture->folder, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) != 0)
        return CHILD_SKIPPED;
    if (expect(fixture->path, JOURNAL_NOT_PERMITTED, "Read-only file system") != CHILD_PASSED)
        return CHILD_FAILED;
    return expect(missing, JOURNAL_NOT_PERMITTED, "Read-only file system");
}

static void a_read_only_file_system_is_refused(void **state)
{
    journal_fixture_leave(*state);
    assert_child_passes(*state, read_only_body);
}

static int root_default_body(struct journal_fixture *fixture)
{
    (void)fixture;
    unsetenv("SKEWCTL_JOURNAL");
    setenv("XDG_STATE_HOME", fixture->folder, 1);
    if (geteuid() != 0 || use_own_mounts() != CHILD_PASSED ||
        mount("none", "/var/lib", "tmpfs", 0, NULL) != 0)
        return CHILD_SKIPPED;
    if (expect(NULL, JOURNAL_OK, "") != CHILD_PASSED || !has_mode("/var/lib", "/skewctl", 0700) ||
        !has_mode("/var/lib", "/skewctl/journal.db", 0600))
        return CHILD_FAILED;
    return CHILD_PASSED;
}

static void root_keeps_it_under_var_lib(void **state)
{
    assert_child_passes(*state, root_default_body);
}

static int become_user(struct journal_fixture *fixture)
{
    if (geteuid() != 0)
        return CHILD_PASSED;
    if (chown(fixture->folder, NOBODY, NOBODY) != 0 || setresgid(NOBODY, NOBODY, NOBODY) != 0 ||
        setresuid(NOBODY, NOBODY, NOBODY) != 0)
        return CHILD_SKIPPED;
    return CHILD_PASSED;
}

static int user_default_body(struct journal_fixture *fixture)
{
    char state_home[128];
    snprintf(state_home, sizeof(state_home), "%s/a/b", fixture->folder);
    if (become_user(fixture) != CHILD_PASSED)
        return CHILD_SKIPPED;
    umask(0);
    unsetenv("SKEWCTL_JOURNAL");
    setenv("HOME", fixture->folder, 1);
    setenv("XDG_STATE_HOME", "relative/is/ignored", 1);
    if (expect(NULL, JOURNAL_OK, "") != CHILD_PASSED ||
        !has_mode(fixture->folder, "/.local/state/skewctl", 0700) ||
        !has_mode(fixture->folder, "/.local/state/skewctl/journal.db", 0600))
        return CHILD_FAILED;
    setenv("XDG_STATE_HOME", state_home, 1);
    if (expect(NULL, JOURNAL_OK, "") != CHILD_PASSED ||
        !has_mode(fixture->folder, "/a/b/skewctl", 0700) ||
        !has_mode(fixture->folder, "/a/b/skewctl/journal.db", 0600))
        return CHILD_FAILED;
    setenv("XDG_STATE_HOME", "/proc/no/such/place", 1);
    if (expect(NULL, JOURNAL_FAILED, "/proc/no") != CHILD_PASSED)
        return CHILD_FAILED;
    unsetenv("XDG_STATE_HOME");
    setenv("HOME", "/root/unreachable", 1);
    struct journal *journal;
    struct journal_error error;
    if (journal_open(NULL, &journal, &error) == JOURNAL_OK)
        return CHILD_FAILED;
    unsetenv("HOME");
    return expect(NULL, JOURNAL_REFUSED, "no place for the journal");
}

static void a_user_keeps_it_in_the_state_home(void **state)
{
    assert_child_passes(*state, user_default_body);
}

static int variable_body(struct journal_fixture *fixture)
{
    char other[128];
    snprintf(other, sizeof(other), "%s/other.db", fixture->folder);
    setenv("SKEWCTL_JOURNAL", other, 1);
    if (expect(NULL, JOURNAL_OK, "") != CHILD_PASSED || !has_mode(other, "", 0600))
        return CHILD_FAILED;
    /* A path given outright comes first, and may be relative. */
    setenv("SKEWCTL_JOURNAL", "/proc/no/such/place", 1);
    if (expect(NULL, JOURNAL_REFUSED, "does not exist") != CHILD_PASSED ||
        chdir(fixture->folder) != 0)
        return CHILD_FAILED;
    if (expect("relative.db", JOURNAL_OK, "") != CHILD_PASSED ||
        !has_mode(fixture->folder, "/relative.db", 0600))
        return CHILD_FAILED;
    return CHILD_PASSED;
}

static void the_variable_names_the_journal(void **state)
{
    assert_child_passes(*state, variable_body);
}

#define WITH_FOLDER(test)                                                                          \
    cmocka_unit_test_setup_teardown(test, journal_fixture_set_up_folder, journal_fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(a_new_journal_is_private),
        WITH_FOLDER(an_empty_file_is_a_new_journal),
        WITH_FOLDER(other_types_of_file_are_refused),
        WITH_FOLDER(folders_are_checked),
        WITH_FOLDER(modes_are_checked),
        WITH_FOLDER(another_owner_is_refused),
        WITH_FOLDER(a_path_too_long_is_refused),
        WITH_FOLDER(a_read_only_file_system_is_refused),
        WITH_FOLDER(root_keeps_it_under_var_lib),
        WITH_FOLDER(a_user_keeps_it_in_the_state_home),
        WITH_FOLDER(the_variable_names_the_journal),
    };
    return cmocka_run_group_tests_name("journal place", tests, NULL, NULL);
}
