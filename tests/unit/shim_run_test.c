/*
 * shim_run_test.c - the shim at work: an image is built beside this program's own
 * vDSO and its entries are called, as a program would and in every way that a
 * program could, and while the skew changes.
 */
#include "engine/image.h"

#include "harness.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)

typedef long entry_function(uintptr_t first, uintptr_t second);

/*
 * Calls an entry with patterns in the registers that it must keep, and stores
 * what they are afterwards: rbx rbp r12 r13 r14 r15 and the flags.
 */
long call_marked(entry_function *entry, uintptr_t first, uintptr_t second, uint64_t kept[7]);
__asm__(".text\n"
        ".type call_marked, @function\n"
        "call_marked:\n"
        "	push	%rbx\n	push	%rbp\n	push	%r12\n	push	%r13\n	push	%r14\n	"
        "push	%r15\n"
        "	push	%rcx\n"
        "	mov	%rdi, %rax\n	mov	%rsi, %rdi\n	mov	%rdx, %rsi\n"
        "	mov	$0x1111, %ebx\n	mov	$0x2222, %ebp\n	mov	$0x3333, %r12d\n"
        "	mov	$0x4444, %r13d\n	mov	$0x5555, %r14d\n	mov	$0x6666, %r15d\n"
        "	call	*%rax\n"
        "	pop	%rcx\n"
        "	mov	%rbx, (%rcx)\n	mov	%rbp, 8(%rcx)\n	mov	%r12, 16(%rcx)\n"
        "	mov	%r13, 24(%rcx)\n	mov	%r14, 32(%rcx)\n	mov	%r15, 40(%rcx)\n"
        "	pushf\n	pop	48(%rcx)\n"
        "	pop	%r15\n	pop	%r14\n	pop	%r13\n	pop	%r12\n	pop	%rbp\n	pop	%rbx\n"
        "	ret\n"
        ".size call_marked, . - call_marked\n");

static struct placed {
    uint8_t *at;
    size_t size;
    entry_function *entries[ARCH_FUNCTION_COUNT];
} placed;

