/*
 * journal_faults_test.c - what may happen to the journal between an inject and
 * the recover: full or read-only disk, a long lock, deletion, damage, an old copy.
 * The image in the process is enough to put it back (promise P3).
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#include "journal/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MINUTE INT64_C(60000000000)
#define PAGE   4096

static const char *const suffixes[] = {"", "-wal", "-shm"};

static const char *part(size_t index)
{
    return harness_format("%s%s", skewctl_journal(), suffixes[index]);
}

static void parts_delete(size_t from)
{
    for (size_t i = from; i < 3; i++)
        if (unlink(part(i)) != 0 && errno != ENOENT)
            fail_msg("unlink %s: %s", part(i), strerror(errno));
}

static void file_write(const char *path, const void *bytes, size_t size)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 || write(file, bytes, size) != (ssize_t)size || close(file) != 0)
        fail_msg("writing %s: %s", path, strerror(errno));
}

/* The three files as they are, and put back, but for those not in the set of bits. */
struct copy {
    char *bytes[3];
    size_t sizes[3];
};

static struct copy parts_copy(void)
{
    struct copy copy = {0};
    for (size_t i = 0; i < 3; i++)
        copy.bytes[i] = harness_file_read(part(i), &copy.sizes[i]);
    return copy;
}

static void parts_restore(const struct copy *copy, unsigned which)
{
    for (size_t i = 0; i < 3; i++)
        if (which & 1U << i && copy->bytes[i])
            file_write(part(i), copy->bytes[i], copy->sizes[i]);
}

struct scene {
    struct child *reader;
    const char *pid;
    struct snapshot before;
};

static struct scene scene_start(void)
{
    struct scene scene = {.reader = victim_start("clock_reader", "1", "200", NULL)};
    scene.pid = harness_format("%d", scene.reader->pid);
    scene.before = snapshot_take(scene.reader->pid);
    clock_reader_allow(scene.reader, "realtime", -5 * MINUTE);
    clock_reader_allow(scene.reader, "realtime", 3 * MINUTE);
    return scene;
}

/* It works by pid, leaves nothing, and no command is killed by what it reads. */
static void expect_recovered(const struct scene *scene, const char *what)
{
    struct run run = skewctl_run("list", NULL);
    if (run.code < 0 || run.code > 5)
        fail_msg("%s: list came to %d, signal %d: %s", what, run.code, run.signal, run.err);
    run = skewctl_run("recover", "-p", scene->pid, NULL);
    if (run.code != 0)
        fail_msg("%s: recover came to %d, signal %d: %s", what, run.code, run.signal, run.err);
    victim_check(scene->reader);
    struct snapshot after = snapshot_take(scene->reader->pid);
    const char *difference = snapshot_difference(&scene->before, &after);
    if (difference)
        fail_msg("%s: recover left\n%s", what, difference);
}

static void damaged(void **state)
{
    (void)state;
    struct scene scene = scene_start();
    struct keep *mark = harness_mark();
    const char *const damages[] = {"emptied", "cut in the header", "cut in a page",
                                   "cut",     "overwritten",       "turned into a directory"};
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        for (size_t which = 0; which < 2; which++) {
            skewctl_inject(scene.reader->pid, "-5m");
            struct stat status;
            assert_int_equal(stat(part(which), &status), 0);
            const off_t sizes[] = {0, 50, PAGE + 100, status.st_size / 2 / PAGE * PAGE};
            if (i < 4) {
                assert_int_equal(truncate(part(which), sizes[i]), 0);
            } else if (i == 4) {
                char *noise = harness_memory((size_t)status.st_size);
                srandom(4711);
                for (off_t at = 0; at < status.st_size; at++)
                    noise[at] = (char)random();
                file_write(part(which), noise, (size_t)status.st_size);
            } else {
                assert_int_equal(unlink(part(which)), 0);
                assert_int_equal(mkdir(part(which), 0700), 0);
            }
            expect_recovered(&scene, harness_format("journal%s %s", suffixes[which], damages[i]));
            rmdir(part(which));
            parts_delete(0);
            harness_release(mark);
        }
    }
}

/* Every page of the database and of its log in turn, all bits of it the other way round. */
static void each_page_flipped(void **state)
{
    (void)state;
    struct scene scene = scene_start();
    struct keep *mark = harness_mark();
    for (size_t which = 0; which < 2; which++) {
        size_t size = 1;
        for (size_t page = 0; page * PAGE < size; page++) {
            skewctl_inject(scene.reader->pid, "-5m");
            char *bytes = harness_file_read(part(which), &size);
            assert_non_null(bytes);
            for (size_t at = page * PAGE; at < size && at < (page + 1) * PAGE; at++)
                bytes[at] = (char)~bytes[at];
            file_write(part(which), bytes, size);
            expect_recovered(
                &scene, harness_format("page %zu of journal%s flipped", page, suffixes[which]));
            parts_delete(0);
            harness_release(mark);
        }
    }
}

