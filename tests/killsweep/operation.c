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

const char *const manner_options[MANNERS] = {"", "--shapes", "--slew"};

bool operation_can(enum operation operation, enum manner manner)
{
    return manner != MANNER_SLEWS || operation == OPERATION_UPDATE ||
           operation == OPERATION_UPDATE_AGAIN;
}

unsigned operation_allows(enum operation operation, enum manner manner)
{
    return manner == MANNER_SLEWS ? SKEW_BETWEEN
                                  : operations[operation].before | operations[operation].after;
}

unsigned operation_leaves(enum operation operation, enum manner manner)
{
    return manner == MANNER_SLEWS ? SKEW_BETWEEN : operations[operation].after;
}

struct operation_skew operation_skew(unsigned skew, enum manner manner)
{
    static const struct operation_skew skews[MANNERS][2] = {
        {{"-5m", {"--offset", SKEW_OLD_TEXT}}, {"1h30m", {"--offset", SKEW_NEW_TEXT}}},
        {{"-5m step=5h:1s,9h:-1h", {"--offset", SKEW_OLD_TEXT, "--step", "5h:1s,9h:-1h"}},
         {"1h30m rate=1", {"--offset", SKEW_NEW_TEXT, "--rate", "1"}}},
        {{"-5m", {"--offset", SKEW_OLD_TEXT}},
         {"1h30m", {"--offset", SKEW_NEW_TEXT, "--slew", "500ppm"}}},
    };
    return skews[manner][skew == SKEW_NEW];
}
