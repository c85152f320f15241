/* See operation.h. */
#include "operation.h"

#include "target.h"

const struct operation_facts operations[OPERATIONS] = {
    [OPERATION_INJECT] = {"inject", SKEW_NONE, SKEW_NEW, .injects = true},
    [OPERATION_FIRST] = {"first-inject", SKEW_NONE, SKEW_NEW, .injects = true},
    [OPERATION_UPDATE] = {"update", SKEW_OLD, SKEW_NEW, .injects = true},
    [OPERATION_UPDATE_AGAIN] = {"update-again", SKEW_OLD, SKEW_NEW, .injects = true},
    [OPERATION_RECOVER] = {"recover", SKEW_OLD, SKEW_NONE, .injects = false},
    [OPERATION_RECOVER_TWICE] = {"recover-twice", SKEW_OLD, SKEW_NONE, .injects = false},
    [OPERATION_GROUP_INJECT] = {"group-inject", SKEW_NONE, SKEW_NEW, .injects = true,
                                .group = true},
    [OPERATION_GROUP_UPDATE] = {"group-update", SKEW_OLD, SKEW_NEW, .injects = true, .group = true},
    [OPERATION_GROUP_SWITCH] = {"group-switch", SKEW_OLD, SKEW_NEW, .injects = true, .group = true},
    [OPERATION_GROUP_RECOVER] = {"group-recover", SKEW_OLD, SKEW_NONE, .group = true},
    [OPERATION_GROUP_TWICE] = {"group-twice", SKEW_OLD, SKEW_NONE, .group = true},
    [OPERATION_FOLLOW] = {"follow", SKEW_NONE, SKEW_NEW, .injects = true, .group = true,
                          .follows = true},
    [OPERATION_FOLLOW_AGAIN] = {"follow-again", SKEW_OLD, SKEW_OLD, .group = true, .follows = true},
};

struct operation_skew operation_skew(unsigned skew, bool shaped)
{
    static const struct operation_skew skews[2][2] = {
        {{"-5m", {"--offset", SKEW_OLD_TEXT}}, {"1h30m", {"--offset", SKEW_NEW_TEXT}}},
        {{"-5m step=5h:1s,9h:-1h", {"--offset", SKEW_OLD_TEXT, "--step", "5h:1s,9h:-1h"}},
         {"1h30m rate=1", {"--offset", SKEW_NEW_TEXT, "--rate", "1"}}},
    };
    return skews[shaped][skew == SKEW_NEW];
}
