/*
 * fault.h - what can be made to fail: system calls of skewctl with errors that
 * the kernel can give, and library calls.
 *
 * Memory and failures are as in harness.h.
 */
#ifndef NTHCALL_FAULT_H
#define NTHCALL_FAULT_H

#include "traced.h"

struct fault {
    const char *name;
    struct failure failure; /* of system calls; its count is 0 where it is a library's */
    bool harmless;          /* the operation must succeed all the same */
    long stride;            /* from one n to the next, where there are very many; 0 for 1 */
    const char *function;   /* as in preload.c, */
    const char *result;     /* and how it fails */
};

extern const struct fault faults[];
extern const size_t fault_count;

/* Runs skewctl with its n-th such call failing. */
struct failed fault_run(const struct fault *fault, long n, const char *const argv[]);

#endif
