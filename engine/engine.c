/*
 * engine.c - an engine, its journal, and how an operation on a process begins: it gets
 * the process for itself, finds its row, and looks at it. inject_process.c and
 * recover_process.c go on from there.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/error.h"
#include "engine/private.h"

#define LOOK_TRIES 50

enum skew_code skew_engine_open(const struct skew_engine_options *options,
                                struct skew_engine **engine, struct skew_error *error)
{
    struct skew_engine *opened = calloc(1, sizeof *opened);
    if (opened == NULL) {
        return error_set(error, SKEW_FAILED, 0, 0, "open engine", "out of memory");
    }
    opened->suspend_seccomp = options != NULL && options->suspend_seccomp;
    enum skew_code code = vdso_own(&opened->vdso, error);
    if (code == SKEW_OK) {
        struct journal_error journal_error = {0};
        if (journal_open(options != NULL ? options->journal_path : NULL, &opened->journal,
                         &journal_error) != JOURNAL_OK) {
            code = error_from_journal(error, 0, &journal_error);
        }
        if (code != SKEW_OK && options != NULL && options->journal_optional &&
            journal_open_memory(&opened->journal, &journal_error) == JOURNAL_OK) {
            opened->unusable = *error;
            code = SKEW_OK;
        }
    }
    if (code != SKEW_OK) {
        skew_engine_close(opened);
        return code;
    }
    *engine = opened;
    return SKEW_OK;
}

void skew_engine_close(struct skew_engine *engine)
{
    if (engine == NULL) {
        return;
    }
    if (engine->journal != NULL) {
        journal_close(engine->journal);
    }
    vdso_release(&engine->vdso);
    free(engine);
}

struct journal *journal_spare_begin(struct skew_engine *engine)
{
    struct journal *kept = engine->journal;
    struct journal_error ignored;
    if (journal_open_memory(&engine->journal, &ignored) != JOURNAL_OK) {
        engine->journal = kept;
        return NULL;
    }
    return kept;
}

void journal_spare_end(struct skew_engine *engine, struct journal *kept)
{
    journal_close(engine->journal);
    engine->journal = kept;
}

enum skew_code row_find(struct skew_engine *engine, const struct target *target,
                        struct journal_injection *row, struct skew_error *error)
{
    struct journal_key key = target_key(target);
    struct journal_error journal_error = {0};
    *row = (struct journal_injection){0};
    switch (journal_find_live(engine->journal, &key, row, &journal_error)) {
    case JOURNAL_OK:
        return SKEW_OK;
    case JOURNAL_NOT_FOUND:
        row->id = 0;
        return SKEW_OK;
    case JOURNAL_CONFLICT:
    case JOURNAL_ILLEGAL:
    case JOURNAL_NOT_PERMITTED:
    case JOURNAL_REFUSED:
    case JOURNAL_BUSY:
    case JOURNAL_FAILED:
        break;
    }
    return error_from_journal(error, target->pid, &journal_error);
}

/* One attempt to look at the process that `guard` holds, and at its row. */
static enum skew_code look_once(struct skew_engine *engine, const struct target *guard,
                                struct look *look, struct journal_injection *row,
                                struct skew_error *error)
{
    enum skew_code code = row_find(engine, guard, row, error);
    if (code == SKEW_OK) {
        code = look_open(&engine->vdso, guard->pid, row->image_address, look, error);
        look->census = engine->census;
    }
    return code;
}

enum skew_code look_with_row(struct skew_engine *engine, const struct target *guard,
                             struct look *look, struct journal_injection *row,
                             struct skew_error *error)
{
    enum skew_code code = look_once(engine, guard, look, row, error);
    for (int tries = 1; code == SKEW_NOT_FOUND && tries < LOOK_TRIES && target_alive(guard);
         tries++) {
        code = look_once(engine, guard, look, row, error);
    }
    return code;
}

enum skew_code guard_open(pid_t pid, struct target *guard, struct skew_report *report,
                          struct skew_error *error)
{
    *report = (struct skew_report){.pid = pid};
    enum skew_code code = target_open(pid, guard, error);
    if (code != SKEW_OK) {
        return code;
    }
    memcpy(report->command, guard->command, sizeof report->command);
    report->threads = guard->threads;
    code = target_lock(guard, error);
    if (code != SKEW_OK) {
        target_close(guard);
    }
    return code;
}

bool injected_whole(const struct look *look, const struct journal_injection *row)
{
    return look->situation == SITUATION_INJECTED &&
           (row->id == 0 || row->phase == JOURNAL_ACTIVE || row->phase == JOURNAL_UPDATING ||
            row->phase == JOURNAL_INJECTING || row->phase == JOURNAL_PLANNED);
}
