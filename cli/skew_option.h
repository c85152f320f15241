/*
 * skew_option.h - the options that say what skew is wanted, one part of it each, as texts.
 */
#ifndef SKEWCTL_CLI_SKEW_OPTION_H
#define SKEWCTL_CLI_SKEW_OPTION_H

#include "cli/options.h"

enum skew_option {
    /* As enum shape_kind, in its order. */
    SKEW_OPTION_RATE,
    SKEW_OPTION_RAMP,
    SKEW_OPTION_SMEAR,
    SKEW_OPTION_STROBE,
    SKEW_OPTION_SINE,
    SKEW_OPTION_JITTER,
    SKEW_OPTION_STEP,
    SKEW_OPTION_OFFSET,
    SKEW_OPTION_AT,
    SKEW_OPTION_CLOCK,
    SKEW_OPTION_FOR,
    SKEW_OPTION_COUNT
};

/* Its name on the command line, without the hyphens. */
const char *skew_option_name(enum skew_option option);

/*
 * Reads the value of one into *options. Prints the line that says what is wrong, and returns
 * SKEW_USAGE, where it makes no sense or has been given before.
 */
enum skew_code skew_option_store(enum skew_option option, const char *value,
                                 struct options *options);

/* Whether one of those was given that move a clock. */
bool skew_option_any(const struct options *options);

#endif
