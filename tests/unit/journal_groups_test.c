/*
 * journal_groups_test.c - groups come back as written, change as their table of
 * phases says and no other way, and know their members; of two that would follow
 * a group one does.
 */
#include "tests/unit/journal_fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "journal/groups.h"

/* Row: from; column: to. Written out by hand from the design, not from group_phase.c. */
static const char legal[JOURNAL_GROUP_PHASE_COUNT][JOURNAL_GROUP_PHASE_COUNT + 1] = {
    [JOURNAL_GROUP_PLANNED] = "0111",
    [JOURNAL_GROUP_ACTIVE] = "0011",
    [JOURNAL_GROUP_RECOVERING] = "0011",
    [JOURNAL_GROUP_ENDED] = "0000",
};

static struct journal_group group_sample(int n)
{
    struct journal_group group = {
        .boot_id = "3d4e0b1c-7f6a-4a52-9a0e-0c5f5a9c6b11",
        .pid_namespace = UINT64_C(4026531836) + (uint64_t)n,
        .skew = {.offset_ns = -INT64_C(3600000000000) - n,
                 .clocks = UINT64_C(0x8000000000000821) + (uint64_t)n,
                 .deadline_ns = INT64_C(1800000000000000000) + n,
                 .begin_ns = INT64_C(1700000000000000000) + n},
        .follow = (enum journal_follow)(n % JOURNAL_FOLLOW_COUNT),
    };
    memset(group.selectors, 'a' + n % 26, (size_t)n < sizeof(group.selectors) ? (size_t)n : 1);
    memset(group.skew.shape, 's', (size_t)n % sizeof(group.skew.shape));
    memset(group.skew.profile, 'p', (size_t)n % sizeof(group.skew.profile));
    return group;
}

static int64_t group_plan(struct journal_fixture *fixture, int n, enum journal_group_phase phase)
{
    struct journal_group group = group_sample(n);
    assert_int_equal(journal_group_plan(fixture->journal, &group, &fixture->error), JOURNAL_OK);
    if (phase != JOURNAL_GROUP_PLANNED)
        assert_int_equal(journal_group_advance(fixture->journal, group.id, phase, &fixture->error),
                         JOURNAL_OK);
    return group.id;
}

static struct journal_group group_get(struct journal_fixture *fixture, int64_t id)
{
    struct journal_group group;
    assert_int_equal(journal_group_get(fixture->journal, id, &group, &fixture->error), JOURNAL_OK);
    return group;
}

static void a_group_comes_back_as_written(void **state)
{
    struct journal_fixture *fixture = *state;
    static const int lengths[] = {1, 5, 4096, 16383};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct journal_group written = group_sample(lengths[i]);
        written.phase = JOURNAL_GROUP_ENDED;
        written.follower.pid = 5;
        assert_int_equal(journal_group_plan(fixture->journal, &written, &fixture->error),
                         JOURNAL_OK);
        assert_int_equal(written.id, i + 1);
        assert_int_equal(written.phase, JOURNAL_GROUP_PLANNED);
        assert_int_equal(written.follower.pid, 0);
        assert_true(written.created_ns > 0 && written.changed_ns == written.created_ns);
        journal_fixture_reopen(fixture);
        const struct journal_group read = group_get(fixture, written.id);
        assert_memory_equal(&read, &written, sizeof(read));
    }
}

static void an_ill_formed_group_is_refused(void **state)
{
    struct journal_fixture *fixture = *state;
    for (int wrong = 0; wrong < 4; wrong++) {
        struct journal_group group = group_sample(7);
        if (wrong == 0)
            memset(group.boot_id, 'x', sizeof(group.boot_id));
        if (wrong == 1)
            memset(group.selectors, 'x', sizeof(group.selectors));
        if (wrong == 2)
            group.selectors[0] = '\0';
        if (wrong == 3)
            group.follow = JOURNAL_FOLLOW_COUNT;
        journal_assert_error(&fixture->error,
                             journal_group_plan(fixture->journal, &group, &fixture->error),
                             JOURNAL_FAILED, "invalid");
        assert_int_equal(fixture->error.errnum, EINVAL);
    }
    assert_int_equal(journal_fixture_count(fixture, "SELECT count(*) FROM groups"), 0);
}

