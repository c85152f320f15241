/*
 * children.c - skew_recover_inherited and skew_update_inherited: does to forked
 * children what was done to their parents, until a look finds no more of them.
 *
 * Each child is locked, looked at and worked on like any other process; only that
 * its row, which the first of these operations makes, says that it is inherited.
 * If skewctl dies in between, what it leaves in a child is what it leaves in any
 * process, and the children that were still to come are found again by the image
 * they carry: list shows them, and recover goes on with them.
 *
 * A child may fork while it is worked on, so the look is repeated. That ends,
 * because children of those that were put back carry nothing. A child that
 * cannot be worked on at once (it is in the middle of vfork(2), say) is tried several
 * times. New ones that do not cease to come, as from a parent whose image has to
 * stay for now, are given up after a while.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/deadline.h"
#include "engine/error.h"
#include "engine/inherited.h"
#include "engine/skew_row.h"

#define CHILD_TRIES    6
#define CHILD_WAIT_NS  5000000L             /* between two looks, for who could not be worked on */
#define SWEEP_NS       INT64_C(10000000000) /* in all, before it is given up */
#define DRAINING_LOOKS 4

struct sweep;
/*
 * Works on one child under its lock. `image` is the one it carried when it was found.
 * SKEW_NOT_FOUND where it carries it no more.
 */
typedef enum skew_code child_act(struct sweep *sweep, const struct target *guard, struct look *look,
                                 struct journal_injection *row, struct skew_report *report,
                                 struct skew_error *error);

struct sweep {
    struct skew_engine *engine;
    child_act *act;
    struct inherited_images images;
    const struct skew_request *request; /* of an update */
    bool crashed;                       /* only what is unfinished */
    bool patient;                       /* there is to be an end to them */
    struct attempt {
        struct skew_outcome outcome;
        pid_t pid;
        uint64_t start_time;
        int tries;
        bool settled; /* done, or not to be tried again */
    } * attempts;
    size_t count;
};

static enum skew_code memory_lacks(struct skew_error *error)
{
    return error_set(error, SKEW_FAILED, 0, 0, "look for children", "out of memory");
}

static struct attempt *attempt_find(const struct sweep *sweep, const struct inherited *child)
{
    for (size_t i = 0; i < sweep->count; i++) {
        struct attempt *attempt = &sweep->attempts[i];
        if (attempt->pid == child->pid && attempt->start_time == child->start_time) {
            return attempt;
        }
    }
    return NULL;
}

static struct attempt *attempt_add(struct sweep *sweep, const struct inherited *child)
{
    struct attempt *grown = reallocarray(sweep->attempts, sweep->count + 1, sizeof *grown);
    if (grown == NULL) {
        return NULL;
    }
    sweep->attempts = grown;
    struct attempt *attempt = &grown[sweep->count++];
    *attempt = (struct attempt){.pid = child->pid, .start_time = child->start_time};
    return attempt;
}

/* What belongs to a child's row if it has to be made. */
static void row_inherit(const struct inherited *child, struct journal_injection *row)
{
    if (row->id == 0) {
        row->inherited = true;
        row->group = child->image->live ? child->image->group : 0;
    }
}

static enum skew_code child_locked(struct sweep *sweep, const struct inherited *child,
                                   const struct target *guard, struct skew_report *report,
                                   struct skew_error *error)
{
    struct look look;
    struct journal_injection row;
    enum skew_code code = look_with_row(sweep->engine, guard, &look, &row, error);
    if (code != SKEW_OK) {
        return code;
    }
    bool own = row.id != 0 && !row.inherited;
    if (guard->start_time != child->start_time || own || !inherited_carries(&look, child->image)) {
        code = SKEW_NOT_FOUND;
    } else {
        row_inherit(child, &row);
        code = sweep->act(sweep, guard, &look, &row, report, error);
    }
    look_close(&look);
    return code;
}

