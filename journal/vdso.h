/*
 * vdso.h - the pristine vDSOs, each content stored once.
 */
#ifndef SKEWCTL_JOURNAL_VDSO_H
#define SKEWCTL_JOURNAL_VDSO_H

#include "journal/connection.h"

/* Within an open transaction; *id is the row of this content, new or old. */
enum journal_code journal_vdso_store(struct journal *journal, const void *content, size_t size,
                                     int64_t *id, struct journal_error *error);

#endif
