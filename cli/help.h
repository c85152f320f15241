/*
 * help.h - the brief texts of --help. skewctl(8) says everything.
 */
#ifndef SKEWCTL_CLI_HELP_H
#define SKEWCTL_CLI_HELP_H

#include "cli/options.h"

/* Both print on standard output. */
void help_print(void);
void help_print_command(enum command command);

#endif
