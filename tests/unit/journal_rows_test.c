/*
 * journal_rows_test.c - what is written comes back, phases change as the table
 * says and no other way.
 */
#include "tests/unit/journal_fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Row: from; column: to. Written out by hand from the design, not from phase.c. */
static const char legal[JOURNAL_PHASE_COUNT][JOURNAL_PHASE_COUNT + 1] = {
    /*                        PIAURDrgf */
    [JOURNAL_PLANNED] = /* */ "010010111", [JOURNAL_INJECTING] = "011010111",
    [JOURNAL_ACTIVE] = /*  */ "000110110", [JOURNAL_UPDATING] = /**/ "001110110",
    [JOURNAL_RECOVERING] = "001011111",    [JOURNAL_DRAINING] = /**/ "000011111",
    [JOURNAL_RECOVERED] = "000000000",     [JOURNAL_GONE] = /*    */ "000000000",
    [JOURNAL_FAILED_UNDONE] = "000000000",
};

static void phases_have_names_and_ends(void **state)
{
    (void)state;
    for (int phase = 0; phase < JOURNAL_PHASE_COUNT; phase++) {
        assert_true(journal_phase_name((enum journal_phase)phase)[0] != '\0');
        for (int other = 0; other < phase; other++)
            assert_string_not_equal(journal_phase_name((enum journal_phase)phase),
                                    journal_phase_name((enum journal_phase)other));
        /* Ended is what nothing follows. */
        assert_int_equal(journal_phase_live((enum journal_phase)phase),
                         strchr(legal[phase], '1') != NULL);
    }
    assert_string_equal(journal_phase_name((enum journal_phase)99), "unknown");
    assert_false(journal_phase_live((enum journal_phase)99));
    assert_false(journal_phase_may_follow(JOURNAL_PLANNED, (enum journal_phase)99));
    assert_false(journal_phase_may_follow((enum journal_phase)99, JOURNAL_GONE));
}

static void each_step_is_taken_or_refused(void **state)
{
    struct journal_fixture *fixture = *state;
    pid_t pid = 1;
    for (int from = 0; from < JOURNAL_PHASE_COUNT; from++) {
        for (int to = 0; to < JOURNAL_PHASE_COUNT; to++) {
            const bool allowed = legal[from][to] == '1';
            assert_int_equal(
                journal_phase_may_follow((enum journal_phase)from, (enum journal_phase)to),
                allowed);
            const int64_t id = journal_fixture_plan(fixture, pid++, (enum journal_phase)from);
            const enum journal_code code = journal_advance(
                fixture->journal, id, (enum journal_phase)to, "why", &fixture->error);
            struct journal_injection injection;
            assert_int_equal(journal_get(fixture->journal, id, &injection, &fixture->error),
                             JOURNAL_OK);
            assert_int_equal(injection.phase, allowed ? to : from);
            if (allowed)
                assert_int_equal(code, JOURNAL_OK);
            else
                journal_assert_error(&fixture->error, code, JOURNAL_ILLEGAL, "cannot become");
            assert_string_equal(injection.detail, allowed ? "why" : "");
        }
    }
}

static void events_keep_every_change(void **state)
{
    struct journal_fixture *fixture = *state;
    const int64_t id = journal_fixture_plan(fixture, 7, JOURNAL_UPDATING);
    assert_int_equal(id, 1);
    assert_int_equal(journal_advance(fixture->journal, id, JOURNAL_PLANNED, "no", &fixture->error),
                     JOURNAL_ILLEGAL);
    assert_int_equal(
        journal_advance(fixture->journal, id, JOURNAL_RECOVERED, "done", &fixture->error),
        JOURNAL_OK);
    assert_int_equal(journal_fixture_count(fixture,
                                           "SELECT group_concat(phase, '') FROM (SELECT phase FROM "
                                           "events WHERE injection = 1 AND at_ns > 0 ORDER BY id)"),
                     1236); /* planned 0, injecting 1, active 2, updating 3, recovered 6 */
    assert_int_equal(
        journal_fixture_count(fixture, "SELECT count(*) FROM events WHERE detail = 'done'"), 1);
}

