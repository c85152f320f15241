/*
 * doctor.c - skewctl doctor: what this system, these privileges and one target
 * allow. The exit status is SKEW_REFUSED if anything would be refused.
 */
#include "cli/commands.h"
#include "cli/message.h"
#include "cli/report.h"

#include <stdlib.h>

int command_doctor(const struct options *options)
{
    pid_t pid = options->pids.count ? (pid_t)options->pids.numbers[0] : 0;
    struct skew_check *checks = NULL;
    struct skew_error error = {0};
    size_t count = 0;
    enum skew_code code = skew_doctor(pid, &checks, &count, &error);

    if (code != SKEW_OK) {
        free(checks);
        return (int)message_error(&error, "");
    }
    for (size_t i = 0; i < count; i++)
        if (checks[i].verdict == SKEW_VERDICT_REFUSED)
            code = SKEW_REFUSED;
    enum skew_code printed = report_checks(checks, count, options->json);
    free(checks);
    return (int)(printed == SKEW_OK ? code : printed);
}
