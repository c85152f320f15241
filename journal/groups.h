/*
 * groups.h - injections that belong together, as the journal keeps them: what
 * was asked for, the skew that all members are to have, and who follows them.
 *
 * A group is written down before the first of its injections. As with these, its
 * row is a hint: what is so is seen in the processes.
 */
#ifndef SKEWCTL_JOURNAL_GROUPS_H
#define SKEWCTL_JOURNAL_GROUPS_H

#include "journal/journal.h"

/* An illegal step is refused: the table is in group_phase.c. All but the last are live. */
enum journal_group_phase {
    JOURNAL_GROUP_PLANNED,    /* members are injected, with no skew in force yet */
    JOURNAL_GROUP_ACTIVE,     /* the members have, or are being given, the group's skew */
    JOURNAL_GROUP_RECOVERING, /* the members are being put back */
    JOURNAL_GROUP_ENDED,      /* it has no live members and will get none */
};
#define JOURNAL_GROUP_PHASE_COUNT 4

const char *journal_group_phase_name(enum journal_group_phase phase);
bool journal_group_phase_may_follow(enum journal_group_phase from, enum journal_group_phase to);

/* How new members are noticed. */
enum journal_follow {
    JOURNAL_FOLLOW_NONE,
    JOURNAL_FOLLOW_WATCH, /* from outside, tracing nobody */
    JOURNAL_FOLLOW_EXACT, /* by a tracer of all members */
};
#define JOURNAL_FOLLOW_COUNT 3

/* The skewctl that follows a group; pid 0 stands for none. */
struct journal_follower {
    pid_t pid;           /* counted in the group's pid namespace */
    uint64_t start_time; /* field 22 of /proc/PID/stat */
};

struct journal_group {
    int64_t id;             /* set by journal_group_plan */
    char boot_id[40];       /* as in struct journal_key */
    uint64_t pid_namespace; /* likewise */
    char selectors[16384];  /* what was asked for, "tree:123 cgroup:/a/b"; never empty */
    struct journal_skew skew;
    enum journal_follow follow;
    struct journal_follower follower;
    enum journal_group_phase phase;
    int64_t created_ns; /* CLOCK_REALTIME; set by the journal */
    int64_t changed_ns; /* of the last change of phase; set by the journal */
};

/* Records a group in phase PLANNED with no follower. Sets id, phase, follower and times. */
enum journal_code journal_group_plan(struct journal *journal, struct journal_group *group,
                                     struct journal_error *error);
enum journal_code journal_group_advance(struct journal *journal, int64_t id,
                                        enum journal_group_phase phase,
                                        struct journal_error *error);
enum journal_code journal_group_get(struct journal *journal, int64_t id,
                                    struct journal_group *group, struct journal_error *error);
/* Live ones, or all, by ascending id. *groups is for free(3). */
enum journal_code journal_group_list(struct journal *journal, bool all,
                                     struct journal_group **groups, size_t *count,
                                     struct journal_error *error);

/* Changes the skew that the members of a live group are to have; their rows stay as they are. */
enum journal_code journal_group_set_skew(struct journal *journal, int64_t id,
                                         const struct journal_skew *skew,
                                         struct journal_error *error);

/* Changes how a live group is followed. */
enum journal_code journal_group_set_follow(struct journal *journal, int64_t id,
                                           enum journal_follow follow, struct journal_error *error);

/*
 * Hands the following of a live group on: `seen` is who follows it as far as the caller
 * knows, `next` who shall, each with pid 0 for nobody. JOURNAL_CONFLICT where it
 * is somebody else by now, so that of two that would follow only one does. To give it
 * up is allowed in an ended group too.
 */
enum journal_code journal_group_set_follower(struct journal *journal, int64_t id,
                                             const struct journal_follower *seen,
                                             const struct journal_follower *next,
                                             struct journal_error *error);

/* Makes a live injection a member of a live group, whatever group it was of; 0 of none. */
enum journal_code journal_group_join(struct journal *journal, int64_t id, int64_t injection,
                                     struct journal_error *error);

/* The live members of a group, or all that ever were, by ascending id. *members is for free(3). */
enum journal_code journal_group_members(struct journal *journal, int64_t id, bool all,
                                        struct journal_injection **members, size_t *count,
                                        struct journal_error *error);

/*
 * Right before the members get a new skew: in one transaction the group becomes ACTIVE
 * and gets it, and the injections join the group and become UPDATING with it.
 * Those that have ended by now are left out.
 */
enum journal_code journal_group_switch(struct journal *journal, int64_t id,
                                       const struct journal_skew *skew, const int64_t *injections,
                                       size_t count, struct journal_error *error);

/* Moves those of the injections that are live to another phase, in one transaction. */
enum journal_code journal_advance_all(struct journal *journal, const int64_t *injections,
                                      size_t count, enum journal_phase phase, const char *detail,
                                      struct journal_error *error);

#endif
