/*
 * list.c - the injections of the journal, checked against the live processes.
 *
 * Promise: a state that is shown was seen: rows of processes that are gone are
 * shown, and recorded, as gone; the skew shown for a live one is the one in force.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/deadline.h"
#include "engine/error.h"
#include "engine/follower.h"
#include "engine/group.h"
#include "engine/inherited.h"
#include "engine/private.h"
#include "engine/scope.h"
#include "engine/skew_row.h"
#include "engine/slew.h"

enum skew_state state_from_phase(enum journal_phase phase)
{
    switch (phase) {
    case JOURNAL_PLANNED:
    case JOURNAL_INJECTING:
        return SKEW_STATE_PLANNED;
    case JOURNAL_ACTIVE:
    case JOURNAL_UPDATING:
    case JOURNAL_RECOVERING:
        return SKEW_STATE_ACTIVE;
    case JOURNAL_DRAINING:
        return SKEW_STATE_DRAINING;
    case JOURNAL_RECOVERED:
        return SKEW_STATE_RECOVERED;
    case JOURNAL_GONE:
        return SKEW_STATE_GONE;
    case JOURNAL_FAILED_UNDONE:
        return SKEW_STATE_FAILED;
    }
    return SKEW_STATE_FAILED;
}

const char *skew_state_name(enum skew_state state)
{
    static const char *const names[] = {
        [SKEW_STATE_PLANNED] = "planned",     [SKEW_STATE_ACTIVE] = "active",
        [SKEW_STATE_EXPIRED] = "expired",     [SKEW_STATE_DRAINING] = "draining",
        [SKEW_STATE_RECOVERED] = "recovered", [SKEW_STATE_GONE] = "gone",
        [SKEW_STATE_FAILED] = "failed",
    };
    return names[state];
}

void report_skew(const struct skew_request *request, struct skew_report *report)
{
    report->offset_ns = request->offset_ns;
    report->clocks = request->clocks;
    report->deadline_ns = request->deadline_ns;
    report->shape = request->shape;
    report->begin_ns = request->begin_ns;
    memcpy(report->profile, request->profile, sizeof report->profile);
}

void report_from_row(const struct journal_injection *row, struct skew_report *report)
{
    report->id = row->id;
    report->pid = row->key.pid;
    report->inherited = row->inherited;
    report->image =
        (struct skew_image){.address = row->image_address, .vdso_address = row->vdso_address};
    memcpy(report->image.id, row->image_id, sizeof report->image.id);
    report->group = row->group;
    memcpy(report->command, row->command, sizeof report->command);
    struct skew_request request = {0};
    struct skew_error ignored;
    skew_from_row(&row->skew, &request, &ignored);
    report_skew(&request, report);
    report->state = state_from_phase(row->phase);
    report->created_ns = row->created_ns;
    report->changed_ns = row->changed_ns;
    if (!journal_phase_live(row->phase)) {
        memcpy(report->note, row->detail, sizeof report->note);
    }
}

const char *row_clean_reason(const struct journal_injection *row, const struct look *look)
{
    /* exec places the vDSO anew, unless the addresses are not random. */
    return look->vdso_address != row->vdso_address
               ? "exec replaced the program"
               : "it was put back without this journal, or exec replaced the program";
}

enum row_life row_life_look(const struct journal_injection *row, struct skew_error *error)
{
    char boot_id[40];
    uint64_t pid_namespace;
    if (target_world_read(boot_id, &pid_namespace, error) != SKEW_OK) {
        return ROW_ELSEWHERE;
    }
    if (strcmp(boot_id, row->key.boot_id) != 0) {
        return ROW_RESTARTED;
    }
    if (pid_namespace != row->key.pid_namespace) {
        error_set(error, SKEW_REFUSED, row->key.pid, 0, "find process",
                  "injection %lld was made in another pid namespace", (long long)row->id);
        error_advise(error, "run skewctl where it was injected");
        return ROW_ELSEWHERE;
    }
    struct target target;
    struct skew_error ignored;
    if (target_open(row->key.pid, &target, &ignored) != SKEW_OK) {
        return ignored.code == SKEW_NOT_FOUND ? ROW_GONE : ROW_ALIVE;
    }
    bool same = target.start_time == row->key.start_time;
    target_close(&target);
    return same ? ROW_ALIVE : ROW_GONE;
}

