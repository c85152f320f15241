/*
 * slew.c - see slew.h.
 *
 * The slew is the shim's: this only begins it, and looks at the processes from time to
 * time, as list does. So a death while it waits leaves the clocks slewing, and the same
 * command goes on from where they are. Each look also finds children forked before their parent
 * was reached, who go by the old skew.
 */
#include "cli/slew.h"

#include "cli/interrupt.h"
#include "cli/message.h"
#include "cli/report.h"
#include "engine/duration.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK_EVERY_NS (10 * DURATION_SECOND_NS)
#define REFRESH_MS    500

struct waiting {
    struct skew_engine *engine;
    const struct options *options;
    bool begun;       /* all that were there have been told to slew */
    int64_t left_ns;  /* until the last of them is there */
    size_t processes; /* that are not */
    enum skew_code code;
};

static bool list_has(const struct number_list *list, int64_t number)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->numbers[i] == number)
            return true;
    return false;
}

/* What stands for all that is asked for: injections, and processes of their own. */
static bool report_named(const struct skew_report *report, const struct options *options,
                         const pid_t *selected, size_t selected_count)
{
    for (size_t i = 0; i < selected_count; i++)
        if (selected[i] == report->pid)
            return true;
    return options->all || list_has(&options->pids, report->pid) ||
           (report->id != 0 && list_has(&options->ids, report->id)) ||
           (report->group != 0 && list_has(&options->groups, report->group));
}

static bool report_wanted(const struct skew_report *reports, size_t count, size_t index,
                          const struct options *options, const pid_t *selected,
                          size_t selected_count)
{
    const struct skew_report *report = &reports[index];

    if (report_named(report, options, selected, selected_count))
        return true;
    for (size_t i = 0; i < count && report->inherited && report->parent != 0; i++)
        if (reports[i].id == report->parent && !reports[i].inherited)
            return report_named(&reports[i], options, selected, selected_count);
    return report->inherited && list_has(&options->ids, report->parent);
}

static bool shows_truth(const struct skew_report *report)
{
    return report->offset_ns == 0 && report->shape.count == 0;
}

/* False where a dry run finds nothing to slew; else recover says so, when it comes to that. */
static bool report_consider(struct waiting *waiting, struct skew_report *report)
{
    struct skew_error error = {0};

    if (report->state != SKEW_STATE_ACTIVE)
        return true;
    if (!waiting->begun || !shows_truth(report)) {
        const struct options *options = waiting->options;
        enum skew_code code = skew_slew_back(waiting->engine, report->pid, options->slew_pace,
                                             options->dry_run, report, &error);
        if (code == SKEW_NOT_FOUND && options->dry_run) {
            message_error(&error, report->command);
            return false;
        }
        if (code != SKEW_OK && code != SKEW_NOT_FOUND) {
            message_error(&error, report->command);
            waiting->code = waiting->code == SKEW_OK ? code : waiting->code;
        }
    }
    if (report->slew_left_ns > 0) {
        waiting->processes++;
        if (report->slew_left_ns > waiting->left_ns)
            waiting->left_ns = report->slew_left_ns;
    }
    return true;
}

/* Says which ids are of none of these, and returns how many. */
static size_t ids_missing(const struct options *options, const struct skew_report *reports,
                          size_t count)
{
    size_t missing = 0;

    for (size_t i = 0; i < options->ids.count + options->groups.count; i++) {
        bool single = i < options->ids.count;
        int64_t id =
            single ? options->ids.numbers[i] : options->groups.numbers[i - options->ids.count];
        size_t at = 0;
        while (at < count && (single ? reports[at].id : reports[at].group) != id)
            at++;
        if (at == count) {
            message_print("%s%" PRId64 " is not in force; skewctl list shows what is",
                          single ? "injection " : "group g", id);
            missing++;
        }
    }
    return missing;
}

/* Those that are named, but in no row of this journal: what they show tells whether to slew. */
static bool unlisted_add(const struct options *options, struct skew_report **reports, size_t *count)
{
    size_t listed = *count;
    struct skew_report *more =
        reallocarray(*reports, listed + options->pids.count + 1, sizeof **reports);

    if (!more)
        return false;
    *reports = more;
    for (size_t i = 0; i < options->pids.count; i++) {
        pid_t pid = (pid_t)options->pids.numbers[i];
        size_t found = 0;
        while (found < listed && more[found].pid != pid)
            found++;
        if (found == listed)
            more[(*count)++] = (struct skew_report){.pid = pid, .state = SKEW_STATE_ACTIVE};
    }
    return true;
}

