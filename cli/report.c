/*
 * report.c - tables and JSON by way of libsmartcols; see report.h.
 *
 * One list of columns says what is shown where. libsmartcols escapes control
 * characters in tables and in JSON; bytes that are no UTF-8 are escaped here,
 * for in JSON it would let them through.
 */
#include "cli/report.h"

#include "cli/message.h"
#include "cli/text.h"
#include "engine/duration.h"
#include "engine/shape_text.h"

#include <errno.h>
#include <inttypes.h>
#include <libsmartcols/libsmartcols.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The longest cell is what was found, every byte of it escaped. */
#define CELL_SIZE TEXT_ESCAPED_SIZE(sizeof((struct skew_finding){0}.found))

/* Where a column is shown. */
#define IN_PRESENT (1U << REPORT_PRESENT)
#define IN_DONE    (1U << REPORT_DONE)
#define IN_TABLES  (IN_PRESENT | IN_DONE)
#define IN_JSON    (1U << 2)
/* Tables of which some row is a member of a group. */
#define IN_GROUPED (1U << 3)
/* And of which some group is followed, or was to be. */
#define IN_FOLLOWED (1U << 4)
/* And of which some skew ends by itself. */
#define IN_ENDING (1U << 5)

/*
 * A column: libsmartcols makes the JSON key by lower-casing the name. write()
 * fills the cell of one row, CELL_SIZE bytes, or returns false for "not known".
 */
struct column {
    const char *name;
    unsigned where;
    int json_type;
    int flags;
    bool (*write)(const void *row, char *cell);
};

__attribute__((format(printf, 2, 3))) static bool cell_printf(char *cell, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    vsnprintf(cell, CELL_SIZE, format, values);
    va_end(values);
    return true;
}

static bool cell_boolean(char *cell, bool value)
{
    /* libsmartcols takes every text for true that does not begin with 0, N or n. */
    return cell_printf(cell, "%d", value);
}

static bool cell_duration(char *cell, int64_t nanoseconds)
{
    duration_format(nanoseconds, cell);
    return true;
}

static bool cell_shape(char *cell, const struct shape *shape)
{
    char text[SHAPE_TEXT_MAX];

    return cell_printf(cell, "%s", shape_format(shape, text));
}

const char *report_skew_text(int64_t offset_ns, const struct shape *shape,
                             char buffer[static REPORT_SKEW_SIZE])
{
    char offset[DURATION_TEXT_MAX], text[SHAPE_TEXT_MAX];

    if (shape->count == 0)
        return duration_format(offset_ns, buffer);
    snprintf(buffer, REPORT_SKEW_SIZE, "%s%s%s",
             offset_ns == 0 ? "" : duration_format(offset_ns, offset), offset_ns == 0 ? "" : " ",
             shape_format(shape, text));
    return buffer;
}

static bool cell_skew(char *cell, const struct skew_report *report)
{
    char text[REPORT_SKEW_SIZE];

    return cell_printf(cell, "%s", report_skew_text(report->offset_ns, &report->shape, text));
}

/* For people, by the name of its profile, too. */
static bool cell_skew_named(char *cell, const struct skew_report *report)
{
    char text[REPORT_SKEW_SIZE];

    return cell_printf(cell, "%s%s%s", report->profile, report->profile[0] ? ": " : "",
                       report_skew_text(report->offset_ns, &report->shape, text));
}

/* Of CLOCK_REALTIME; unless it is not known. */
static bool cell_time(char *cell, int64_t time_ns)
{
    char text[TEXT_TIME_MAX];

    return time_ns > 0 && cell_printf(cell, "%s", text_time(time_ns, 9, "Z", text));
}

/*
 * For people: rounded to the decimal place that the measurement can vouch for,
 * so that -299.999999961 s known to 40 ns reads as -5m.
 */
static bool cell_measured(char *cell, const struct skew_measurement *measured)
{
    int64_t place = 1;

    if (!measured->valid)
        return false;
    while (place < measured->uncertainty_ns && place < DURATION_SECOND_NS)
        place *= 10;

    int64_t rest = measured->offset_ns % place;
    int64_t rounded = measured->offset_ns - rest;
    if (rest >= place - rest && rounded <= INT64_MAX - place)
        rounded += place;
    else if (-rest >= place + rest && rounded >= INT64_MIN + place)
        rounded -= place;
    return cell_duration(cell, rounded);
}

static bool cell_exact(char *cell, const struct skew_measurement *measured)
{
    return measured->valid && cell_printf(cell, "%" PRId64, measured->offset_ns);
}

static bool cell_uncertainty(char *cell, const struct skew_measurement *measured)
{
    return measured->valid && cell_printf(cell, "%" PRId64, measured->uncertainty_ns);
}

