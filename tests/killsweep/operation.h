/*
 * operation.h - what skewctl is killed at: its operations on one process, and those on a group.
 */
#ifndef KILLSWEEP_OPERATION_H
#define KILLSWEEP_OPERATION_H

#include <stdbool.h>

enum operation {
    OPERATION_INJECT,        /* a clean target */
    OPERATION_FIRST,         /* the same, with no journal there yet */
    OPERATION_UPDATE,        /* inject on an injected target */
    OPERATION_UPDATE_AGAIN,  /* the same again after a killed one: it never reads the true time */
    OPERATION_RECOVER,       /* of an injected target */
    OPERATION_RECOVER_TWICE, /* the recover --all after a killed recover is killed, too */
    /* On groups: */
    OPERATION_GROUP_INJECT,
    OPERATION_GROUP_UPDATE,
    OPERATION_GROUP_SWITCH,  /* the same, killed only at each member's switch: all next commands */
    OPERATION_GROUP_RECOVER, /* by --id */
    OPERATION_GROUP_TWICE,   /* the recover --crashed after a killed recover is killed, too */
    OPERATION_FOLLOW,        /* inject --follow=watch, some new programs, and its end by SIGTERM */
    OPERATION_FOLLOW_AGAIN,  /* the same of follow, on a group that nobody follows */
    OPERATIONS
};

struct operation_facts {
    const char *name;
    unsigned before, after; /* the skew that is there before it, and after it; as in target.h */
    bool injects;           /* its command is inject, with the skew after it */
    bool group;             /* on a group */
    bool follows;           /* and goes on until a signal ends it */
};
extern const struct operation_facts operations[OPERATIONS];

/* What the skews are, and how one follows the other. */
enum manner {
    MANNER_OFFSETS,
    /* With a shape that adds nothing to the offset. Of one that does, coarse clocks would see
       nothing for the tick by which they are behind its beginning. */
    MANNER_SHAPES,
    /* The new one is slewed to, so slowly that no operation sees the end of it. */
    MANNER_SLEWS,
    MANNERS
};
/* The option of killsweep that asks for it, or "". */
extern const char *const manner_options[MANNERS];
/* Only updates are slewed. */
bool operation_can(enum operation operation, enum manner manner);
/* The skews that may be seen from the operation's beginning on, and once it is done. */
unsigned operation_allows(enum operation operation, enum manner manner);
unsigned operation_leaves(enum operation operation, enum manner manner);

/* How skewctl is asked for SKEW_OLD or SKEW_NEW, and what list calls it. */
struct operation_skew {
    const char *listed;
    const char *options[5]; /* up to and with NULL */
};
struct operation_skew operation_skew(unsigned skew, enum manner manner);

#endif