static void an_injection_comes_back_as_written(void **state)
{
    struct journal_fixture *fixture = *state;
    struct journal_injection written = journal_sample(42), read;
    written.phase = JOURNAL_GONE;
    assert_int_equal(journal_plan(fixture->journal, &written, "vdso", 4, &fixture->error),
                     JOURNAL_OK);
    assert_true(written.id > 0);
    assert_int_equal(written.phase, JOURNAL_PLANNED);
    assert_true(written.created_ns > 0);
    assert_true(written.created_ns == written.changed_ns);

    journal_fixture_reopen(fixture);
    memset(&read, 0xa5, sizeof(read));
    assert_int_equal(journal_get(fixture->journal, written.id, &read, &fixture->error), JOURNAL_OK);
    assert_memory_equal(&read, &written, sizeof(read));
    memset(&read, 0xa5, sizeof(read));
    assert_int_equal(journal_find_live(fixture->journal, &written.key, &read, &fixture->error),
                     JOURNAL_OK);
    assert_memory_equal(&read, &written, sizeof(read));
}

static void a_long_detail_is_cut(void **state)
{
    struct journal_fixture *fixture = *state;
    struct journal_injection injection;
    char detail[1000];
    memset(detail, 'x', sizeof(detail) - 1);
    detail[sizeof(detail) - 1] = '\0';
    const int64_t id = journal_fixture_plan(fixture, 1, JOURNAL_PLANNED);
    assert_int_equal(
        journal_advance(fixture->journal, id, JOURNAL_INJECTING, detail, &fixture->error),
        JOURNAL_OK);
    assert_int_equal(journal_get(fixture->journal, id, &injection, &fixture->error), JOURNAL_OK);
    assert_int_equal(strlen(injection.detail), sizeof(injection.detail) - 1);
}

static void one_live_injection_per_process(void **state)
{
    struct journal_fixture *fixture = *state;
    for (int phase = 0; phase < JOURNAL_PHASE_COUNT; phase++) {
        const pid_t pid = 100 + phase;
        journal_fixture_plan(fixture, pid, (enum journal_phase)phase);
        struct journal_injection again = journal_sample(pid);
        const enum journal_code code =
            journal_plan(fixture->journal, &again, "vdso", 4, &fixture->error);
        if (journal_phase_live((enum journal_phase)phase)) {
            journal_assert_error(&fixture->error, code, JOURNAL_CONFLICT, "already");
            assert_int_equal(again.id, 0);
        } else {
            assert_int_equal(code, JOURNAL_OK);
        }
    }
    /* The key is all four. */
    journal_fixture_plan(fixture, 200, JOURNAL_ACTIVE);
    for (int field = 0; field < 4; field++) {
        struct journal_injection other = journal_sample(200);
        other.key.boot_id[0] = field == 0 ? 'x' : other.key.boot_id[0];
        other.key.pid_namespace += field == 1;
        other.key.pid += field == 2;
        other.key.start_time += field == 3;
        assert_int_equal(journal_plan(fixture->journal, &other, "vdso", 4, &fixture->error),
                         JOURNAL_OK);
    }
}

static void a_refused_plan_leaves_nothing(void **state)
{
    struct journal_fixture *fixture = *state;
    journal_fixture_plan(fixture, 1, JOURNAL_ACTIVE);
    struct journal_injection again = journal_sample(1);
    assert_int_equal(journal_plan(fixture->journal, &again, "other", 5, &fixture->error),
                     JOURNAL_CONFLICT);
    assert_int_equal(journal_fixture_count(fixture, "SELECT count(*) FROM vdso"), 1);
    assert_int_equal(journal_fixture_count(fixture, "SELECT count(*) FROM patches"), 2);
}