static void each_step_is_taken_or_refused(void **state)
{
    struct journal_fixture *fixture = *state;
    for (int from = 0; from < JOURNAL_GROUP_PHASE_COUNT; from++) {
        for (int to = 0; to < JOURNAL_GROUP_PHASE_COUNT; to++) {
            const bool allowed = legal[from][to] == '1';
            assert_int_equal(journal_group_phase_may_follow((enum journal_group_phase)from,
                                                            (enum journal_group_phase)to),
                             allowed);
            const int64_t id = group_plan(fixture, 1, (enum journal_group_phase)from);
            const enum journal_code code = journal_group_advance(
                fixture->journal, id, (enum journal_group_phase)to, &fixture->error);
            assert_int_equal(group_get(fixture, id).phase, allowed ? to : from);
            if (allowed)
                assert_int_equal(code, JOURNAL_OK);
            else
                journal_assert_error(&fixture->error, code, JOURNAL_ILLEGAL, "cannot become");
        }
        for (int other = 0; other < from; other++)
            assert_string_not_equal(journal_group_phase_name((enum journal_group_phase)from),
                                    journal_group_phase_name((enum journal_group_phase)other));
    }
    assert_string_equal(journal_group_phase_name((enum journal_group_phase)99), "unknown");
}

static void an_ended_group_keeps_what_it_has(void **state)
{
    struct journal_fixture *fixture = *state;
    struct journal *journal = fixture->journal;
    struct journal_error *error = &fixture->error;
    for (int phase = 0; phase < JOURNAL_GROUP_PHASE_COUNT; phase++) {
        const bool live = phase != JOURNAL_GROUP_ENDED;
        const enum journal_code expected = live ? JOURNAL_OK : JOURNAL_ILLEGAL;
        const struct journal_follower nobody = {0}, somebody = {.pid = 5, .start_time = 6};
        const int64_t id = group_plan(fixture, 1, (enum journal_group_phase)phase);
        const int64_t injection = journal_fixture_plan(fixture, 100 + phase, JOURNAL_ACTIVE);
        const struct journal_skew skew = {.offset_ns = INT64_MIN,
                                          .clocks = UINT64_MAX,
                                          .deadline_ns = 77,
                                          .begin_ns = 78,
                                          .shape = "rate=2",
                                          .profile = "fast"};
        assert_int_equal(journal_group_set_skew(journal, id, &skew, error), expected);
        assert_int_equal(journal_group_set_follow(journal, id, JOURNAL_FOLLOW_EXACT, error),
                         expected);
        assert_int_equal(journal_group_set_follower(journal, id, &nobody, &somebody, error),
                         expected);
        assert_int_equal(journal_group_join(journal, id, injection, error), expected);
        const struct journal_group group = group_get(fixture, id);
        assert_int_equal(memcmp(&group.skew, &skew, sizeof(skew)) == 0, live);
        assert_int_equal(group.follow == JOURNAL_FOLLOW_EXACT, live);
        assert_int_equal(group.follower.pid == 5, live);
        assert_int_equal(group.follower.start_time == 6, live);
    }
}

