/*
 * target.h - the two targets of the sweep and what must hold of them whenever
 * skewctl has died.
 *
 * Memory and failures are as in harness.h.
 */
#ifndef KILLSWEEP_TARGET_H
#define KILLSWEEP_TARGET_H

#include "observe.h"

enum target_kind {
    TARGET_BUSY,    /* threads that read the clock all the time, with short sleeps */
    TARGET_BLOCKED, /* one thread in each kind of wait that the kernel restarts */
    TARGET_KINDS
};
const char *target_name(enum target_kind kind);

/* The skews that occur, as a set of bits. */
enum {
    SKEW_NONE = 1,
    SKEW_OLD = 2,
    SKEW_NEW = 4,
};
#define SKEW_OLD_TEXT "-5m"
#define SKEW_NEW_TEXT "+1h30m"

struct target {
    enum target_kind kind;
    struct child *victim;
    struct snapshot before;
    unsigned allowed;
};

struct target target_start(enum target_kind kind);
/* From now on exactly these skews are right. */
void target_allow(struct target *target, unsigned skews);
/*
 * Fails unless it is alive, none of its threads is traced or stopped, signal
 * masks and descriptors are as before, each of its threads gets on, and all
 * that its own oracle has seen so far was right.
 */
void target_expect_right(struct target *target);
/* Fails unless mappings and vDSO, and all else of observe.h, are as before the first inject. */
void target_expect_clean(const struct target *target);

#endif