static void an_ill_formed_plan_is_refused(void **state)
{
    struct journal_fixture *fixture = *state;
    for (int wrong = 0; wrong < 9; wrong++) {
        struct journal_injection injection = journal_sample(1);
        size_t size = 4;
        if (wrong == 0)
            memset(injection.key.boot_id, 'x', sizeof(injection.key.boot_id));
        if (wrong == 1)
            injection.key.boot_id[0] = '\0';
        if (wrong == 2)
            injection.key.pid = 0;
        if (wrong == 3)
            memset(injection.command, 'x', sizeof(injection.command));
        if (wrong == 4)
            injection.patch_count = JOURNAL_PATCHES_MAX + 1;
        if (wrong == 5)
            memset(injection.patches[1].symbol, 'x', sizeof(injection.patches[1].symbol));
        if (wrong == 6)
            injection.patches[1].length = JOURNAL_PATCH_BYTES + 1;
        if (wrong == 7)
            injection.patches[0].length = 0;
        if (wrong == 8)
            size = 0;
        journal_assert_error(
            &fixture->error,
            journal_plan(fixture->journal, &injection, "vdso", size, &fixture->error),
            JOURNAL_FAILED, "invalid");
        assert_int_equal(fixture->error.errnum, EINVAL);
    }
    assert_int_equal(journal_fixture_count(fixture, "SELECT count(*) FROM injections"), 0);
}

static void a_vdso_is_stored_once(void **state)
{
    struct journal_fixture *fixture = *state;
    enum { SIZE = 8192 };
    static unsigned char vdso[2][SIZE], read[SIZE + 1];
    memset(vdso[0], 0x11, SIZE);
    memset(vdso[1], 0x11, SIZE);
    vdso[1][SIZE - 1] = 0;
    for (pid_t pid = 1; pid <= 20; pid++) {
        struct journal_injection injection = journal_sample(pid);
        assert_int_equal(
            journal_plan(fixture->journal, &injection, vdso[pid % 2], SIZE, &fixture->error),
            JOURNAL_OK);
        size_t size = sizeof(read);
        assert_int_equal(
            journal_vdso_load(fixture->journal, injection.id, read, &size, &fixture->error),
            JOURNAL_OK);
        assert_int_equal(size, SIZE);
        assert_memory_equal(read, vdso[pid % 2], SIZE);
    }
    assert_int_equal(journal_fixture_count(fixture, "SELECT count(*) FROM vdso"), 2);

    size_t size = SIZE - 1;
    journal_assert_error(&fixture->error,
                         journal_vdso_load(fixture->journal, 1, read, &size, &fixture->error),
                         JOURNAL_FAILED, "do not fit");
    assert_int_equal(size, SIZE);
    journal_assert_error(&fixture->error,
                         journal_vdso_load(fixture->journal, 99, read, &size, &fixture->error),
                         JOURNAL_NOT_FOUND, "no injection 99");
}

static void skew_changes_while_live(void **state)
{
    struct journal_fixture *fixture = *state;
    for (int phase = 0; phase < JOURNAL_PHASE_COUNT; phase++) {
        const int64_t id = journal_fixture_plan(fixture, 1 + phase, (enum journal_phase)phase);
        const struct journal_skew skew = {.offset_ns = INT64_MIN,
                                          .clocks = UINT64_MAX,
                                          .deadline_ns = INT64_MAX,
                                          .begin_ns = INT64_MAX,
                                          .shape = "rate=2",
                                          .profile = "fast"};
        const enum journal_code code =
            journal_set_skew(fixture->journal, id, &skew, &fixture->error);
        struct journal_injection injection;
        assert_int_equal(journal_get(fixture->journal, id, &injection, &fixture->error),
                         JOURNAL_OK);
        const bool live = journal_phase_live((enum journal_phase)phase);
        assert_int_equal(code, live ? JOURNAL_OK : JOURNAL_ILLEGAL);
        assert_int_equal(memcmp(&injection.skew, &skew, sizeof(skew)) == 0, live);
    }
}