static int place(void **state)
{
    (void)state;
    struct vdso vdso;
    struct target self;
    struct maps maps;
    struct image image;
    struct skew_error error = {0};
    uint64_t own = getauxval(AT_SYSINFO_EHDR);
    const struct image_skew none = image_skew_from(skew_clocks_default(), 0, NULL);
    static const uint8_t id[IMAGE_ID_SIZE] = {7};
    if (vdso_own(&vdso, &error) != SKEW_OK || target_open(getpid(), &self, &error) != SKEW_OK ||
        maps_read(&self, &maps, &error) != SKEW_OK)
        return -1;
    uint64_t address =
        maps_gap_find(&maps, own, own + vdso.size, image_size_for(&vdso), IMAGE_REACH);
    if (address == 0 || image_build(&vdso, own, address, id, &none, 1, &image, &error) != SKEW_OK)
        return -1;
    placed.size = image.size;
    placed.at = mmap((void *)(uintptr_t)address, image.size, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (placed.at == MAP_FAILED)
        return -1;
    memcpy(placed.at, image.data, IMAGE_DATA_USED);
    memcpy(placed.at + image.data_size, image.code, image.size - image.data_size);
    if (mprotect(placed.at + image.data_size, image.size - image.data_size,
                 PROT_READ | PROT_EXEC) != 0)
        return -1;
    for (int f = 0; f < ARCH_FUNCTION_COUNT; f++)
        placed.entries[f] = (entry_function *)(uintptr_t)(address + image.data_size +
                                                          arch_shim_entry((enum arch_function)f));
    image_release(&image);
    maps_release(&maps);
    target_close(&self);
    vdso_release(&vdso);
    return 0;
}

static int unplace(void **state)
{
    (void)state;
    return munmap(placed.at, placed.size);
}

/* As skewctl does it: write by write, each whole. */
static void skew_set(uint64_t clocks, int64_t offset_ns)
{
    const struct image_skew skew = image_skew_from(clocks, offset_ns, NULL);
    struct image_write writes[IMAGE_UPDATE_WRITES];
    image_update_plan(placed.at + image_parameters_offset(), &skew, writes);
    for (int i = 0; i < IMAGE_UPDATE_WRITES; i++) {
        memcpy(placed.at + writes[i].offset, writes[i].bytes, writes[i].size);
        atomic_signal_fence(memory_order_seq_cst);
    }
}

/* The result, after a check that nothing was lost on the way. */
static long entry_call(enum arch_function function, uintptr_t first, uintptr_t second)
{
    uint64_t kept[7];
    long result = call_marked(placed.entries[function], first, second, kept);
    for (uint64_t i = 0; i < 6; i++)
        assert_int_equal(kept[i], 0x1111 * (i + 1));
    assert_int_equal(kept[6] & 0x400, 0); /* the direction flag */
    return result;
}

static __int128 nanoseconds(const struct timespec *time)
{
    return (__int128)time->tv_sec * SECOND + time->tv_nsec;
}

/* Unskewed, by the system call. */
static __int128 clock_true(clockid_t clock)
{
    struct timespec now;
    assert_int_equal(syscall(SYS_clock_gettime, clock, &now), 0);
    return nanoseconds(&now);
}

static __int128 clock_shim(clockid_t clock)
{
    struct timespec now = {-1, -1};
    assert_int_equal((int)entry_call(ARCH_CLOCK_GETTIME, (uintptr_t)clock, (uintptr_t)&now), 0);
    assert_in_range(now.tv_nsec, 0, SECOND - 1);
    return nanoseconds(&now);
}

static void assert_between(__int128 low, __int128 value, __int128 high, const char *what)
{
    if (value < low || value > high)
        fail_msg("%s is %lld ns below or %lld ns above", what, (long long)(low - value),
                 (long long)(value - high));
}

static void clock_check(clockid_t clock, int64_t offset)
{
    __int128 before = clock_true(clock), seen = clock_shim(clock), after = clock_true(clock);
    assert_between(before + offset, seen, after + offset, harness_format("clock %d", clock));
}

static __int128 floor_to(__int128 value, int64_t unit)
{
    __int128 rest = value % unit;
    return value - (rest < 0 ? rest + unit : rest);
}

static void gettimeofday_check(int64_t offset)
{
    struct timeval now = {-1, -1};
    __int128 before = clock_true(CLOCK_REALTIME) + offset;
    assert_int_equal((int)entry_call(ARCH_GETTIMEOFDAY, (uintptr_t)&now, 0), 0);
    __int128 after = clock_true(CLOCK_REALTIME) + offset;
    assert_in_range(now.tv_usec, 0, 999999);
    assert_between(floor_to(before, 1000),
                   (__int128)now.tv_sec * SECOND + now.tv_usec * INT64_C(1000),
                   floor_to(after, 1000), "gettimeofday");
}

/* time(2) is the second of the last tick: that of CLOCK_REALTIME_COARSE. */
static void time_check(int64_t offset)
{
    time_t stored = -1;
    __int128 before = clock_true(CLOCK_REALTIME_COARSE) + offset;
    long now = entry_call(ARCH_TIME, 0, 0);
    long again = entry_call(ARCH_TIME, (uintptr_t)&stored, 0);
    __int128 after = clock_true(CLOCK_REALTIME_COARSE) + offset;
    assert_int_equal(stored, again);
    assert_between(floor_to(before, SECOND), (__int128)now * SECOND, floor_to(after, SECOND),
                   "time");
    assert_true(again >= now);
}

static const int64_t offsets[] = {
    0,
    1,
    999999999,
    -1,
    -SECOND,
    SECOND,
    -300 * SECOND,
    5400 * SECOND,
    SECOND / 4,
    -600 * SECOND - 100,
    1000,
    -999,
    INT64_C(6000000000) * SECOND, /* 190 years */
    -INT64_C(1700000000) * SECOND,
};

static void every_offset_is_exact(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        skew_set(skew_clocks_default(), offsets[i]);
        for (int round = 0; round < 2000; round++) {
            clock_check(CLOCK_REALTIME, offsets[i]);
            clock_check(CLOCK_REALTIME_COARSE, offsets[i]);
            clock_check(CLOCK_TAI, offsets[i]);
            clock_check(CLOCK_MONOTONIC, 0);
            clock_check(CLOCK_MONOTONIC_COARSE, 0);
            clock_check(CLOCK_BOOTTIME, 0);
            gettimeofday_check(offsets[i]);
            time_check(offsets[i]);
        }
    }
}

