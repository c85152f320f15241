/*
 * members.c - changes of many injections at once. All or none of them are made:
 * whoever finds half a change in the processes finds the whole of it in the journal.
 */
#include "journal/connection.h"
#include "journal/groups.h"

/* False for one that has ended: somebody else knows more of its process. */
static enum journal_code member_live(struct journal *journal, int64_t id, bool *live,
                                     const char *operation, struct journal_error *error)
{
    enum journal_phase phase = JOURNAL_GONE;
    enum journal_code code = journal_phase_within(journal, id, &phase, operation, error);
    *live = journal_phase_live(phase);
    return code;
}

static enum journal_code switch_member(struct journal *journal, int64_t group, int64_t id,
                                       const struct journal_skew *skew, struct journal_error *error)
{
    bool live;
    enum journal_code code = member_live(journal, id, &live, "switch group", error);
    if (code != JOURNAL_OK || !live)
        return code;
    code = journal_advance_within(journal, id, JOURNAL_UPDATING, NULL, "switch group", error);
    if (code == JOURNAL_OK)
        code = journal_set_skew_within(journal, id, skew, error);
    return code == JOURNAL_OK ? journal_group_join_within(journal, group, id, error) : code;
}

enum journal_code journal_group_switch(struct journal *journal, int64_t id,
                                       const struct journal_skew *skew, const int64_t *injections,
                                       size_t count, struct journal_error *error)
{
    enum journal_code code =
        journal_transaction_begin(journal, JOURNAL_WRITE, "switch group", error);
    if (code != JOURNAL_OK)
        return code;
    code = journal_group_switch_within(journal, id, skew, error);
    for (size_t i = 0; i < count && code == JOURNAL_OK; i++)
        code = switch_member(journal, id, injections[i], skew, error);
    return journal_transaction_end(journal, code, "switch group", error);
}

enum journal_code journal_advance_all(struct journal *journal, const int64_t *injections,
                                      size_t count, enum journal_phase phase, const char *detail,
                                      struct journal_error *error)
{
    enum journal_code code = journal_transaction_begin(journal, JOURNAL_WRITE, "advance", error);
    if (code != JOURNAL_OK)
        return code;
    for (size_t i = 0; i < count && code == JOURNAL_OK; i++) {
        bool live;
        code = member_live(journal, injections[i], &live, "advance", error);
        if (code == JOURNAL_OK && live)
            code = journal_advance_within(journal, injections[i], phase, detail, "advance", error);
    }
    return journal_transaction_end(journal, code, "advance", error);
}
