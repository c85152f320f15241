/*
 * plot_option.c - reading what a picture is to be like; see plot_option.h.
 */
#include "cli/plot_option.h"

#include "cli/chart.h"
#include "cli/message.h"
#include "engine/duration.h"

#include <stdlib.h>
#include <string.h>

enum skew_code plot_span_store(const char *text, struct options *options)
{
    const char *problem;
    bool read = duration_parse(text, &options->span_ns, &problem);

    if (read && options->span_ns > 0)
        return SKEW_OK;
    return message_usage("'%.80s' is no span of time: %s; write it like 10s or 1h30m", text,
                         read ? "it is not above 0" : problem);
}

enum skew_code plot_size_store(const char *text, struct options *options)
{
    size_t width = strspn(text, "0123456789");
    bool form = width != 0 && text[width] == 'x';
    size_t height = form ? strspn(text + width + 1, "0123456789") : 0;
    long wide = strtol(text, NULL, 10), high = form ? strtol(text + width + 1, NULL, 10) : 0;

    if (height == 0 || text[width + 1 + height] != '\0' || wide < CHART_WIDTH_MIN ||
        high < CHART_HEIGHT_MIN || wide > CHART_SIDE_MAX || high > CHART_SIDE_MAX)
        return message_usage(
            "'%.80s' is no size of a picture; write it like 960x640, from %dx%d to "
            "%dx%d",
            text, CHART_WIDTH_MIN, CHART_HEIGHT_MIN, CHART_SIDE_MAX, CHART_SIDE_MAX);
    options->width = (int)wide;
    options->height = (int)high;
    return SKEW_OK;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text);

    return length >= strlen(end) && strcmp(text + length - strlen(end), end) == 0;
}

enum skew_code plot_file_store(const char *file, struct options *options)
{
    if (!ends_with(file, ".svg") && !ends_with(file, ".png"))
        return message_usage("'%.200s' is no name of a picture; give one that ends in .svg or .png",
                             file);
    options->file = file;
    return SKEW_OK;
}
