/*
 * settle.c - brings the whole target to a stop in which nobody is inside given
 * ranges of code.
 *
 * A thread that is inside is let run for a moment while the others stay
 * stopped: no path through the ranges takes more than microseconds, so it has
 * left them when it is stopped again. At most one thread per processor runs at
 * a time: a thread that had to wait for a processor would be stopped again
 * before its next instruction. Never single-stepped: the SIGTRAP of a step
 * would kill the target if skewctl died before it was taken.
 *
 * A thread in a signal handler may stay there for as long as it likes, so it is
 * waited for with every thread let go: it may be the one that makes the calls.
 *
 * If skewctl dies anywhere here, all threads go on from where they are;
 * nothing is written here.
 */
#include "engine/settle.h"

#include <time.h>
#include <unistd.h>

#include "engine/error.h"
#include "engine/pending.h"

#define ROUNDS     1000
#define BATCH_MAX  16
#define RUN_FOR_NS 20000
/* Waits of 1, 2, 4, ... 64 ms for a signal handler to return. */
#define FREE_TRIES   7
#define FREE_WAIT_NS 1000000L

/* stop window begins */

struct batch {
    struct tracee *tracees[BATCH_MAX];
    size_t count;
};

static enum skew_code batch_run(struct tracer *tracer, struct batch *batch,
                                struct skew_error *error)
{
    if (batch->count == 0) {
        return SKEW_OK;
    }
    for (size_t i = 0; i < batch->count; i++) {
        enum skew_code code = tracer_continue(tracer, batch->tracees[i], error);
        if (code != SKEW_OK && code != SKEW_NOT_FOUND) {
            return code;
        }
    }
    nanosleep(&(struct timespec){.tv_nsec = RUN_FOR_NS}, NULL);
    for (size_t i = 0; i < batch->count; i++) {
        enum skew_code code = tracer_stop(tracer, batch->tracees[i], error);
        if (code != SKEW_OK && code != SKEW_NOT_FOUND) {
            return code;
        }
    }
    batch->count = 0;
    return SKEW_OK;
}

/* One pass over all threads: those inside are let run in batches; *inside counts them. */
static enum skew_code insiders_run(struct scanner *scanner, size_t *inside, pid_t *waiting,
                                   struct skew_error *error)
{
    struct tracer *tracer = scanner->tracer;
    struct batch batch = {.count = 0};
    *inside = 0;
    for (size_t i = 0; i < tracer->count; i++) {
        struct tracee *tracee = &tracer->tracees[i];
        if (tracee->state != TRACEE_STOPPED && tracee->state != TRACEE_SYSCALL) {
            continue;
        }
        enum scan_result result = tracee->outside ? SCAN_OUTSIDE : scan_tracee(scanner, tracee);
        if (result == SCAN_INTERRUPTED || result == SCAN_UNKNOWN ||
            (result == SCAN_INSIDE && pending_held(tracer, tracee))) {
            *waiting = tracee->tid;
        } else if (result == SCAN_INSIDE && tracee->state == TRACEE_STOPPED) {
            (*inside)++;
            batch.tracees[batch.count++] = tracee;
        }
        if (batch.count == scanner->processors) {
            enum skew_code code = batch_run(tracer, &batch, error);
            if (code != SKEW_OK) {
                return code;
            }
        }
    }
    return batch_run(tracer, &batch, error);
}

/* Most threads are outside: that is found out while the others still run. */
static void scan_early(void *context, struct tracee *tracee)
{
    tracee->outside = scan_tracee(context, tracee) == SCAN_OUTSIDE;
}

enum skew_code settle_outside(struct scanner *scanner, pid_t *waiting, struct skew_error *error)
{
    for (int round = 0; round < ROUNDS; round++) {
        size_t inside = 0;
        *waiting = 0;
        enum skew_code code = tracer_stop_all(scanner->tracer, error);
        if (code == SKEW_OK) {
            code = insiders_run(scanner, &inside, waiting, error);
        }
        if (code != SKEW_OK || inside == 0) {
            return code;
        }
        if (monotonic_now() > scanner->tracer->deadline_ns) {
            break;
        }
    }
    return error_set_plain(error, SKEW_REFUSED, scanner->tracer->target->pid, 0, 0, "stop",
                           "a thread does not leave the bytes to be changed; try again");
}

enum skew_code settle_empty(struct scanner *scanner, struct skew_error *error)
{
    pid_t waiting;
    enum skew_code code = settle_outside(scanner, &waiting, error);
    if (code != SKEW_OK || waiting == 0) {
        return code;
    }
    return error_set_plain(error, SKEW_DRAINING, scanner->tracer->target->pid, waiting, 0, "stop",
                           "a signal handler may have interrupted a clock read in the very bytes "
                           "to be changed; try again");
}

/* stop window ends */

bool settle_again(int *tries, struct skew_error *error)
{
    if (*tries == FREE_TRIES) {
        error->code = SKEW_FAILED;
        return false;
    }
    nanosleep(&(struct timespec){.tv_nsec = FREE_WAIT_NS << (*tries)++}, NULL);
    return true;
}

void settle_prepare(struct scanner *scanner)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    scanner->processors = processors < 1           ? 1
                          : processors > BATCH_MAX ? BATCH_MAX
                                                   : (size_t)processors;
    scanner->tracer->stopped = scan_early;
    scanner->tracer->stopped_context = scanner;
}
