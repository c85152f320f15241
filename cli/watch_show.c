/*
 * watch_show.c - see watch_show.h.
 */
#include "cli/watch_show.h"

#include "cli/text.h"
#include "engine/duration.h"
#include "engine/shape_text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define CLOCK_NAME_MAX 24
#define CLOCKS_MAX     128
#define SKEW_MAX       (DURATION_TEXT_MAX + 1 + SHAPE_TEXT_MAX)

static const char *clock_name(const struct skew_reading *reading, char name[static CLOCK_NAME_MAX])
{
    return skew_clocks_format(SKEW_CLOCK_BIT(reading->clock), name, CLOCK_NAME_MAX);
}

/* A date for what counts from 1970, seconds for what counts from the boot. */
static const char *reading_text(const struct skew_reading *reading, int64_t value, int decimals,
                                char text[static TEXT_TIME_MAX])
{
    char fraction[24];

    if (!reading->known)
        return "-";
    switch (reading->clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_REALTIME_ALARM:
        return text_time(value, decimals, "Z", text);
    case CLOCK_TAI:
        return text_time(value, decimals, "", text);
    default:
        snprintf(fraction, sizeof fraction, "%09" PRIu64,
                 (value < 0 ? -(uint64_t)value : (uint64_t)value) % DURATION_SECOND_NS);
        snprintf(text, TEXT_TIME_MAX, "%s%" PRIu64 ".%.*s", value < 0 ? "-" : "",
                 (value < 0 ? -(uint64_t)value : (uint64_t)value) / DURATION_SECOND_NS, decimals,
                 fraction);
        return text;
    }
}

static int64_t difference(const struct skew_reading *reading)
{
    return (int64_t)((uint64_t)reading->shown_ns - (uint64_t)reading->true_ns);
}

static const char *difference_text(const struct skew_reading *reading, int64_t place,
                                   char text[static DURATION_TEXT_MAX])
{
    int64_t off = difference(reading);

    return reading->known ? duration_format(off - off % place, text) : "-";
}

static const char *skew_text(const struct skew_report *report, char text[static SKEW_MAX])
{
    char offset[DURATION_TEXT_MAX], shape[SHAPE_TEXT_MAX];
    bool bare = report->shape.count != 0 && report->offset_ns == 0;

    snprintf(text, SKEW_MAX, "%s%s%s", bare ? "" : duration_format(report->offset_ns, offset),
             bare || report->shape.count == 0 ? "" : " ", shape_format(&report->shape, shape));
    return text;
}

void watch_print_line(const struct skew_sample *sample)
{
    char time[TEXT_TIME_MAX], name[CLOCK_NAME_MAX], off[DURATION_TEXT_MAX];

    printf("%s %s", text_time(sample->now_ns, 9, "Z", time), skew_state_name(sample->report.state));
    for (size_t i = 0; i < sample->count; i++) {
        const struct skew_reading *reading = &sample->readings[i];
        printf("  %s %s %s", clock_name(reading, name),
               reading_text(reading, reading->shown_ns, 9, time), difference_text(reading, 1, off));
    }
    putchar('\n');
}

static void json_string(const char *key, const char *text)
{
    char escaped[TEXT_ESCAPED_SIZE(SKEW_MAX)];

    printf(",\"%s\":", key);
    if (*text == '\0') {
        fputs("null", stdout);
        return;
    }
    putchar('"');
    for (const char *c = text_escape(text, true, escaped, sizeof escaped); *c; c++) {
        if (*c == '"' || *c == '\\')
            putchar('\\');
        putchar(*c);
    }
    putchar('"');
}

static void json_number(const char *key, bool known, int64_t number)
{
    if (known)
        printf(",\"%s\":%" PRId64, key, number);
    else
        printf(",\"%s\":null", key);
}

