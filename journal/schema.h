/*
 * schema.h - what the database holds, and whether a file is such a database.
 */
#ifndef SKEWCTL_JOURNAL_SCHEMA_H
#define SKEWCTL_JOURNAL_SCHEMA_H

#include "journal/connection.h"

/* An empty journal as the bytes of its file, for sqlite3_free(); NULL where memory ran out. */
unsigned char *journal_schema_serialize(size_t *size);

/* Creates the tables where there are none, and upgrades those of an earlier version. */
enum journal_code journal_schema_create(struct journal *journal, struct journal_error *error);

/*
 * Judges the file behind a connection that has not run a statement yet, creates
 * the tables where it is empty, upgrades them in one transaction where they are of
 * an earlier version, and puts it into WAL mode. A file that is not a
 * journal, is damaged or is of a newer version is refused and left unchanged.
 */
enum journal_code journal_schema_prepare(struct journal *journal, struct journal_error *error);

#endif
