/*
 * chart.c - drawing the picture; see chart.h.
 *
 * Values become places within a panel as their distance from its lower end, in whole nanoseconds
 * until then, so that a small wave on a large offset is drawn as exactly as one on none.
 */
#include "cli/chart.h"

#include <cairo-svg.h>
#include <cairo.h>
#include <fontconfig/fontconfig.h>
#include <string.h>

#include "engine/duration.h"

#define MARGIN      12.0
#define FONT        12.0
#define FONT_TITLE  14.0
#define FONT_LEAST  7.0
#define TICK        5.0
#define MARK_ROOM   90.0 /* of a mark on the horizontal axis with its text */
#define MARK_HEIGHT 34.0
#define CURVE_WIDTH 1.5

struct colour {
    double red, green, blue;
};
static const struct colour black = {0, 0, 0};
static const struct colour grey = {0.85, 0.85, 0.85};
static const struct colour middle = {0.4, 0.4, 0.4};
static const struct colour blue = {0.1, 0.3, 0.8};
static const struct colour red = {0.8, 0.2, 0.1};

/* A frame and what its edges stand for. */
struct panel {
    double left, top, width, height;
    int64_t span;
    int64_t low, high;
    int64_t sloping; /* 1 where the true time is added to what is drawn, else 0 */
};

int64_t chart_step(int64_t range, int count)
{
    static const int64_t second = DURATION_SECOND_NS, minute = 60 * second, hour = 60 * minute;
    static const int64_t day = 24 * hour;
    const int64_t clock[] = {second, 2 * second, 5 * second, 10 * second, 15 * second, 30 * second,
                             minute, 2 * minute, 5 * minute, 10 * minute, 15 * minute, 30 * minute,
                             hour,   2 * hour,   3 * hour,   6 * hour,    12 * hour};
    for (int64_t power = 1; power < second; power *= 10) {
        for (int64_t digit = 1; digit <= 5; digit += digit == 1 ? 1 : 3) {
            if (range / (power * digit) < count) {
                return power * digit;
            }
        }
    }
    for (size_t i = 0; i < sizeof clock / sizeof *clock; i++) {
        if (range / clock[i] < count) {
            return clock[i];
        }
    }
    for (int64_t power = day; power < INT64_MAX / 50; power *= 10) {
        for (int64_t digit = 1; digit <= 5; digit += digit == 1 ? 1 : 3) {
            if (range / (power * digit) < count) {
                return power * digit;
            }
        }
    }
    return INT64_MAX / 2;
}

static void colour_set(cairo_t *cairo, const struct colour *colour)
{
    cairo_set_source_rgb(cairo, colour->red, colour->green, colour->blue);
}

static double place_x(const struct panel *panel, int64_t elapsed)
{
    return panel->left + panel->width * (double)elapsed / (double)panel->span;
}

static double place_y(const struct panel *panel, int64_t value)
{
    return panel->top + panel->height -
           panel->height * ((double)(value - panel->low) / (double)(panel->high - panel->low));
}

static double text_width(cairo_t *cairo, const char *text)
{
    cairo_text_extents_t extents;
    cairo_text_extents(cairo, text, &extents);
    return extents.x_advance;
}

/* What is less than `step` times a whole number, rounded up. */
static int64_t first_mark(int64_t low, int64_t step)
{
    int64_t rest = low % step;
    return rest > 0 ? low - rest + step : low - rest;
}

static int marks_of(double length, double room)
{
    return length < room ? 1 : (int)(length / room);
}

/* How wide the texts of a panel's vertical axis are. */
static double marks_width(cairo_t *cairo, const struct panel *panel)
{
    char text[DURATION_TEXT_MAX];
    int64_t step = chart_step(panel->high - panel->low, marks_of(panel->height, MARK_HEIGHT));
    double widest = 0;
    for (int64_t at = first_mark(panel->low, step); at <= panel->high; at += step) {
        double width = text_width(cairo, duration_format(at, text));
        widest = width > widest ? width : widest;
    }
    return widest;
}

static void line(cairo_t *cairo, double x, double y, double to_x, double to_y)
{
    cairo_move_to(cairo, x, y);
    cairo_line_to(cairo, to_x, to_y);
    cairo_stroke(cairo);
}

static void axes_draw(cairo_t *cairo, const struct panel *panel, const char *caption, bool lowest)
{
    char text[DURATION_TEXT_MAX];
    double right = panel->left + panel->width, bottom = panel->top + panel->height;
    int64_t step = chart_step(panel->high - panel->low, marks_of(panel->height, MARK_HEIGHT));
    cairo_set_line_width(cairo, 1);
    for (int64_t at = first_mark(panel->low, step); at <= panel->high; at += step) {
        double y = place_y(panel, at);
        colour_set(cairo, at == 0 ? &middle : &grey);
        line(cairo, panel->left, y, right, y);
        colour_set(cairo, &black);
        duration_format(at, text);
        cairo_move_to(cairo, panel->left - TICK - text_width(cairo, text), y + FONT / 3);
        cairo_show_text(cairo, text);
    }
    step = chart_step(panel->span, marks_of(panel->width, MARK_ROOM));
    for (int64_t at = 0; at <= panel->span; at += step) {
        double x = place_x(panel, at);
        colour_set(cairo, &grey);
        line(cairo, x, panel->top, x, bottom);
        if (lowest) {
            colour_set(cairo, &black);
            duration_format(at, text);
            cairo_move_to(cairo, x - text_width(cairo, text) / 2, bottom + TICK + FONT);
            cairo_show_text(cairo, text);
        }
    }
    colour_set(cairo, &black);
    cairo_rectangle(cairo, panel->left, panel->top, panel->width, panel->height);
    cairo_stroke(cairo);
    cairo_move_to(cairo, panel->left, panel->top - TICK);
    cairo_show_text(cairo, caption);
}

