/*
 * progress.h - one line that tells how far an operation on many processes has come, on a
 * terminal, where they are more than its rows; and the signals that ask to end it.
 */
#ifndef SKEWCTL_CLI_PROGRESS_H
#define SKEWCTL_CLI_PROGRESS_H

#include "engine/skewctl.h"

struct progress {
    const char *what; /* "skewed" */
    size_t rows;      /* of the terminal on standard error; 0 where it is none */
    bool shown;
    int64_t next_ns; /* CLOCK_MONOTONIC: when the line is due again */
    int signal;      /* that came, or 0 */
};

/* Holds signals back, as interrupt.h says, until progress_end. */
void progress_begin(struct progress *progress, const char *what);
/* For struct skew_progress; the context is a struct progress. */
bool progress_step(void *context, size_t done, size_t count);
/* Takes the line away. */
void progress_end(struct progress *progress);

#endif
