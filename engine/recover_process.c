/*
 * recover_process.c - a recover of a process, by pid or by its injection, whatever has
 * become of it; hands over to recover.c, or where all is to be kept, to update.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/deadline.h"
#include "engine/error.h"
#include "engine/follower.h"
#include "engine/inherited.h"
#include "engine/private.h"
#include "engine/skew_row.h"

#define RECOVER_TRIES 5

/* A process that is no more takes its injection along: the rows are told. */
static enum skew_code rows_of_gone(struct skew_engine *engine, pid_t pid,
                                   struct skew_report *report, struct skew_error *error)
{
    struct journal_injection *rows;
    size_t count;
    struct journal_error journal_error = {0};
    char boot_id[40];
    uint64_t pid_namespace;
    enum skew_code code = target_world_read(boot_id, &pid_namespace, error);
    if (code != SKEW_OK) {
        return code;
    }
    if (journal_list(engine->journal, false, &rows, &count, &journal_error) != JOURNAL_OK) {
        return error_from_journal(error, pid, &journal_error);
    }
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        if (rows[i].key.pid == pid && rows[i].key.pid_namespace == pid_namespace) {
            journal_advance(engine->journal, rows[i].id, JOURNAL_GONE, "exited", &journal_error);
            report_from_row(&rows[i], report);
            report->state = SKEW_STATE_GONE;
            found = true;
        }
    }
    free(rows);
    return found ? SKEW_OK : inherited_ended(engine, 0, pid, 0, report, error);
}

static enum skew_code injection_ended(int64_t id, struct skew_error *error)
{
    error_set(error, SKEW_NOT_FOUND, error->pid, 0, "recover", "injection %lld has ended already",
              (long long)id);
    error_advise(error, "skewctl list --all shows how");
    return SKEW_NOT_FOUND;
}

/* What is to be done with the process of a row, under its lock. */
typedef enum skew_code recovery_act(struct skew_engine *engine, const struct target *guard,
                                    struct look *look, struct journal_injection *row,
                                    struct skew_report *report, struct skew_error *error);

static enum skew_code not_injected(const struct look *look, struct skew_error *error)
{
    error_set(error, SKEW_NOT_FOUND, look->target.pid, 0, "recover", "it is not injected");
    error_advise(error, "skewctl list shows what is");
    return SKEW_NOT_FOUND;
}

static enum skew_code recover_act(struct skew_engine *engine, const struct target *guard,
                                  struct look *look, struct journal_injection *row,
                                  struct skew_report *report, struct skew_error *error)
{
    (void)guard;
    if (row->id == 0 && look->situation == SITUATION_CLEAN) {
        return not_injected(look, error);
    }
    return recover_look(engine, look, row, JOURNAL_RECOVERED, report, error);
}

static enum skew_code crashed_act(struct skew_engine *engine, const struct target *guard,
                                  struct look *look, struct journal_injection *row,
                                  struct skew_report *report, struct skew_error *error)
{
    if (row->phase == JOURNAL_ACTIVE && look->situation == SITUATION_INJECTED) {
        report_from_row(row, report);
        strncpy(report->note, "whole; left alone", sizeof report->note - 1);
        return SKEW_OK;
    }
    if (row->phase == JOURNAL_UPDATING && look->skewed && look->skew.clocks != 0) {
        /* The old skew or the new: a reader sees one or the other, never a mixture. */
        struct skew_request request = request_from_image(&look->skew);
        request.slew_pace = look->skew.slew.pace;
        request.force = true;
        return inject_looked(engine, guard, look, row, &request, update_in_place, report, error);
    }
    return recover_look(engine, look, row, JOURNAL_RECOVERED, report, error);
}

static enum skew_code slew_act(struct skew_engine *engine, const struct target *guard,
                               struct look *look, struct journal_injection *row,
                               struct skew_report *report, struct skew_error *error)
{
    if (row->id == 0 && look->situation == SITUATION_CLEAN) {
        return not_injected(look, error);
    }
    if (!injected_whole(look, row) || !look->skewed) {
        if (row->id != 0) {
            report_from_row(row, report);
        }
        return SKEW_OK;
    }
    return inject_looked(engine, guard, look, row, engine->back, update_in_place, report, error);
}

