/*
 * journal_images_test.c - the images of the journal: all of one boot and pid
 * namespace, live or ended; and inherited injections that become independent.
 */
#include "journal_fixture.h"

#include <stdlib.h>
#include <string.h>

#define DAMAGED "damaged"

static void all_of_one_world_by_id(void **state)
{
    struct journal_fixture *fixture = *state;
    struct journal_image *images;
    size_t count;
    struct journal_injection sample = journal_sample(1);
    assert_int_equal(journal_images(fixture->journal, sample.key.boot_id, sample.key.pid_namespace,
                                    &images, &count, &fixture->error),
                     JOURNAL_OK);
    assert_int_equal(count, 0);
    free(images);

    enum { INJECTIONS = 2 * JOURNAL_PHASE_COUNT };
    for (int i = 0; i < INJECTIONS; i++) {
        struct journal_injection injection = journal_sample(1 + i);
        memcpy(injection.key.boot_id, sample.key.boot_id, sizeof injection.key.boot_id);
        injection.key.pid_namespace = sample.key.pid_namespace + (i % 3 == 2);
        injection.inherited = i % 2;
        static const char vdso[] = "vdso";
        assert_int_equal(
            journal_plan(fixture->journal, &injection, vdso, sizeof vdso, &fixture->error),
            JOURNAL_OK);
        if (i % 4 == 3)
            assert_int_equal(journal_advance(fixture->journal, injection.id, JOURNAL_GONE, NULL,
                                             &fixture->error),
                             JOURNAL_OK);
    }
    assert_int_equal(journal_images(fixture->journal, sample.key.boot_id, sample.key.pid_namespace,
                                    &images, &count, &fixture->error),
                     JOURNAL_OK);
    assert_int_equal(count, INJECTIONS / 3 * 2);
    for (size_t i = 0; i < count; i++) {
        struct journal_injection whole;
        assert_true(i == 0 || images[i].injection > images[i - 1].injection);
        assert_int_equal(
            journal_get(fixture->journal, images[i].injection, &whole, &fixture->error),
            JOURNAL_OK);
        assert_int_equal(images[i].pid, whole.key.pid);
        assert_int_equal(images[i].start_time, whole.key.start_time);
        assert_int_equal(images[i].phase, whole.phase);
        assert_int_equal(images[i].inherited, whole.inherited);
        assert_int_equal(images[i].vdso_address, whole.vdso_address);
        assert_int_equal(images[i].image_address, whole.image_address);
        assert_memory_equal(images[i].image_id, whole.image_id, sizeof whole.image_id);
    }
    free(images);
    assert_int_equal(journal_images(fixture->journal, "another boot", sample.key.pid_namespace,
                                    &images, &count, &fixture->error),
                     JOURNAL_OK);
    assert_int_equal(count, 0);
    free(images);
}

static void an_inherited_one_becomes_independent(void **state)
{
    struct journal_fixture *fixture = *state;
    struct journal_injection injection = journal_sample(1), read;
    static const char vdso[] = "vdso";
    injection.inherited = true;
    assert_int_equal(journal_plan(fixture->journal, &injection, vdso, sizeof vdso, &fixture->error),
                     JOURNAL_OK);
    assert_int_equal(journal_own(fixture->journal, injection.id, &fixture->error), JOURNAL_OK);
    assert_int_equal(journal_get(fixture->journal, injection.id, &read, &fixture->error),
                     JOURNAL_OK);
    injection.inherited = false;
    assert_memory_equal(&read, &injection, sizeof read);
}

static void a_damaged_image_is_refused(void **state)
{
    struct journal_fixture *fixture = *state;
    struct journal_injection injection = journal_sample(1);
    struct journal_image *images;
    size_t count;
    journal_fixture_plan(fixture, 1, JOURNAL_ACTIVE);
    journal_fixture_doctor(fixture, "UPDATE injections SET image_id = x'00'");
    journal_assert_error(&fixture->error,
                         journal_images(fixture->journal, injection.key.boot_id,
                                        injection.key.pid_namespace, &images, &count,
                                        &fixture->error),
                         JOURNAL_REFUSED, DAMAGED);
    assert_null(images);
}

#define WITH_JOURNAL(test)                                                                         \
    cmocka_unit_test_setup_teardown(test, journal_fixture_set_up, journal_fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_JOURNAL(all_of_one_world_by_id),
        WITH_JOURNAL(an_inherited_one_becomes_independent),
        WITH_JOURNAL(a_damaged_image_is_refused),
    };
    return cmocka_run_group_tests_name("journal images", tests, NULL, NULL);
}
