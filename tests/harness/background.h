/*
 * background.h - a follower of a group that runs in the background, and so is nobody's child:
 * noted here, and killed when the test ends.
 */
#ifndef TESTS_BACKGROUND_H
#define TESTS_BACKGROUND_H

#include "harness.h"

/* 0 for none. Whoever starts one sets it. */
extern pid_t background_follower;

/* Instead of harness_teardown(); removes the cgroup of the test, too. */
int background_teardown(void **state);

/* By whom list says that the group of the first injection is followed; 0 for nobody. */
pid_t background_listed(void);
/* By whom the group of that member is. */
pid_t background_listed_of(pid_t member);

/* Until the follower has ended; then there is none. */
void background_await_end(void);

/* bash, which executes what it is sent. */
struct child *background_shell(void);

#endif
