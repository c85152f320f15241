/*
 * crashed_test.c - recover --crashed: what a killed skewctl left unfinished is
 * finished or undone, whatever it was doing, and what is whole stays untouched.
 */
#include "command.h"
#include "observe.h"
#include "traced.h"
#include "victim.h"

#include "journal/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MINUTE INT64_C(60000000000)
/* Kills of each command, spread evenly over its system calls. */
#define KILLS 6

static struct journal *journal_of_test(void)
{
    struct journal *journal;
    struct journal_error error;
    if (journal_open(skewctl_journal(), &journal, &error) != JOURNAL_OK)
        fail_msg("%s", error.message);
    return journal;
}

/* The newest row of a process, ended or not. */
static struct journal_injection row_of(pid_t pid)
{
    struct journal *journal = journal_of_test();
    struct journal_injection *rows, found = {0};
    struct journal_error error;
    size_t count;
    if (journal_list(journal, true, &rows, &count, &error) != JOURNAL_OK)
        fail_msg("%s", error.message);
    for (size_t i = 0; i < count; i++)
        if (rows[i].key.pid == pid)
            found = rows[i];
    free(rows);
    journal_close(journal);
    return found;
}

static const void *memory_of(pid_t pid, uint64_t address, size_t size)
{
    void *bytes = harness_memory(size);
    int memory = open(harness_format("/proc/%d/mem", pid), O_RDONLY | O_CLOEXEC);
    ssize_t got = pread(memory, bytes, size, (off_t)address);
    if (memory >= 0)
        close(memory);
    if (got != (ssize_t)size)
        fail_msg("reading %zu bytes of process %d: %s", size, pid, strerror(errno));
    return bytes;
}

/* One that is whole: nothing of it may change. */
struct healthy {
    struct child *reader;
    struct snapshot skewed;
    struct journal_injection row;
    const void *image;
};

static struct healthy healthy_start(void)
{
    struct healthy healthy = {.reader = victim_start("clock_reader", "1", "200", NULL)};
    clock_reader_allow(healthy.reader, "realtime", 90 * MINUTE);
    skewctl_inject(healthy.reader->pid, "1h30m");
    clock_reader_forbid(healthy.reader, "realtime", 0);
    healthy.skewed = snapshot_take(healthy.reader->pid);
    healthy.row = row_of(healthy.reader->pid);
    healthy.image =
        memory_of(healthy.reader->pid, healthy.row.image_address, healthy.row.image_size);
    return healthy;
}

static void healthy_expect(const struct healthy *healthy)
{
    struct journal_injection row = row_of(healthy->reader->pid);
    assert_memory_equal(&row, &healthy->row, sizeof row);
    snapshot_expect(&healthy->skewed, healthy->reader->pid);
    assert_memory_equal(memory_of(healthy->reader->pid, row.image_address, row.image_size),
                        healthy->image, row.image_size);
    victim_check(healthy->reader);
}

/* Whole or over, and the process as the row says. */
static void expect_finished(struct child *reader, const struct snapshot *before, bool whole)
{
    struct journal_injection row = row_of(reader->pid);
    if (whole && !journal_phase_live(row.phase))
        fail_msg("an interrupted update took the injection away: %s", row.detail);
    if (row.id != 0 && journal_phase_live(row.phase)) {
        assert_string_equal(journal_phase_name(row.phase), "active");
        clock_reader_expect(reader, "clock_gettime 0", row.skew.offset_ns);
        skewctl_recover(reader->pid);
    }
    clock_reader_expect(reader, "clock_gettime 0", 0);
    snapshot_expect(before, reader->pid);
}

static void recover_crashed(void)
{
    struct run run = skewctl_run("recover", "--crashed", "-o", "json", NULL);
    run_expect(&run, 0);
    assert_string_equal(
        json_query(run.out, "[.injections[] | select(.state == \"planned\")] | length"), "0");
}

/* What is done before the command that is killed. */
struct scene {
    const char *verb;
    const char *offset; /* of the command */
    bool injected;      /* with -5m, before */
};

static struct child *scene_set(const struct scene *scene, struct snapshot *before)
{
    struct child *reader = victim_start("clock_reader", "1", "200", NULL);
    clock_reader_allow(reader, "realtime", -5 * MINUTE);
    clock_reader_allow(reader, "realtime", 3 * MINUTE);
    *before = snapshot_take(reader->pid);
    if (scene->injected)
        skewctl_inject(reader->pid, "-5m");
    return reader;
}

static struct traced scene_run(const struct scene *scene, const struct child *reader, long point)
{
    const char *pid = harness_format("%d", reader->pid);
    return traced_run(
        scene->offset ? skewctl_arguments(scene->verb, "-p", pid, "--offset", scene->offset, NULL)
                      : skewctl_arguments(scene->verb, "-p", pid, NULL),
        point);
}

static void killed_and_recovered(const struct scene *scene)
{
    struct healthy healthy = healthy_start();
    struct snapshot before;
    struct child *reader = scene_set(scene, &before);
    long points = 2 * scene_run(scene, reader, POINT_NEVER).calls;
    bool update = scene->injected && scene->offset;
    recover_crashed();
    expect_finished(reader, &before, update);
    child_kill(reader);
    int killed = 0;
    for (int i = 1; i <= KILLS; i++) {
        reader = scene_set(scene, &before);
        /* The first part of a run loads libraries and opens the journal. */
        struct traced traced = scene_run(scene, reader, points / 3 + points * 2 / 3 * i / KILLS);
        killed += traced.killed;
        /* On a busy machine some runs wait in many more calls than others. */
        if (!traced.killed && 2 * traced.calls < points)
            points = 2 * traced.calls;
        recover_crashed();
        healthy_expect(&healthy);
        expect_finished(reader, &before, update);
        child_kill(reader);
    }
    assert_true(killed > KILLS / 2);
}

