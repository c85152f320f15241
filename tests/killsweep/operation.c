/* See operation.h. */
#include "operation.h"

#include "target.h"

const struct operation_facts operations[OPERATIONS] = {
    [OPERATION_INJECT] = {"inject", SKEW_NEW_TEXT, SKEW_NONE, SKEW_NEW, false, false},
    [OPERATION_FIRST] = {"first-inject", SKEW_NEW_TEXT, SKEW_NONE, SKEW_NEW, false, false},
    [OPERATION_UPDATE] = {"update", SKEW_NEW_TEXT, SKEW_OLD, SKEW_NEW, false, false},
    [OPERATION_RECOVER] = {"recover", NULL, SKEW_OLD, SKEW_NONE, false, false},
    [OPERATION_RECOVER_TWICE] = {"recover-twice", NULL, SKEW_OLD, SKEW_NONE, false, false},
    [OPERATION_GROUP_INJECT] = {"group-inject", SKEW_NEW_TEXT, SKEW_NONE, SKEW_NEW, true, false},
    [OPERATION_GROUP_UPDATE] = {"group-update", SKEW_NEW_TEXT, SKEW_OLD, SKEW_NEW, true, false},
    [OPERATION_GROUP_SWITCH] = {"group-switch", SKEW_NEW_TEXT, SKEW_OLD, SKEW_NEW, true, false},
    [OPERATION_GROUP_RECOVER] = {"group-recover", NULL, SKEW_OLD, SKEW_NONE, true, false},
    [OPERATION_GROUP_TWICE] = {"group-twice", NULL, SKEW_OLD, SKEW_NONE, true, false},
    [OPERATION_FOLLOW] = {"follow", SKEW_NEW_TEXT, SKEW_NONE, SKEW_NEW, true, true},
    [OPERATION_FOLLOW_AGAIN] = {"follow-again", NULL, SKEW_OLD, SKEW_OLD, true, true},
};
