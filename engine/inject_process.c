/*
 * inject_process.c - an inject of a process, whatever state it is in: checks what is asked
 * for, finishes what was interrupted, and hands over to inject.c or update.c.
 */
#include "engine/clock.h"
#include "engine/deadline.h"
#include "engine/error.h"
#include "engine/follower.h"
#include "engine/private.h"
#include "engine/slew.h"

/* As it is now; on failure there is nothing to close. */
static enum skew_code look_again(struct skew_engine *engine, const struct target *guard,
                                 struct look *look, struct journal_injection *row,
                                 struct skew_error *error)
{
    look_close(look);
    enum skew_code code = look_with_row(engine, guard, look, row, error);
    if (code != SKEW_OK) {
        *look = (struct look){.memory = -1, .target = {.directory = -1, .pidfd = -1}};
    }
    return code;
}

/*
 * What an interrupted skewctl left is finished first; on SKEW_OK `look` is fresh. Where that is
 * but a stub, as of a read-back, it alone is cleared away: the clock goes on as it is, and does
 * not jump to the true time in between. If it cannot be, the rest is put back, too.
 */
static enum skew_code leftovers_finish(struct skew_engine *engine, const struct target *guard,
                                       struct look *look, struct journal_injection *row,
                                       struct skew_report *report, struct skew_error *error)
{
    struct skew_report finished = {0};
    if (look->skewed && look->difference.stubs && recover_stubs(engine, look, error) == SKEW_OK) {
        enum skew_code cleared = look_again(engine, guard, look, row, error);
        if (cleared != SKEW_OK || injected_whole(look, row)) {
            return cleared;
        }
    }
    enum skew_code code = recover_look(engine, look, row, JOURNAL_RECOVERED, &finished, error);
    if (code != SKEW_OK) {
        *report = finished;
        return code;
    }
    return look_again(engine, guard, look, row, error);
}

/* It stays as it is, and only gets a row where it has none. */
static enum skew_code present_keep(struct skew_engine *engine, struct look *look,
                                   struct journal_injection *row,
                                   const struct skew_request *request, struct skew_report *report,
                                   struct skew_error *error)
{
    (void)request;
    enum skew_code code = row_in_place(engine, look, row, error);
    if (code == SKEW_OK) {
        report_from_row(row, report);
        report->state = SKEW_STATE_ACTIVE;
        report->updated = true;
    }
    return code;
}

enum skew_code inject_looked(struct skew_engine *engine, const struct target *guard,
                             struct look *look, struct journal_injection *row,
                             const struct skew_request *request, present_act *present,
                             struct skew_report *report, struct skew_error *error)
{
    /* Who is held by the follower of its group is updated without being stopped. */
    bool held = injected_whole(look, row) && follower_of(engine, look->target.pid) != 0;
    enum skew_code code = held ? SKEW_OK : look_touchable(look, error);
    if (code == SKEW_OK) {
        code = look_skewable(look, request->force, error);
    }
    bool leftovers = row->id != 0 || look->situation == SITUATION_PARTIAL;
    if (code == SKEW_OK && leftovers && !injected_whole(look, row) && !request->dry_run) {
        code = leftovers_finish(engine, guard, look, row, report, error);
    }
    if (code != SKEW_OK) {
        return code;
    }
    return injected_whole(look, row) ? present(engine, look, row, request, report, error)
                                     : inject_fresh(engine, look, request, report, error);
}

/* One that inherited its image has an injection of its own from now on. */
static enum skew_code injection_own(struct skew_engine *engine, struct journal_injection *row,
                                    struct skew_error *error)
{
    struct journal_error journal_error = {0};
    if (row->id == 0 || !row->inherited) {
        return SKEW_OK;
    }
    row->inherited = false;
    return journal_own(engine->journal, row->id, &journal_error) == JOURNAL_OK
               ? SKEW_OK
               : error_from_journal(error, row->key.pid, &journal_error);
}

static enum skew_code clocks_check(const struct skew_request *request, const struct target *guard,
                                   struct skew_error *error)
{
    struct clock_shift shift = clock_shift_read(guard);
    enum skew_code code = clock_range_check(request->clocks, request->offset_ns, shift, error);
    if (code == SKEW_OK && request->shape.count != 0) {
        code = clock_shape_check(request->clocks, request->offset_ns, &request->shape, shift,
                                 request->force || request->may_go_back, error);
    }
    return code;
}

