/*
 * concurrent_test.c - several skewctl at once on one target, with one journal
 * or several: each does its work or says that another is at work, the target
 * sees only times that one of them asked for, and can be put back.
 */
#include "command.h"
#include "held.h"
#include "observe.h"
#include "victim.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MINUTE    INT64_C(60000000000)
#define LANES_MAX 4
#define ROUNDS    8

/* One skewctl after the other, beside the other lanes. */
struct lane {
    const char *verb;
    const char *offset; /* of inject */
    const char *journal;
    unsigned rounds;
    struct child *child;
    const char *errors;
};

static void errors_to_file(void *path)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 || dup2(file, STDERR_FILENO) < 0)
        _exit(126);
}

static void lane_start(struct lane *lane, pid_t target)
{
    const char *pid = harness_format("%d", target);
    const char *const inject[] = {skewctl_path(), "inject",    "-p",          pid, "--offset",
                                  lane->offset,   "--journal", lane->journal, NULL};
    const char *const recover[] = {skewctl_path(), "recover",     "-p", pid,
                                   "--journal",    lane->journal, NULL};
    bool injects = strcmp(lane->verb, "inject") == 0;
    lane->child =
        child_start(injects ? inject : recover, &(struct start){.before_exec = errors_to_file,
                                                                .argument = (void *)lane->errors});
}

/* Done; or another was at work; or there was nothing to recover. */
static void lane_judge(const struct lane *lane)
{
    const char *err = harness_file_read(lane->errors, NULL);
    int status = lane->child->status, code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    const char *newline = err ? strchr(err, '\n') : NULL;
    bool one_line = newline && newline > err && !newline[1];
    if (code == 0 || (code == 4 && *lane->verb == 'r' && one_line) ||
        (code == 1 && one_line && strstr(err, "another skewctl is at work on it")))
        return;
    fail_msg("%s came to %d (status 0x%x): %s", lane->verb, code, (unsigned)status, err);
}

static void lanes_run(struct lane *lanes, pid_t target)
{
    int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    size_t busy;
    for (struct lane *lane = lanes; lane->verb; lane++)
        lane->errors = harness_format("%s/errors.%td", harness_home(), lane - lanes);
    do {
        busy = 0;
        for (struct lane *lane = lanes; lane->verb; lane++) {
            if (lane->child && !child_alive(lane->child)) {
                lane_judge(lane);
                lane->child = NULL;
            }
            if (!lane->child && lane->rounds < ROUNDS) {
                lane->rounds++;
                lane_start(lane, target);
            }
            busy += lane->child != NULL;
        }
        if (harness_monotonic_ns() > end)
            fail_msg("%zu skewctl do not end", busy);
        harness_sleep_ms(1);
    } while (busy);
}

static const char *journal_new(void)
{
    return harness_format("%s/journal.db", harness_directory(geteuid()));
}

static struct run run_with(const char *journal, const char *verb, const char *selection,
                           const char *pid)
{
    return program_run(
        (const char *const[]){skewctl_path(), verb, "--journal", journal, selection, pid, NULL},
        NULL, HARNESS_DEADLINE_MS);
}

/* Nothing is injected any more, whichever journal is asked. */
static void expect_over(const char *journal)
{
    struct run run = run_with(journal, "recover", "--all", NULL);
    run_expect(&run, 0);
    run = run_with(journal, "list", "-o", "json");
    run_expect(&run, 0);
    assert_string_equal(json_query(run.out, ".injections | length"), "0");
}

static void compete(struct lane *lanes)
{
    struct child *reader = victim_start("clock_reader", "4", "200", NULL);
    struct snapshot before = snapshot_take(reader->pid);
    for (int minutes = 1; minutes <= LANES_MAX; minutes++)
        clock_reader_allow(reader, "realtime", -minutes * MINUTE);
    lanes_run(lanes, reader->pid);
    victim_check_progress(reader, 20);

    struct run run = run_with(lanes[0].journal, "recover", "-p", harness_format("%d", reader->pid));
    if (run.code != 4)
        run_expect(&run, 0);
    for (int minutes = 1; minutes <= LANES_MAX; minutes++)
        clock_reader_forbid(reader, "realtime", -minutes * MINUTE);
    victim_check_progress(reader, 20);
    snapshot_expect(&before, reader->pid);
    for (struct lane *lane = lanes; lane->verb; lane++)
        expect_over(lane->journal);
    snapshot_expect(&before, reader->pid);
}