/* The process is asked which deadline is in force: an update may have changed it. */
static enum skew_code expired_act(struct skew_engine *engine, const struct target *guard,
                                  struct look *look, struct journal_injection *row,
                                  struct skew_report *report, struct skew_error *error)
{
    (void)guard;
    if (look->skewed && !deadline_passed(image_skew_deadline(&look->skew))) {
        report_from_row(row, report);
        return SKEW_OK;
    }
    return recover_look(engine, look, row, JOURNAL_RECOVERED, report, error);
}

/* Before a row is made from what the process shows: whose image it is. */
static enum skew_code row_inherit(struct skew_engine *engine, const struct look *look,
                                  struct journal_injection *row, struct skew_error *error)
{
    struct inherited_images images;
    if (row->id != 0 || !look->image_found) {
        return SKEW_OK;
    }
    enum skew_code code = inherited_images_read(engine, &images, error);
    if (code == SKEW_OK) {
        const struct inherited_image *image =
            inherited_images_find(&images, look->vdso_address, look->header.id);
        row->inherited = image != NULL && (image->pid != look->target.pid ||
                                           image->start_time != look->target.start_time);
    }
    inherited_images_release(&images);
    return code;
}

/* `id` is the injection that is meant, or 0 for whichever the process has. */
static enum skew_code recover_once(struct skew_engine *engine, pid_t pid, int64_t id,
                                   recovery_act *act, struct skew_report *report,
                                   struct skew_error *error)
{
    struct target guard;
    struct look look;
    struct journal_injection row;
    /* Not under its lock: the follower may be waiting for that. */
    int64_t followed = act == recover_act ? follower_of(engine, pid) : 0;
    enum skew_code code = followed != 0 ? follower_dismiss(engine, followed, error) : SKEW_OK;
    if (code != SKEW_OK) {
        return code;
    }
    code = guard_open(pid, &guard, report, error);
    if (code == SKEW_NOT_FOUND) {
        return rows_of_gone(engine, pid, report, error);
    }
    if (code != SKEW_OK) {
        error->pid = pid;
        return code;
    }
    code = look_with_row(engine, &guard, &look, &row, error);
    if (code == SKEW_NOT_FOUND && !target_alive(&guard)) {
        code = rows_of_gone(engine, pid, report, error);
    } else if (code == SKEW_OK) {
        code = id == 0 || row.id == id ? row_inherit(engine, &look, &row, error)
                                       : injection_ended(id, error);
        if (code == SKEW_OK) {
            code = act(engine, &guard, &look, &row, report, error);
            if (code == SKEW_NOT_FOUND && !target_alive(&guard)) {
                code = rows_of_gone(engine, pid, report, error);
            }
        }
        look_close(&look);
    }
    error->pid = pid;
    if (code == SKEW_NOT_FOUND && id == 0) {
        code = inherited_ended(engine, 0, pid, guard.start_time, report, error);
    }
    target_close(&guard);
    return code;
}

/* What exec put in its place is looked at in its turn. */
static enum skew_code recover_process(struct skew_engine *engine, pid_t pid, int64_t id,
                                      recovery_act *act, struct skew_report *report,
                                      struct skew_error *error)
{
    enum skew_code code = recover_once(engine, pid, id, act, report, error);
    for (int tries = 1; tries < RECOVER_TRIES && error_is_of_look(code, error); tries++) {
        *error = (struct skew_error){0};
        code = recover_once(engine, pid, id, act, report, error);
    }
    return code;
}

enum skew_code skew_slew_back(struct skew_engine *engine, pid_t pid, uint64_t pace, bool dry_run,
                              struct skew_report *report, struct skew_error *error)
{
    /* As a recover, it is kept from nothing by what would keep an inject from it. */
    const struct skew_request back = {.slew_pace = pace, .dry_run = dry_run, .force = true};
    *report = (struct skew_report){.pid = pid};
    if (engine->unusable.code != SKEW_OK) {
        *error = engine->unusable;
        return error->code;
    }
    engine->back = &back;
    enum skew_code code = recover_process(engine, pid, 0, slew_act, report, error);
    engine->back = NULL;
    return code;
}

enum skew_code process_recover(struct skew_engine *engine, pid_t pid, struct skew_report *report,
                               struct skew_error *error)
{
    return recover_process(engine, pid, 0, recover_act, report, error);
}

