/*
 * report_found.c - what doctor, scan and inspect found; see report.h.
 */
#include "cli/report.h"

#include "cli/sheet.h"

#include <inttypes.h>

static bool write_subject(const void *row, char *cell)
{
    return cell_printf(cell, "%s", ((const struct skew_check *)row)->subject);
}

static bool write_verdict(const void *row, char *cell)
{
    static const char *const verdicts[] = {
        [SKEW_VERDICT_OK] = "ok",
        [SKEW_VERDICT_WARNING] = "warning",
        [SKEW_VERDICT_REFUSED] = "refused",
    };
    return cell_printf(cell, "%s", verdicts[((const struct skew_check *)row)->verdict]);
}

static bool write_detail(const void *row, char *cell)
{
    return cell_printf(cell, "%s", ((const struct skew_check *)row)->detail);
}

static const struct column check_columns[] = {
    {"CHECK", IN_TABLES | IN_JSON, STRING, 0, write_subject},
    {"RESULT", IN_TABLES | IN_JSON, STRING, 0, write_verdict},
    {"DETAIL", IN_TABLES | IN_JSON, STRING, WRAP, write_detail},
};

#define TRACE_COLUMN(column, expression)                                                           \
    static bool write_trace_##column(const void *row, char *cell)                                  \
    {                                                                                              \
        const struct skew_trace *trace = row;                                                      \
        return expression;                                                                         \
    }

TRACE_COLUMN(pid, cell_printf(cell, "%d", trace->pid))
TRACE_COLUMN(command, trace->command[0] && cell_printf(cell, "%s", trace->command))
TRACE_COLUMN(origin, cell_printf(cell, "%s", skew_origin_name(trace->origin)))
TRACE_COLUMN(id, trace->id != 0 && cell_printf(cell, "%" PRId64, trace->id))
TRACE_COLUMN(in_force, cell_boolean(cell, trace->in_force))
TRACE_COLUMN(repaired, cell_boolean(cell, trace->repaired))
TRACE_COLUMN(outcome, cell_printf(cell, "%s", trace->repaired ? "yes" : "no"))
TRACE_COLUMN(detail, cell_printf(cell, "%s", trace->detail))

static const struct column trace_columns[] = {
    {"PID", IN_TABLES | IN_JSON, NUMBER, RIGHT, write_trace_pid},
    {"COMMAND", IN_TABLES | IN_JSON, STRING, TRUNC, write_trace_command},
    {"ORIGIN", IN_TABLES | IN_JSON, STRING, 0, write_trace_origin},
    {"ID", IN_TABLES | IN_JSON, NUMBER, RIGHT, write_trace_id},
    {"IN_FORCE", IN_JSON, BOOLEAN, 0, write_trace_in_force},
    {"REPAIRED", IN_DONE, STRING, 0, write_trace_outcome},
    {"REPAIRED", IN_JSON, BOOLEAN, 0, write_trace_repaired},
    {"DETAIL", IN_TABLES | IN_JSON, STRING, WRAP, write_trace_detail},
};

#define FINDING_COLUMN(column, expression)                                                         \
    static bool write_finding_##column(const void *row, char *cell)                                \
    {                                                                                              \
        const struct skew_finding *finding = row;                                                  \
        return expression;                                                                         \
    }

static const char *follows_name(enum skew_follows follows)
{
    static const char *const names[] = {
        [SKEW_FOLLOWS_YES] = "yes",
        [SKEW_FOLLOWS_NO] = "no",
        [SKEW_FOLLOWS_UNCONCERNED] = "unconcerned",
        [SKEW_FOLLOWS_UNKNOWN] = "unknown",
    };
    return names[follows];
}

static const char *timer_mode_name(enum skew_timer_mode mode)
{
    static const char *const names[] = {
        [SKEW_TIMER_NONE] = "",
        [SKEW_TIMER_ABSOLUTE] = "absolute",
        [SKEW_TIMER_RELATIVE] = "relative",
        [SKEW_TIMER_UNKNOWN] = "unknown",
    };
    return names[mode];
}

FINDING_COLUMN(subject, cell_printf(cell, "%s", finding->subject))
FINDING_COLUMN(clock, skew_finding_clock(finding)[0] &&
                          cell_printf(cell, "%s", skew_finding_clock(finding)))
FINDING_COLUMN(mode, timer_mode_name(finding->mode)[0] &&
                         cell_printf(cell, "%s", timer_mode_name(finding->mode)))
FINDING_COLUMN(follows, cell_printf(cell, "%s", follows_name(finding->follows)))
FINDING_COLUMN(count, finding->count != 0 && cell_printf(cell, "%zu", finding->count))
/* To the millisecond, for it passes while it is read. */
FINDING_COLUMN(due, finding->due_known &&cell_duration(cell,
                                                       finding->due_ns - finding->due_ns % 1000000))
FINDING_COLUMN(due_ns, finding->due_known &&cell_printf(cell, "%" PRId64, finding->due_ns))
FINDING_COLUMN(found, cell_printf(cell, "%s", finding->found))
FINDING_COLUMN(meaning, cell_printf(cell, "%s", finding->meaning))

static const struct column finding_columns[] = {
    {"SUBJECT", IN_TABLES | IN_JSON, STRING, 0, write_finding_subject},
    {"FOLLOWS", IN_TABLES | IN_JSON, STRING, 0, write_finding_follows},
    {"CLOCK", IN_JSON, STRING, 0, write_finding_clock},
    {"MODE", IN_JSON, STRING, 0, write_finding_mode},
    {"COUNT", IN_JSON, NUMBER, 0, write_finding_count},
    {"DUE", IN_TABLES, STRING, RIGHT, write_finding_due},
    {"DUE_NS", IN_JSON, NUMBER, 0, write_finding_due_ns},
    {"FOUND", IN_TABLES | IN_JSON, STRING, WRAP, write_finding_found},
    {"MEANING", IN_TABLES | IN_JSON, STRING, WRAP, write_finding_meaning},
};

enum skew_code report_checks(const struct skew_check *checks, size_t count, bool json)
{
    return sheet_print(&(struct sheet){
        .name = "checks",
        .columns = check_columns,
        .column_count = sizeof check_columns / sizeof *check_columns,
        .rows = checks,
        .row_count = count,
        .row_size = sizeof *checks,
        .where = json ? IN_JSON : IN_PRESENT,
    });
}

enum skew_code report_traces(const struct skew_trace *traces, size_t count, bool repairing,
                             bool json)
{
    return sheet_print(&(struct sheet){
        .name = "traces",
        .columns = trace_columns,
        .column_count = sizeof trace_columns / sizeof *trace_columns,
        .rows = traces,
        .row_count = count,
        .row_size = sizeof *traces,
        .where = json ? IN_JSON : 1U << (repairing ? REPORT_DONE : REPORT_PRESENT),
    });
}

enum skew_code report_findings(const struct skew_finding *findings, size_t count, bool json)
{
    return sheet_print(&(struct sheet){
        .name = "findings",
        .columns = finding_columns,
        .column_count = sizeof finding_columns / sizeof *finding_columns,
        .rows = findings,
        .row_count = count,
        .row_size = sizeof *findings,
        .where = json ? IN_JSON : IN_PRESENT,
    });
}