/* Nanoseconds since the injection was made; false if that is not known. */
static bool report_age(const struct skew_report *report, int64_t *age_ns)
{
    struct timespec now;

    if (report->created_ns <= 0 || clock_gettime(CLOCK_REALTIME, &now) != 0)
        return false;
    *age_ns = now.tv_sec * DURATION_SECOND_NS + now.tv_nsec - report->created_ns;
    /* The clock may have been set back since. */
    if (*age_ns < 0)
        *age_ns = 0;
    return true;
}

/* Defines the write() of an injection's column. */
#define REPORT_COLUMN(column, expression)                                                          \
    static bool write_##column(const void *row, char *cell)                                        \
    {                                                                                              \
        const struct skew_report *report = row;                                                    \
        return expression;                                                                         \
    }

REPORT_COLUMN(id, report->id != 0 && cell_printf(cell, "%" PRId64, report->id))
REPORT_COLUMN(pid, report->pid != 0 && cell_printf(cell, "%d", report->pid))
REPORT_COLUMN(group, report->group != 0 && cell_printf(cell, "g%" PRId64, report->group))
/* That it was to be followed, and is not, is for a person to act on. */
REPORT_COLUMN(follower, report->follower != 0 ? cell_printf(cell, "%d", report->follower)
                                              : report->follower_lost && cell_printf(cell, "lost"))
REPORT_COLUMN(follower_pid, report->follower != 0 && cell_printf(cell, "%d", report->follower))
REPORT_COLUMN(follower_lost, cell_boolean(cell, report->follower_lost))
REPORT_COLUMN(command, report->command[0] && cell_printf(cell, "%s", report->command))
REPORT_COLUMN(clocks, *skew_clocks_format(report->clocks, cell, CELL_SIZE) != '\0')
REPORT_COLUMN(skew, cell_skew(cell, report))
REPORT_COLUMN(skew_named, cell_skew_named(cell, report))
REPORT_COLUMN(shape, report->shape.count != 0 && cell_shape(cell, &report->shape))
REPORT_COLUMN(shape_begin, cell_time(cell, report->begin_ns))
REPORT_COLUMN(profile, report->profile[0] && cell_printf(cell, "%s", report->profile))
REPORT_COLUMN(skew_ns, cell_printf(cell, "%" PRId64, report->offset_ns))
/* A slew that is over is none. */
REPORT_COLUMN(slew_ns,
              report->slew_left_ns > 0 && cell_printf(cell, "%" PRId64, report->slew_rest_ns))
REPORT_COLUMN(slew_left, report->slew_left_ns > 0 &&
                             cell_printf(cell, "%" PRId64 ".%03" PRId64,
                                         report->slew_left_ns / DURATION_SECOND_NS,
                                         report->slew_left_ns % DURATION_SECOND_NS / 1000000))
REPORT_COLUMN(deadline, cell_time(cell, report->deadline_ns))
REPORT_COLUMN(state, cell_printf(cell, "%s", skew_state_name(report->state)))
REPORT_COLUMN(mark, cell_printf(cell, "%s",
                                report->inherited && report->state == SKEW_STATE_ACTIVE
                                    ? "inherited"
                                    : skew_state_name(report->state)))
REPORT_COLUMN(inherited, cell_boolean(cell, report->inherited))
REPORT_COLUMN(parent, report->parent != 0 && cell_printf(cell, "%" PRId64, report->parent))
REPORT_COLUMN(created, cell_time(cell, report->created_ns))
REPORT_COLUMN(changed, cell_time(cell, report->changed_ns))
REPORT_COLUMN(updated, cell_boolean(cell, report->updated))
REPORT_COLUMN(dry_run, cell_boolean(cell, report->dry_run))
REPORT_COLUMN(threads, report->threads != 0 && cell_printf(cell, "%u", report->threads))
REPORT_COLUMN(interrupted, cell_printf(cell, "%u", report->interrupted))
/* To the microsecond: more digits would be noise. */
REPORT_COLUMN(pause,
              report->pause_ns > 0 && cell_duration(cell, (report->pause_ns + 500) / 1000 * 1000))
REPORT_COLUMN(pause_us,
              report->pause_ns > 0 && cell_printf(cell, "%" PRId64 ".%03" PRId64,
                                                  report->pause_ns / 1000, report->pause_ns % 1000))
REPORT_COLUMN(switch_us, report->switch_ns > 0 &&
                             cell_printf(cell, "%" PRId64 ".%03" PRId64, report->switch_ns / 1000,
                                         report->switch_ns % 1000))
