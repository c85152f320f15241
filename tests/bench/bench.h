/*
 * bench.h - the measurements of scripts/bench and what they share.
 */
#ifndef TESTS_BENCH_H
#define TESTS_BENCH_H

#include "results.h"

/* How much is done. --smoke makes all of it tiny, to see that it works. */
struct effort {
    size_t rounds;           /* of each measurement */
    size_t batches;          /* of reads in one round of read_cost */
    unsigned reads;          /* in a batch of the slowest entry */
    const unsigned *threads; /* of the targets of pause, ascending */
    size_t thread_counts;    /* how many of these */
    size_t many;             /* targets in one call */
    size_t many_rounds;
    size_t members; /* of the larger group; the other has a tenth of them */
};

/* What a read of each entry point costs: native, skewed, after recover, and by other means. */
void read_cost_measure(const struct effort *effort, struct results *results);
/* How long a target stands still while it is injected, updated and recovered. */
void pause_measure(const struct effort *effort, struct results *results);
/* How long the command takes, as a whole process. */
void wall_time_measure(const struct effort *effort, struct results *results);
/* How long groups take, and their members. */
void group_time_measure(const struct effort *effort, struct results *results);

/*
 * The first and the last processor that this process may run on; the same where
 * there is only one. bench_time runs programs on the first.
 */
int bench_processor_first(void);
int bench_processor_last(void);

/* The path of a program of this folder. */
const char *bench_program(const char *name);
/*
 * Runs a program, its stdout dropped, which must exit with 0; nanoseconds from
 * before the fork to its end.
 */
double bench_time(const char *const argv[]);

#endif
