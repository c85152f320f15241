/*
 * spinner.h - the memory that a spinner and who watches it share.
 */
#ifndef TESTS_BENCH_SPINNER_H
#define TESTS_BENCH_SPINNER_H

#include <stdatomic.h>
#include <stdint.h>

struct spinner_board {
    atomic_uint asked;    /* the watcher counts up to be told */
    atomic_uint answered; /* the spinner follows once it has */
    int64_t gap_ns;       /* the longest time for which it was stopped since the last answer */
};

#endif