static enum skew_code look(struct waiting *waiting)
{
    const struct options *options = waiting->options;
    struct skew_report *reports = NULL;
    struct skew_error error = {0};
    pid_t *selected = NULL;
    size_t count = 0, selected_count = 0, kept = 0, missing = 0;
    enum skew_code code = skew_list(waiting->engine, false, &reports, &count, &error);

    if (code == SKEW_OK && options->selectors.count != 0 &&
        skew_select(options->selectors.selectors, options->selectors.count, true, &selected,
                    &selected_count, &error) != SKEW_OK)
        selected_count = 0;
    if (code != SKEW_OK)
        return message_error(&error, "");
    bool *wanted =
        unlisted_add(options, &reports, &count) ? calloc(count + 1, sizeof *wanted) : NULL;
    for (size_t i = 0; wanted && i < count; i++)
        wanted[i] = report_wanted(reports, count, i, options, selected, selected_count);
    if (wanted && options->dry_run)
        missing = ids_missing(options, reports, count);
    waiting->left_ns = 0;
    waiting->processes = 0;
    for (size_t i = 0; wanted && i < count; i++)
        if (wanted[i] && report_consider(waiting, &reports[i]))
            reports[kept++] = reports[i];
        else if (wanted[i])
            missing++;
    if (!wanted) {
        message_print("the list of injections does not fit into memory; name fewer with -p");
        waiting->code = SKEW_FAILED;
    }
    if (options->dry_run && waiting->code == SKEW_OK) {
        if (options->selectors.count != 0 && kept + missing == 0) {
            message_print("none of them is injected; skewctl list shows what is");
            missing++;
        }
        waiting->code = report_injections(reports, kept, REPORT_DONE, options->json);
        if (missing != 0 && waiting->code == SKEW_OK)
            waiting->code = kept != 0 ? SKEW_PARTIAL : SKEW_NOT_FOUND;
    }
    free(wanted);
    free(selected);
    free(reports);
    waiting->begun = true;
    return waiting->code;
}

static const char *left_text(int64_t left_ns, char buffer[static DURATION_TEXT_MAX])
{
    int64_t place = left_ns < DURATION_SECOND_NS ? INT64_C(1000000) : DURATION_SECOND_NS;

    return duration_format(
        left_ns > INT64_MAX - place ? left_ns : (left_ns + place - 1) / place * place, buffer);
}

/* Until it is time to look again, or a signal comes, which it returns. */
static int wait_some(const struct waiting *waiting, bool terminal)
{
    char text[DURATION_TEXT_MAX];
    int64_t most = waiting->left_ns < LOOK_EVERY_NS ? waiting->left_ns : LOOK_EVERY_NS;
    int signal = 0;

    for (int64_t waited = 0; waited < most && signal == 0;
         waited += REFRESH_MS * INT64_C(1000000)) {
        if (terminal) {
            /* As in progress.c. */
            fprintf(stderr, "\r\033[K%zu %s slewing to the true time, %s left", waiting->processes,
                    waiting->processes == 1 ? "process" : "processes",
                    left_text(waiting->left_ns - waited, text));
            fflush(stderr);
        }
        int64_t rest = (most - waited) / 1000000 + 1;
        signal = interrupt_wait(rest < REFRESH_MS ? (int)rest : REFRESH_MS);
    }
    return signal;
}

int slew_back(struct skew_engine *engine, const struct options *options)
{
    struct waiting waiting = {.engine = engine, .options = options};
    char text[DURATION_TEXT_MAX];
    bool terminal = isatty(STDERR_FILENO);
    int signal = 0;

    interrupt_hold();
    enum skew_code code = look(&waiting);
    if (code == SKEW_OK && waiting.left_ns > 0 && !options->dry_run)
        message_print("slewing %zu %s to the true time takes %s; then %s put back",
                      waiting.processes, waiting.processes == 1 ? "process" : "processes",
                      left_text(waiting.left_ns, text),
                      waiting.processes == 1 ? "it is" : "they are");
    while (code == SKEW_OK && waiting.left_ns > 0 && !options->dry_run && signal == 0) {
        signal = wait_some(&waiting, terminal);
        if (signal == 0)
            code = look(&waiting);
    }
    if (terminal && waiting.begun)
        fputs("\r\033[K", stderr);
    interrupt_release();
    if (signal != 0)
        message_print("stopped by SIG%s; the slew goes on by itself, for another %s: the same "
                      "command waits for its end, recover without --slew jumps",
                      sigabbrev_np(signal), left_text(waiting.left_ns, text));
    else if (code != SKEW_OK && !options->dry_run)
        message_print("nothing is put back; what has begun to slew goes on by itself");
    return signal != 0 ? 128 + signal : (int)code;
}
