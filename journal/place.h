/*
 * place.h - where the journal lies, and whether it may lie there.
 */
#ifndef SKEWCTL_JOURNAL_PLACE_H
#define SKEWCTL_JOURNAL_PLACE_H

#include "journal/journal.h"

/*
 * Chooses the path as journal_open() documents, makes what is missing, and
 * checks folder and file. An existing file is neither written nor opened: what
 * it contains is for schema.c to judge. *path is absolute, without symlinks,
 * and the caller's to free(3).
 */
enum journal_code journal_place_prepare(const char *requested, char **path,
                                        struct journal_error *error);

#endif
