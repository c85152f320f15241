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

/*
 * How skewctl is asked for SKEW_OLD or SKEW_NEW, and what list calls it: an offset, alone or with
 * a shape that adds nothing to it. Of a shape that does, coarse clocks would see nothing for
 * the tick by which they are behind its beginning.
 */
struct operation_skew {
    const char *listed;
    const char *options[5]; /* up to and with NULL */
};
struct operation_skew operation_skew(unsigned skew, bool shaped);

#endif
