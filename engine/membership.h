/*
 * membership.h - whether one process belongs to a group: its selectors, asked again.
 */
#ifndef SKEWCTL_ENGINE_MEMBERSHIP_H
#define SKEWCTL_ENGINE_MEMBERSHIP_H

#include "engine/private.h"
#include "journal/groups.h"

struct membership;

/*
 * Reads what the group was made with. Processes that it names by number are those that
 * were members at some time, so a number that was used again since names nobody.
 */
enum skew_code membership_open(struct skew_engine *engine, const struct journal_group *group,
                               struct membership **membership, struct skew_error *error);
void membership_close(struct membership *membership); /* NULL does nothing */

/* How a process came to belong; a set. What it forks belongs if it is there by tree or place. */
enum {
    MEMBER_ALONE = 1, /* it is named itself */
    MEMBER_TREE = 2,  /* it, or who forked it, is the root of a tree */
    MEMBER_PLACE = 4, /* of a cgroup, a container, a pid namespace */
};

/* By what it is or where, whoever forked it; 0 where it does not belong. */
unsigned membership_of(const struct membership *membership, pid_t pid);
/* What is known of a live member of the journal, of which no more can be seen. */
unsigned membership_kept(const struct membership *membership);
/* Whether a process may belong without a member having forked it. */
bool membership_has_places(const struct membership *membership);

#endif
