/*
 * attach.h - attaching to the running members of a group, each whole: all its threads.
 * For the thread that then follows them (followed.h).
 */
#ifndef SKEWCTL_ENGINE_ATTACH_H
#define SKEWCTL_ENGINE_ATTACH_H

#include "engine/membership.h"

struct attach {
    struct skew_engine *engine;
    const struct journal_group *group;
    const struct membership *membership;
    /* Gives a member the skew that it lacks; before it is attached to. */
    enum skew_code (*place)(void *context, pid_t pid);
    /*
     * It is attached to. Not `whole`: it was in vain to place it, or it has executed another
     * program between that and now.
     */
    void (*attached)(void *context, pid_t pid, bool whole);
    void *context;
};

/*
 * Looks at every process, and attaches to the members that are not attached to yet; again
 * until a look finds none. Returns how many it attached to.
 */
size_t attach_members(const struct attach *attach);

/* The same with those whom the journal has as members. */
size_t attach_recalled(const struct attach *attach);

#endif