void watch_print_json(const struct skew_sample *sample)
{
    const struct skew_report *report = &sample->report;
    char clocks[CLOCKS_MAX], skew[SKEW_MAX], shape[SHAPE_TEXT_MAX], time[TEXT_TIME_MAX] = "";
    bool ends = report->deadline_ns != 0, watched = sample->count != 0;

    printf("{\"pid\":%d", (int)report->pid);
    json_string("command", report->command);
    json_string("state", skew_state_name(report->state));
    json_string("note", report->note);
    json_string("clocks", skew_clocks_format(report->clocks, clocks, sizeof clocks));
    json_string("skew", watched ? skew_text(report, skew) : "");
    json_number("skew_ns", watched, report->offset_ns);
    json_string("shape", shape_format(&report->shape, shape));
    json_string("deadline", ends ? text_time(report->deadline_ns, 9, "Z", time) : "");
    json_number("left_ns", ends,
                report->deadline_ns > sample->now_ns ? report->deadline_ns - sample->now_ns : 0);
    json_number("spread_ns", watched, sample->spread_ns);
    fputs(",\"readings\":[", stdout);
    for (size_t i = 0; i < sample->count; i++) {
        const struct skew_reading *reading = &sample->readings[i];
        char name[CLOCK_NAME_MAX];
        printf("%s{\"clock\":\"%s\",\"skewed\":%s", i > 0 ? "," : "", clock_name(reading, name),
               reading->skewed ? "true" : "false");
        json_number("true_ns", reading->known, reading->true_ns);
        json_number("shown_ns", reading->known, reading->shown_ns);
        json_number("difference_ns", reading->known, difference(reading));
        putchar('}');
    }
    puts("]}");
}

__attribute__((format(printf, 2, 3))) static void line_add(struct watch_page *page,
                                                           const char *format, ...)
{
    va_list values;

    va_start(values, format);
    vsnprintf(page->lines[page->count++], WATCH_LINE_SIZE, format, values);
    va_end(values);
}

/* More digits than this are of no use to who reads along. */
static int64_t place_for_people(int64_t off)
{
    if (off <= -DURATION_SECOND_NS || off >= DURATION_SECOND_NS)
        return 1000000;
    return off <= -1000000 || off >= 1000000 ? 1000 : 1;
}

void watch_page_fill(const struct skew_sample *sample, struct watch_page *page)
{
    const struct skew_report *report = &sample->report;
    char command[TEXT_ESCAPED_SIZE(sizeof report->command)], skew[SKEW_MAX];
    char time[TEXT_TIME_MAX], shown[TEXT_TIME_MAX], duration[DURATION_TEXT_MAX];
    char name[CLOCK_NAME_MAX];
    int64_t left = report->deadline_ns - sample->now_ns;

    page->count = 0;
    line_add(page, "pid %d (%s): %s    q ends", (int)report->pid,
             text_escape(report->command, true, command, sizeof command),
             skew_state_name(report->state));
    line_add(page, "skew %s%s%s", skew_text(report, skew), report->note[0] ? "; " : "",
             report->note);
    if (report->deadline_ns == 0)
        line_add(page, "until it is recovered");
    else if (left <= 0)
        line_add(page, "until %s, which has passed", text_time(report->deadline_ns, 3, "Z", time));
    else
        line_add(page, "until %s, %s left", text_time(report->deadline_ns, 3, "Z", time),
                 duration_format(left - left % 100000000, duration));
    line_add(page, "%s", "");
    line_add(page, "%-16s  %-24s  %-24s  %s", "CLOCK", "TRUE", "SHOWN", "DIFFERENCE");
    for (size_t i = 0; i < sample->count; i++) {
        const struct skew_reading *reading = &sample->readings[i];
        line_add(page, "%-16s  %-24s  %-24s  %s", clock_name(reading, name),
                 reading_text(reading, reading->true_ns, 3, time),
                 reading_text(reading, reading->shown_ns, 3, shown),
                 difference_text(reading, place_for_people(difference(reading)), duration));
    }
}
