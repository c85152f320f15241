/*
 * chart.h - a picture of a skewed clock against the true one, drawn with cairo.
 *
 * The lower panel has the difference of the two, the upper one, unless it is left out, the skewed
 * time with the true one as a dashed line. All axes have round steps of the units of time.
 */
#ifndef SKEWCTL_CLI_CHART_H
#define SKEWCTL_CLI_CHART_H

#include "cli/curve.h"

#define CHART_WIDTH_MIN  320
#define CHART_HEIGHT_MIN 200
#define CHART_SIDE_MAX   8192

struct chart {
    const char *title; /* UTF-8 */
    struct skew_course course;
    int64_t span;
    int64_t now_ns; /* to be marked, after the beginning; below 0 for no mark */
    int width, height;
    bool difference_only;
    bool svg; /* rather than PNG */
};

/*
 * Draws it and gives the file's bytes to `write`, which returns false to end it. Returns what
 * went wrong, a literal or a text of cairo's; NULL where nothing did.
 */
typedef bool chart_write(void *context, const unsigned char *bytes, size_t size);
const char *chart_draw(const struct chart *chart, chart_write *write, void *context);

/*
 * The distance of marks on an axis that are at most `count` within that range: 1, 2 or 5
 * of a power of ten of nanoseconds or days, or 1, 2, 5, 10, 15 or 30 seconds or minutes, or 1, 2,
 * 3, 6 or 12 hours.
 */
int64_t chart_step(int64_t range, int count);

#endif