static void only_selected_clocks_are_skewed(void **state)
{
    (void)state;
    static const clockid_t clocks[] = {
        CLOCK_REALTIME,        CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW,   CLOCK_BOOTTIME,
        CLOCK_REALTIME_COARSE, CLOCK_TAI,       CLOCK_MONOTONIC_COARSE};
    const int64_t offset = 3600 * SECOND + 7;
    for (size_t selected = 0; selected < sizeof clocks / sizeof *clocks; selected++) {
        skew_set(SKEW_CLOCK_BIT(clocks[selected]), offset);
        for (size_t i = 0; i < sizeof clocks / sizeof *clocks; i++)
            clock_check(clocks[i], i == selected ? offset : 0);
        gettimeofday_check(clocks[selected] == CLOCK_REALTIME ? offset : 0);
        time_check(clocks[selected] == CLOCK_REALTIME ? offset : 0);
    }
}

static void null_pointers_and_time_zones(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        skew_set(skew_clocks_default(), offsets[i]);
        struct timezone expected = {1, 1}, seen = {2, 2};
        struct timeval now = {-1, -1};
        assert_int_equal(syscall(SYS_gettimeofday, NULL, &expected), 0);
        assert_int_equal((int)entry_call(ARCH_GETTIMEOFDAY, 0, 0), 0);
        assert_int_equal((int)entry_call(ARCH_GETTIMEOFDAY, 0, (uintptr_t)&seen), 0);
        assert_memory_equal(&seen, &expected, sizeof seen);
        memset(&seen, 2, sizeof seen);
        __int128 before = clock_true(CLOCK_REALTIME) + offsets[i];
        assert_int_equal((int)entry_call(ARCH_GETTIMEOFDAY, (uintptr_t)&now, (uintptr_t)&seen), 0);
        __int128 after = clock_true(CLOCK_REALTIME) + offsets[i];
        assert_memory_equal(&seen, &expected, sizeof seen);
        assert_between(floor_to(before, 1000),
                       (__int128)now.tv_sec * SECOND + now.tv_usec * INT64_C(1000), after,
                       "gettimeofday with a time zone");
    }
}

static void other_ids_are_the_kernels(void **state)
{
    (void)state;
    clockid_t process, thread;
    assert_int_equal(clock_getcpuclockid(getpid(), &process), 0);
    assert_int_equal(pthread_getcpuclockid(pthread_self(), &thread), 0);
    skew_set(skew_clocks_default(), -300 * SECOND);
    const clockid_t cpu[] = {CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, process, thread};
    for (size_t i = 0; i < sizeof cpu / sizeof *cpu; i++)
        clock_check(cpu[i], 0);
    skew_set(UINT64_MAX, -300 * SECOND);
    clock_check(process, 0);
    clock_check(thread, 0);

    /* With every bit selected too: what fails has nothing to be skewed. */
    static const clockid_t ids[] = {10, 12, 15, 16,  31,        32,        63,
                                    64, 65, 69, 128, 1 << 20,   INT32_MAX, INT32_MIN,
                                    -1, -2, -3, -5,  -(1 << 20)};
    for (int all = 0; all < 2; all++) {
        skew_set(all ? UINT64_MAX : skew_clocks_default(), -300 * SECOND);
        for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
            struct timespec expected = {-7, -7}, seen = {-7, -7};
            int code = (int)syscall(SYS_clock_gettime, ids[i], &expected);
            int result = (int)entry_call(ARCH_CLOCK_GETTIME, (uintptr_t)ids[i], (uintptr_t)&seen);
            assert_int_equal(result, code == 0 ? 0 : -errno);
            if (code != 0)
                assert_memory_equal(&seen, &expected, sizeof seen);
        }
    }
}

/* Mixing halves of these two gives a third offset, half a second or more from both. */
static const int64_t alternating[] = {1000 * SECOND, 2000 * SECOND + SECOND / 2};

static atomic_bool reading;
static atomic_uint reads, torn;

static void *reader(void *nothing)
{
    while (atomic_load(&reading)) {
        struct timespec before, seen, after;
        syscall(SYS_clock_gettime, CLOCK_REALTIME, &before);
        placed.entries[ARCH_CLOCK_GETTIME](CLOCK_REALTIME, (uintptr_t)&seen);
        syscall(SYS_clock_gettime, CLOCK_REALTIME, &after);
        bool whole = false;
        for (int i = 0; i < 2; i++)
            whole |= nanoseconds(&seen) >= nanoseconds(&before) + alternating[i] &&
                     nanoseconds(&seen) <= nanoseconds(&after) + alternating[i];
        atomic_fetch_add(&torn, !whole);
        atomic_fetch_add(&reads, 1);
    }
    return nothing;
}

