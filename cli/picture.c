/*
 * picture.c - skewctl plot, as skewctl-plot does it: a picture of a skew that was asked for, or of
 * one that is in force.
 *
 * The file appears whole or not at all: it is written beside its place under another name, and
 * then takes that place, also that of an older one.
 */
#include "cli/chart.h"
#include "cli/commands.h"
#include "cli/message.h"
#include "cli/report.h"
#include "cli/text.h"
#include "engine/duration.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WIDTH_USUAL  960
#define HEIGHT_USUAL 640

/* What is drawn. */
struct subject {
    char title[TEXT_ESCAPED_SIZE(REPORT_SKEW_SIZE + 256)];
    struct skew_course course;
    int64_t now_ns; /* after its beginning; below 0 where it is not in force */
};

/* `end` and what follows it say when the skew ends by itself; "" where it does not. */
static void title_set(struct subject *subject, const char *whose, const char *profile,
                      const char *until, const char *end)
{
    char text[REPORT_SKEW_SIZE], title[REPORT_SKEW_SIZE + 256], slewed[64] = "";
    double pace = (double)subject->course.slew.pace / 0x1p64;

    if (pace > 0)
        snprintf(slewed, sizeof slewed,
                 pace < 0.01 ? ", slewed to at %.6gppm" : ", slewed to at %.6g%%",
                 pace < 0.01 ? pace * 1e6 : pace * 100);
    snprintf(title, sizeof title, "%s%s%s%s%s%s%s", whose, profile, profile[0] ? ": " : "",
             report_skew_text(subject->course.offset_ns, &subject->course.shape, text), until, end,
             slewed);
    text_escape(title, true, subject->title, sizeof subject->title);
}

static void subject_of_options(const struct options *options, struct subject *subject)
{
    char end[DURATION_TEXT_MAX];

    *subject = (struct subject){
        .course = {.shape = options->shape,
                   .offset_ns = options->offset_ns,
                   .end_ns =
                       options->deadline_ns ? options->deadline_ns - options->begun_ns : INT64_MAX},
        .now_ns = -1,
    };
    title_set(subject, "", options->profile, options->deadline_ns ? " for " : "",
              options->deadline_ns ? duration_format(subject->course.end_ns, end) : "");
}

static bool is_meant(const struct options *options, const struct skew_report *report)
{
    if (report->state != SKEW_STATE_ACTIVE)
        return false;
    if (options->pids.count != 0)
        return report->pid == options->pids.numbers[0];
    if (options->groups.count != 0)
        return report->group == options->groups.numbers[0];
    return report->id == options->ids.numbers[0] && !report->inherited;
}

static void subject_of_report(const struct options *options, const struct skew_report *report,
                              struct subject *subject)
{
    /* An offset alone has been there as long as its injection has. */
    int64_t begin = report->begin_ns ? report->begin_ns : report->changed_ns;
    char whose[128], end[TEXT_TIME_MAX];

    *subject = (struct subject){
        .course = {.shape = report->shape,
                   .offset_ns = report->offset_ns,
                   .end_ns = report->deadline_ns > begin ? report->deadline_ns - begin : INT64_MAX},
        .now_ns = options->begun_ns - begin,
    };
    if (report->slew_pace != 0) {
        subject->course.slew.pace = report->slew_pace;
        subject->course.slew.amount_ns[CLOCK_REALTIME] = report->slew_amount_ns;
        subject->course.slew.begin_ns[CLOCK_REALTIME] = report->slew_sliding_ns - begin;
    }
    snprintf(whose, sizeof whose, "process %d (%s): ", (int)report->pid, report->command);
    title_set(subject, whose, report->profile, report->deadline_ns ? " until " : "",
              report->deadline_ns ? text_time(report->deadline_ns, 1, "Z", end) : "");
}

static enum skew_code not_in_force(const struct options *options)
{
    bool process = options->pids.count != 0, group = options->groups.count != 0;
    const struct number_list *named = process ? &options->pids
                                      : group ? &options->groups
                                              : &options->ids;