static void one_follower_at_a_time(void **state)
{
    struct journal_fixture *fixture = *state;
    struct journal *journal = fixture->journal;
    struct journal_error *error = &fixture->error;
    const struct journal_follower nobody = {0}, first = {.pid = 5, .start_time = 6},
                                  again = {.pid = 5, .start_time = 7};
    const int64_t id = group_plan(fixture, 1, JOURNAL_GROUP_ACTIVE);
    assert_int_equal(journal_group_set_follower(journal, id, &nobody, &first, error), JOURNAL_OK);
    journal_assert_error(error, journal_group_set_follower(journal, id, &nobody, &again, error),
                         JOURNAL_CONFLICT, "followed by process 5");
    /* Its number used again is somebody else. */
    journal_assert_error(error, journal_group_set_follower(journal, id, &again, &nobody, error),
                         JOURNAL_CONFLICT, "followed by process 5");
    assert_int_equal(journal_group_set_follower(journal, id, &first, &again, error), JOURNAL_OK);
    assert_int_equal(journal_group_advance(journal, id, JOURNAL_GROUP_ENDED, error), JOURNAL_OK);
    assert_int_equal(journal_group_set_follower(journal, id, &again, &nobody, error), JOURNAL_OK);
    assert_int_equal(group_get(fixture, id).follower.pid, 0);
    journal_assert_error(error, journal_group_set_follower(journal, id, &again, &nobody, error),
                         JOURNAL_CONFLICT, "followed by nobody");
}

static void list_shows_live_or_all_by_id(void **state)
{
    struct journal_fixture *fixture = *state;
    struct journal_group *groups;
    size_t count;
    for (int i = 0; i < 12; i++)
        group_plan(fixture, 1 + i, (enum journal_group_phase)(i % JOURNAL_GROUP_PHASE_COUNT));
    assert_int_equal(journal_group_list(fixture->journal, true, &groups, &count, &fixture->error),
                     JOURNAL_OK);
    assert_int_equal(count, 12);
    for (size_t i = 0; i < count; i++) {
        const struct journal_group one = group_get(fixture, groups[i].id);
        assert_int_equal(groups[i].id, i + 1);
        assert_memory_equal(&groups[i], &one, sizeof(one));
    }
    free(groups);
    assert_int_equal(journal_group_list(fixture->journal, false, &groups, &count, &fixture->error),
                     JOURNAL_OK);
    assert_int_equal(count, 9);
    for (size_t i = 0; i < count; i++)
        assert_int_not_equal(groups[i].phase, JOURNAL_GROUP_ENDED);
    free(groups);
}

static void members_are_those_that_were_planned_or_joined(void **state)
{
    struct journal_fixture *fixture = *state;
    struct journal *journal = fixture->journal;
    struct journal_error *error = &fixture->error;
    struct journal_injection *members;
    size_t count;
    const int64_t one = group_plan(fixture, 1, JOURNAL_GROUP_ACTIVE);
    const int64_t other = group_plan(fixture, 2, JOURNAL_GROUP_ACTIVE);
    struct journal_injection planned = journal_sample(10);
    planned.group = one;
    assert_int_equal(journal_plan(journal, &planned, "vdso", 4, error), JOURNAL_OK);
    const int64_t joined = journal_fixture_plan(fixture, 11, JOURNAL_ACTIVE);
    const int64_t ended = journal_fixture_plan(fixture, 12, JOURNAL_ACTIVE);
    journal_fixture_plan(fixture, 13, JOURNAL_ACTIVE);
    assert_int_equal(journal_group_join(journal, other, joined, error), JOURNAL_OK);
    assert_int_equal(journal_group_join(journal, one, joined, error), JOURNAL_OK);
    assert_int_equal(journal_group_join(journal, one, ended, error), JOURNAL_OK);
    assert_int_equal(journal_advance(journal, ended, JOURNAL_GONE, NULL, error), JOURNAL_OK);

    assert_int_equal(journal_group_members(journal, one, false, &members, &count, error),
                     JOURNAL_OK);
    assert_int_equal(count, 2);
    assert_int_equal(members[0].id, planned.id);
    assert_int_equal(members[0].group, one);
    assert_int_equal(members[1].id, joined);
    assert_int_equal(members[1].patch_count, 2);
    free(members);
    assert_int_equal(journal_group_members(journal, one, true, &members, &count, error),
                     JOURNAL_OK);
    assert_int_equal(count, 3);
    free(members);
    assert_int_equal(journal_group_members(journal, other, true, &members, &count, error),
                     JOURNAL_OK);
    assert_int_equal(count, 0);
    free(members);

    assert_int_equal(journal_group_join(journal, 0, joined, error), JOURNAL_OK);
    assert_int_equal(journal_group_members(journal, one, false, &members, &count, error),
                     JOURNAL_OK);
    assert_int_equal(count, 1);
    free(members);
    journal_assert_error(error, journal_group_join(journal, one, ended, error), JOURNAL_NOT_FOUND,
                         "no live injection");
    journal_assert_error(error, journal_group_join(journal, 99, joined, error), JOURNAL_NOT_FOUND,
                         "no group g99");
    /* An injection of a group that is not there would be nobody's. */
    struct journal_injection stray = journal_sample(14);
    stray.group = 99;
    assert_int_not_equal(journal_plan(journal, &stray, "vdso", 4, error), JOURNAL_OK);
}

