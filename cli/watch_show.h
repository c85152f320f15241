/*
 * watch_show.h - one sample of a process's clocks, in the forms that skewctl watch has.
 */
#ifndef SKEWCTL_CLI_WATCH_SHOW_H
#define SKEWCTL_CLI_WATCH_SHOW_H

#include "engine/skewctl.h"

/* One line: the true time, the state, and of each clock its name, what it shows and how far off. */
void watch_print_line(const struct skew_sample *sample);
/* One line that is an object of JSON. */
void watch_print_json(const struct skew_sample *sample);

/* A screenful, for a person. */
#define WATCH_LINES_MAX (5 + SKEW_READINGS_MAX)
#define WATCH_LINE_SIZE 1536
struct watch_page {
    size_t count;
    char lines[WATCH_LINES_MAX][WATCH_LINE_SIZE];
};
void watch_page_fill(const struct skew_sample *sample, struct watch_page *page);

#endif
