/*
 * held.h - a skewctl that strace(1) holds in the middle of its work: right
 * after it has attached to its target, which runs on meanwhile.
 *
 * Memory and failures are as in harness.h. Skips the test where there is no strace.
 */
#ifndef TESTS_HELD_H
#define TESTS_HELD_H

#include "harness.h"

struct held {
    struct child *strace; /* ends as skewctl ends, with its status and output */
    pid_t skewctl;
    pid_t tracer; /* the thread of skewctl that has attached */
};

/*
 * Starts skewctl with these arguments (skewctl_arguments() of command.h, or the
 * like) and waits until it has attached to the target. It goes on after that long.
 */
struct held held_start(const char *const argv[], pid_t target, int milliseconds);
/* Lets go of skewctl at once, and waits until it has ended. */
void held_release(struct held *held);

#endif
