/*
 * victim.h - the target programs of tests/victims and how to talk to them.
 *
 * Every victim prints "ready" and then answers each line of its stdin with
 * exactly one line. All understand
 *     check   "ok PROGRESS" where all it saw was right so far, else "bad WHY";
 *             PROGRESS is a count that grows as it works (its slowest thread's)
 *     quit    no answer; it exits with 0
 * and each adds what its source file says at the top. In short:
 *     clock_reader [THREADS [PAUSE_US]]  reads the clocks and checks each value;
 *                    also clock_reader_musl, linked statically with musl
 *     blocked [restartable | limited | alone KIND NAME]  one thread in each kind
 *                    of waiting system call, or only in some, or in only one
 *     timeouts       waits that end by themselves, when they should
 *     signals        real-time signals and timers, counted
 *     shell [THREADS]  the parent of a job that may be stopped
 *     parked [bystander | tight | deep]  a thread held in a handler that interrupted a clock
 *                    read; another that gets signals and measures its pauses
 *     pointers       NULL and bad pointers, unknown and dynamic clocks
 *     idle [no-vdso]  waits; may have unmapped its vDSO, may exec itself; also as
 *                    program_32, built for 32 bits
 *     churn [leaderless | chain]  threads that come and go; "now" as below
 *     filtered KIND  under a seccomp filter, or dispatching its own system calls
 *     sharing        its memory is shared by processes that are no threads of it
 *     rseq           two threads that count with restartable sequences
 *     compat [thread]  a 64-bit program that is mostly in 32-bit code
 *     workers KIND FIFO  an io_uring, for which the kernel has threads in it
 *     keeper         keeps memory of its own where it is told to
 *     onward [THREADS]  reads all clocks and looks whether any goes back; "fork"
 *     early          reads the clock before anything else; also early_static
 *     forks FILE     forks children that stay, that end soon, that fork the next: forks.h
 *     tidier         unmaps code that it does not know when it is told to
 *     rivalled       changes its own vDSO as another injector would
 *     ticker_go, ticker.py, Ticker.java   programs with clocks of their own:
 *                    "now" answers the time in nanoseconds since 1970; and
 *                    of the last "turn" a millisecond of System.currentTimeMillis() and the
 *                    nanoseconds of System.nanoTime() between which it began
 */
#ifndef TESTS_VICTIM_H
#define TESTS_VICTIM_H

#include "harness.h"

/* The path of a built victim, or NULL where this system could not build it. */
const char *victim_path(const char *name);

/* Starts a victim with arguments (NULL-terminated, may be none) and waits for "ready". */
struct child *victim_start(const char *name, ...) __attribute__((sentinel));

/* Fails unless "check" answers ok; returns its progress. */
int64_t victim_check(struct child *victim);

/* The same, waiting until every thread has got on by that much. */
void victim_check_progress(struct child *victim, int64_t more);

/*
 * clock_reader: which offsets a value may show from now on. A clock is
 * "realtime" (with all that follows it) or "monotonic". Allow the new offset
 * before a change and forbid the old one after it; 0 is allowed at the start.
 */
void clock_reader_allow(struct child *reader, const char *clock, int64_t offset_ns);
void clock_reader_forbid(struct child *reader, const char *clock, int64_t offset_ns);
/*
 * Of the realtime clocks, all between the two; and while nothing else is allowed, no step. None
 * where the lowest is above the highest.
 */
void clock_reader_between(struct child *reader, int64_t lowest_ns, int64_t highest_ns);

/* Skewed minus true lies within low..high. */
struct skew_range {
    int64_t low_ns, high_ns;
};
/*
 * clock_reader: measured in its own process, against the system call.
 * Entry is "clock_gettime ID" with a clockid_t, "gettimeofday" or "time".
 */
struct skew_range clock_reader_measure(struct child *reader, const char *entry);

/* Fails unless an entry (as above) is off by that much. */
void clock_reader_expect(struct child *reader, const char *entry, int64_t offset_ns);
/* The same for all three: clock_gettime(CLOCK_REALTIME), gettimeofday and time. */
void clock_reader_expect_all(struct child *reader, int64_t offset_ns);

/* Any program that answers "now": measured against the test's own clock. */
struct skew_range ticker_measure(struct child *ticker);

/* Fails unless the offset lies in the range, which is at most `width` wide. */
void skew_range_expect(struct skew_range range, int64_t offset_ns, int64_t width_ns);

#endif
