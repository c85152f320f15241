/*
 * interrupt.h - signals that ask skewctl to end, held back while it works on a
 * target and looked at in between.
 *
 * SIGINT, SIGTERM and SIGHUP are held, and SIGTSTP, SIGTTIN and SIGTTOU too: a
 * stopped skewctl would keep its target stopped. What was ignored stays ignored.
 */
#ifndef SKEWCTL_CLI_INTERRUPT_H
#define SKEWCTL_CLI_INTERRUPT_H

#include <stdbool.h>

/* Holds the signals back from this thread and from those it creates. */
void interrupt_hold(void);

/*
 * Between two targets: stops here if that was asked for, and returns the signal
 * that asks to end, taking it, or 0. Waits for nothing.
 */
int interrupt_take(void);

/* For poll(2), for the caller to close: readable while one of them is pending. -1 with errno. */
int interrupt_descriptor(void);
/* Whether interrupt_take() would stop here. */
bool interrupt_stops(void);
/* The same, but waits so long for one. A stop then takes effect when it is over. */
int interrupt_wait(int milliseconds);

/* Takes what is still held, then lets signals have their usual effect again. */
void interrupt_release(void);

#endif
