/*
 * list.c - the injections of the journal, checked against the live processes.
 *
 * Promise: a state that is shown was seen: rows of processes that are gone are
 * shown, and recorded, as gone; the skew shown for a live one is the one in force.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/error.h"
#include "engine/private.h"

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
        [SKEW_STATE_PLANNED] = "planned",   [SKEW_STATE_ACTIVE] = "active",
        [SKEW_STATE_DRAINING] = "draining", [SKEW_STATE_RECOVERED] = "recovered",
        [SKEW_STATE_GONE] = "gone",         [SKEW_STATE_FAILED] = "failed",
    };
    return names[state];
}

void report_from_row(const struct journal_injection *row, struct skew_report *report)
{
    report->id = row->id;
    report->pid = row->key.pid;
    memcpy(report->command, row->command, sizeof report->command);
    report->clocks = row->clocks;
    report->offset_ns = row->offset_ns;
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
        report->offset_ns = image_skew_offset(&look.skew);
        report->clocks = look.skew.clocks;
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

enum skew_code skew_list(struct skew_engine *engine, bool history, struct skew_report **reports,
                         size_t *count, struct skew_error *error)
{
    struct journal_injection *rows;
    size_t row_count;
    struct journal_error journal_error = {0};
    if (journal_list(engine->journal, history, &rows, &row_count, &journal_error) != JOURNAL_OK) {
        return error_from_journal(error, 0, &journal_error);
    }
    struct skew_report *list = calloc(row_count + 1, sizeof *list);
    if (list == NULL) {
        free(rows);
        return error_set(error, SKEW_FAILED, 0, 0, "list", "out of memory");
    }
    *count = 0;
    for (size_t i = 0; i < row_count; i++) {
        struct skew_report *report = &list[*count];
        *report = (struct skew_report){0};
        report_from_row(&rows[i], report);
        if (journal_phase_live(rows[i].phase)) {
            report_check(engine, &rows[i], report);
        }
        if (history || report->state != SKEW_STATE_GONE) {
            (*count)++;
        }
    }
    free(rows);
    *reports = list;
    return SKEW_OK;
}
