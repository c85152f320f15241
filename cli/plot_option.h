/*
 * plot_option.h - the options of plot that say what a picture is to be like, as texts. Each prints
 * the line that says what is wrong, and returns SKEW_USAGE, where its value makes no sense.
 */
#ifndef SKEWCTL_CLI_PLOT_OPTION_H
#define SKEWCTL_CLI_PLOT_OPTION_H

#include "cli/options.h"

/* A duration above 0. */
enum skew_code plot_span_store(const char *text, struct options *options);
/* "960x640". */
enum skew_code plot_size_store(const char *text, struct options *options);
/* Its name says its format, and must stay as it is. */
enum skew_code plot_file_store(const char *file, struct options *options);

#endif
