/*
 * family.h - the victim forks and its children, which live on without it, and
 * the board through which it is told what to fork and shows what they read.
 *
 * Memory and failures are as in harness.h.
 */
#ifndef TESTS_FAMILY_H
#define TESTS_FAMILY_H

#include "victim.h"

#include "../victims/forks.h"

struct family {
    struct child *parent;
    struct forks_board *board;
    const char *path; /* of the board: whoever has it mapped is of this family */
    const char *maps; /* of the parent, before anything was done; a child's are the same */
    pid_t pid;
    int input; /* while it is open the children live on, also without their parent */
};

struct family family_start(void);
/* All end. */
void family_end(struct family *family);
/* Waits until a count on the board has come to that. */
void family_await(const _Atomic int *count, int least);
/* Waits until so many more have ended in the storm. */
void family_await_passing(const struct family *family, int64_t more);
/*
 * Fails if any process of the family, whoever is forked just now excepted, has more code
 * mapped than the program brought, or a vDSO that is not the kernel's.
 */
void family_expect_clean(const struct family *family);

#endif