static void what_is_not_there_is_not_found(void **state)
{
    struct journal_fixture *fixture = *state;
    struct journal_error *error = &fixture->error;
    struct journal_injection injection;
    char buffer[8];
    size_t size = sizeof(buffer);
    pid_t tid;
    const int64_t id = journal_fixture_plan(fixture, 5, JOURNAL_RECOVERED);
    const struct journal_key key = journal_sample(5).key;
    const struct journal_skew skew = {.offset_ns = 1, .clocks = 1};

    journal_assert_error(error, journal_get(fixture->journal, 9, &injection, error),
                         JOURNAL_NOT_FOUND, "no injection 9");
    journal_assert_error(error, journal_find_live(fixture->journal, &key, &injection, error),
                         JOURNAL_NOT_FOUND, "process 5");
    journal_assert_error(error, journal_advance(fixture->journal, 9, JOURNAL_GONE, NULL, error),
                         JOURNAL_NOT_FOUND, "no injection 9");
    journal_assert_error(error, journal_set_skew(fixture->journal, 9, &skew, error),
                         JOURNAL_NOT_FOUND, "no injection 9");
    journal_assert_error(error, journal_registers_begin(fixture->journal, 9, JOURNAL_GONE, error),
                         JOURNAL_NOT_FOUND, "no injection 9");
    journal_assert_error(error,
                         journal_registers_load(fixture->journal, id, &tid, buffer, &size, error),
                         JOURNAL_NOT_FOUND, "no registers");
}

static void list_shows_live_or_all_by_id(void **state)
{
    struct journal_fixture *fixture = *state;
    struct journal_injection *list;
    size_t count;
    assert_int_equal(journal_list(fixture->journal, true, &list, &count, &fixture->error),
                     JOURNAL_OK);
    assert_int_equal(count, 0);
    free(list);

    enum { INJECTIONS = 5 * JOURNAL_PHASE_COUNT };
    for (int i = 0; i < INJECTIONS; i++)
        journal_fixture_plan(fixture, 1 + i, (enum journal_phase)(i % JOURNAL_PHASE_COUNT));
    assert_int_equal(journal_list(fixture->journal, true, &list, &count, &fixture->error),
                     JOURNAL_OK);
    assert_int_equal(count, INJECTIONS);
    for (int i = 0; i < INJECTIONS; i++) {
        struct journal_injection one;
        assert_int_equal(list[i].key.pid, 1 + i);
        assert_int_equal(list[i].patch_count, 2);
        assert_int_equal(journal_get(fixture->journal, list[i].id, &one, &fixture->error),
                         JOURNAL_OK);
        assert_memory_equal(&list[i], &one, sizeof(one));
    }
    free(list);
    assert_int_equal(journal_list(fixture->journal, false, &list, &count, &fixture->error),
                     JOURNAL_OK);
    assert_int_equal(count, INJECTIONS / JOURNAL_PHASE_COUNT * 6);
    for (size_t i = 0; i < count; i++) {
        assert_true(journal_phase_live(list[i].phase));
        assert_true(i == 0 || list[i].id > list[i - 1].id);
    }
    free(list);
}

static void registers_come_back_newest_first(void **state)
{
    struct journal_fixture *fixture = *state;
    struct journal_error *error = &fixture->error;
    unsigned char saved[4096], read[4096];
    const int64_t id = journal_fixture_plan(fixture, 1, JOURNAL_PLANNED);
    const int64_t other = journal_fixture_plan(fixture, 2, JOURNAL_PLANNED);
    static const size_t sizes[] = {216, 1, 512, 4096, 217};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        memset(saved, (int)(i + 1), sizeof(saved));
        assert_int_equal(journal_registers_begin(fixture->journal, id, JOURNAL_INJECTING, error),
                         JOURNAL_OK);
        assert_int_equal(
            journal_registers_commit(fixture->journal, (pid_t)(10 + i), saved, sizes[i], error),
            JOURNAL_OK);
        journal_fixture_reopen(fixture);
        size_t size = sizeof(read);
        pid_t tid = 0;
        assert_int_equal(journal_registers_load(fixture->journal, id, &tid, read, &size, error),
                         JOURNAL_OK);
        assert_int_equal(tid, 10 + i);
        assert_int_equal(size, sizes[i]);
        assert_memory_equal(read, saved, size);
        assert_int_equal(journal_fixture_phase(fixture, id), JOURNAL_INJECTING);
    }
    size_t size = 216;
    pid_t tid;
    journal_assert_error(error,
                         journal_registers_load(fixture->journal, id, &tid, read, &size, error),
                         JOURNAL_FAILED, "do not fit");
    assert_int_equal(size, 217);
    assert_int_equal(journal_registers_load(fixture->journal, other, &tid, read, &size, error),
                     JOURNAL_NOT_FOUND);
}