/* A slew keeps to the clocks that are skewed unless others are named. */
static bool clocks_kept(const struct skew_request *request, const struct look *look)
{
    return request->slew_pace != 0 && request->clocks == 0 && look->skewed &&
           look->skew.clocks != 0;
}

/* `neutral`: what is asked for must be possible, but is not to be in force yet. */
static enum skew_code inject_process(struct skew_engine *engine, pid_t pid,
                                     const struct skew_request *request, bool neutral,
                                     struct skew_report *report, struct skew_error *error)
{
    struct skew_request wanted = *request;
    struct target guard;
    struct look look;
    struct journal_injection row;
    if (wanted.clocks == 0) {
        wanted.clocks = skew_clocks_default();
    }
    *report = (struct skew_report){.pid = pid};
    if (engine->unusable.code != SKEW_OK) {
        *error = engine->unusable;
        return error->code;
    }
    enum skew_code code = deadline_check(&wanted, error);
    if (code == SKEW_OK) {
        code = look_init(pid, wanted.force, error);
    }
    if (code == SKEW_OK) {
        code = guard_open(pid, &guard, report, error);
    }
    if (code != SKEW_OK) {
        error->pid = pid;
        return code;
    }
    code = clocks_check(&wanted, &guard, error);
    if (code == SKEW_OK) {
        code = look_with_row(engine, &guard, &look, &row, error);
    }
    if (code == SKEW_OK) {
        if (clocks_kept(request, &look)) {
            wanted.clocks = look.skew.clocks;
            code = clocks_check(&wanted, &guard, error);
        }
        if (neutral) {
            wanted.offset_ns = 0;
            wanted.shape.count = 0;
            wanted.begin_ns = 0;
            wanted.profile[0] = '\0';
        }
        if (code == SKEW_OK && !wanted.dry_run) {
            code = injection_own(engine, &row, error);
        }
        if (code == SKEW_OK) {
            code = inject_looked(engine, &guard, &look, &row, &wanted,
                                 neutral ? present_keep : update_in_place, report, error);
        }
        look_close(&look);
    }
    error->pid = pid;
    target_close(&guard);
    return code;
}

/*
 * A process that is not skewed yet is injected with an offset of 0 first. Death in between: that
 * is in force, which shows the true time.
 */
static enum skew_code inject_slewing(struct skew_engine *engine, pid_t pid,
                                     const struct skew_request *request, struct skew_report *report,
                                     struct skew_error *error)
{
    struct skew_report placed = {.updated = true}, ignored;
    struct skew_error undo = {0};
    if (request->dry_run) {
        enum skew_code would = inject_process(engine, pid, request, false, report, error);
        return would == SKEW_OK && !report->updated ? slew_foretell(request, report, error) : would;
    }
    enum skew_code code = inject_process(engine, pid, request, true, &placed, error);
    if (code != SKEW_OK) {
        *report = placed;
        return code;
    }
    code = inject_process(engine, pid, request, false, report, error);
    if (placed.updated) {
        return code;
    }
    report->updated = false;
    report->interrupted += placed.interrupted;
    report->pause_ns = report->pause_ns > placed.pause_ns ? report->pause_ns : placed.pause_ns;
    if (code != SKEW_OK && process_recover(engine, pid, &ignored, &undo) != SKEW_OK &&
        undo.code != SKEW_NOT_FOUND) {
        error_advise(error, "it is injected with an offset of 0: run skewctl recover -p %d",
                     (int)pid);
    }
    return code;
}

enum skew_code skew_inject(struct skew_engine *engine, pid_t pid,
                           const struct skew_request *request, struct skew_report *report,
                           struct skew_error *error)
{
    return request->slew_pace != 0 && !request->fresh_at_once
               ? inject_slewing(engine, pid, request, report, error)
               : inject_process(engine, pid, request, false, report, error);
}

enum skew_code process_place(struct skew_engine *engine, pid_t pid,
                             const struct skew_request *request, struct skew_report *report,
                             struct skew_error *error)
{
    return inject_process(engine, pid, request, true, report, error);
}
