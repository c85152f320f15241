/*
 * inspect_parts_test.c - what /proc tells of a thread's call, of timerfds and of POSIX timers, as
 * the kernel writes it and otherwise.
 */
#include "engine/inspect.h"

#include "harness.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static void calls_are_parsed(void **state)
{
    (void)state;
    struct thread_call call;
    assert_true(thread_call_parse("running\n", &call));
    assert_true(call.running);
    assert_true(thread_call_parse("-1 0x7ffc1 0x401000\n", &call));
    assert_false(call.running);
    assert_int_equal(call.number, -1);
    assert_true(thread_call_parse("230 0x0 0x1 0x7ffce2e809f0 0x4 0x5 0xffffffffffffffff "
                                  "0x7ffce2e809d8 0x7f491ba59503\n",
                                  &call));
    assert_int_equal(call.number, 230);
    assert_int_equal(call.arguments[2], 0x7ffce2e809f0);
    assert_int_equal(call.arguments[5], UINT64_MAX);
    static const char *const wrong[] = {"",
                                        "running",
                                        "-2 0x0 0x0\n",
                                        "x\n",
                                        "230\n",
                                        "230 0x0\n",
                                        "230 0x0 0x0 0x0 0x0 0x0 0x0\n"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (thread_call_parse(wrong[i], &call))
            fail_msg("accepted: %s", wrong[i]);
}

static const char *wait_of(long number, const uint64_t (*arguments)[6])
{
    struct thread_call call = {.number = number};
    struct deadline_wait wait;
    memcpy(call.arguments, *arguments, sizeof call.arguments);
    if (!deadline_wait_find(&call, &wait))
        return "none";
    return harness_format("%s %s %d", wait.name, inspect_clock_name(wait.clock),
                          (int)wait.timespec);
}
#define WAIT_OF(number, ...) wait_of(number, &(const uint64_t[6]){__VA_ARGS__})

static void waits_are_told_apart(void **state)
{
    (void)state;
    enum { PRIVATE = FUTEX_PRIVATE_FLAG, REAL = FUTEX_CLOCK_REALTIME };
    assert_string_equal(WAIT_OF(SYS_futex, 1, FUTEX_WAIT_BITSET | PRIVATE, 0, 7),
                        "futex monotonic 7");
    assert_string_equal(WAIT_OF(SYS_futex, 1, FUTEX_WAIT_BITSET | REAL | PRIVATE, 0, 7),
                        "futex realtime 7");
    assert_string_equal(WAIT_OF(SYS_futex, 1, FUTEX_WAIT_REQUEUE_PI | REAL, 0, 7),
                        "futex realtime 7");
    assert_string_equal(WAIT_OF(SYS_futex, 1, FUTEX_LOCK_PI, 0, 7), "futex realtime 7");
    assert_string_equal(WAIT_OF(SYS_futex, 1, FUTEX_LOCK_PI2, 0, 7), "futex monotonic 7");
    /* A length of time; no limit; no wait. */
    assert_string_equal(WAIT_OF(SYS_futex, 1, FUTEX_WAIT | REAL, 0, 7), "none");
    assert_string_equal(WAIT_OF(SYS_futex, 1, FUTEX_WAIT_BITSET | REAL, 0, 0), "none");
    assert_string_equal(WAIT_OF(SYS_futex, 1, FUTEX_WAKE, 0, 7), "none");

    assert_string_equal(WAIT_OF(SYS_futex_waitv, 1, 2, 0, 7, CLOCK_REALTIME),
                        "futex_waitv realtime 7");
    assert_string_equal(WAIT_OF(SYS_futex_waitv, 1, 2, 0, 0, CLOCK_REALTIME), "none");
    assert_string_equal(WAIT_OF(455, 1, 2, 3, 4, 7, CLOCK_MONOTONIC), "futex_wait monotonic 7");
    assert_string_equal(WAIT_OF(SYS_clock_nanosleep, CLOCK_TAI, TIMER_ABSTIME, 7),
                        "clock_nanosleep tai 7");
    assert_string_equal(WAIT_OF(SYS_clock_nanosleep, CLOCK_REALTIME, 0, 7), "none");
    assert_string_equal(WAIT_OF(SYS_mq_timedreceive, 1, 2, 3, 4, 7), "mq_timedreceive realtime 7");
    assert_string_equal(WAIT_OF(SYS_mq_timedsend, 1, 2, 3, 4, 0), "none");
    assert_string_equal(WAIT_OF(SYS_poll, 1, 2, 3, 4, 5, 6), "none");
    assert_string_equal(WAIT_OF(SYS_nanosleep, 1, 2, 3, 4, 5, 6), "none");
}

/* As this kernel writes it. */
static struct timerfd_info timerfd_own(int clock, int flags, const struct itimerspec *value)
{
    struct timerfd_info info;
    char path[64], text[1024];
    int timer = timerfd_create(clock, TFD_CLOEXEC);
    assert_true(timer >= 0);
    assert_int_equal(timerfd_settime(timer, flags, value, NULL), 0);
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", timer);
    assert_true(proc_file_read(AT_FDCWD, path, text, sizeof text) > 0);
    assert_true(timerfd_info_parse(text, &info));
    close(timer);
    return info;
}

static void timerfds_are_parsed(void **state)
{
    (void)state;
    struct timerfd_info info =
        timerfd_own(CLOCK_MONOTONIC, 0, &(struct itimerspec){{1, 0}, {3600, 0}});
    assert_int_equal(info.clock, CLOCK_MONOTONIC);
    assert_false(info.absolute);
    assert_true(info.repeats);
    assert_true(info.remaining_ns > INT64_C(3000000000000) &&
                info.remaining_ns <= INT64_C(3600000000000));

    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    now.tv_sec += 3600;
    info = timerfd_own(CLOCK_REALTIME, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET,
                       &(struct itimerspec){{0}, now});
    assert_int_equal(info.clock, CLOCK_REALTIME);
    assert_true(info.absolute);
    assert_false(info.repeats);
    assert_true(info.remaining_ns > INT64_C(3000000000000));

    info = timerfd_own(CLOCK_REALTIME, 0, &(struct itimerspec){0});
    assert_int_equal(info.remaining_ns, 0);

    static const char *const wrong[] = {
        "", "pos:\t0\nflags:\t02\n", "pos:\t0\nclockid: 1\nticks: 0\n",
        "\nclockid: x\nsettime flags: 01\nit_value: (1, 2)\nit_interval: (0, 0)\n",
        "\nclockid: 1\nsettime flags: 01\nit_value: (1)\nit_interval: (0, 0)\n"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (timerfd_info_parse(wrong[i], &info))
            fail_msg("accepted: %s", wrong[i]);
    assert_true(timerfd_info_parse("\nclockid: 1\nsettime flags: 01\nit_value: "
                                   "(9223372036854775807, 5)\nit_interval: (0, 0)\n",
                                   &info));
    assert_true(info.remaining_ns == INT64_MAX);
}

static void posix_timers_are_parsed(void **state)
{
    (void)state;
    const char *text = "ID: 7\nsignal: 14/0000000000000000\nnotify: signal/pid.26106\nClockID: 11\n"
                       "ID: 6\nsignal: 14/0000000000000000\nnotify: none/pid.26106\nClockID: -2\n";
    clockid_t clock;
    assert_true(posix_timer_parse(&text, &clock));
    assert_int_equal(clock, 11);
    assert_true(posix_timer_parse(&text, &clock));
    assert_int_equal(clock, -2);
    assert_false(posix_timer_parse(&text, &clock));
    text = "ClockID:";
    assert_false(posix_timer_parse(&text, &clock));
    text = "";
    assert_false(posix_timer_parse(&text, &clock));
}

static void findings_concern_their_clocks(void **state)
{
    (void)state;
    struct skew_finding finding = {
        .clocked = true, .clock = CLOCK_REALTIME_ALARM, .follows = SKEW_FOLLOWS_NO};
    assert_true(skew_finding_concerns(&finding, 0));
    assert_true(skew_finding_concerns(&finding, SKEW_CLOCK_BIT(CLOCK_REALTIME)));
    assert_false(skew_finding_concerns(&finding, SKEW_CLOCK_BIT(CLOCK_MONOTONIC)));
    finding.follows = SKEW_FOLLOWS_UNCONCERNED;
    assert_false(skew_finding_concerns(&finding, 0));
    finding = (struct skew_finding){.clocked = true, .clock = -6, .follows = SKEW_FOLLOWS_UNKNOWN};
    assert_false(skew_finding_concerns(&finding, UINT64_MAX));
    finding = (struct skew_finding){.follows = SKEW_FOLLOWS_NO};
    assert_false(skew_finding_concerns(&finding, UINT64_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(calls_are_parsed),
        harness_test(waits_are_told_apart),
        harness_test(timerfds_are_parsed),
        harness_test(posix_timers_are_parsed),
        harness_test(findings_concern_their_clocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
