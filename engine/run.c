/*
 * run.c - a command that is skewed from its first instruction, and how what it executes
 * later is followed. The steps and what a death leaves behind: exact.c.
 *
 * With SKEW_FOLLOW_WATCH the group is made here, with the command as its only member, and
 * given back: skew_follow goes on with it. If skewctl dies between the two, the group is one
 * whose follower was lost.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/error.h"
#include "engine/exact.h"
#include "engine/scope.h"
#include "engine/skew_row.h"

/* A group of its own, with us as its follower. */
static enum skew_code group_begin(const struct skew_run *run, struct follower *follower,
                                  struct exact *exact)
{
    struct journal *journal = exact->engine->journal;
    struct journal_error journal_error = {0};
    struct journal_group *group = &exact->group;
    *group = (struct journal_group){
        .follow = run->follow == SKEW_FOLLOW_EXACT ? JOURNAL_FOLLOW_EXACT : JOURNAL_FOLLOW_WATCH};
    skew_to_row(&run->request, &group->skew);
    if (run->request.clocks == 0) {
        group->skew.clocks = skew_clocks_default();
    }
    snprintf(group->selectors, sizeof group->selectors, "run:%s", run->command);
    enum skew_code code = target_world_read(group->boot_id, &group->pid_namespace, exact->error);
    if (code == SKEW_OK && (journal_group_plan(journal, group, &journal_error) != JOURNAL_OK ||
                            journal_group_advance(journal, group->id, JOURNAL_GROUP_ACTIVE,
                                                  &journal_error) != JOURNAL_OK)) {
        code = error_from_journal(exact->error, run->pid, &journal_error);
    }
    return code == SKEW_OK ? follower_claim(exact->engine, group->id, follower, exact->error)
                           : code;
}

enum skew_code skew_run(struct skew_engine *engine, const struct skew_run *run,
                        struct skew_report *report, struct skew_run_end *end,
                        struct skew_error *error)
{
    struct follower follower = {.signals = -1};
    *report = (struct skew_report){.pid = run->pid};
    *end = (struct skew_run_end){0};
    if (engine->unusable.code != SKEW_OK) {
        *error = engine->unusable;
        return error->code;
    }
    scoped_memory struct exact *exact = calloc(1, sizeof *exact);
    if (exact == NULL) {
        return error_set(error, SKEW_FAILED, run->pid, 0, "run", "out of memory");
    }
    *exact = (struct exact){.engine = engine,
                            .pid = run->pid,
                            .once = run->follow != SKEW_FOLLOW_EXACT,
                            .request = run->request,
                            .follower = run->follow != SKEW_FOLLOW_NONE ? &follower : NULL,
                            .attached = run->attached,
                            .refused = run->refused,
                            .context = run->context,
                            .report = report,
                            .error = error};
    enum skew_code code =
        run->follow != SKEW_FOLLOW_NONE ? group_begin(run, &follower, exact) : SKEW_OK;
    if (code == SKEW_OK) {
        code = exact_run(exact);
    }
    end->group = exact->group.id;
    end->signal = follower.signal;
    if (exact->group.id == 0) {
        return code;
    }
    follower_release(engine, &follower);
    if (code == SKEW_OK && follower.expired) {
        end->over = true;
        return follow_group_expire(engine, exact->group.id, error);
    }
    /* One that is to be watched is ended by whoever watches it. */
    if (run->follow == SKEW_FOLLOW_EXACT || code != SKEW_OK) {
        follow_group_end(engine, exact->group.id);
    }
    return code;
}
