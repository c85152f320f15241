/*
 * pending.c - signals that a stopped process has not been given yet.
 *
 * A process that SIGSTOP or SIGTSTP has stopped is given no other signal until
 * it continues (signal(7)). But a thread of it that its tracer lets run, to
 * make a call or to leave a piece of code, takes what waits for it: a handler
 * would be entered early, and a signal that ends the process would end it. So
 * such a thread is not let run. SIGSTOP and stop signals that have no handler
 * do no harm: the process is stopped.
 *
 * What is sent within the moment for which a thread is let run comes too early
 * all the same; there is no way to give it back.
 */
#include "engine/pending.h"

#include <signal.h>

#define SIGNAL_BIT(signal) (UINT64_C(1) << ((signal)-1))
#define STOPS                                                                                      \
    (SIGNAL_BIT(SIGSTOP) | SIGNAL_BIT(SIGTSTP) | SIGNAL_BIT(SIGTTIN) | SIGNAL_BIT(SIGTTOU))

/* stop window begins */

bool pending_held(const struct tracer *tracer, const struct tracee *tracee)
{
    if (!tracee->job_stopped) {
        return false;
    }
    char path[TASK_PATH_SIZE];
    char text[4096];
    uint64_t own, shared, blocked, caught;
    task_path_format(tracee->tid, "status", path);
    if (proc_file_read(tracer->tasks, path, text, sizeof text) <= 0 ||
        !status_field_parse(text, "SigPnd", 16, &own) ||
        !status_field_parse(text, "ShdPnd", 16, &shared) ||
        !status_field_parse(text, "SigBlk", 16, &blocked) ||
        !status_field_parse(text, "SigCgt", 16, &caught)) {
        return true;
    }
    return ((own | shared) & ~blocked & ~(STOPS & ~caught)) != 0;
}

/* stop window ends */