static void injects_with_one_journal(void **state)
{
    (void)state;
    const char *journal = journal_new();
    compete((struct lane[]){{.verb = "inject", .offset = "-1m", .journal = journal},
                            {.verb = "inject", .offset = "-2m", .journal = journal},
                            {.verb = "inject", .offset = "-3m", .journal = journal},
                            {.verb = "inject", .offset = "-4m", .journal = journal},
                            {0}});
}

static void injects_with_two_journals(void **state)
{
    (void)state;
    const char *journals[] = {journal_new(), journal_new()};
    compete((struct lane[]){{.verb = "inject", .offset = "-1m", .journal = journals[0]},
                            {.verb = "inject", .offset = "-2m", .journal = journals[1]},
                            {.verb = "inject", .offset = "-3m", .journal = journals[0]},
                            {.verb = "inject", .offset = "-4m", .journal = journals[1]},
                            {0}});
}

static void inject_and_recover_with_one_journal(void **state)
{
    (void)state;
    const char *journal = journal_new();
    compete((struct lane[]){{.verb = "inject", .offset = "-1m", .journal = journal},
                            {.verb = "recover", .journal = journal},
                            {.verb = "inject", .offset = "-2m", .journal = journal},
                            {.verb = "recover", .journal = journal},
                            {0}});
}

static void inject_and_recover_with_two_journals(void **state)
{
    (void)state;
    const char *journals[] = {journal_new(), journal_new()};
    compete((struct lane[]){{.verb = "inject", .offset = "-1m", .journal = journals[0]},
                            {.verb = "recover", .journal = journals[1]},
                            {.verb = "inject", .offset = "-2m", .journal = journals[1]},
                            {.verb = "recover", .journal = journals[0]},
                            {0}});
}

/* An inject of -1m with a journal of its own. */
static struct held inject_held(const struct child *target, int milliseconds)
{
    return held_start((const char *const[]){skewctl_path(), "inject", "-p",
                                            harness_format("%d", target->pid), "--offset", "-1m",
                                            "--journal", journal_new(), NULL},
                      target->pid, milliseconds);
}

static void second_waits_for_the_first(void **state)
{
    (void)state;
    struct child *reader = victim_start("clock_reader", "1", "200", NULL);
    struct snapshot before = snapshot_take(reader->pid);
    clock_reader_allow(reader, "realtime", -MINUTE);
    clock_reader_allow(reader, "realtime", -2 * MINUTE);
    struct held first = inject_held(reader, 700);
    skewctl_inject(reader->pid, "-2m");
    clock_reader_forbid(reader, "realtime", 0);
    clock_reader_forbid(reader, "realtime", -MINUTE);
    int status = child_wait(first.strace, HARNESS_DEADLINE_MS);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("the first inject came to status 0x%x", (unsigned)status);
    victim_check_progress(reader, 20);
    clock_reader_expect(reader, "clock_gettime 0", -2 * MINUTE);
    clock_reader_allow(reader, "realtime", 0);
    skewctl_recover(reader->pid);
    snapshot_expect(&before, reader->pid);
}

static void second_says_that_the_first_is_at_work(void **state)
{
    (void)state;
    struct child *reader = victim_start("clock_reader", "1", "200", NULL);
    struct snapshot before = snapshot_take(reader->pid);
    clock_reader_allow(reader, "realtime", -MINUTE);
    struct held first = inject_held(reader, 60000);
    struct run run =
        skewctl_run("inject", "-p", harness_format("%d", reader->pid), "--offset", "-2m", NULL);
    held_release(&first);
    run_expect_error(&run, 1);
    if (!strstr(run.err, "another skewctl is at work on it"))
        fail_msg("it does not say who is at work: %s", run.err);
    victim_check_progress(reader, 20);
    skewctl_recover(reader->pid);
    clock_reader_forbid(reader, "realtime", -MINUTE);
    victim_check_progress(reader, 20);
    snapshot_expect(&before, reader->pid);
}

#define MANY 50