/* A short line and what it stands for, ending at *right, which moves to the left of it. */
static void legend_draw(cairo_t *cairo, const struct panel *panel, const char *text,
                        const struct colour *colour, bool dashed, double *right)
{
    static const double dashes[] = {6, 4};
    double y = panel->top - TICK - FONT / 3;
    *right -= text_width(cairo, text);
    colour_set(cairo, &black);
    cairo_move_to(cairo, *right, panel->top - TICK);
    cairo_show_text(cairo, text);
    colour_set(cairo, colour);
    cairo_set_dash(cairo, dashes, dashed ? 2 : 0, 0);
    line(cairo, *right - 30, y, *right - TICK, y);
    cairo_set_dash(cairo, NULL, 0, 0);
    *right -= 30 + MARGIN;
}

static void curve_draw(cairo_t *cairo, const struct panel *panel, const struct curve *curve,
                       const struct colour *colour)
{
    cairo_save(cairo);
    cairo_rectangle(cairo, panel->left, panel->top - CURVE_WIDTH, panel->width,
                    panel->height + 2 * CURVE_WIDTH);
    cairo_clip(cairo);
    colour_set(cairo, colour);
    cairo_set_line_width(cairo, CURVE_WIDTH);
    cairo_set_line_join(cairo, CAIRO_LINE_JOIN_BEVEL);
    for (size_t i = 0; i < curve->count; i++) {
        const struct curve_point *point = &curve->points[i];
        int64_t end = i + 1 < curve->count ? curve->points[i + 1].elapsed : panel->span;
        end = curve->band ? end : point->elapsed;
        cairo_line_to(cairo, place_x(panel, point->elapsed),
                      place_y(panel, point->high + panel->sloping * end));
        if (curve->band) {
            cairo_line_to(cairo, place_x(panel, end),
                          place_y(panel, point->high + panel->sloping * end));
        }
    }
    for (size_t i = curve->count; curve->band && i-- > 0;) {
        const struct curve_point *point = &curve->points[i];
        int64_t end = i + 1 < curve->count ? curve->points[i + 1].elapsed : panel->span;
        double y = place_y(panel, point->low + panel->sloping * point->elapsed);
        cairo_line_to(cairo, place_x(panel, end), y);
        cairo_line_to(cairo, place_x(panel, point->elapsed), y);
    }
    if (curve->band) {
        cairo_close_path(cairo);
        cairo_fill_preserve(cairo);
    }
    cairo_stroke(cairo);
    cairo_restore(cairo);
}

static void title_draw(cairo_t *cairo, const struct chart *chart)
{
    double font = FONT_TITLE, room = chart->width - 2 * MARGIN;
    cairo_set_font_size(cairo, font);
    double width = text_width(cairo, chart->title);
    if (width > room) {
        font = font * room / width;
        font = font < FONT_LEAST ? FONT_LEAST : font;
    }
    cairo_save(cairo);
    cairo_rectangle(cairo, MARGIN, 0, room, MARGIN + 2 * FONT_TITLE);
    cairo_clip(cairo);
    cairo_set_font_size(cairo, font);
    colour_set(cairo, &black);
    cairo_move_to(cairo, MARGIN, MARGIN + FONT_TITLE);
    cairo_show_text(cairo, chart->title);
    cairo_restore(cairo);
    cairo_set_font_size(cairo, FONT);
}

/* Around all of the curve; with 0 where that is not far away. */
static void range_set(struct panel *panel, const struct curve *curve)
{
    panel->low = INT64_MAX;
    panel->high = INT64_MIN;
    for (size_t i = 0; i < curve->count; i++) {
        const struct curve_point *point = &curve->points[i];
        int64_t true_time = panel->sloping * point->elapsed;
        panel->low = point->low + true_time < panel->low ? point->low + true_time : panel->low;
        panel->high = point->high + true_time > panel->high ? point->high + true_time : panel->high;
    }
    if (panel->sloping) {
        panel->low = panel->low > 0 ? 0 : panel->low;
        panel->high = panel->high < panel->span ? panel->span : panel->high;
    }
    int64_t range = panel->high - panel->low;
    if (panel->low > 0 && (panel->low <= range || range == 0)) {
        panel->low = 0;
    }
    if (panel->high < 0 && (-panel->high <= range || range == 0)) {
        panel->high = 0;
    }
    range = panel->high - panel->low;
    int64_t around = range == 0 ? DURATION_SECOND_NS : range / 20 + 1;
    panel->low -= around;
    panel->high += around;
}

