/*
 * skew.c - see skew.h.
 */
#include "journal/skew.h"

#include <errno.h>

#include "journal/error.h"

const char *journal_skew_wrong(const struct journal_skew *skew)
{
    if (!journal_text_ends(skew->shape, sizeof(skew->shape)))
        return "shape";
    return journal_text_ends(skew->profile, sizeof(skew->profile)) ? NULL : "name of a profile";
}

enum journal_code journal_skew_check(const struct journal *journal, const struct journal_skew *skew,
                                     const char *operation, struct journal_error *error)
{
    const char *wrong = journal_skew_wrong(skew);
    if (wrong == NULL)
        return JOURNAL_OK;
    return journal_error_set(error, JOURNAL_FAILED, EINVAL, operation, "",
                             "a skew with an invalid %s cannot be written to the journal %s", wrong,
                             journal->path);
}

void journal_skew_bind(struct journal_statement *statement, const struct journal_skew *skew)
{
    journal_bind_integer(statement, skew->offset_ns);
    journal_bind_integer(statement, (int64_t)skew->clocks);
    journal_bind_integer(statement, skew->deadline_ns);
    journal_bind_integer(statement, skew->begin_ns);
    journal_bind_text(statement, skew->shape);
    journal_bind_text(statement, skew->profile);
    journal_bind_integer(statement, (int64_t)skew->slew_pace);
}

void journal_skew_read(struct journal_statement *statement, struct journal_skew *skew)
{
    skew->offset_ns = journal_read_integer(statement, INT64_MIN, INT64_MAX);
    skew->clocks = journal_read_unsigned(statement);
    skew->deadline_ns = journal_read_integer(statement, INT64_MIN, INT64_MAX);
    skew->begin_ns = journal_read_integer(statement, INT64_MIN, INT64_MAX);
    journal_read_text(statement, skew->shape, sizeof(skew->shape));
    journal_read_text(statement, skew->profile, sizeof(skew->profile));
    skew->slew_pace = journal_read_unsigned(statement);
}