static enum journal_code report_mark(struct skew_engine *engine,
                                     const struct journal_injection *row, const char *detail,
                                     struct skew_report *report, struct journal_error *error)
{
    enum journal_code code = journal_gone(engine->journal, row, detail, error);
    /* Whoever moved it on meanwhile will say what became of it. */
    if (code != JOURNAL_ILLEGAL) {
        report->state = SKEW_STATE_GONE;
        strncpy(report->note, detail, sizeof report->note - 1);
    }
    return code;
}

enum journal_code row_gone(struct skew_engine *engine, const struct journal_injection *row,
                           enum row_life life, struct skew_report *report,
                           struct journal_error *error)
{
    return report_mark(engine, row,
                       life == ROW_RESTARTED ? "the machine has restarted since"
                                             : "the process exited",
                       report, error);
}

/* What the process itself says. One that cannot be looked at keeps what the journal says. */
static void report_check(struct skew_engine *engine, const struct journal_injection *row,
                         struct skew_report *report)
{
    struct skew_error ignored;
    struct journal_error journal_ignored;
    enum row_life life = row_life_look(row, &ignored);
    report->unfinished = row->phase != JOURNAL_ACTIVE;
    switch (life) {
    case ROW_GONE:
    case ROW_RESTARTED:
        row_gone(engine, row, life, report, &journal_ignored);
        return;
    case ROW_ELSEWHERE:
        strncpy(report->note, "made in another pid namespace", sizeof report->note - 1);
        return;
    case ROW_ALIVE:
        break;
    }
    struct look look;
    if (look_open(&engine->vdso, row->key.pid, row->image_address, &look, &ignored) != SKEW_OK) {
        strncpy(report->note, "the process cannot be looked at", sizeof report->note - 1);
        return;
    }
    report->threads = look.target.threads;
    if (look.skewed && row->phase != JOURNAL_PLANNED && row->phase != JOURNAL_INJECTING) {
        report->state = SKEW_STATE_ACTIVE;
        struct skew_request shown = request_from_image(&look.skew);
        memcpy(shown.profile, row->skew.profile, sizeof shown.profile);
        report_skew(&shown, report);
        slew_report(&look.skew, clock_shift_read(&look.target), report);
        if (deadline_passed(report->deadline_ns)) {
            report->state = SKEW_STATE_EXPIRED;
        }
    } else if (look.situation == SITUATION_CLEAN && report->state == SKEW_STATE_ACTIVE &&
               row->phase != JOURNAL_RECOVERING) {
        report_mark(engine, row, row_clean_reason(row, &look), report, &journal_ignored);
    } else if (look.situation == SITUATION_PARTIAL && report->state == SKEW_STATE_ACTIVE) {
        report->state = SKEW_STATE_DRAINING;
    }
    report->unfinished = report->unfinished || look.situation == SITUATION_PARTIAL;
    if (report->state == SKEW_STATE_PLANNED) {
        strncpy(report->note, "interrupted; recover undoes it", sizeof report->note - 1);
    }
    look_close(&look);
}

/* Whether the row's group is being made or put back, or that was interrupted. */
static bool group_unfinished(const struct journal_group *groups, size_t count,
                             const struct journal_injection *row)
{
    for (size_t i = 0; row->group != 0 && i < count; i++) {
        if (groups[i].id == row->group) {
            return groups[i].phase != JOURNAL_GROUP_ACTIVE;
        }
    }
    return false;
}