static void now_draw(cairo_t *cairo, const struct panel *panel, int64_t now_ns)
{
    if (now_ns >= 0 && now_ns <= panel->span) {
        double x = place_x(panel, now_ns);
        colour_set(cairo, &middle);
        line(cairo, x, panel->top, x, panel->top + panel->height);
        cairo_move_to(cairo, x + TICK, panel->top + FONT);
        cairo_show_text(cairo, "now");
    }
}

static void upper_draw(cairo_t *cairo, const struct panel *panel, const struct chart *chart,
                       const struct curve *curve)
{
    static const double dashes[] = {6, 4};
    double right = panel->left + panel->width;
    axes_draw(cairo, panel, "skewed time", false);
    legend_draw(cairo, panel, "true", &middle, true, &right);
    legend_draw(cairo, panel, "skewed", &blue, false, &right);
    curve_draw(cairo, panel, curve, &blue);
    colour_set(cairo, &middle);
    cairo_set_dash(cairo, dashes, 2, 0);
    line(cairo, place_x(panel, 0), place_y(panel, 0), place_x(panel, panel->span),
         place_y(panel, panel->span));
    cairo_set_dash(cairo, NULL, 0, 0);
    now_draw(cairo, panel, chart->now_ns);
}

static void lower_draw(cairo_t *cairo, const struct panel *panel, const struct chart *chart,
                       const struct curve *curve)
{
    static const char below[] = "true time since the beginning";
    double right = panel->left + panel->width;
    axes_draw(cairo, panel, "difference", true);
    legend_draw(cairo, panel, "skewed - true", &red, false, &right);
    curve_draw(cairo, panel, curve, &red);
    now_draw(cairo, panel, chart->now_ns);
    colour_set(cairo, &black);
    cairo_move_to(cairo, panel->left + (panel->width - text_width(cairo, below)) / 2,
                  chart->height - MARGIN);
    cairo_show_text(cairo, below);
}

/* False without memory. */
static bool panels_draw(cairo_t *cairo, const struct chart *chart)
{
    double head = MARGIN + 2 * FONT_TITLE + FONT, foot = MARGIN + 3 * FONT, between = 2.5 * FONT;
    double room = chart->height - head - foot;
    double each = chart->difference_only ? room : (room - between) / 2;
    struct panel upper = {.top = head, .height = each, .span = chart->span, .sloping = 1};
    struct panel lower = {.top = chart->height - foot - each, .height = each, .span = chart->span};
    struct curve curve;
    if (!curve_make(&chart->course, chart->span, (size_t)chart->width, &curve)) {
        return false;
    }
    colour_set(cairo, &(struct colour){1, 1, 1});
    cairo_paint(cairo);
    cairo_select_font_face(cairo, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
    title_draw(cairo, chart);
    range_set(&upper, &curve);
    range_set(&lower, &curve);
    double texts = marks_width(cairo, &lower);
    if (!chart->difference_only && marks_width(cairo, &upper) > texts) {
        texts = marks_width(cairo, &upper);
    }
    texts = texts > chart->width / 2.0 ? chart->width / 2.0 : texts;
    upper.left = lower.left = MARGIN + texts + TICK;
    upper.width = lower.width = chart->width - lower.left - 3 * MARGIN;
    if (!chart->difference_only) {
        upper_draw(cairo, &upper, chart, &curve);
    }
    lower_draw(cairo, &lower, chart, &curve);
    curve_free(&curve);
    return true;
}

struct sink {
    chart_write *write;
    void *context;
};

static cairo_status_t sink_write(void *context, const unsigned char *bytes, unsigned size)
{
    struct sink *sink = context;
    return sink->write(sink->context, bytes, size) ? CAIRO_STATUS_SUCCESS
                                                   : CAIRO_STATUS_WRITE_ERROR;
}

const char *chart_draw(const struct chart *chart, chart_write *write, void *context)
{
    struct sink sink = {.write = write, .context = context};
    cairo_surface_t *surface =
        chart->svg
            ? cairo_svg_surface_create_for_stream(sink_write, &sink, chart->width, chart->height)
            : cairo_image_surface_create(CAIRO_FORMAT_RGB24, chart->width, chart->height);
    cairo_t *cairo = cairo_create(surface);
    bool drawn = panels_draw(cairo, chart);
    cairo_status_t status = cairo_status(cairo);
    cairo_destroy(cairo);
    if (status == CAIRO_STATUS_SUCCESS && !chart->svg) {
        status = cairo_surface_write_to_png_stream(surface, sink_write, &sink);
    }
    cairo_surface_finish(surface);
    if (status == CAIRO_STATUS_SUCCESS) {
        status = cairo_surface_status(surface);
    }
    cairo_surface_destroy(surface);
    /* The caches of fonts; nobody else uses them. */
    cairo_debug_reset_static_data();
    FcFini();
    if (!drawn) {
        status = CAIRO_STATUS_NO_MEMORY;
    }
    return status == CAIRO_STATUS_SUCCESS ? NULL : cairo_status_to_string(status);
}