static void doctored_groups_are_refused(void **state)
{
    struct journal_fixture *fixture = *state;
    struct journal_error *error = &fixture->error;
    static const char *const doctorings[] = {
        "UPDATE groups SET boot_id = printf('%.*c', 40, 'x')",
        "UPDATE groups SET selectors = printf('%.*c', 16384, 'x')",
        "UPDATE groups SET selectors = x'00'",
        "UPDATE groups SET clocks = 'all'",
        "UPDATE groups SET follow = 3",
        "UPDATE groups SET follower_pid = -1",
        "UPDATE groups SET follower_pid = 4294967297",
        "UPDATE groups SET phase = 4",
        "UPDATE groups SET deadline_ns = 1.5",
        "UPDATE groups SET begin_ns = 'now'",
        "UPDATE groups SET shape = printf('%.*c', 1280, 'x')",
        "UPDATE groups SET profile = printf('%.*c', 64, 'x')",
    };
    const int64_t id = group_plan(fixture, 3, JOURNAL_GROUP_PLANNED);
    journal_fixture_doctor(fixture, "CREATE TABLE kept AS SELECT * FROM groups");
    for (size_t i = 0; i < sizeof(doctorings) / sizeof(doctorings[0]); i++) {
        struct journal_group group, *groups;
        size_t count;
        journal_fixture_doctor(fixture, doctorings[i]);
        journal_assert_error(error, journal_group_get(fixture->journal, id, &group, error),
                             JOURNAL_REFUSED, "damaged");
        journal_assert_error(error,
                             journal_group_list(fixture->journal, true, &groups, &count, error),
                             JOURNAL_REFUSED, "damaged");
        assert_null(groups);
        journal_fixture_doctor(fixture,
                               "DELETE FROM groups; INSERT INTO groups SELECT * FROM kept");
        group_get(fixture, id);
    }
    struct journal_group group;
    journal_assert_error(error, journal_group_get(fixture->journal, 99, &group, error),
                         JOURNAL_NOT_FOUND, "no group g99");
}

#define WITH_JOURNAL(test)                                                                         \
    cmocka_unit_test_setup_teardown(test, journal_fixture_set_up, journal_fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_JOURNAL(a_group_comes_back_as_written),
        WITH_JOURNAL(an_ill_formed_group_is_refused),
        WITH_JOURNAL(each_step_is_taken_or_refused),
        WITH_JOURNAL(an_ended_group_keeps_what_it_has),
        WITH_JOURNAL(one_follower_at_a_time),
        WITH_JOURNAL(list_shows_live_or_all_by_id),
        WITH_JOURNAL(members_are_those_that_were_planned_or_joined),
        WITH_JOURNAL(doctored_groups_are_refused),
    };
    return cmocka_run_group_tests_name("journal groups", tests, NULL, NULL);
}
