/*
 * skew.h - the columns that say what is to be seen, which rows of injections and of groups share.
 */
#ifndef SKEWCTL_JOURNAL_SKEW_H
#define SKEWCTL_JOURNAL_SKEW_H

#include "journal/statement.h"

/* In the order in which the functions below bind and read them. */
#define JOURNAL_SKEW_COLUMNS "offset_ns, clocks, deadline_ns, begin_ns, shape, profile, slew_pace"
#define JOURNAL_SKEW_VALUES  "?, ?, ?, ?, ?, ?, ?"
#define JOURNAL_SKEW_SET                                                                           \
    "offset_ns = ?, clocks = ?, deadline_ns = ?, begin_ns = ?, shape = ?, profile = ?, "           \
    "slew_pace = ?"

/* What is wrong with it; NULL where nothing is. */
const char *journal_skew_wrong(const struct journal_skew *skew);
/* JOURNAL_FAILED where something is. */
enum journal_code journal_skew_check(const struct journal *journal, const struct journal_skew *skew,
                                     const char *operation, struct journal_error *error);
/* `skew` must outlive the statement. */
void journal_skew_bind(struct journal_statement *statement, const struct journal_skew *skew);
void journal_skew_read(struct journal_statement *statement, struct journal_skew *skew);

#endif
