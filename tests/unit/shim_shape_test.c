/*
 * shim_shape_test.c - the shim shows what engine/shape.c and slew.c say, to the nanosecond, on
 * every clock and through every function, also while the shape changes.
 */
#include "shim_stand_in.h"

#include "asm/x86_64/layout.h"
#include "engine/shape_text.h"
#include "engine/slew.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define NOW          (INT64_C(1763000000) * SECOND + 123456789)
#define YEAR         (INT64_C(31556952) * SECOND)
#define ROUNDS       400
#define TIMES        60
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Numbers that are the same in every run (Marsaglia's xorshift). */
static uint64_t random_state = UINT64_C(88172645463325252);
static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* From -most to most, of any order of magnitude. */
static int64_t random_signed(int64_t most)
{
    int64_t size = (int64_t)(random_next() >> 1 >> random_next() % 63) % (most + 1);
    return random_next() & 1 ? size : -size;
}

static int64_t random_span(int64_t least, int64_t most)
{
    int64_t span = llabs(random_signed(most));
    return span < least ? least : span;
}

static struct shape_part random_part(enum shape_kind kind)
{
    struct shape_part part = {.kind = kind};
    switch (kind) {
    case SHAPE_RATE:
        part.amount = (int64_t)(random_next() % 5) - 1;
        part.detail = random_next() << random_next() % 60;
        break;
    case SHAPE_RAMP:
    case SHAPE_SMEAR:
        part.span = random_span(1, SHAPE_SPAN_MAX);
        part.amount = random_signed(100 * YEAR);
        break;
    case SHAPE_STROBE:
        part.span = random_span(SHAPE_PERIODIC_MIN, SHAPE_SPAN_MAX);
        part.amount = random_signed(100 * YEAR);
        break;
    case SHAPE_SINE:
        part.span = random_span(SHAPE_PERIODIC_MIN, SHAPE_SPAN_MAX);
        part.amount = random_signed(SHAPE_AMPLITUDE_MAX);
        break;
    case SHAPE_JITTER:
        part.span = random_span(SHAPE_PERIODIC_MIN, SHAPE_SPAN_MAX);
        part.amount = llabs(random_signed(YEAR));
        part.detail = random_next();
        break;
    case SHAPE_STEP:
    case SHAPE_KIND_COUNT:
        part.span = random_span(0, SHAPE_SPAN_MAX);
        part.amount = random_signed(YEAR);
        break;
    }
    return part;
}

/* One part alone of each kind in turn, then any mixture. */
static struct shape random_shape(unsigned round)
{
    struct shape shape = {0};
    const char *problem;
    while (shape.count == 0) {
        for (int kind = 0; kind < SHAPE_KIND_COUNT; kind++) {
            bool alone = round % 2 == 0;
            unsigned copies = kind == SHAPE_STEP ? (unsigned)(random_next() % 8) : 1;
            for (unsigned i = 0; i < copies; i++) {
                const struct shape_part part = random_part((enum shape_kind)kind);
                if (alone ? round / 2 % SHAPE_KIND_COUNT == (unsigned)kind : random_next() & 1)
                    assert_true(shape_add(&shape, &part, &problem));
            }
        }
    }
    return shape;
}

/* Of any size and pace, and at any distance from its end. */
static struct image_slew random_slew(void)
{
    struct image_slew slew = {.pace = random_next() >> random_next() % 24};
    for (int clock = 0; clock < IMAGE_CLOCK_COUNT; clock++) {
        slew.amount_ns[clock] = clock == 7 ? 0 : random_signed(100 * YEAR);
        slew.begin_ns[clock] = NOW + random_signed(50 * YEAR);
    }
    return slew;
}

/* Modulo 2^64, as a sum that leaves that range is. */
static __int128 expected(const struct image_skew *skew, clockid_t clock, int64_t now_ns)
{
    return (int64_t)((uint64_t)now_ns + (uint64_t)skew_difference(skew, clock, now_ns));
}

/* A carry from one second to the next does not wrap around at the end of 64 bits. */
static bool shown(__int128 time)
{
    return time >= INT64_MIN + 3 * SECOND;
}

static void functions_check(const struct image_skew *skew, int64_t now_ns)
{
    true_time_set(now_ns);
    for (clockid_t clock = 0; clock < 13; clock++) {
        __int128 wanted = expected(skew, clock, now_ns), seen = read_clock_gettime(clock);
        if (seen != wanted && shown(wanted))
            fail_msg("clock %d at %lld shows %lld, not %lld", clock, (long long)now_ns,
                     (long long)seen, (long long)wanted);
    }
    __int128 real = expected(skew, CLOCK_REALTIME, now_ns);
    if (!shown(real))
        return;
    struct timezone zone;
    assert_true(read_gettimeofday(NULL) == floor_to(real, 1000));
    assert_true(read_gettimeofday(&zone) == floor_to(real, 1000));
    assert_true(read_time() == floor_to(real, SECOND));
}

/* There the division by 10^9 comes to one less, and what is left is to make up for it. */
static void whole_seconds_before_1970_are_exact(void **state)
{
    (void)state;
    static const char *const shapes[] = {"rate=0", "step=0s:-1s", "strobe=-500ms/1s",
                                         "strobe=-100000s/1s", "rate=+1% step=1s:-2s"};
    static const int64_t distances[] = {0, 1, 511, 512, SECOND / 2, SECOND - 1};
    const int64_t now = NOW / SECOND * SECOND;
    for (unsigned round = 0; round < 40 * COUNT(shapes); round++) {
        const char *problem;
        struct image_skew skew =
            image_skew_from(1, -now - (int64_t)(random_next() % 4000000000) * SECOND, NULL);
        assert_true(shape_parse(shapes[round % COUNT(shapes)], &skew.shape, &problem));
        skew.beginning_ns[CLOCK_REALTIME] = now;
        skew_set(&skew);
        for (int64_t second = 0; second < 4; second++)
            for (size_t d = 0; d < COUNT(distances); d++)
                functions_check(&skew, now + second * SECOND + distances[d]);
    }
}

/* At the corners of a part, and a nanosecond beside them. */
static int64_t corner(const struct shape *shape, unsigned round)
{
    const struct shape_part *part = &shape->parts[round % shape->count];
    int64_t times = part->span == 0 ? 0 : (int64_t)(random_next() % 3);
    int64_t at = times != 0 && part->span > INT64_MAX / 4 / times ? part->span : part->span * times;
    return at + (int64_t)(random_next() % 3) - 1;
}

static void every_shape_is_exact(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct image_skew skew = image_skew_from((1U << IMAGE_CLOCK_COUNT) - 1,
                                                 round % 3 ? random_signed(50 * YEAR) : 0, NULL);
        skew.shape = random_shape(round);
        for (int clock = 0; clock < IMAGE_CLOCK_COUNT; clock++)
            skew.beginning_ns[clock] = NOW + clock * 1234567;
        skew_set(&skew);
        for (unsigned i = 0; i < TIMES; i++) {
            int64_t elapsed = i % 2 ? corner(&skew.shape, i) : random_signed(200 * YEAR);
            int64_t now;
            if (__builtin_add_overflow(NOW, elapsed, &now) || now < 0)
                now = NOW + elapsed % YEAR;
            functions_check(&skew, now);
        }
    }
}

