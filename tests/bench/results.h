/*
 * results.h - samples, medians and ratios of the benchmark, and how they are
 * shown: one table for people, the same as JSON.
 *
 * Memory belongs to the harness.
 */
#ifndef TESTS_BENCH_RESULTS_H
#define TESTS_BENCH_RESULTS_H

#include "harness.h"

/* One value per round, in nanoseconds. */
struct series {
    double *values;
    size_t count;
    size_t capacity;
};
struct series series_make(size_t capacity);
/* More than the capacity are a mistake of the caller and fail. */
void series_add(struct series *series, double value);
double series_median(const struct series *series);

/* A measured quantity against a reference, round by round. */
struct result {
    const char *group;   /* "read", "pause", "wall" */
    const char *subject; /* what was measured */
    const char *against; /* and the reference */
    size_t rounds;
    double measured_ns; /* medians */
    double reference_ns;
    double ratio; /* the median of the rounds' ratios, and their spread: */
    double quartile_low, quartile_high;
    double lowest, highest;
    double limit; /* of the ratio; 0 where there is none */
};

struct results {
    struct result *rows;
    size_t count;
};

/*
 * Adds a row and returns it; the strings must live as long as the results.
 * Both series have the same number of values.
 */
const struct result *results_add(struct results *results, const char *group, const char *subject,
                                 const char *against, const struct series *measured,
                                 const struct series *reference, double limit);

/* How many limits are missed. */
size_t results_missed(const struct results *results);
void results_print(const struct results *results);
/* Fails where the file cannot be written. */
void results_write(const struct results *results, const char *path);

#endif
