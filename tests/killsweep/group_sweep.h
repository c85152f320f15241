/*
 * group_sweep.h - as sweep.h, of operations on a group: after each death the next command, one
 * of three, has to make all members agree again, finishing or undoing what was begun.
 */
#ifndef KILLSWEEP_GROUP_SWEEP_H
#define KILLSWEEP_GROUP_SWEEP_H

#include "sweep.h"

/* A cmocka test. *state is the struct sweep, its state one that has members. */
void group_sweep_run(void **state);

#endif
