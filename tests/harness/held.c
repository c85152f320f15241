/* See held.h. */
#include "held.h"

#include "command.h"
#include "observe.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define ARGUMENTS_MAX 64

struct held held_start(const char *const argv[], pid_t target, int milliseconds)
{
    if (!harness_program("strace"))
        harness_skip("there is no strace to hold a skewctl in its work");
    const char *how = harness_format("inject=ptrace:delay_exit=%d:when=1", milliseconds * 1000);
    const char *all[ARGUMENTS_MAX] = {
        /* A sanitized skewctl cannot look for leaks under a tracer. */
        "strace",    "-E",   "ASAN_OPTIONS=detect_leaks=0",
        "-f",        "-qqq", "-o",
        "/dev/null", "-e",   "trace=ptrace",
        "-e",        how};
    size_t count = 11;
    while (*argv && count < ARGUMENTS_MAX - 1)
        all[count++] = *argv++;
    struct held held = {.strace = child_start(all, NULL)};
    int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    for (;;) {
        held.tracer = atoi(observe_status(target, target, "TracerPid"));
        if (held.tracer != 0)
            break;
        if (!child_alive(held.strace) || harness_monotonic_ns() > end)
            fail_msg("the skewctl to be held did not attach");
        harness_sleep_ms(1);
    }
    held.skewctl = atoi(observe_status(held.tracer, held.tracer, "Tgid"));
    return held;
}

/* A tracee goes on when its tracer dies: ptrace(2). */
void held_release(struct held *held)
{
    child_kill(held->strace);
    for (int tries = 0; kill(held->skewctl, 0) == 0; tries++) {
        if (tries == HARNESS_DEADLINE_MS) {
            kill(held->skewctl, SIGKILL);
            fail_msg("the skewctl that was held does not go on");
        }
        harness_sleep_ms(1);
    }
}