static enum skew_code child_work(struct sweep *sweep, const struct inherited *child,
                                 struct skew_report *report, struct skew_error *error)
{
    struct target guard;
    enum skew_code code = guard_open(child->pid, &guard, report, error);
    if (code != SKEW_OK) {
        return code;
    }
    code = child_locked(sweep, child, &guard, report, error);
    if (code != SKEW_OK && !target_alive(&guard)) {
        code = SKEW_NOT_FOUND;
    }
    target_close(&guard);
    report->inherited = true;
    report->parent = child->image->injection;
    report->image = (struct skew_image){.address = child->image->image_address,
                                        .vdso_address = child->image->vdso_address};
    memcpy(report->image.id, child->image->id, sizeof report->image.id);
    return code;
}

static enum skew_code child_put_back(struct sweep *sweep, const struct target *guard,
                                     struct look *look, struct journal_injection *row,
                                     struct skew_report *report, struct skew_error *error)
{
    (void)guard;
    return recover_look(sweep->engine, look, row, JOURNAL_RECOVERED, report, error);
}

/* Where all reads are skewed, as they shall be, only what is left in the slack has to go. */
static enum skew_code child_tidy(struct sweep *sweep, const struct target *guard, struct look *look,
                                 struct journal_injection *row, struct skew_report *report,
                                 struct skew_error *error)
{
    const struct inherited_image *image =
        inherited_images_find(&sweep->images, look->vdso_address, look->header.id);
    if (row->id == 0 && look->skewed && image != NULL && !(image->put_back && !image->live_other)) {
        report->state = SKEW_STATE_ACTIVE;
        const struct skew_request shown = request_from_image(&look->skew);
        report_skew(&shown, report);
        return recover_stubs(sweep->engine, look, error);
    }
    return child_put_back(sweep, guard, look, row, report, error);
}

static enum skew_code child_update(struct sweep *sweep, const struct target *guard,
                                   struct look *look, struct journal_injection *row,
                                   struct skew_report *report, struct skew_error *error)
{
    enum skew_code code = SKEW_OK;
    if (look->difference.stubs) {
        code = recover_stubs(sweep->engine, look, error);
        if (code != SKEW_OK) {
            return code;
        }
        struct journal_injection present;
        look_close(look);
        code = look_with_row(sweep->engine, guard, look, &present, error);
        if (code != SKEW_OK) {
            *look = (struct look){.memory = -1, .target = {.directory = -1, .pidfd = -1}};
            return code;
        }
    }
    return look->skewed ? update_in_place(sweep->engine, look, row, sweep->request, report, error)
                        : SKEW_NOT_FOUND;
}

/* Whether there is anything to be done to it. */
static bool child_due(const struct sweep *sweep, const struct inherited *child)
{
    if (sweep->act == child_update) {
        return child->skewed && (child->situation != SITUATION_INJECTED ||
                                 !skew_is_requested(&child->skew, sweep->request));
    }
    if (sweep->crashed) {
        /* One with a row was recovered by that, or is whole. */
        struct skew_report report;
        inherited_report(child, &report);
        return child->row.id == 0 && report.unfinished;
    }
    return true;
}

/* Tries one child. *again: it has to be looked for once more. */
static enum skew_code child_try(struct sweep *sweep, const struct inherited *child, bool *again,
                                struct skew_error *error)
{
    struct attempt *attempt = attempt_find(sweep, child);
    if (attempt != NULL && attempt->settled) {
        return SKEW_OK;
    }
    if (attempt == NULL) {
        attempt = attempt_add(sweep, child);
    }
    if (attempt == NULL) {
        return memory_lacks(error);
    }
    struct skew_outcome *outcome = &attempt->outcome;
    *outcome = (struct skew_outcome){0};
    outcome->code = child_work(sweep, child, &outcome->report, &outcome->error);
    outcome->error.pid = child->pid;
    attempt->tries++;
    attempt->settled = outcome->code == SKEW_DRAINING ||
                       (outcome->code != SKEW_OK && attempt->tries == CHILD_TRIES);
    *again = true;
    return SKEW_OK;
}

