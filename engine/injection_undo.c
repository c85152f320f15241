/*
 * injection_undo.c - what an inject has begun and could not finish is undone, whatever has
 * failed: also the journal.
 */
#include "engine/error.h"
#include "engine/private.h"

static enum skew_code undo_try(struct skew_engine *engine, struct journal_injection *row,
                               struct skew_error *error)
{
    struct look look;
    struct skew_report undone = {0};
    enum skew_code code = look_open(&engine->vdso, row->key.pid, row->image_address, &look, error);
    if (code == SKEW_OK) {
        code = recover_look(engine, &look, row, JOURNAL_FAILED_UNDONE, &undone, error);
        look_close(&look);
    }
    return code;
}

/* What was begun is undone even if that cannot be written down any more. */
static enum skew_code undo_without_journal(struct skew_engine *engine,
                                           const struct journal_injection *row,
                                           struct skew_error *error)
{
    struct journal *kept = journal_spare_begin(engine);
    if (kept == NULL) {
        return error->code;
    }
    struct journal_injection copy = *row;
    struct journal_error journal_error = {0};
    struct skew_error undo_error = {0};
    enum skew_code code = SKEW_FAILED;
    if (journal_plan(engine->journal, &copy, engine->vdso.bytes, engine->vdso.size,
                     &journal_error) == JOURNAL_OK) {
        code = undo_try(engine, &copy, &undo_error);
        *error = undo_error;
    }
    journal_spare_end(engine, kept);
    return code;
}

enum skew_code injection_undo(struct skew_engine *engine, const struct target *target, bool touched,
                              struct journal_injection *row, struct skew_error *error)
{
    struct journal_error ignored;
    if (!touched) {
        journal_advance(engine->journal, row->id,
                        target_alive(target) ? JOURNAL_FAILED_UNDONE : JOURNAL_GONE, error->message,
                        &ignored);
        return error->code;
    }
    struct skew_error undo_error = {0};
    enum skew_code code = undo_try(engine, row, &undo_error);
    if (undo_error.journal) {
        code = undo_without_journal(engine, row, &undo_error);
    }
    if (code == SKEW_NOT_FOUND && !target_alive(target)) {
        journal_advance(engine->journal, row->id, JOURNAL_GONE, error->message, &ignored);
        return error->code;
    }
    if (code != SKEW_OK) {
        error->code = SKEW_FAILED;
        error_advise(error, "undoing it did not finish (%s): run skewctl recover -p %d",
                     undo_error.message, (int)row->key.pid);
    } else if (error->advice[0] == '\0') {
        error_advise(error, "it was undone; the process is as before");
    }
    return error->code;
}
