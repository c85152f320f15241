/*
 * shim_deadline_test.c - a skew ends at its deadline, to the nanosecond, on every
 * clock and through every function, against a reference in 128-bit arithmetic.
 *
 * The time is whatever the test sets, so nothing here depends on when it runs.
 */
#include "shim_stand_in.h"

#include "asm/x86_64/layout.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/time.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The true time that the tests are about; its nanoseconds leave room on both sides. */
#define NOW (INT64_C(1700000000) * SECOND + 500000000)

/* What a clock must show: the reference. */
static __int128 expected(const struct image_skew *skew, clockid_t clock, int64_t now_ns)
{
    bool skewed = clock >= 0 && clock < IMAGE_CLOCK_COUNT &&
                  (skew->clocks & SKEW_CLOCK_BIT(clock)) && now_ns < skew->deadlines.at_ns[clock];
    return (__int128)now_ns +
           (skewed ? (__int128)skew->seconds * SECOND + (__int128)skew->nanoseconds : 0);
}

static void assert_shown(const char *what, __int128 seen, __int128 wanted, int64_t before_deadline)
{
    if (seen != wanted)
        fail_msg("%s is off by %lld ns, %lld ns before its deadline", what,
                 (long long)(seen - wanted), (long long)before_deadline);
}

/* Every function and clock at one true time, which is so many nanoseconds before the deadline. */
static void functions_check(const struct image_skew *skew, int64_t now_ns, int64_t before)
{
    true_time_set(now_ns);
    for (clockid_t clock = 0; clock < 16; clock++)
        assert_shown(harness_format("clock %d", clock), read_clock_gettime(clock),
                     expected(skew, clock, now_ns), before);
    __int128 real = expected(skew, CLOCK_REALTIME, now_ns);
    assert_shown("gettimeofday", read_gettimeofday(NULL), floor_to(real, 1000), before);
    struct timezone zone;
    assert_shown("gettimeofday with a zone", read_gettimeofday(&zone), floor_to(real, 1000),
                 before);
    assert_shown("time", read_time(), floor_to(real, SECOND), before);
}

static const int64_t offsets[] = {0,
                                  1,
                                  -1,
                                  SECOND,
                                  -SECOND,
                                  999999999,
                                  -300 * SECOND,
                                  SECOND / 4,
                                  -600 * SECOND - 100,
                                  500000000,
                                  499999999,
                                  -500000001,
                                  INT64_C(6000000000) * SECOND};
static const int64_t distances[] = {1,
                                    0,
                                    -1,
                                    2,
                                    -2,
                                    999,
                                    -999,
                                    1000,
                                    -1000,
                                    SECOND / 2 - 1,
                                    -(SECOND / 2),
                                    SECOND,
                                    -SECOND,
                                    SECOND - 1,
                                    1 - SECOND,
                                    SECOND + 1,
                                    -SECOND - 1,
                                    86400 * SECOND,
                                    -86400 * SECOND};
#define COUNT(array) (sizeof(array) / sizeof *(array))

static void every_clock_ends_at_its_own_deadline(void **state)
{
    (void)state;
    const uint64_t all = (UINT64_C(1) << IMAGE_CLOCK_COUNT) - 1;
    struct image_deadlines deadlines;
    /* All different, and at the first and last nanosecond of a second too. */
    for (int clock = 0; clock < IMAGE_CLOCK_COUNT; clock++)
        deadlines.at_ns[clock] = NOW + clock * (37 * SECOND + SECOND / 7) -
                                 (clock % 4 == 2 ? (NOW + clock * (SECOND / 7)) % SECOND : 0) -
                                 (clock % 4 == 3 ? (NOW + clock * (SECOND / 7)) % SECOND + 1 : 0);
    for (size_t o = 0; o < COUNT(offsets); o++) {
        const struct image_skew skew = image_skew_from(all, offsets[o], &deadlines);
        skew_set(&skew);
        for (int clock = 0; clock < IMAGE_CLOCK_COUNT; clock++)
            for (size_t d = 0; d < COUNT(distances); d++)
                functions_check(&skew, deadlines.at_ns[clock] - distances[d], distances[d]);
    }
}

static void the_whole_second_of_a_deadline_is_right(void **state)
{
    (void)state;
    static const int64_t ends[] = {NOW, NOW / SECOND * SECOND, NOW / SECOND * SECOND + 999999999};
    for (size_t e = 0; e < COUNT(ends); e++) {
        struct image_deadlines deadlines;
        for (int clock = 0; clock < IMAGE_CLOCK_COUNT; clock++)
            deadlines.at_ns[clock] = ends[e];
        for (size_t o = 0; o < COUNT(offsets); o++) {
            const struct image_skew skew =
                image_skew_from(skew_clocks_default(), offsets[o], &deadlines);
            skew_set(&skew);
            for (int64_t at = -SECOND / 10; at < SECOND * 11 / 10; at += 10000019)
                functions_check(&skew, NOW / SECOND * SECOND + at, ends[e] - at);
        }
    }
}

