/*
 * enrol.c - see enrol.h.
 *
 * Whoever changes the skew of a group writes its row before it looks who the members are. So
 * a follower that reads the row again after it has enrolled somebody, and does so again where
 * it changed, leaves nobody with the old skew.
 */
#include "engine/enrol.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/deadline.h"
#include "engine/error.h"
#include "engine/skew_row.h"

enum skew_code enrol_check(struct skew_engine *engine, const struct journal_group *group,
                           const struct target *target, bool *whole, struct skew_error *error)
{
    struct look look;
    struct journal_injection row;
    struct journal_error journal_error = {0};
    *whole = false;
    enum skew_code code = look_with_row(engine, target, &look, &row, error);
    if (code != SKEW_OK) {
        return code;
    }
    struct skew_request request = {0};
    code = skew_from_row(&group->skew, &request, error);
    *whole = code == SKEW_OK && look.situation == SITUATION_INJECTED && look.skewed &&
             skew_is_requested(&look.skew, &request) &&
             (row.id == 0 || row.phase == JOURNAL_ACTIVE);
    if (*whole && row.id != 0 && row.group == 0 &&
        journal_group_join(engine->journal, group->id, row.id, &journal_error) != JOURNAL_OK) {
        code = error_from_journal(error, target->pid, &journal_error);
    }
    look_close(&look);
    return code;
}

enum skew_code enrol(struct skew_engine *engine, const struct journal_group *group, pid_t pid,
                     bool force, struct skew_report *report, struct skew_error *error)
{
    /* That has been decided where the group got its shape. */
    struct skew_request request = {.force = force, .may_go_back = true, .fresh_at_once = true};
    struct journal_error journal_error = {0};
    enum skew_code code = skew_from_row(&group->skew, &request, error);
    if (code != SKEW_OK) {
        return code;
    }
    /* A new row is that of a member from the beginning; one that is there is made so. */
    engine->group = group->id;
    code = skew_inject(engine, pid, &request, report, error);
    engine->group = 0;
    if (code == SKEW_OK &&
        journal_group_join(engine->journal, group->id, report->id, &journal_error) != JOURNAL_OK) {
        code = error_from_journal(error, pid, &journal_error);
    }
    return code;
}

bool enrol_changed(const struct journal_group *before, const struct journal_group *now)
{
    return before->skew.offset_ns != now->skew.offset_ns ||
           before->skew.clocks != now->skew.clocks ||
           before->skew.deadline_ns != now->skew.deadline_ns ||
           before->skew.begin_ns != now->skew.begin_ns ||
           strcmp(before->skew.shape, now->skew.shape) != 0;
}

bool enrol_is_skewctl(pid_t pid)
{
    char path[64];
    struct stat own, program;
    snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
    return stat(path, &program) == 0 && stat("/proc/self/exe", &own) == 0 &&
           program.st_ino == own.st_ino && program.st_dev == own.st_dev;
}