/* One look, and an attempt at each child found. *again: there may be more. */
static enum skew_code sweep_once(struct sweep *sweep, bool *again, struct skew_error *error)
{
    struct inherited_list list;
    enum skew_code code = inherited_find(sweep->engine, &sweep->images, &list, error);
    *again = list.unsure;
    for (size_t i = 0; i < list.count && code == SKEW_OK; i++) {
        if (child_due(sweep, &list.rows[i])) {
            code = child_try(sweep, &list.rows[i], again, error);
        }
    }
    inherited_list_release(&list);
    return code;
}

static bool sweep_failing(const struct sweep *sweep)
{
    for (size_t i = 0; i < sweep->count; i++) {
        if (!sweep->attempts[i].settled && sweep->attempts[i].outcome.code != SKEW_OK) {
            return true;
        }
    }
    return false;
}

/* An image that has to stay goes to each new child: a later recover finishes that. */
static bool sweep_draining(const struct sweep *sweep)
{
    bool draining = !sweep->patient;
    for (size_t i = 0; i < sweep->count && !draining; i++) {
        draining = sweep->attempts[i].outcome.code == SKEW_DRAINING;
    }
    return draining;
}

static enum skew_code sweep_until_none(struct sweep *sweep, struct skew_error *error)
{
    int64_t end_ns = monotonic_now() + SWEEP_NS;
    bool again;
    enum skew_code code = sweep_once(sweep, &again, error);
    for (int looks = 1; code == SKEW_OK && again; looks++) {
        if (looks >= DRAINING_LOOKS && sweep_draining(sweep)) {
            break;
        }
        if (monotonic_now() > end_ns) {
            error_set(error, SKEW_FAILED, 0, 0, "look for children",
                      "children that carry the image do not cease to be forked");
            error_advise(error, "what was found is done; run the same command again");
            return SKEW_FAILED;
        }
        if (sweep_failing(sweep)) {
            nanosleep(&(struct timespec){.tv_nsec = CHILD_WAIT_NS}, NULL);
        }
        code = sweep_once(sweep, &again, error);
    }
    return code;
}

/* What the caller gets: each child that is there, once. */
static enum skew_code sweep_outcomes(const struct sweep *sweep, struct skew_outcome **outcomes,
                                     size_t *count, struct skew_error *error)
{
    enum skew_code code = SKEW_OK;
    size_t done = 0;
    *count = 0;
    *outcomes = calloc(sweep->count + 1, sizeof **outcomes);
    if (*outcomes == NULL) {
        return memory_lacks(error);
    }
    for (size_t i = 0; i < sweep->count; i++) {
        const struct skew_outcome *outcome = &sweep->attempts[i].outcome;
        if (outcome->code == SKEW_NOT_FOUND) {
            continue;
        }
        (*outcomes)[(*count)++] = *outcome;
        done += outcome->code == SKEW_OK || outcome->code == SKEW_DRAINING;
        if (outcome->code != SKEW_OK && (code == SKEW_OK || code == SKEW_DRAINING)) {
            code = outcome->code;
            *error = outcome->error;
        }
    }
    bool failed = code != SKEW_OK && code != SKEW_DRAINING;
    return failed && done > 0 ? SKEW_PARTIAL : code;
}

static enum skew_code sweep_run(struct sweep *sweep, struct skew_outcome **outcomes, size_t *count,
                                struct skew_error *error)
{
    enum skew_code code = sweep_until_none(sweep, error);
    struct skew_error outcome_error = {0};
    enum skew_code outcome = sweep_outcomes(sweep, outcomes, count, &outcome_error);
    if (code == SKEW_OK && outcome != SKEW_OK) {
        *error = outcome_error;
        code = outcome;
    }
    free(sweep->attempts);
    inherited_images_release(&sweep->images);
    return code;
}

/* The injection that it belongs to is in place; its process may have exited unseen. */
static bool image_live(const struct sweep *sweep, const struct inherited_image *image)
{
    struct journal_injection row;
    struct journal_error ignored;
    struct skew_error unknown;
    return image->live &&
           (journal_get(sweep->engine->journal, image->injection, &row, &ignored) != JOURNAL_OK ||
            row_life_look(&row, &unknown) == ROW_ALIVE);
}

