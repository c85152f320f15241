/*
 * bystander.h - a thread that has nothing to do with the others: a thousand
 * numbered signals a second come to it, and it watches for how long it stands
 * still.
 */
#ifndef VICTIMS_BYSTANDER_H
#define VICTIMS_BYSTANDER_H

#include <stddef.h>

/* Starts it, with every signal but its own blocked in it. False if it cannot be. */
int bystander_start(void);

/*
 * "ok MICROSECONDS": the longest time for which it has stood still since the
 * last such call; "bad WHY" if a signal was lost, doubled or overtaken. Waits
 * until all that was sent has been handled.
 */
void bystander_gap(char *answer, size_t size);

#endif
