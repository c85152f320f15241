/*
 * journal_lost_test.c - the journal is a hint, the target is the truth (promise
 * P3): with the journal gone, what the image itself says is enough.
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define MINUTE INT64_C(60000000000)

static void journal_delete(void)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < 3; i++) {
        const char *path = harness_format("%s%s", skewctl_journal(), suffixes[i]);
        if (unlink(path) != 0 && (errno != ENOENT || i == 0))
            fail_msg("unlink %s: %s", path, strerror(errno));
    }
}

static void recover_without_journal(void **state)
{
    (void)state;
    struct child *reader = victim_start("clock_reader", "4", NULL);
    struct snapshot before = snapshot_take(reader->pid);
    clock_reader_allow(reader, "realtime", -5 * MINUTE);
    skewctl_inject(reader->pid, "-5m");
    journal_delete();
    skewctl_recover(reader->pid);
    clock_reader_forbid(reader, "realtime", -5 * MINUTE);
    victim_check_progress(reader, 100);
    snapshot_expect(&before, reader->pid);
}

/* Changed in place or refused, but never a second image on top of the first. */
static void inject_without_journal(void **state)
{
    (void)state;
    struct child *reader = victim_start("clock_reader", "4", NULL);
    struct snapshot before = snapshot_take(reader->pid);
    size_t code = observe_code_mappings(reader->pid);
    clock_reader_allow(reader, "realtime", -5 * MINUTE);
    clock_reader_allow(reader, "realtime", 90 * MINUTE);
    skewctl_inject(reader->pid, "-5m");
    journal_delete();
    struct run run =
        skewctl_run("inject", "-p", harness_format("%d", reader->pid), "--offset", "+1h30m", NULL);
    if (run.code == 0)
        clock_reader_expect_all(reader, 90 * MINUTE);
    else
        run_expect_error(&run, 3);
    assert_int_equal(observe_code_mappings(reader->pid), code + 1);
    skewctl_recover(reader->pid);
    victim_check_progress(reader, 100);
    snapshot_expect(&before, reader->pid);
}

/* The row says active, but another journal has recovered the process meanwhile. */
static void recovered_behind_the_journals_back(void **state)
{
    (void)state;
    struct child *reader = victim_start("clock_reader", "4", NULL);
    const char *pid = harness_format("%d", reader->pid);
    const char *other = harness_format("%s/journal.db", harness_directory(geteuid()));
    struct snapshot before = snapshot_take(reader->pid);
    clock_reader_allow(reader, "realtime", -5 * MINUTE);
    skewctl_inject(reader->pid, "-5m");
    struct run run = program_run(
        (const char *const[]){skewctl_path(), "recover", "-p", pid, "--journal", other, NULL}, NULL,
        HARNESS_DEADLINE_MS);
    run_expect(&run, 0);
    snapshot_expect(&before, reader->pid);
    run = skewctl_run("recover", "--all", NULL);
    run_expect(&run, 0);
    snapshot_expect(&before, reader->pid);
    run = skewctl_run("list", "-o", "json", NULL);
    assert_string_equal(json_query(run.out, ".injections | length"), "0");
    run = skewctl_run("list", "--all", "-o", "json", NULL);
    if (!strstr(run.out, "put back without this journal"))
        fail_msg("the history does not say what became of it: %s", run.out);
    victim_check_progress(reader, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(recover_without_journal),
        harness_test(inject_without_journal),
        harness_test(recovered_behind_the_journals_back),
    };
    return cmocka_run_group_tests_name("journal lost", tests, NULL, NULL);
}