/* Wants the image of a report, which the journal may not know. */
static enum skew_code image_want(struct sweep *sweep, const struct skew_report *parent,
                                 struct skew_error *error)
{
    static const uint8_t none[IMAGE_ID_SIZE];
    if (parent->inherited || memcmp(parent->image.id, none, sizeof none) == 0) {
        return SKEW_OK;
    }
    struct inherited_image *image =
        inherited_images_find(&sweep->images, parent->image.vdso_address, parent->image.id);
    if (image == NULL) {
        struct inherited_image unknown = {.vdso_address = parent->image.vdso_address,
                                          .image_address = parent->image.address,
                                          .wanted = true};
        memcpy(unknown.id, parent->image.id, sizeof unknown.id);
        return inherited_images_add(&sweep->images, &unknown, error);
    }
    /* That of another: its children stay with it, as long as it is there. */
    bool last = sweep->act != child_update && !image->live_other && !image_live(sweep, image);
    image->wanted = image->wanted || image->injection == parent->id || last;
    sweep->patient = sweep->patient && !(image->wanted && image->live);
    return SKEW_OK;
}

static void images_want_all(struct inherited_images *images)
{
    for (size_t i = 0; i < images->count; i++) {
        images->rows[i].wanted = true;
    }
}

static enum skew_code sweep_parents(struct sweep *sweep, const struct skew_report *parents,
                                    size_t parent_count, struct skew_outcome **outcomes,
                                    size_t *count, struct skew_error *error)
{
    enum skew_code code = SKEW_OK;
    for (size_t i = 0; i < parent_count && code == SKEW_OK; i++) {
        code = image_want(sweep, &parents[i], error);
    }
    if (code != SKEW_OK) {
        inherited_images_release(&sweep->images);
        return code;
    }
    return sweep_run(sweep, outcomes, count, error);
}

static enum skew_code recover_children(struct skew_engine *engine, enum skew_inherited which,
                                       const struct skew_report *parents, size_t parent_count,
                                       struct skew_outcome **outcomes, size_t *count,
                                       struct skew_error *error)
{
    bool crashed = which == SKEW_INHERITED_CRASHED;
    struct sweep sweep = {.engine = engine,
                          .act = crashed ? child_tidy : child_put_back,
                          .crashed = crashed,
                          .patient = true};
    enum skew_code code = inherited_images_read(engine, &sweep.images, error);
    if (code != SKEW_OK) {
        return code;
    }
    if (which != SKEW_INHERITED_OF) {
        images_want_all(&sweep.images);
    }
    return sweep_parents(&sweep, parents, parent_count, outcomes, count, error);
}

enum skew_code skew_recover_inherited(struct skew_engine *engine, enum skew_inherited which,
                                      const struct skew_report *parents, size_t parent_count,
                                      struct skew_outcome **outcomes, size_t *count,
                                      struct skew_error *error)
{
    *outcomes = NULL;
    *count = 0;
    enum skew_code code =
        recover_children(engine, which, parents, parent_count, outcomes, count, error);
    if (code == SKEW_OK || !error->journal || which != SKEW_INHERITED_OF) {
        return code;
    }
    /* The images say all that is needed, as in skew_recover(). */
    struct journal *kept = journal_spare_begin(engine);
    if (kept != NULL) {
        free(*outcomes);
        *outcomes = NULL;
        code = recover_children(engine, which, parents, parent_count, outcomes, count, error);
        journal_spare_end(engine, kept);
    }
    return code;
}

enum skew_code skew_update_inherited(struct skew_engine *engine, const struct skew_request *request,
                                     const struct skew_report *parents, size_t parent_count,
                                     struct skew_outcome **outcomes, size_t *count,
                                     struct skew_error *error)
{
    struct skew_request wanted = *request;
    if (request->clocks == 0 && request->slew_pace == 0) {
        wanted.clocks = skew_clocks_default();
    }
    struct sweep sweep = {
        .engine = engine, .act = child_update, .request = &wanted, .patient = true};
    *outcomes = NULL;
    *count = 0;
    enum skew_code code = inherited_images_read(engine, &sweep.images, error);
    return code == SKEW_OK ? sweep_parents(&sweep, parents, parent_count, outcomes, count, error)
                           : code;
}