/*
 * What a recover with a spare journal came to. `known`: before, an injection of the
 * process was known; if there is none any more the process is as it should be.
 */
static enum skew_code recovered_without(const struct skew_error *journal, bool known,
                                        enum skew_code code, struct skew_report *report,
                                        struct skew_error *error)
{
    if (code == SKEW_NOT_FOUND && !known) {
        *error = *journal;
        return error->code;
    }
    if (code == SKEW_NOT_FOUND) {
        report->state = SKEW_STATE_RECOVERED;
        code = SKEW_OK;
    }
    snprintf(report->note, sizeof report->note, "done without the journal: %.160s",
             journal->message);
    return code;
}

enum skew_code skew_recover(struct skew_engine *engine, pid_t pid, struct skew_report *report,
                            struct skew_error *error)
{
    struct skew_error failed = engine->unusable;
    bool known = false;
    enum skew_code code = recover_process(engine, pid, 0, recover_act, report, error);
    if (failed.code == SKEW_OK) {
        struct journal *kept = NULL;
        if (code != SKEW_OK && error->journal) {
            known = report->id != 0;
            failed = *error;
            kept = journal_spare_begin(engine);
        }
        if (kept == NULL) {
            return code;
        }
        code = recover_process(engine, pid, 0, recover_act, report, error);
        journal_spare_end(engine, kept);
    }
    return recovered_without(&failed, known, code, report, error);
}

static enum skew_code recover_row(struct skew_engine *engine, int64_t id, recovery_act *act,
                                  struct skew_report *report, struct skew_error *error)
{
    *report = (struct skew_report){.id = id};
    struct journal_injection row;
    struct journal_error journal_error = {0};
    if (journal_get(engine->journal, id, &row, &journal_error) != JOURNAL_OK) {
        return error_from_journal(error, 0, &journal_error);
    }
    report_from_row(&row, report);
    if (!journal_phase_live(row.phase)) {
        error->pid = row.key.pid;
        return injection_ended(id, error);
    }
    enum row_life life = row_life_look(&row, error);
    if (life == ROW_ELSEWHERE) {
        return SKEW_REFUSED;
    }
    if (life == ROW_ALIVE) {
        return recover_process(engine, row.key.pid, id, act, report, error);
    }
    switch (row_gone(engine, &row, life, report, &journal_error)) {
    case JOURNAL_OK:
        return SKEW_OK;
    case JOURNAL_ILLEGAL:
        error->pid = row.key.pid;
        return injection_ended(id, error);
    case JOURNAL_NOT_FOUND:
    case JOURNAL_CONFLICT:
    case JOURNAL_NOT_PERMITTED:
    case JOURNAL_REFUSED:
    case JOURNAL_BUSY:
    case JOURNAL_FAILED:
        break;
    }
    return error_from_journal(error, row.key.pid, &journal_error);
}

enum skew_code skew_recover_id(struct skew_engine *engine, int64_t id, struct skew_report *report,
                               struct skew_error *error)
{
    enum skew_code code = recover_row(engine, id, recover_act, report, error);
    return code == SKEW_NOT_FOUND ? inherited_ended(engine, id, 0, 0, report, error) : code;
}

/* One that has ended meanwhile is as it should be. */
static enum skew_code recover_row_unended(struct skew_engine *engine, int64_t id, recovery_act *act,
                                          struct skew_report *report, struct skew_error *error)
{
    enum skew_code code = recover_row(engine, id, act, report, error);
    struct journal_injection row;
    struct journal_error ignored;
    if (code == SKEW_NOT_FOUND && journal_get(engine->journal, id, &row, &ignored) == JOURNAL_OK &&
        !journal_phase_live(row.phase)) {
        report_from_row(&row, report);
        return SKEW_OK;
    }
    return code;
}

enum skew_code skew_recover_crashed(struct skew_engine *engine, int64_t id,
                                    struct skew_report *report, struct skew_error *error)
{
    return recover_row_unended(engine, id, crashed_act, report, error);
}

enum skew_code recover_expired_id(struct skew_engine *engine, int64_t id,
                                  struct skew_report *report, struct skew_error *error)
{
    return recover_row_unended(engine, id, expired_act, report, error);
}