static void killed_injects(void **state)
{
    (void)state;
    killed_and_recovered(&(struct scene){.verb = "inject", .offset = "3m"});
}

static void killed_updates(void **state)
{
    (void)state;
    killed_and_recovered(&(struct scene){.verb = "inject", .offset = "3m", .injected = true});
}

static void killed_recovers(void **state)
{
    (void)state;
    killed_and_recovered(&(struct scene){.verb = "recover", .injected = true});
}

/* Each phase that a killed skewctl may leave, with the process in the state that fits it. */
static void each_phase(void **state)
{
    (void)state;
    static const enum journal_phase phases[] = {JOURNAL_UPDATING, JOURNAL_RECOVERING,
                                                JOURNAL_DRAINING};
    struct healthy healthy = healthy_start();
    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++) {
        struct snapshot before;
        struct child *reader =
            scene_set(&(struct scene){.verb = "inject", .injected = true}, &before);
        struct journal *journal = journal_of_test();
        struct journal_error error;
        int64_t id = row_of(reader->pid).id;
        if (phases[i] == JOURNAL_DRAINING)
            journal_advance(journal, id, JOURNAL_RECOVERING, NULL, &error);
        assert_int_equal(journal_advance(journal, id, phases[i], NULL, &error), JOURNAL_OK);
        journal_close(journal);
        recover_crashed();
        struct journal_injection row = row_of(reader->pid);
        assert_string_equal(journal_phase_name(row.phase),
                            phases[i] == JOURNAL_UPDATING ? "active" : "recovered");
        if (phases[i] == JOURNAL_UPDATING) {
            assert_int_equal(row.id, id);
            assert_int_equal(row.skew.offset_ns, -5 * MINUTE);
        }
        expect_finished(reader, &before, phases[i] == JOURNAL_UPDATING);
        healthy_expect(&healthy);
    }
}

static void nothing_to_do(void **state)
{
    (void)state;
    struct run run = skewctl_run("recover", "--crashed", NULL);
    run_expect(&run, 0);
    assert_string_equal(run.out, "");
    struct healthy healthy = healthy_start();
    run = skewctl_run("recover", "--crashed", NULL);
    run_expect(&run, 0);
    assert_string_equal(run.out, "");
    assert_string_equal(run.err, "");
    healthy_expect(&healthy);
    run = skewctl_run("recover", "--crashed", "--all", NULL);
    run_expect_error(&run, 2);
}

/* The same pid and start time may well come again after a restart. */
static void rows_of_earlier_boots(void **state)
{
    (void)state;
    struct healthy healthy = healthy_start();
    static const enum journal_phase phases[] = {JOURNAL_PLANNED, JOURNAL_INJECTING, JOURNAL_ACTIVE};
    int64_t ids[3];
    struct journal *journal = journal_of_test();
    struct journal_error error;
    for (int i = 0; i < 3; i++) {
        struct journal_injection row = healthy.row;
        row.key.pid += i;
        strcpy(row.key.boot_id, "00000000-0000-0000-0000-000000000001");
        assert_int_equal(journal_plan(journal, &row, "vdso", 4, &error), JOURNAL_OK);
        ids[i] = row.id;
        for (int phase = 1; phase <= (int)phases[i]; phase++)
            assert_int_equal(
                journal_advance(journal, row.id, (enum journal_phase)phase, NULL, &error),
                JOURNAL_OK);
    }
    struct run run = skewctl_run("recover", "--crashed", NULL);
    run_expect(&run, 0);
    for (int i = 0; i < 3; i++) {
        struct journal_injection row;
        assert_int_equal(journal_get(journal, ids[i], &row, &error), JOURNAL_OK);
        assert_string_equal(journal_phase_name(row.phase), "gone");
        assert_string_equal(row.detail, "the machine has restarted since");
    }
    struct journal_injection row;
    assert_int_equal(journal_get(journal, healthy.row.id, &row, &error), JOURNAL_OK);
    assert_memory_equal(&row, &healthy.row, sizeof row);
    journal_close(journal);
    snapshot_expect(&healthy.skewed, healthy.reader->pid);
}

/* Says so with exit code 7 for as long as the thread stays, and then finishes. */
static void draining_when_it_can(void **state)
{
    (void)state;
    struct healthy healthy = healthy_start();
    struct child *victim = victim_start("parked", NULL);
    const char *pid = harness_format("%d", victim->pid);
    const char *maps = observe_maps(victim->pid);
    struct vdso vdso = observe_vdso(victim->pid);
    skewctl_inject(victim->pid, "-5m");
    if (strncmp(child_ask(victim, "park elsewhere"), "ok ", 3) != 0)
        fail_msg("no read could be interrupted");
    struct run run = skewctl_run("recover", "-p", pid, NULL);
    run_expect(&run, 7);
    run = skewctl_run("recover", "--crashed", NULL);
    run_expect(&run, 7);
    assert_string_equal(child_ask(victim, "release"), "ok");
    victim_check_progress(victim, 1000);
    run = skewctl_run("recover", "--crashed", NULL);
    run_expect(&run, 0);
    observe_put_back(victim->pid, maps, &vdso);
    healthy_expect(&healthy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(nothing_to_do),        harness_test(each_phase),
        harness_test(killed_injects),       harness_test(killed_updates),
        harness_test(killed_recovers),      harness_test(rows_of_earlier_boots),
        harness_test(draining_when_it_can),
    };
    return cmocka_run_group_tests_name("crashed", tests, NULL, NULL);
}