static void no_reader_sees_a_torn_update(void **state)
{
    (void)state;
    pthread_t readers[2];
    skew_set(skew_clocks_default(), alternating[0]);
    atomic_store(&reading, true);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, reader, NULL), 0);
    int64_t end = harness_monotonic_ns() + SECOND, last = end + HARNESS_DEADLINE_MS * 1000000LL;
    for (unsigned i = 1; harness_monotonic_ns() < end ||
                         (atomic_load(&reads) < 1000 && harness_monotonic_ns() < last);
         i++)
        skew_set(skew_clocks_default(), alternating[i % 2]);
    atomic_store(&reading, false);
    for (int i = 0; i < 2; i++)
        pthread_join(readers[i], NULL);
    assert_true(atomic_load(&reads) >= 1000);
    assert_int_equal(atomic_load(&torn), 0);
}

/* What a traced child and this process both see. */
struct stepped {
    struct timespec before, seen, after;
};

static const int64_t successive[] = {1000 * SECOND, 2000 * SECOND + SECOND / 2,
                                     3000 * SECOND + SECOND / 4, 4000 * SECOND + SECOND / 4 * 3};
#define SUCCESSIVE   (sizeof successive / sizeof *successive)
#define UPDATE_WORDS 6

static void stepped_child(struct stepped *stepped)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        /* For each round of the many that there are. */
        alarm(HARNESS_DEADLINE_MS / 1000);
        syscall(SYS_clock_gettime, CLOCK_REALTIME, &stepped->before);
        __asm__ volatile("int3" ::: "memory");
        placed.entries[ARCH_CLOCK_GETTIME](CLOCK_REALTIME, (uintptr_t)&stepped->seen);
        __asm__ volatile("int3" ::: "memory");
        syscall(SYS_clock_gettime, CLOCK_REALTIME, &stepped->after);
        __asm__ volatile("int3" ::: "memory");
    }
}

/* Lets the child go on and waits for its next trap; returns its program counter. */
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

/* To the first instruction of the shim. */
static void image_enter(pid_t child)
{
    uint64_t at = child_proceed(child, PTRACE_CONT);
    for (int i = 0; i < 1000 && !in_image(at); i++)
        at = child_proceed(child, PTRACE_SINGLESTEP);
    assert_true(in_image(at));
}

/*
 * The first so many steps of several updates one after the other. A write of
 * many bytes may be seen word by word, so each word that changes is a step.
 */
static void updates_write(size_t steps)
{
    for (size_t i = 1; i < SUCCESSIVE; i++) {
        const struct image_skew skew = image_skew_from(skew_clocks_default(), successive[i], NULL);
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
    for (size_t i = 0; i < SUCCESSIVE; i++)
        if (nanoseconds(&stepped->seen) >= nanoseconds(&stepped->before) + successive[i] &&
            nanoseconds(&stepped->seen) <= nanoseconds(&stepped->after) + successive[i])
            return;
    fail_msg("a torn skew where %zu writes come behind instruction %u", writes, step);
}

/*
 * The same without luck: a reader is stopped behind each of its instructions in
 * turn, meanwhile up to three updates are made, wholly or in part, and it goes on.
 */
static void no_delay_makes_an_update_torn(void **state)
{
    (void)state;
    struct stepped *stepped =
        mmap(NULL, sizeof *stepped, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(stepped, MAP_FAILED);
    pid_t child = fork();
    if (child == 0) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGTRAP);
        stepped_child(stepped);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_EXITKILL), 0);
    bool inside = true;
    unsigned step = 0;
    for (; inside; step++) {
        for (size_t writes = 1; writes <= (SUCCESSIVE - 1) * UPDATE_WORDS; writes++) {
            skew_set(skew_clocks_default(), successive[0]);
            image_enter(child);
            for (unsigned i = 0; i < step && inside; i++)
                inside = in_image(child_proceed(child, PTRACE_SINGLESTEP));
            updates_write(writes);
            child_proceed(child, PTRACE_CONT); /* behind the call */
            child_proceed(child, PTRACE_CONT); /* behind the second look at the clock */
            assert_whole(stepped, step, writes);
        }
    }
    assert_true(step > 20);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    munmap(stepped, sizeof *stepped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(every_offset_is_exact),        harness_test(only_selected_clocks_are_skewed),
        harness_test(null_pointers_and_time_zones), harness_test(other_ids_are_the_kernels),
        harness_test(no_reader_sees_a_torn_update), harness_test(no_delay_makes_an_update_torn),
    };
    return cmocka_run_group_tests_name("the shim at work", tests, place, unplace);
}
