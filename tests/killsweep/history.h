/*
 * history.h - the journal of the test, so that each point finds the same one: with the same
 * history an operation has the same points.
 *
 * Memory and failures are as in harness.h.
 */
#ifndef KILLSWEEP_HISTORY_H
#define KILLSWEEP_HISTORY_H

#include <stddef.h>

/* The files of a journal, see wal.html of SQLite; the -shm file is made anew from these. */
#define HISTORY_FILES 2
struct history {
    size_t size[HISTORY_FILES];
    const char *bytes[HISTORY_FILES];
};

/* As the journal is now. Nobody may have it open. */
struct history history_take(void);
void history_restore(const struct history *history);
void history_remove(void);

#endif
