/*
 * apart.h - runs a test in a process of its own, so that its failure ends only
 * that process: a sweep over many points goes on behind the one that failed.
 */
#ifndef TESTS_APART_H
#define TESTS_APART_H

#include "harness.h"

#include <stdio.h>

/*
 * Runs `function` with the harness around it; *state is `shared`, which lies in
 * memory of apart_memory. What it says goes to `log`. Returns whether it passed;
 * it is killed if *progress, a part of `shared`, stands still for three minutes.
 */
bool apart_run(const char *name, CMUnitTestFunction function, void *shared, const long *progress,
               FILE *log);

/* Zeroed memory that this process and its children share; ends the program where there is none. */
void *apart_memory(size_t size);

/* Prints what the test said, without what cmocka says about it. */
void apart_print(FILE *log);

#endif
