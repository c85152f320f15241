/*
 * report.h - what the sweep says: a line when an operation on a state is done,
 * how to repeat what failed, and the sums per state and in all.
 */
#ifndef KILLSWEEP_REPORT_H
#define KILLSWEEP_REPORT_H

#include "sweep.h"

#include <stdio.h>

/* What came of one operation on one state, or the sum of such. */
struct result {
    struct tally tally;
    long failures;
    int64_t took_ns;
};
void result_add(struct result *sum, const struct result *part);

void report_heading(void);
void report_result(const char *operation, const char *state, const struct result *result);
/* Which death did it, how to repeat it, and what the test said. */
void report_failure(const struct sweep *sweep, FILE *log);
/* After n deaths without a failure, what is known with 95 % confidence: the rule of three. */
void report_bound(const char *state, const struct result *result);

#endif
