/*
 * save.c - commits a thread's registers to the journal before they are borrowed.
 *
 * The database's lock is taken and its statements are compiled before the
 * thread is stopped; under the stop one row is written and committed, without
 * waiting for a lock or a disk.
 */
#include "engine/error.h"
#include "engine/private.h"

/* How long a held thread may wait for another writer of the journal. */
#define HELD_WAIT_MS 100

enum skew_code save_begin(struct save_context *save, pid_t pid, struct skew_error *error)
{
    struct journal_error journal_error = {0};
    if (journal_registers_begin(save->journal, save->id, save->phase, &journal_error) !=
        JOURNAL_OK) {
        return error_from_journal(error, pid, &journal_error);
    }
    save->begun = true;
    return SKEW_OK;
}

enum skew_code save_registers(void *context, pid_t tid, const arch_registers *registers,
                              struct skew_error *error)
{
    struct save_context *save = context;
    /* A signal moved the thread on, and its new registers are to be saved while it is held. */
    if (!save->begun) {
        journal_wait_limit(save->journal, HELD_WAIT_MS);
        enum skew_code code = save_begin(save, tid, error);
        journal_wait_limit(save->journal, -1);
        if (code != SKEW_OK) {
            return code;
        }
    }
    save->begun = false;
    struct journal_error journal_error = {0};
    if (journal_registers_commit(save->journal, tid, registers, sizeof *registers,
                                 &journal_error) != JOURNAL_OK) {
        return error_from_journal(error, tid, &journal_error);
    }
    return SKEW_OK;
}

void save_abort(struct save_context *save)
{
    if (save->begun) {
        journal_registers_abort(save->journal);
        save->begun = false;
    }
}
