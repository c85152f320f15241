/*
 * create.h - making a journal that was not there.
 */
#ifndef SKEWCTL_JOURNAL_CREATE_H
#define SKEWCTL_JOURNAL_CREATE_H

#include "journal/journal.h"

/*
 * Makes an empty journal, mode 0600, under `name` in the folder of the open
 * descriptor. That there is one already is no error. Returns 0 or an errno.
 */
int journal_create(int folder, const char *name);

#endif