REPORT_COLUMN(clock_gettime, cell_measured(cell, &report->clock_gettime))
REPORT_COLUMN(gettimeofday, cell_measured(cell, &report->gettimeofday))
REPORT_COLUMN(time, cell_measured(cell, &report->time))
REPORT_COLUMN(clock_gettime_ns, cell_exact(cell, &report->clock_gettime))
REPORT_COLUMN(gettimeofday_ns, cell_exact(cell, &report->gettimeofday))
REPORT_COLUMN(time_ns, cell_exact(cell, &report->time))
REPORT_COLUMN(clock_gettime_uncertainty, cell_uncertainty(cell, &report->clock_gettime))
REPORT_COLUMN(gettimeofday_uncertainty, cell_uncertainty(cell, &report->gettimeofday))
REPORT_COLUMN(time_uncertainty, cell_uncertainty(cell, &report->time))
REPORT_COLUMN(note, report->note[0] && cell_printf(cell, "%s", report->note))

/* The two largest units are enough for an age that a person reads. */
static bool write_age(const void *row, char *cell)
{
    static const int64_t minute = 60 * DURATION_SECOND_NS;
    int64_t age;

    if (!report_age(row, &age))
        return false;
    int64_t place = age < 60 * minute                 ? DURATION_SECOND_NS
                    : age < INT64_C(24) * 60 * minute ? minute
                                                      : 60 * minute;
    return cell_duration(cell, age - age % place);
}

static bool write_age_s(const void *row, char *cell)
{
    int64_t age;

    return report_age(row, &age) &&
           cell_printf(cell, "%" PRId64 ".%03" PRId64, age / DURATION_SECOND_NS,
                       age % DURATION_SECOND_NS / 1000000);
}

#define NUMBER  SCOLS_JSON_NUMBER
#define BOOLEAN SCOLS_JSON_BOOLEAN
#define STRING  SCOLS_JSON_STRING
#define RIGHT   SCOLS_FL_RIGHT
#define TRUNC   SCOLS_FL_TRUNC
#define WRAP    SCOLS_FL_WRAP

/* To the second, and short, for a person. */
static bool write_until(const void *row, char *cell)
{
    const struct skew_report *report = row;

    if (!cell_time(cell, report->deadline_ns))
        return false;
    memcpy(strchr(cell, '.'), "Z", sizeof "Z");
    return true;
}

static const struct column injection_columns[] = {
    {"ID", IN_TABLES | IN_JSON, NUMBER, RIGHT, write_id},
    {"PID", IN_TABLES | IN_JSON, NUMBER, RIGHT, write_pid},
    {"GROUP", IN_GROUPED | IN_JSON, STRING, 0, write_group},
    {"FOLLOWED_BY", IN_FOLLOWED, STRING, RIGHT, write_follower},
    {"FOLLOWER", IN_JSON, NUMBER, 0, write_follower_pid},
    {"FOLLOWER_LOST", IN_JSON, BOOLEAN, 0, write_follower_lost},
    {"COMMAND", IN_TABLES | IN_JSON, STRING, TRUNC, write_command},
    {"CLOCKS", IN_TABLES | IN_JSON, STRING, TRUNC, write_clocks},
    {"SKEW", IN_TABLES, STRING, RIGHT, write_skew_named},
    {"SKEW", IN_JSON, STRING, 0, write_skew},
    {"SKEW_NS", IN_JSON, NUMBER, 0, write_skew_ns},
    {"SHAPE", IN_JSON, STRING, 0, write_shape},
    {"SHAPE_BEGIN", IN_JSON, STRING, 0, write_shape_begin},
    {"PROFILE", IN_JSON, STRING, 0, write_profile},
    {"SLEW_NS", IN_JSON, NUMBER, 0, write_slew_ns},
    {"SLEW_LEFT_S", IN_JSON, NUMBER, 0, write_slew_left},
    {"STATE", IN_TABLES, STRING, 0, write_mark},
    {"STATE", IN_JSON, STRING, 0, write_state},
    {"INHERITED", IN_JSON, BOOLEAN, 0, write_inherited},
    {"PARENT", IN_JSON, NUMBER, 0, write_parent},
    {"UNTIL", IN_ENDING, STRING, 0, write_until},
    {"DEADLINE", IN_JSON, STRING, 0, write_deadline},
    {"AGE", IN_TABLES, STRING, RIGHT, write_age},
    {"CREATED", IN_JSON, STRING, 0, write_created},
    {"CHANGED", IN_JSON, STRING, 0, write_changed},
    {"AGE_S", IN_JSON, NUMBER, 0, write_age_s},
    {"UPDATED", IN_JSON, BOOLEAN, 0, write_updated},
    {"DRY_RUN", IN_JSON, BOOLEAN, 0, write_dry_run},
    {"THREADS", IN_JSON, NUMBER, 0, write_threads},
    {"INTERRUPTED", IN_JSON, NUMBER, 0, write_interrupted},
    {"PAUSE", IN_DONE, STRING, RIGHT, write_pause},
    {"PAUSE_US", IN_JSON, NUMBER, 0, write_pause_us},
    {"SWITCH_US", IN_JSON, NUMBER, 0, write_switch_us},
    {"CLOCK_GETTIME", IN_DONE, STRING, RIGHT, write_clock_gettime},
    {"GETTIMEOFDAY", IN_DONE, STRING, RIGHT, write_gettimeofday},
    {"TIME", IN_DONE, STRING, RIGHT, write_time},
    {"MEASURED_CLOCK_GETTIME_NS", IN_JSON, NUMBER, 0, write_clock_gettime_ns},
    {"MEASURED_CLOCK_GETTIME_UNCERTAINTY_NS", IN_JSON, NUMBER, 0, write_clock_gettime_uncertainty},
    {"MEASURED_GETTIMEOFDAY_NS", IN_JSON, NUMBER, 0, write_gettimeofday_ns},
    {"MEASURED_GETTIMEOFDAY_UNCERTAINTY_NS", IN_JSON, NUMBER, 0, write_gettimeofday_uncertainty},
    {"MEASURED_TIME_NS", IN_JSON, NUMBER, 0, write_time_ns},
    {"MEASURED_TIME_UNCERTAINTY_NS", IN_JSON, NUMBER, 0, write_time_uncertainty},
    {"NOTE", IN_JSON, STRING, 0, write_note},
};

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