static void without_a_deadline_it_never_ends(void **state)
{
    (void)state;
    const int64_t last = INT64_C(9223372036) * SECOND; /* the year 2262 */
    for (size_t o = 0; o < COUNT(offsets); o++) {
        struct image_skew skew = image_skew_from(skew_clocks_default(), offsets[o], NULL);
        assert_int_equal(image_skew_deadline(&skew), 0);
        skew_set(&skew);
        functions_check(&skew, NOW, INT64_MAX);
        functions_check(&skew, last, INT64_MAX);
        functions_check(&skew, 0, INT64_MAX);
    }
}

static void what_is_set_is_read_back(void **state)
{
    (void)state;
    struct image_deadlines deadlines;
    struct image_skew seen;
    for (int clock = 0; clock < IMAGE_CLOCK_COUNT; clock++)
        deadlines.at_ns[clock] = clock % 3 ? NOW + clock * INT64_C(123456789) : IMAGE_NEVER;
    deadlines.at_ns[CLOCK_REALTIME] = IMAGE_NEVER - 1;
    const struct image_skew skew = image_skew_from(5, -1, &deadlines);
    skew_set(&skew);
    assert_true(image_parameters_parse(placed.at + image_parameters_offset(), &seen));
    assert_memory_equal(&seen, &skew, sizeof seen);
    assert_int_equal(image_skew_deadline(&seen), IMAGE_NEVER - 1);
    /* Anybody may have written there. */
    uint8_t *slot = placed.at + image_parameters_offset() + PARAMETERS_SLOTS +
                    placed.at[image_parameters_offset()] * PARAMETERS_WORD;
    static const int64_t seconds[] = {-1, INT64_MIN, INT64_MAX - 1, INT64_C(9223372037)};
    static const int64_t fractions[] = {-1, SECOND, INT64_MIN, INT64_MAX};
    for (size_t i = 0; i < COUNT(seconds); i++) {
        skew_set(&skew), skew_set(&skew);
        memcpy(slot + SLOT_DEADLINE_SECONDS + 8, &seconds[i], 8);
        assert_false(image_parameters_parse(placed.at + image_parameters_offset(), &seen));
    }
    for (size_t i = 0; i < COUNT(fractions); i++) {
        skew_set(&skew), skew_set(&skew);
        memcpy(slot + SLOT_DEADLINE_NANOSECONDS + 88, &fractions[i], 8);
        assert_false(image_parameters_parse(placed.at + image_parameters_offset(), &seen));
    }
    skew_set(&skew);
}

/*
 * Updates that set, change and take away a deadline; at NOW the first and the fourth have
 * ended, by nanoseconds. Mixing one's skew with the other's deadline, in the same
 * slot, shows a time that none of them does.
 */
static const struct successive {
    int64_t offset, deadline;
} successive[] = {
    {1000 * SECOND, NOW - 1},
    {2000 * SECOND + SECOND / 2, NOW + 1},
    {3000 * SECOND + SECOND / 4, IMAGE_NEVER},
    {4000 * SECOND + SECOND / 4 * 3, NOW - 300000000},
    {5000 * SECOND, NOW + 5},
};
/* Generation twice, selector, seconds, nanoseconds, and the deadline's two. */
#define UPDATE_WORDS 7
/* More than the shim uses. */
#define STACK_WORDS 8

static struct image_skew successive_skew(size_t i)
{
    struct image_deadlines deadlines;
    for (int clock = 0; clock < IMAGE_CLOCK_COUNT; clock++)
        deadlines.at_ns[clock] = IMAGE_NEVER;
    deadlines.at_ns[CLOCK_REALTIME] = successive[i].deadline;
    return image_skew_from(SKEW_CLOCK_BIT(CLOCK_REALTIME), successive[i].offset, &deadlines);
}

/* What a traced child and this process both see. */
struct stepped {
    enum arch_function function;
    int64_t seen[2];
};

static void stepped_child(struct stepped *stepped)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        __asm__ volatile("int3" ::: "memory");
        if (stepped->function == ARCH_TIME)
            stepped->seen[0] = placed.entries[ARCH_TIME](0, 0);
        else if (stepped->function == ARCH_GETTIMEOFDAY)
            placed.entries[ARCH_GETTIMEOFDAY]((uintptr_t)stepped->seen, 0);
        else
            placed.entries[ARCH_CLOCK_GETTIME](CLOCK_REALTIME, (uintptr_t)stepped->seen);
        __asm__ volatile("int3" ::: "memory");
    }
}

static uint64_t child_proceed(pid_t child, int request)
{
    int status;
    struct user_regs_struct registers;
    assert_int_equal(ptrace(request, child, 0, 0), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP)
        fail_msg("the child ended or was stopped otherwise: status 0x%x", (unsigned)status);
    assert_int_equal(ptrace(PTRACE_GETREGS, child, 0, &registers), 0);
    return registers.rip;
}