static void abort_gives_up_what_begin_started(void **state)
{
    struct journal_fixture *fixture = *state;
    struct journal_error *error = &fixture->error;
    const int64_t id = journal_fixture_plan(fixture, 1, JOURNAL_PLANNED);

    journal_registers_abort(fixture->journal);
    assert_int_equal(journal_registers_begin(fixture->journal, id, JOURNAL_INJECTING, error),
                     JOURNAL_OK);
    assert_int_equal(journal_fixture_phase(fixture, id), JOURNAL_PLANNED);
    journal_registers_abort(fixture->journal);
    assert_int_equal(journal_fixture_phase(fixture, id), JOURNAL_PLANNED);
    journal_assert_error(error, journal_registers_commit(fixture->journal, 1, "r", 1, error),
                         JOURNAL_FAILED, "without having begun");
    assert_int_equal(journal_fixture_count(fixture, "SELECT count(*) FROM registers"), 0);
    assert_int_equal(journal_fixture_count(fixture, "SELECT count(*) FROM events"), 1);

    /* Closing in between gives up too. */
    assert_int_equal(journal_registers_begin(fixture->journal, id, JOURNAL_INJECTING, error),
                     JOURNAL_OK);
    journal_fixture_reopen(fixture);
    assert_int_equal(journal_fixture_phase(fixture, id), JOURNAL_PLANNED);

    journal_assert_error(error,
                         journal_registers_begin(fixture->journal, id, JOURNAL_DRAINING, error),
                         JOURNAL_ILLEGAL, "planned");
    assert_int_equal(journal_advance(fixture->journal, id, JOURNAL_GONE, NULL, error), JOURNAL_OK);
}

static void nothing_else_between_begin_and_commit(void **state)
{
    struct journal_fixture *fixture = *state;
    struct journal *journal = fixture->journal;
    struct journal_error *error = &fixture->error;
    struct journal_injection injection = journal_sample(9), *list;
    char buffer[8];
    size_t size = sizeof(buffer), count;
    pid_t tid;
    static const char why[] = "in the middle of saving registers";
    const struct journal_skew skew = {.offset_ns = 1, .clocks = 1};
    const int64_t id = journal_fixture_plan(fixture, 1, JOURNAL_PLANNED);

    assert_int_equal(journal_registers_begin(journal, id, JOURNAL_INJECTING, error), JOURNAL_OK);
    journal_assert_error(error, journal_registers_begin(journal, id, JOURNAL_INJECTING, error),
                         JOURNAL_FAILED, why);
    journal_assert_error(error, journal_plan(journal, &injection, "v", 1, error), JOURNAL_FAILED,
                         why);
    journal_assert_error(error, journal_advance(journal, id, JOURNAL_GONE, NULL, error),
                         JOURNAL_FAILED, why);
    journal_assert_error(error, journal_set_skew(journal, id, &skew, error), JOURNAL_FAILED, why);
    journal_assert_error(error, journal_get(journal, id, &injection, error), JOURNAL_FAILED, why);
    journal_assert_error(error, journal_find_live(journal, &injection.key, &injection, error),
                         JOURNAL_FAILED, why);
    journal_assert_error(error, journal_list(journal, true, &list, &count, error), JOURNAL_FAILED,
                         why);
    assert_null(list);
    journal_assert_error(error, journal_vdso_load(journal, id, buffer, &size, error),
                         JOURNAL_FAILED, why);
    journal_assert_error(error, journal_registers_load(journal, id, &tid, buffer, &size, error),
                         JOURNAL_FAILED, why);
    /* And none of it hurt what had begun. */
    assert_int_equal(journal_registers_commit(journal, 5, "regs", 4, error), JOURNAL_OK);
    assert_int_equal(journal_registers_load(journal, id, &tid, buffer, &size, error), JOURNAL_OK);
    assert_int_equal(journal_fixture_phase(fixture, id), JOURNAL_INJECTING);
}

