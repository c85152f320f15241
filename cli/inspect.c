/*
 * inspect.c - skewctl inspect: what of a process a skew will move, and what not.
 */
#include "cli/commands.h"
#include "cli/message.h"
#include "cli/report.h"

#include <stdlib.h>

int command_inspect(const struct options *options)
{
    struct skew_finding *findings = NULL;
    struct skew_error error = {0};
    size_t count = 0;
    char command[64] = "";
    enum skew_code code =
        skew_inspect((pid_t)options->pids.numbers[0], command, &findings, &count, &error);

    if (code != SKEW_OK)
        return (int)message_error(&error, command);
    code = report_findings(findings, count, options->json);
    free(findings);
    return (int)code;
}

void command_warn_back(const struct skew_request *request)
{
    uint64_t clocks = skew_clocks_set_back(request);
    char names[256];

    if (clocks && (request->force || request->shape.count == 0))
        message_print("clock %s %s with this, which programs rely on it never to do",
                      skew_clocks_format(clocks, names, sizeof names),
                      request->shape.count ? "goes back" : "is set back");
    clocks = skew_clocks_ending_ahead(request);
    if (clocks)
        message_print("clock %s goes back when the skew ends by itself, which programs rely on it "
                      "never to do",
                      skew_clocks_format(clocks, names, sizeof names));
}

/* More would hide what else is said. */
#define WARNINGS_MAX 4

void command_warn(pid_t pid, const char *command, const struct skew_finding *findings, size_t count,
                  uint64_t clocks)
{
    size_t warnings = 0;

    for (size_t i = 0; i < count; i++)
        if (skew_finding_concerns(&findings[i], clocks) && warnings++ < WARNINGS_MAX)
            message_print("pid %d (%s): %s: %s", (int)pid, command, findings[i].found,
                          findings[i].meaning);
    if (warnings > WARNINGS_MAX)
        message_print("pid %d (%s): %zu more of the kind; skewctl inspect -p %d shows them",
                      (int)pid, command, warnings - WARNINGS_MAX, (int)pid);
}