    message_print("%s%" PRId64 " is not %s; skewctl list shows what is",
                  process ? "pid "
                  : group ? "group g"
                          : "injection ",
                  named->numbers[0], process ? "skewed" : "in force");
    return SKEW_NOT_FOUND;
}

static int subject_of_injection(const struct options *options, struct subject *subject)
{
    struct skew_report *reports = NULL;
    struct skew_engine *engine;
    struct skew_error error = {0};
    size_t count = 0, i = 0;
    enum skew_code code = command_open_engine(options, false, &engine);

    if (code != SKEW_OK)
        return (int)code;
    code = skew_list(engine, false, &reports, &count, &error);
    skew_engine_close(engine);
    if (code != SKEW_OK)
        return (int)message_error(&error, "");
    while (i < count && !is_meant(options, &reports[i]))
        i++;
    if (i < count) {
        subject_of_report(options, &reports[i], subject);
    } else {
        code = not_in_force(options);
    }
    free(reports);
    return (int)code;
}

static bool file_write(void *context, const unsigned char *bytes, size_t size)
{
    return fwrite(bytes, 1, size, context) == size;
}

/* What is there may be replaced only if it is a file like this one. */
static bool place_check(const char *path)
{
    struct stat status;

    if (lstat(path, &status) != 0 ? errno == ENOENT : S_ISREG(status.st_mode))
        return true;
    message_print("%.200s is no regular file, or cannot be looked at; choose another name for the "
                  "picture",
                  path);
    return false;
}

/* Returns what went wrong; NULL where nothing did. */
static const char *file_fill(int descriptor, const struct chart *chart)
{
    mode_t mask = umask(0);
    FILE *file = fdopen(descriptor, "w");

    umask(mask);
    if (file == NULL || fchmod(descriptor, 0666 & ~mask) != 0)
        return strerror(errno);
    const char *problem = chart_draw(chart, file_write, file);
    return fclose(file) == 0 || problem != NULL ? problem : strerror(errno);
}

static int file_replace(const char *path, const struct chart *chart)
{
    char *other;

    if (asprintf(&other, "%s.XXXXXX", path) < 0) {
        message_print("there is not enough memory for a picture");
        return SKEW_FAILED;
    }
    int descriptor = mkstemp(other);
    const char *problem = descriptor < 0 ? strerror(errno) : file_fill(descriptor, chart);
    if (problem == NULL && rename(other, path) != 0)
        problem = strerror(errno);
    if (problem != NULL)
        message_print("picture %.200s cannot be written: %s", path, problem);
    if (problem != NULL && descriptor >= 0)
        unlink(other);
    free(other);
    return problem == NULL ? SKEW_OK : SKEW_FAILED;
}

int command_plot(const struct options *options, char **argv)
{
    struct subject subject;
    int status = SKEW_OK;

    (void)argv;
    if (!place_check(options->file))
        return SKEW_USAGE;
    if (options->pids.count || options->ids.count || options->groups.count)
        status = subject_of_injection(options, &subject);
    else
        subject_of_options(options, &subject);
    if (status != SKEW_OK)
        return status;

    size_t length = strlen(options->file);
    struct chart chart = {
        .title = subject.title,
        .course = subject.course,
        .span = options->span_ns ? options->span_ns : skew_course_span(&subject.course),
        .now_ns = subject.now_ns,
        .width = options->width ? options->width : WIDTH_USUAL,
        .height = options->height ? options->height : HEIGHT_USUAL,
        .difference_only = options->difference,
        .svg = strcmp(options->file + length - strlen(".svg"), ".svg") == 0,
    };
    if (!skew_course_fits(&chart.course, chart.span))
        return (int)message_usage("the skewed clock gets 146 years away from the true one, or the "
                                  "span is longer than 73; choose a smaller --span");
    return file_replace(options->file, &chart);
}
