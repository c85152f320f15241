/*
 * report.c - injections; see report.h. One list of columns says what is shown where.
 */
#include "cli/report.h"

#include "cli/sheet.h"
#include "cli/text.h"
#include "engine/duration.h"
#include "engine/shape_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Tables of which some row is a member of a group. */
#define IN_GROUPED IN_OWN(0)
/* And of which some group is followed, or was to be. */
#define IN_FOLLOWED IN_OWN(1)
/* And of which some skew ends by itself. */
#define IN_ENDING IN_OWN(2)

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
    {"SKEW", IN_TABLES, STRING, RIGHT | WRAP, write_skew_named},
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