static bool in_image(uint64_t address)
{
    return address - (uint64_t)(uintptr_t)placed.at < placed.size;
}

/* As in shim_run_test.c: each word that changes is a step. */
static void updates_write(size_t steps)
{
    for (size_t i = 1; i < COUNT(successive); i++) {
        const struct image_skew skew = successive_skew(i);
        struct image_write writes[IMAGE_UPDATE_WRITES];
        image_update_plan(placed.at + image_parameters_offset(), &skew, writes);
        for (int w = 0; w < IMAGE_UPDATE_WRITES; w++) {
            for (size_t at = 0; at < writes[w].size; at += sizeof(uint64_t)) {
                size_t rest = writes[w].size - at;
                size_t size = rest < sizeof(uint64_t) ? rest : sizeof(uint64_t);
                if (memcmp(placed.at + writes[w].offset + at, writes[w].bytes + at, size) == 0)
                    continue;
                if (steps-- == 0)
                    return;
                memcpy(placed.at + writes[w].offset + at, writes[w].bytes + at, size);
            }
        }
    }
}

static void assert_whole(const struct stepped *stepped, unsigned step, size_t writes)
{
    for (size_t i = 0; i < COUNT(successive); i++) {
        const struct image_skew skew = successive_skew(i);
        __int128 shown = expected(&skew, CLOCK_REALTIME, NOW);
        int64_t seconds = (int64_t)(shown / SECOND), rest = (int64_t)(shown % SECOND);
        if (stepped->seen[0] == seconds &&
            (stepped->function == ARCH_TIME ||
             stepped->seen[1] == (stepped->function == ARCH_GETTIMEOFDAY ? rest / 1000 : rest)))
            return;
    }
    fail_msg("%s is torn where %zu writes come behind instruction %u",
             arch_function_symbol(stepped->function), writes, step);
}

/*
 * A reader is stopped behind each of its instructions in turn, and goes on from there
 * again and again, each time with a longer part of the updates made.
 */
static void function_step(pid_t child, struct stepped *stepped, size_t first)
{
    static uint8_t kept[IMAGE_PARAMETERS_SIZE];
    uint8_t *parameters = placed.at + image_parameters_offset();
    const struct image_skew skew = successive_skew(first);
    bool inside = true;
    unsigned step = 0;
    for (; inside; step++) {
        struct user_regs_struct registers;
        skew_set(&skew);
        child_proceed(child, PTRACE_CONT);
        uint64_t at = 0;
        for (int i = 0; i < 1000 && !in_image(at); i++)
            at = child_proceed(child, PTRACE_SINGLESTEP);
        assert_true(in_image(at));
        for (unsigned i = 0; i < step && inside; i++)
            inside = in_image(child_proceed(child, PTRACE_SINGLESTEP));
        assert_int_equal(ptrace(PTRACE_GETREGS, child, 0, &registers), 0);
        const struct stepped then = *stepped;
        long stack[STACK_WORDS];
        for (uint64_t word = 0; word < STACK_WORDS; word++)
            stack[word] = ptrace(PTRACE_PEEKDATA, child, registers.rsp + word * 8, 0);
        memcpy(kept, parameters, sizeof kept);
        for (size_t writes = 0; writes <= (COUNT(successive) - 1) * UPDATE_WORDS; writes++) {
            memcpy(parameters, kept, sizeof kept);
            *stepped = then;
            assert_int_equal(ptrace(PTRACE_SETREGS, child, 0, &registers), 0);
            for (uint64_t word = 0; word < STACK_WORDS; word++)
                assert_int_equal(
                    ptrace(PTRACE_POKEDATA, child, registers.rsp + word * 8, stack[word]), 0);
            updates_write(writes);
            child_proceed(child, PTRACE_CONT);
            assert_whole(stepped, step, writes);
        }
    }
    assert_true(step > 20);
}

static void no_delay_tears_skew_from_deadline(void **state)
{
    (void)state;
    struct stepped *stepped =
        mmap(NULL, sizeof *stepped, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(stepped, MAP_FAILED);
    true_time_set(NOW);
    pid_t child = fork();
    if (child == 0) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGTRAP);
        stepped_child(stepped);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_EXITKILL), 0);
    for (int f = 0; f < ARCH_FUNCTION_COUNT; f++) {
        stepped->function = (enum arch_function)f;
        for (size_t first = 0; first < 2; first++)
            function_step(child, stepped, first);
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    munmap(stepped, sizeof *stepped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(every_clock_ends_at_its_own_deadline),
        harness_test(the_whole_second_of_a_deadline_is_right),
        harness_test(without_a_deadline_it_never_ends),
        harness_test(what_is_set_is_read_back),
        harness_test(no_delay_tears_skew_from_deadline),
    };
    return cmocka_run_group_tests_name("the shim's deadline", tests, place, unplace);
}
