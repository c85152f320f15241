/*
 * parameters_read_test.c - reading an image's parameters while they are updated: what comes
 * back is one of the skews that were in force, whole; never a mixture.
 */
#include "engine/memory.h"
#include "engine/private.h"
#include "harness.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define READS 120000
/* Both slots are rewritten in one go, so that a slow reader meets them half-way. */
#define BURST 50

static _Alignas(4096) uint8_t image[4096];
static struct image_skew skews[2];
static atomic_bool done;

static void update(const struct image_skew *skew)
{
    struct image_write writes[IMAGE_UPDATE_WRITES];
    image_update_plan(image + image_parameters_offset(), skew, writes);
    for (size_t i = 0; i < IMAGE_UPDATE_WRITES; i++) {
        memcpy(image + writes[i].offset, writes[i].bytes, writes[i].size);
        atomic_signal_fence(memory_order_seq_cst);
    }
}

static void *update_forever(void *unused)
{
    unsigned turn = 0;
    while (!atomic_load(&done)) {
        for (int i = 0; i < BURST; i++)
            update(&skews[turn++ / 3 % 2]);
        /* Long enough for a reader to come between two bursts. */
        nanosleep(&(struct timespec){.tv_nsec = 1}, NULL);
    }
    return unused;
}

static bool same(const struct image_skew *one, const struct image_skew *other)
{
    return one->clocks == other->clocks && image_skew_offset(one) == image_skew_offset(other) &&
           shape_equal(&one->shape, &other->shape) &&
           memcmp(&one->deadlines, &other->deadlines, sizeof one->deadlines) == 0 &&
           memcmp(one->beginning_ns, other->beginning_ns, sizeof one->beginning_ns) == 0;
}

static void no_mixture_is_read(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct image_deadlines deadlines;
        const char *problem;
        for (size_t clock = 0; clock < IMAGE_CLOCK_COUNT; clock++) {
            deadlines.at_ns[clock] = 1000 + i;
            skews[i].beginning_ns[clock] = 2000 + i;
        }
        struct image_skew skew = image_skew_from(UINT64_C(1) << i, i - 5, &deadlines);
        memcpy(skew.beginning_ns, skews[i].beginning_ns, sizeof skew.beginning_ns);
        assert_true(
            shape_add(&skew.shape,
                      &(struct shape_part){.kind = SHAPE_JITTER, .amount = 7 + i, .span = 1000000},
                      &problem));
        skews[i] = skew;
    }
    int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    assert_true(memory >= 0);
    update(&skews[0]);
    pthread_t writer;
    assert_int_equal(pthread_create(&writer, NULL, update_forever, NULL), 0);
    unsigned wrong = 0, unread = 0, of[2] = {0};
    for (int i = 0; i < READS; i++) {
        uint8_t parameters[IMAGE_PARAMETERS_SIZE];
        struct image_skew read = {0};
        if (!look_parameters_read(memory, (uint64_t)(uintptr_t)image, &read, parameters)) {
            unread++; /* it met nothing but updates, and says so */
            continue;
        }
        int which = same(&read, &skews[1]);
        of[which]++;
        wrong += which == 0 && !same(&read, &skews[0]);
    }
    atomic_store(&done, true);
    pthread_join(writer, NULL);
    close(memory);
    print_message("%u and %u whole, %u not read, %u mixed\n", of[0], of[1], unread, wrong);
    assert_int_equal(wrong, 0);
    assert_true(of[0] > 0 && of[1] > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(no_mixture_is_read),
    };
    return cmocka_run_group_tests_name("reading parameters", tests, NULL, NULL);
}
