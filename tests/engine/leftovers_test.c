/*
 * leftovers_test.c - what an inject leaves that was killed or failed: all of it
 * is found again and taken out, even without the journal, and nothing else is.
 */
#include "command.h"
#include "observe.h"
#include "traced.h"
#include "victim.h"

#include "journal/journal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The part of an image that an inject maps first: docs/internals.md, "The image". */
#define DATA_SIZE 0x20000
/* How far apart, in points of traced.h, an inject is killed. */
#define STRIDE 3

static void journal_delete(void)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < 3; i++)
        if (unlink(harness_format("%s%s", skewctl_journal(), suffixes[i])) != 0 && errno != ENOENT)
            fail_msg("unlink %s%s: %s", skewctl_journal(), suffixes[i], strerror(errno));
}

/* A victim and the point at which an inject of it was killed. */
struct death {
    struct child *victim;
    struct snapshot before;
    long point;
    struct traced inject;
};

static struct death inject_killed(long point)
{
    struct death death = {.victim = victim_start("keeper", NULL), .point = point};
    death.before = snapshot_take(death.victim->pid);
    const char *pid = harness_format("%d", death.victim->pid);
    death.inject =
        traced_run(skewctl_arguments("inject", "-p", pid, "--offset", "-5m", NULL), point);
    return death;
}

static void expect_as_before(const struct death *death)
{
    struct snapshot after = snapshot_take(death->victim->pid);
    const char *difference = snapshot_difference(&death->before, &after);
    if (difference)
        fail_msg("killed at the %s of its call %ld (system call number %ld) it left\n%s",
                 point_is_exit(death->point) ? "exit" : "entry", point_call(death->point),
                 death->inject.number, difference);
}

/* Whether the journal has an injection that has not ended; fills it. */
static bool row_live(struct journal_injection *row)
{
    struct journal *journal;
    struct journal_error error;
    struct journal_injection *rows;
    size_t count;
    if (journal_open(skewctl_journal(), &journal, &error) != JOURNAL_OK)
        fail_msg("%s", error.message);
    if (journal_list(journal, false, &rows, &count, &error) != JOURNAL_OK)
        fail_msg("%s", error.message);
    journal_close(journal);
    bool found = count == 1;
    if (found)
        *row = rows[0];
    free(rows);
    return found;
}

static void recover_what_there_is(const struct child *victim)
{
    struct run run = skewctl_run("recover", "-p", harness_format("%d", victim->pid), NULL);
    if (run.code != 4)
        run_expect(&run, 0);
}

/* Calls `judge` for points from the first at which skewctl may have touched it to the last. */
static void killed_at_points(void (*judge)(const struct death *death, void *context), void *context)
{
    struct keep *mark = harness_mark();
    bool attached = false;
    int judged = 0;
    for (long point = 0;; point += attached ? STRIDE : 2 * 16) {
        struct death death = inject_killed(point);
        if (!death.inject.killed)
            break;
        if (death.inject.attached && !attached) {
            /* From here on closely, beginning with what was skipped. */
            attached = true;
            point -= 2 * 16;
        } else if (attached) {
            judge(&death, context);
            victim_check(death.victim);
            judged++;
        }
        child_kill(death.victim);
        journal_delete();
        harness_release(mark);
    }
    assert_true(judged > 10);
}

static void expect_nothing_left(const struct death *death, void *context)
{
    (void)context;
    journal_delete();
    recover_what_there_is(death->victim);
    expect_as_before(death);
}

static void killed_and_journal_lost(void **state)
{
    (void)state;
    killed_at_points(expect_nothing_left, NULL);
}

/*
 * Before the inject has mapped anything the program may take the place that the
 * journal names.
 */
static void expect_own_memory_kept(const struct death *death, void *context)
{
    struct child *victim = death->victim;
    size_t *taken = context;
    struct snapshot after = snapshot_take(victim->pid);
    struct journal_injection row;
    if (snapshot_difference(&death->before, &after) || !row_live(&row))
        return;
    /* Behind the first pages in turn, and at the end. */
    const char *where = *taken % 2 ? "1f000" : "3000";
    const char *keep =
        harness_format("keep %" PRIx64 " %x %s", row.image_address, DATA_SIZE, where);
    assert_string_equal(child_ask(victim, keep), "ok");
    const char *maps = observe_maps(victim->pid);
    recover_what_there_is(victim);
    victim_check(victim);
    assert_string_equal(observe_maps(victim->pid), maps);
    ++*taken;
}

/* The same with memory that it has not written to yet: the row alone proves nothing. */
static void expect_own_reservation_kept(const struct death *death, void *context)
{
    struct child *victim = death->victim;
    size_t *taken = context;
    struct snapshot after = snapshot_take(victim->pid);
    struct journal_injection row;
    if (snapshot_difference(&death->before, &after) || !row_live(&row))
        return;
    const char *reserve = harness_format("reserve %" PRIx64 " %x", row.image_address, DATA_SIZE);
    assert_string_equal(child_ask(victim, reserve), "ok");
    const char *maps = observe_maps(victim->pid);
    recover_what_there_is(victim);
    assert_string_equal(observe_maps(victim->pid), maps);
    ++*taken;
}

static void own_reservation_at_the_place_of_the_image(void **state)
{
    (void)state;
    size_t taken = 0;
    killed_at_points(expect_own_reservation_kept, &taken);
    assert_true(taken > 1);
}

static void own_memory_at_the_place_of_the_image(void **state)
{
    (void)state;
    size_t taken = 0;
    killed_at_points(expect_own_memory_kept, &taken);
    assert_true(taken > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(own_memory_at_the_place_of_the_image),
        harness_test(own_reservation_at_the_place_of_the_image),
        harness_test(killed_and_journal_lost),
    };
    return cmocka_run_group_tests_name("leftovers", tests, NULL, NULL);
}
