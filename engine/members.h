/*
 * members.h - processes that change their skew together.
 */
#ifndef SKEWCTL_ENGINE_MEMBERS_H
#define SKEWCTL_ENGINE_MEMBERS_H

#include "engine/clock.h"
#include "engine/private.h"

/* One of them. While it is open no other engine works on the process. */
struct member {
    pid_t pid;
    int64_t id;    /* of its injection; 0: whichever it has */
    bool open;     /* guard and memory are */
    bool filled;   /* the new skew is ready, and in force as soon as the selector is written */
    bool switched; /* and that was done */
    bool late;     /* but a slew was put in force later than it should have been */
    bool fresh;    /* injected by this operation */
    bool gone;     /* it has exited meanwhile, or was never injected: of no interest */
    struct target guard;
    int memory; /* of the program that was looked at: dead once exec replaced it */
    uint64_t image_address;
    struct image_skew before; /* in force when it was opened */
    uint64_t slew_pace;       /* at which it is got to from there; 0 at once */
    struct clock_shift shift; /* of its clocks, where it is slewed */
    struct image_skew skew;   /* the new one */
    struct image_write selector;
    struct skew_outcome outcome;
};

/*
 * Opens a process with a whole injection, and gives it a row where it has none.
 * SKEW_NOT_FOUND where it has exited; SKEW_FAILED where it is not, or only partly,
 * injected. Those with a lower pid must be opened first by whoever opens several.
 */
enum skew_code member_open(struct skew_engine *engine, struct member *member,
                           struct skew_error *error);
void member_close(struct member *member);

/* Writes the new skew where no reader looks yet. */
enum skew_code member_fill(struct member *member, const struct image_skew *skew,
                           struct skew_error *error);
/*
 * Puts the new skews of all that are filled in force, as nearly at once as can be; returns
 * how many nanoseconds went by from before the first to after the last.
 */
int64_t members_switch(struct member *members, size_t count);
/* Whether the new skew is in force. SKEW_NOT_FOUND where the program is no more. */
enum skew_code member_confirm(const struct member *member, struct skew_error *error);

#endif