/* What the list says is what the processes show; how many are skewed. */
static int expect_truthful(const char *journal, struct child *const targets[MANY])
{
    struct vdso pristine = observe_vdso_own();
    struct run run = run_with(journal, "list", "-o", "json");
    run_expect(&run, 0);
    int skewed = 0;
    for (int i = 0; i < MANY; i++) {
        struct vdso vdso = observe_vdso(targets[i]->pid);
        bool differs = memcmp(vdso.bytes, pristine.bytes, pristine.size) != 0;
        const char *said = json_query(
            run.out, harness_format("[.injections[] | select(.pid == %d) | .state] | join(\",\")",
                                    targets[i]->pid));
        if (strcmp(said, differs ? "active" : "") != 0)
            fail_msg("process %d is %s, and list says: %s", targets[i]->pid,
                     differs ? "skewed" : "as it was", said);
        skewed += differs;
    }
    return skewed;
}

/* One injects fifty; another recovers all that there is, again and again, meanwhile. */
static void recover_while_fifty_are_injected(void **state)
{
    (void)state;
    struct child *targets[MANY];
    struct snapshot before[MANY];
    const char *journal = journal_new(), *pids = "";
    for (int i = 0; i < MANY; i++) {
        targets[i] = victim_start("idle", NULL);
        before[i] = snapshot_take(targets[i]->pid);
        pids = harness_format("%s%s%d", pids, i ? "," : "", targets[i]->pid);
    }
    struct child *inject =
        child_start((const char *const[]){skewctl_path(), "inject", "-p", pids, "--offset", "-5m",
                                          "--journal", journal, NULL},
                    NULL);
    int recovers = 0;
    while (child_alive(inject)) {
        struct run run = run_with(journal, "recover", "--all", NULL);
        if (run.code != 0 && !strstr(run.err, "another skewctl is at work on it"))
            run_expect(&run, 0);
        recovers++;
    }
    assert_true(recovers > 0);
    if (inject->status != 0)
        fail_msg("inject came to status 0x%x", (unsigned)inject->status);
    printf("%d of %d stay skewed beside %d recovers\n", expect_truthful(journal, targets), MANY,
           recovers);
    expect_over(journal);
    for (int i = 0; i < MANY; i++)
        snapshot_expect(&before[i], targets[i]->pid);
}

/* Fifty at once, each on a target of its own, with one journal. */
static void fifty_on_fifty(void **state)
{
    (void)state;
    struct child *targets[MANY], *commands[MANY];
    struct snapshot before[MANY];
    const char *journal = journal_new();
    for (int i = 0; i < MANY; i++) {
        targets[i] = victim_start("idle", NULL);
        before[i] = snapshot_take(targets[i]->pid);
    }
    for (int i = 0; i < MANY; i++)
        commands[i] =
            child_start((const char *const[]){skewctl_path(), "inject", "-p",
                                              harness_format("%d", targets[i]->pid), "--offset",
                                              "-5m", "--journal", journal, NULL},
                        NULL);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(child_wait(commands[i], 2 * HARNESS_DEADLINE_MS), 0);
    struct run run = run_with(journal, "list", "-o", "json");
    run_expect(&run, 0);
    assert_string_equal(
        json_query(run.out, "[.injections[] | select(.state == \"active\")] | length"), "50");
    for (int i = 0; i < MANY; i++)
        commands[i] = child_start((const char *const[]){skewctl_path(), "recover", "-p",
                                                        harness_format("%d", targets[i]->pid),
                                                        "--journal", journal, NULL},
                                  NULL);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(child_wait(commands[i], 2 * HARNESS_DEADLINE_MS), 0);
    expect_over(journal);
    for (int i = 0; i < MANY; i++)
        snapshot_expect(&before[i], targets[i]->pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(injects_with_one_journal),
        harness_test(injects_with_two_journals),
        harness_test(inject_and_recover_with_one_journal),
        harness_test(inject_and_recover_with_two_journals),
        harness_test(fifty_on_fifty),
        harness_test(recover_while_fifty_are_injected),
        harness_test(second_waits_for_the_first),
        harness_test(second_says_that_the_first_is_at_work),
    };
    return cmocka_run_group_tests_name("concurrent", tests, NULL, NULL);
}
