/*
 * group_work.c - the list of processes of one operation on a group; see group.h.
 */
#include <stdlib.h>

#include "engine/census.h"
#include "engine/error.h"
#include "engine/group.h"

/* For fewer, a census costs more than it saves. */
#define CENSUS_LEAST 8

enum skew_code group_work_add(struct group_work *work, pid_t pid, int64_t injection,
                              struct skew_error *error)
{
    for (size_t i = 0; i < work->count; i++) {
        if (work->members[i].pid == pid) {
            return SKEW_OK;
        }
    }
    /* Doubled whenever the count is a power of two. */
    if ((work->count & (work->count - 1)) == 0) {
        size_t capacity = work->count == 0 ? 1 : 2 * work->count;
        struct member *grown = reallocarray(work->members, capacity, sizeof *grown);
        if (grown == NULL) {
            return error_set(error, SKEW_FAILED, pid, 0, "list members", "out of memory");
        }
        work->members = grown;
    }
    work->members[work->count++] = (struct member){
        .pid = pid, .id = injection, .memory = -1, .outcome = {.report = {.pid = pid}}};
    return SKEW_OK;
}

static int members_compare(const void *one, const void *other)
{
    const struct member *a = one, *b = other;
    return (a->pid > b->pid) - (a->pid < b->pid);
}

void group_work_sort(struct group_work *work)
{
    if (work->count > 1) {
        qsort(work->members, work->count, sizeof *work->members, members_compare);
    }
}

bool group_work_run(struct group_work *work, crew_act *act)
{
    bool whole = crew_run(work->engine, work->count - work->first, act, work, work->progress);
    work->interrupted = work->interrupted || !whole;
    return whole;
}

bool group_work_stop(struct group_work *work, crew_act *act)
{
    struct census *census = work->count - work->first >= CENSUS_LEAST ? census_take() : NULL;
    work->engine->census = census;
    bool whole = group_work_run(work, act);
    work->engine->census = NULL;
    census_release(census);
    return whole;
}

int64_t *group_work_ids(const struct group_work *work, size_t *count)
{
    int64_t *ids = calloc(work->count + 1, sizeof *ids);
    *count = 0;
    for (size_t i = 0; ids != NULL && i < work->count; i++) {
        if (work->members[i].open) {
            ids[(*count)++] = work->members[i].id;
        }
    }
    return ids;
}

void group_work_close(struct group_work *work)
{
    for (size_t i = 0; i < work->count; i++) {
        member_close(&work->members[i]);
    }
}

enum skew_code group_work_result(struct group_work *work, struct skew_group_result *result,
                                 struct skew_error *error)
{
    size_t done = 0, draining = 0;
    enum skew_code failure = SKEW_OK;
    result->group = work->group.id;
    result->interrupted = work->interrupted;
    result->outcomes = calloc(work->count + 1, sizeof *result->outcomes);
    if (result->outcomes == NULL) {
        return error_set(error, SKEW_FAILED, 0, 0, "report", "out of memory");
    }
    for (size_t i = 0; i < work->count; i++) {
        const struct skew_outcome *outcome = &work->members[i].outcome;
        if (work->members[i].gone) {
            continue;
        }
        result->outcomes[result->count++] = *outcome;
        done += outcome->code == SKEW_OK;
        draining += outcome->code == SKEW_DRAINING;
        if (outcome->code != SKEW_OK && outcome->code != SKEW_DRAINING) {
            failure = failure == SKEW_OK || failure == outcome->code ? outcome->code : SKEW_FAILED;
            *error = outcome->error;
        }
    }
    return failure == SKEW_OK     ? (draining != 0 ? SKEW_DRAINING : SKEW_OK)
           : done + draining != 0 ? SKEW_PARTIAL
                                  : failure;
}

void group_work_release(struct group_work *work)
{
    group_work_close(work);
    free(work->members);
    work->members = NULL;
    work->count = 0;
}