/* An old copy of the journal, and of its log and index or of some of them only. */
static void rolled_back(void **state)
{
    (void)state;
    struct scene scene = scene_start();
    struct keep *mark = harness_mark();
    for (unsigned which = 1; which < 8; which += 2) {
        for (unsigned kept = 0; kept < 2; kept++) {
            for (unsigned updated = 0; updated < 2; updated++) {
                struct run run = skewctl_run("list", NULL);
                run_expect(&run, 0);
                if (updated)
                    skewctl_inject(scene.reader->pid, "3m");
                struct copy copy = parts_copy();
                skewctl_inject(scene.reader->pid, "-5m");
                if (!kept)
                    parts_delete(0);
                parts_restore(&copy, which);
                expect_recovered(&scene, harness_format("copy %x from before the %s, the rest %s",
                                                        which, updated ? "update" : "inject",
                                                        kept ? "kept" : "deleted"));
                parts_delete(0);
                harness_release(mark);
            }
        }
    }
}

/* Runs a script that has $1 skewctl, $2 the pid and $3 a folder to mount on, and mounts of its own.
 */
static void mounted(const struct scene *scene, const char *script)
{
    const char *folder = harness_directory(geteuid());
    const char *const probe[] = {"unshare", "-m", "mount", "-t", "tmpfs", "none", folder, NULL};
    if (program_run(probe, NULL, HARNESS_DEADLINE_MS).code != 0)
        harness_skip("no file system can be mounted in a namespace here");
    struct run run = program_run((const char *const[]){"unshare", "-m", "sh", "-euc", script, "sh",
                                                       skewctl_path(), scene->pid, folder, NULL},
                                 NULL, HARNESS_DEADLINE_MS);
    run_expect(&run, 0);
    if (!strstr(run.out, "without the journal"))
        fail_msg("it does not say that the journal knows nothing of it: %s", run.out);
    snapshot_expect(&scene->before, scene->reader->pid);
    victim_check(scene->reader);
    clock_reader_expect_all(scene->reader, 0);
}

static void read_only_file_system(void **state)
{
    (void)state;
    struct scene scene = scene_start();
    mounted(&scene, "mount -t tmpfs -o mode=700,size=4m none $3\n"
                    "$1 inject -p $2 --offset -5m --journal $3/j.db >&2\n"
                    "mount -o remount,ro $3\n"
                    "if $1 inject -p $2 --offset 3m --journal $3/j.db >&2; then exit 99; fi\n"
                    "$1 recover -p $2 --journal $3/j.db\n");
}

static void full_disk(void **state)
{
    (void)state;
    struct scene scene = scene_start();
    mounted(&scene, "mount -t tmpfs -o mode=700,size=1m none $3\n"
                    "$1 inject -p $2 --offset -5m --journal $3/j.db >&2\n"
                    "cat /dev/zero >$3/fill || true\n"
                    "if $1 inject -p $2 --offset 3m --journal $3/j.db >&2; then exit 99; fi\n"
                    "$1 recover -p $2 --journal $3/j.db\n");
}

/* At each amount of room that is left: the target is as before, or injected and then recovered. */
static void disk_that_fills_up(void **state)
{
    (void)state;
    struct scene scene = scene_start();
    mounted(&scene, "mount -t tmpfs -o mode=700,size=1m none $3\n"
                    "room=0\n"
                    "while [ $room -lt 30 ]; do\n"
                    "  rm -f $3/*; $1 list --journal $3/j.db\n"
                    "  cat /dev/zero >$3/fill 2>/dev/null || true\n"
                    "  truncate -s -$((room * 4096)) $3/fill\n"
                    "  code=0; $1 inject -p $2 --offset -5m --journal $3/j.db >&2 || code=$?\n"
                    "  images=$(grep -c 'r-xp 00000000 00:00 0 *$' /proc/$2/maps || true)\n"
                    "  if [ $code -eq 0 ]; then [ $images -eq 1 ]; else [ $images -eq 0 ]; fi\n"
                    "  if [ $code -eq 0 ]; then $1 recover -p $2 --journal $3/j.db; fi\n"
                    "  room=$((room + 2))\n"
                    "done\n"
                    "echo without the journal\n");
}

/* By a skewctl that does not go on, for longer than anybody waits. */
static void locked(void **state)
{
    (void)state;
    struct scene scene = scene_start();
    skewctl_inject(scene.reader->pid, "-5m");
    struct journal *journal;
    struct journal_error error;
    struct journal_injection *rows;
    size_t count;
    assert_int_equal(journal_open(skewctl_journal(), &journal, &error), JOURNAL_OK);
    assert_int_equal(journal_list(journal, false, &rows, &count, &error), JOURNAL_OK);
    assert_int_equal(count, 1);
    assert_int_equal(journal_registers_begin(journal, rows[0].id, JOURNAL_UPDATING, &error),
                     JOURNAL_OK);
    free(rows);
    struct run run = skewctl_run("recover", "-p", scene.pid, NULL);
    journal_registers_abort(journal);
    journal_close(journal);
    run_expect(&run, 0);
    assert_non_null(strstr(run.out, "locked"));
    snapshot_expect(&scene.before, scene.reader->pid);
    /* And the journal finds out. */
    run = skewctl_run("list", "-o", "json", NULL);
    assert_string_equal(json_query(run.out, ".injections | length"), "0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(damaged),     harness_test(each_page_flipped),
        harness_test(rolled_back), harness_test(read_only_file_system),
        harness_test(full_disk),   harness_test(disk_that_fills_up),
        harness_test(locked),
    };
    return cmocka_run_group_tests_name("journal faults", tests, NULL, NULL);
}