/* What is to be printed: rows of row_size bytes, and the columns that fit `where`. */
struct sheet {
    const char *name;
    const struct column *columns;
    size_t column_count;
    const void *rows;
    size_t row_count;
    size_t row_size;
    unsigned where;
};

static int sheet_fill(const struct sheet *sheet, struct libscols_table *table)
{
    bool json = sheet->where & IN_JSON;
    const char *row = sheet->rows;

    for (size_t r = 0; r < sheet->row_count; r++, row += sheet->row_size) {
        struct libscols_line *line = scols_table_new_line(table, NULL);
        size_t cells = 0;

        if (!line)
            return -ENOMEM;
        for (size_t c = 0; c < sheet->column_count; c++) {
            char cell[CELL_SIZE];
            char escaped[TEXT_ESCAPED_SIZE(CELL_SIZE)];
            const char *shown = json ? NULL : "-";

            if (!(sheet->columns[c].where & sheet->where))
                continue;
            if (sheet->columns[c].write(row, cell))
                shown = json ? text_escape(cell, false, escaped, sizeof escaped) : cell;
            int result = scols_line_set_data(line, cells++, shown);
            if (result != 0)
                return result;
        }
    }
    return 0;
}

static int sheet_print_into(const struct sheet *sheet, struct libscols_table *table)
{
    int result = scols_table_enable_json(table, (sheet->where & IN_JSON) != 0);

    if (result == 0)
        result = scols_table_set_name(table, sheet->name);
    for (size_t c = 0; c < sheet->column_count && result == 0; c++) {
        const struct column *column = &sheet->columns[c];
        struct libscols_column *made;

        if (!(column->where & sheet->where))
            continue;
        made = scols_table_new_column(table, column->name, 0, column->flags);
        result = made ? scols_column_set_json_type(made, column->json_type) : -ENOMEM;
    }
    if (result == 0)
        result = sheet_fill(sheet, table);
    if (result == 0)
        result = scols_print_table(table);
    return result;
}

static enum skew_code sheet_print(const struct sheet *sheet)
{
    struct libscols_table *table = scols_new_table();
    int result = table ? sheet_print_into(sheet, table) : -ENOMEM;

    scols_unref_table(table);
    if (result == 0)
        return SKEW_OK;
    message_print("the result cannot be shown: %s; run skewctl list to see what is in place",
                  strerror(-result));
    return SKEW_FAILED;
}

enum skew_code report_injections(const struct skew_report *reports, size_t count,
                                 enum report_kind kind, bool json)
{
    unsigned where = json ? IN_JSON : 1U << kind;

    for (size_t i = 0; i < count && !json; i++) {
        where |= reports[i].group != 0 ? IN_GROUPED : 0;
        where |= reports[i].deadline_ns != 0 ? IN_ENDING : 0;
        where |= reports[i].follower != 0 || reports[i].follower_lost ? IN_FOLLOWED : 0;
    }
    enum skew_code code = sheet_print(&(struct sheet){
        .name = "injections",
        .columns = injection_columns,
        .column_count = sizeof injection_columns / sizeof *injection_columns,
        .rows = reports,
        .row_count = count,
        .row_size = sizeof *reports,
        .where = where,
    });

    /* A sentence would leave the other columns of a terminal no room. */
    for (size_t i = 0; i < count && code == SKEW_OK && !json; i++) {
        char note[TEXT_ESCAPED_SIZE(sizeof reports[i].note)];
        if (reports[i].note[0])
            printf("pid %d: %s\n", reports[i].pid,
                   text_escape(reports[i].note, true, note, sizeof note));
    }
    return code;
}

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