/* Injections by age; behind each those who inherited its image, last those without an id. */
static int reports_compare(const void *one, const void *other)
{
    const struct skew_report *a = one, *b = other;
    int64_t first = a->parent != 0 ? a->parent : a->id, second = b->parent != 0 ? b->parent : b->id;
    if (first != second) {
        return first < second ? -1 : 1;
    }
    if (a->inherited != b->inherited) {
        return a->inherited ? 1 : -1;
    }
    if (a->id != b->id) {
        return a->id == 0 || (b->id != 0 && a->id > b->id) ? 1 : -1;
    }
    return (a->pid > b->pid) - (a->pid < b->pid);
}

struct listing {
    struct skew_report *reports;
    size_t count;
};

/* What the journal knows. */
static enum skew_code rows_list(struct skew_engine *engine, bool history,
                                const struct inherited_images *images, struct listing *listing,
                                struct skew_error *error)
{
    struct journal_injection *rows;
    size_t row_count;
    struct journal_error journal_error = {0};
    if (journal_list(engine->journal, history, &rows, &row_count, &journal_error) != JOURNAL_OK) {
        return error_from_journal(error, 0, &journal_error);
    }
    scoped_memory struct journal_group *groups = NULL;
    size_t group_count;
    if (journal_group_list(engine->journal, false, &groups, &group_count, &journal_error) !=
        JOURNAL_OK) {
        free(rows);
        return error_from_journal(error, 0, &journal_error);
    }
    listing->reports = calloc(row_count + 1, sizeof *listing->reports);
    if (listing->reports == NULL) {
        free(rows);
        return error_set(error, SKEW_FAILED, 0, 0, "list", "out of memory");
    }
    for (size_t i = 0; i < row_count; i++) {
        struct skew_report *report = &listing->reports[listing->count];
        *report = (struct skew_report){0};
        report_from_row(&rows[i], report);
        if (report->inherited) {
            const struct inherited_image *image =
                inherited_images_find(images, rows[i].vdso_address, rows[i].image_id);
            report->parent = image != NULL && image->injection != report->id ? image->injection : 0;
        }
        if (journal_phase_live(rows[i].phase)) {
            report_check(engine, &rows[i], report);
            report->unfinished =
                report->unfinished || group_unfinished(groups, group_count, &rows[i]);
        }
        if (history || report->state != SKEW_STATE_GONE) {
            listing->count++;
        }
    }
    groups_settle(engine);
    follower_report(engine, listing->reports, listing->count);
    free(rows);
    return SKEW_OK;
}

/* And who only shows it by the image it carries. */
static enum skew_code children_list(struct skew_engine *engine, struct inherited_images *images,
                                    struct listing *listing, struct skew_error *error)
{
    struct inherited_list children;
    for (size_t i = 0; i < images->count; i++) {
        images->rows[i].wanted = true;
    }
    enum skew_code code = inherited_find(engine, images, &children, error);
    if (code != SKEW_OK || children.count == 0) {
        return code;
    }
    struct skew_report *grown =
        reallocarray(listing->reports, listing->count + children.count, sizeof *grown);
    if (grown == NULL) {
        inherited_list_release(&children);
        return error_set(error, SKEW_FAILED, 0, 0, "list", "out of memory");
    }
    listing->reports = grown;
    for (size_t i = 0; i < children.count; i++) {
        /* Those with a row are there already. */
        if (children.rows[i].row.id == 0) {
            inherited_report(&children.rows[i], &grown[listing->count++]);
        }
    }
    inherited_list_release(&children);
    return SKEW_OK;
}

enum skew_code skew_list(struct skew_engine *engine, bool history, struct skew_report **reports,
                         size_t *count, struct skew_error *error)
{
    struct inherited_images images;
    struct listing listing = {0};
    enum skew_code code = inherited_images_read(engine, &images, error);
    if (code == SKEW_OK) {
        code = rows_list(engine, history, &images, &listing, error);
    }
    if (code == SKEW_OK) {
        code = children_list(engine, &images, &listing, error);
    }
    inherited_images_release(&images);
    if (code != SKEW_OK) {
        free(listing.reports);
        return code;
    }
    if (listing.count > 1) {
        qsort(listing.reports, listing.count, sizeof *listing.reports, reports_compare);
    }
    *reports = listing.reports;
    *count = listing.count;
    return SKEW_OK;
}
