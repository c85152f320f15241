/*
 * scan.c - skewctl scan: which processes' vDSOs are not the kernel's own, and
 * with --repair, puts right those that somebody left behind.
 */
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/message.h"
#include "cli/report.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* Repairs what is no injection in force. Returns the code for what was left unrepaired. */
static enum skew_code traces_repair(struct skew_engine *engine, struct skew_trace *traces,
                                    size_t count)
{
    enum skew_code failure = SKEW_OK;
    bool any = false;
    int signal = 0;

    interrupt_hold();
    for (size_t i = 0; i < count && (signal = interrupt_take()) == 0; i++) {
        struct skew_error error = {0};
        struct skew_trace repaired;

        if (traces[i].in_force || traces[i].origin == SKEW_ORIGIN_UNKNOWN)
            continue;
        enum skew_code code = skew_repair(engine, traces[i].pid, &repaired, &error);
        traces[i].repaired = code == SKEW_OK;
        any = any || code == SKEW_OK;
        if (code != SKEW_OK)
            failure = message_error(&error, traces[i].command);
    }
    interrupt_release();
    if (signal) {
        message_print("stopped by SIG%s; run the same command again for the rest",
                      sigabbrev_np(signal));
        return (enum skew_code)(128 + signal);
    }
    return failure != SKEW_OK && any ? SKEW_PARTIAL : failure;
}

int command_scan(const struct options *options)
{
    pid_t pid = options->pids.count ? (pid_t)options->pids.numbers[0] : 0;
    struct skew_engine *engine;
    struct skew_trace *traces = NULL;
    struct skew_error error = {0};
    size_t count = 0;
    struct skew_unreadable unreadable = {0};
    enum skew_code code = command_open_engine(options, false, &engine);

    if (code != SKEW_OK)
        return (int)code;
    code = skew_scan(engine, pid, &traces, &count, &unreadable, &error);
    if (code != SKEW_OK) {
        message_error(&error, "");
    } else {
        if (options->repair)
            code = traces_repair(engine, traces, count);
        enum skew_code printed = report_traces(traces, count, options->repair, options->json);
        code = printed == SKEW_OK ? code : printed;
        if (unreadable.count) {
            message_print("%zu of the processes may not be looked at, the first is pid %d%s%s",
                          unreadable.count, (int)unreadable.first, unreadable.advice[0] ? "; " : "",
                          unreadable.advice);
            code = code == SKEW_OK ? SKEW_PARTIAL : code;
        }
    }
    free(traces);
    skew_engine_close(engine);
    return (int)code;
}
