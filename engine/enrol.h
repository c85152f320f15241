/*
 * enrol.h - giving a process the skew of the group that it belongs to.
 */
#ifndef SKEWCTL_ENGINE_ENROL_H
#define SKEWCTL_ENGINE_ENROL_H

#include "engine/private.h"
#include "journal/groups.h"

/*
 * *whole: it has an image with the skew of the group's row, and its own row, if it has one,
 * is that of a member; else it is to be enrolled. SKEW_NOT_FOUND where it has exited.
 */
enum skew_code enrol_check(struct skew_engine *engine, const struct journal_group *group,
                           const struct target *target, bool *whole, struct skew_error *error);

/* Injects it, or changes the skew it has, and makes it a member. Errors are those of skew_inject.
 */
enum skew_code enrol(struct skew_engine *engine, const struct journal_group *group, pid_t pid,
                     bool force, struct skew_report *report, struct skew_error *error);

/* Whether the group was given another skew meanwhile. */
bool enrol_changed(const struct journal_group *before, const struct journal_group *now);

/* Whether a process runs skewctl itself: skewed, it could not know the kernel's vDSO by its own. */
bool enrol_is_skewctl(pid_t pid);

#endif