static void absurd_registers_are_refused(void **state)
{
    struct journal_fixture *fixture = *state;
    struct journal_error *error = &fixture->error;
    static const char registers[5000];
    const int64_t id = journal_fixture_plan(fixture, 1, JOURNAL_PLANNED);
    const struct {
        pid_t tid;
        size_t size;
    } absurd[] = {{0, 8}, {-1, 8}, {1, 0}, {1, 4097}, {1, SIZE_MAX}};
    for (size_t i = 0; i < sizeof(absurd) / sizeof(absurd[0]); i++) {
        assert_int_equal(journal_registers_begin(fixture->journal, id, JOURNAL_INJECTING, error),
                         JOURNAL_OK);
        journal_assert_error(error,
                             journal_registers_commit(fixture->journal, absurd[i].tid, registers,
                                                      absurd[i].size, error),
                             JOURNAL_FAILED, "do not fit");
        assert_int_equal(journal_fixture_phase(fixture, id), JOURNAL_PLANNED);
    }
}

/* A list that looked while a recover was at work must not end what that is about to end. */
static void gone_only_if_it_has_not_moved_on(void **state)
{
    struct journal_fixture *fixture = *state;
    struct journal_error *error = &fixture->error;
    struct journal_injection seen;
    const int64_t id = journal_fixture_plan(fixture, 1, JOURNAL_ACTIVE);
    assert_int_equal(journal_get(fixture->journal, id, &seen, error), JOURNAL_OK);
    assert_int_equal(journal_advance(fixture->journal, id, JOURNAL_RECOVERING, NULL, error),
                     JOURNAL_OK);
    journal_assert_error(error, journal_gone(fixture->journal, &seen, "exited", error),
                         JOURNAL_ILLEGAL, "no longer active");
    assert_int_equal(journal_fixture_phase(fixture, id), JOURNAL_RECOVERING);
    assert_int_equal(journal_get(fixture->journal, id, &seen, error), JOURNAL_OK);
    assert_int_equal(journal_gone(fixture->journal, &seen, "exited", error), JOURNAL_OK);
    assert_int_equal(journal_fixture_phase(fixture, id), JOURNAL_GONE);
    assert_int_equal(journal_get(fixture->journal, id, &seen, error), JOURNAL_OK);
    assert_string_equal(seen.detail, "exited");
}

#define WITH_JOURNAL(test)                                                                         \
    cmocka_unit_test_setup_teardown(test, journal_fixture_set_up, journal_fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(phases_have_names_and_ends),
        WITH_JOURNAL(each_step_is_taken_or_refused),
        WITH_JOURNAL(events_keep_every_change),
        WITH_JOURNAL(an_injection_comes_back_as_written),
        WITH_JOURNAL(a_long_detail_is_cut),
        WITH_JOURNAL(one_live_injection_per_process),
        WITH_JOURNAL(a_refused_plan_leaves_nothing),
        WITH_JOURNAL(an_ill_formed_plan_is_refused),
        WITH_JOURNAL(a_vdso_is_stored_once),
        WITH_JOURNAL(skew_changes_while_live),
        WITH_JOURNAL(what_is_not_there_is_not_found),
        WITH_JOURNAL(list_shows_live_or_all_by_id),
        WITH_JOURNAL(gone_only_if_it_has_not_moved_on),
        WITH_JOURNAL(registers_come_back_newest_first),
        WITH_JOURNAL(abort_gives_up_what_begin_started),
        WITH_JOURNAL(nothing_else_between_begin_and_commit),
        WITH_JOURNAL(absurd_registers_are_refused),
    };
    return cmocka_run_group_tests_name("journal rows", tests, NULL, NULL);
}
