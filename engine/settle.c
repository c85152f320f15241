/*
 * settle.c - brings the whole target to a stop in which nobody is inside given
 * ranges of code.
 *
 * A thread that is inside is let run for a moment while all others stay
 * stopped: the ranges are a few instructions, so it has left them when it is
 * stopped again. Never single-stepped: a step's SIGTRAP would kill the target
 * if skewctl died before it was taken. If skewctl dies anywhere here, all
 * threads go on; nothing has been written.
 */
#include <time.h>

#include "engine/error.h"
#include "engine/private.h"
#include "engine/scan.h"

#define ROUNDS     200
#define RUN_FOR_NS 20000

/* Lets those inside run; *inside counts them. */
static enum skew_code insiders_run(struct scanner *scanner, size_t *inside,
                                   struct skew_error *error)
{
    struct tracer *tracer = scanner->tracer;
    *inside = 0;
    for (size_t i = 0; i < tracer->count; i++) {
        struct tracee *tracee = &tracer->tracees[i];
        if (tracee->state != TRACEE_STOPPED && tracee->state != TRACEE_SYSCALL) {
            continue;
        }
        switch (scan_tracee(scanner, tracee)) {
        case SCAN_OUTSIDE:
            break;
        case SCAN_INSIDE:
            (*inside)++;
            if (tracee->state == TRACEE_STOPPED) {
                enum skew_code code = tracer_continue(tracer, tracee, error);
                if (code != SKEW_OK && code != SKEW_NOT_FOUND) {
                    return code;
                }
            }
            break;
        case SCAN_INTERRUPTED:
        case SCAN_UNKNOWN:
            return error_set_plain(error, SKEW_FAILED, tracer->target->pid, tracee->tid, 0, "stop",
                                   "a signal handler may have interrupted a clock read in the very "
                                   "bytes to be changed; nothing was changed, try again");
        }
    }
    return SKEW_OK;
}

enum skew_code settle_outside(struct scanner *scanner, struct skew_error *error)
{
    for (int round = 0; round < ROUNDS; round++) {
        size_t inside;
        enum skew_code code = tracer_stop_all(scanner->tracer, error);
        if (code == SKEW_OK) {
            code = insiders_run(scanner, &inside, error);
        }
        if (code != SKEW_OK || inside == 0) {
            return code;
        }
        nanosleep(&(struct timespec){.tv_nsec = RUN_FOR_NS}, NULL);
    }
    return error_set_plain(error, SKEW_FAILED, scanner->tracer->target->pid, 0, 0, "stop",
                           "a thread does not leave the bytes to be changed; nothing was changed");
}