/* Around the beginning and the end of each clock's own, alone and with every shape. */
static void every_slew_is_exact(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct image_skew skew = image_skew_from(round % 5 ? (1U << IMAGE_CLOCK_COUNT) - 1 : 0x2b,
                                                 round % 3 ? random_signed(50 * YEAR) : 0, NULL);
        if (round % 4)
            skew.shape = random_shape(round);
        skew.slew = random_slew();
        for (int clock = 0; clock < IMAGE_CLOCK_COUNT; clock++)
            skew.beginning_ns[clock] = round % 4 ? NOW + clock * 1234567 : 0;
        skew_set(&skew);
        for (unsigned i = 0; i < TIMES; i++) {
            size_t clock = i % IMAGE_CLOCK_COUNT;
            __int128 size = (__int128)llabs(skew.slew.amount_ns[clock]) << 64;
            __int128 at = skew.slew.begin_ns[clock] + (int64_t)(random_next() % 5) - 2;
            if (i / IMAGE_CLOCK_COUNT % 2)
                at += size / skew.slew.pace;
            else if (i / IMAGE_CLOCK_COUNT % 3)
                at += size / skew.slew.pace / 4096 * (int64_t)(random_next() % 4096);
            if (at > 0 && at < NOW + 200 * YEAR)
                functions_check(&skew, (int64_t)at);
        }
    }
}

static void a_shape_ends_at_its_deadline(void **state)
{
    (void)state;
    static const int64_t distances[] = {-SECOND, -2, -1, 0, 1, 2, SECOND};
    for (unsigned round = 0; round < 40; round++) {
        struct image_deadlines deadlines;
        for (int clock = 0; clock < IMAGE_CLOCK_COUNT; clock++)
            deadlines.at_ns[clock] = NOW + (int64_t)(random_next() % (3 * (uint64_t)SECOND));
        struct image_skew skew = image_skew_from(round % 4 == 3 ? 2 : 0xfff, round, &deadlines);
        skew.shape = random_shape(round);
        for (int clock = 0; clock < IMAGE_CLOCK_COUNT; clock++)
            skew.beginning_ns[clock] = NOW - YEAR;
        skew_set(&skew);
        for (int clock = 0; clock < IMAGE_CLOCK_COUNT; clock++)
            for (size_t d = 0; d < COUNT(distances); d++)
                functions_check(&skew, deadlines.at_ns[clock] + distances[d]);
    }
}

static void what_is_set_is_read_back(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct image_skew skew = image_skew_from(0xc21, random_signed(YEAR), NULL), seen;
        if (round % 5)
            skew.shape = random_shape(round);
        if (round % 7 < 4)
            skew.slew = random_slew();
        skew.beginning_ns[CLOCK_TAI] = (int64_t)round;
        skew_set(&skew);
        assert_true(image_parameters_parse(placed.at + image_parameters_offset(), &seen));
        assert_int_equal(seen.clocks, skew.clocks);
        assert_true(image_skew_offset(&seen) == image_skew_offset(&skew));
        assert_true(shape_equal(&seen.shape, &skew.shape));
        assert_memory_equal(seen.beginning_ns, skew.beginning_ns, sizeof seen.beginning_ns);
        assert_memory_equal(&seen.slew, &skew.slew, sizeof seen.slew);
    }
}

/* Not a bit of the program may say anything else than the shape. */
static void a_damaged_program_is_refused(void **state)
{
    (void)state;
    struct image_skew skew = image_skew_from(1, 7, NULL), seen;
    uint8_t *parameters = placed.at + image_parameters_offset();
    skew.shape = random_shape(1);
    skew_set(&skew);
    size_t slot = PARAMETERS_SLOTS + (size_t)parameters[PARAMETERS_SELECTOR] * PARAMETERS_WORD;
    for (size_t at = SLOT_PROGRAM; at < SLOT_SHAPE; at++) {
        parameters[slot + at] ^= 1;
        assert_false(image_parameters_parse(parameters, &seen));
        parameters[slot + at] ^= 1;
    }
    assert_true(image_parameters_parse(parameters, &seen));
}

/* A mixture of the constants of any two of these shows a time that none of them does. */
#define ALTERNATING 5
static struct image_skew alternating[ALTERNATING];
static __int128 allowed[ALTERNATING][3];
static atomic_bool reading;
static atomic_ulong reads, torn;

static void *reader(void *nothing)
{
    while (atomic_load(&reading)) {
        unsigned long wrong = 0;
        for (int i = 0; i < 1000; i++) {
            struct timespec seen;
            struct timeval day;
            bool whole[3] = {false};
            placed.entries[ARCH_CLOCK_GETTIME](CLOCK_REALTIME, (uintptr_t)&seen);
            placed.entries[ARCH_GETTIMEOFDAY]((uintptr_t)&day, 0);
            __int128 second = placed.entries[ARCH_TIME](0, 0);
            for (int a = 0; a < ALTERNATING; a++) {
                whole[0] |= (__int128)seen.tv_sec * SECOND + seen.tv_nsec == allowed[a][0];
                whole[1] |= (__int128)day.tv_sec * SECOND + day.tv_usec * 1000 == allowed[a][1];
                whole[2] |= second * SECOND == allowed[a][2];
            }
            wrong += !whole[0] || !whole[1] || !whole[2];
        }
        atomic_fetch_add(&torn, wrong);
        atomic_fetch_add(&reads, 3000);
    }
    return nothing;
}

static unsigned long wanted_reads = 300000;

static void no_reader_sees_a_torn_shape(void **state)
{
    (void)state;
    pthread_t readers[2];
    true_time_set(NOW);
    for (int a = 0; a < ALTERNATING; a++) {
        alternating[a] = image_skew_from(1, a * (1000 * SECOND + 100), NULL);
        if (a != 0)
            alternating[a].shape = random_shape(a == 1 ? 0 : (unsigned)a * 2 + 1);
        if (a >= 3)
            alternating[a].slew = (struct image_slew){
                .pace = UINT64_C(1) << 60, .begin_ns = {NOW - 7}, .amount_ns = {a * -777 * SECOND}};
        alternating[a].beginning_ns[CLOCK_REALTIME] = NOW - 11 * SECOND * a;
        allowed[a][0] = expected(&alternating[a], CLOCK_REALTIME, NOW);
        allowed[a][1] = floor_to(allowed[a][0], 1000);
        allowed[a][2] = floor_to(allowed[a][0], SECOND);
        assert_true(shown(allowed[a][0]));
    }
    skew_set(&alternating[0]);
    atomic_store(&reading, true);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, reader, NULL), 0);
    int64_t last = harness_monotonic_ns() +
                   (int64_t)(wanted_reads / 1000000 + 1) * HARNESS_DEADLINE_MS * 1000000;
    for (unsigned i = 1; atomic_load(&reads) < wanted_reads && harness_monotonic_ns() < last; i++)
        skew_set(&alternating[i % ALTERNATING]);
    atomic_store(&reading, false);
    for (int i = 0; i < 2; i++)
        pthread_join(readers[i], NULL);
    assert_true(atomic_load(&reads) >= wanted_reads);
    assert_int_equal(atomic_load(&torn), 0);
}

/* shim_shape_test [READS]: how many reads are made while the shape changes. */
int main(int argc, char *argv[])
{
    const struct CMUnitTest tests[] = {
        harness_test(every_shape_is_exact),
        harness_test(every_slew_is_exact),
        harness_test(whole_seconds_before_1970_are_exact),
        harness_test(a_shape_ends_at_its_deadline),
        harness_test(what_is_set_is_read_back),
        harness_test(a_damaged_program_is_refused),
        harness_test(no_reader_sees_a_torn_shape),
    };
    if (argc > 1)
        wanted_reads = strtoul(argv[1], NULL, 10);
    return cmocka_run_group_tests_name("the shim's shapes", tests, place, unplace);
}
