/*
 * connection.h - what the files of this folder share: the open journal and its
 * transactions. At most one transaction is open per journal.
 */
#ifndef SKEWCTL_JOURNAL_CONNECTION_H
#define SKEWCTL_JOURNAL_CONNECTION_H

#include <sqlite3.h>

#include "journal/journal.h"

/* Limits of what is written and believed when read back. */
#define JOURNAL_VDSO_MAX      (1U << 20)
#define JOURNAL_REGISTERS_MAX 4096U

/* journal_phase_live() as the database says it: a condition of the partial index. */
#define JOURNAL_SQL_LIVE "phase < 6"

struct journal {
    sqlite3 *database;
    char *path;
    int wait_limit_ms;     /* for the lock; 0 not to wait */
    int64_t busy_since_ns; /* CLOCK_MONOTONIC, when it began to wait */
    bool waited_in_vain;   /* for the whole limit, and nothing was committed since */
    int wal_frames;        /* in the WAL after our last commit; 0 if we made none */
    sqlite3_stmt *save;    /* registers.c: fills the reserved row */
    sqlite3_stmt *commit;  /* registers.c: ends the transaction */
    int64_t reserved;      /* registers.c: the row being filled; 0 outside begin and commit */
};

enum journal_access { JOURNAL_READ, JOURNAL_WRITE };

/* Fails where registers are being saved. JOURNAL_WRITE takes the write lock. */
enum journal_code journal_transaction_begin(struct journal *journal, enum journal_access access,
                                            const char *operation, struct journal_error *error);
/* Commits where code is JOURNAL_OK, else rolls back; returns what it came to. */
enum journal_code journal_transaction_end(struct journal *journal, enum journal_code code,
                                          const char *operation, struct journal_error *error);

/* Runs SQL without parameters or results. */
enum journal_code journal_execute(struct journal *journal, const char *sql, const char *operation,
                                  struct journal_error *error);

/* CLOCK_REALTIME, for the columns that say when. */
int64_t journal_now_ns(void);

/* Whether a text of the caller ends within its field. */
bool journal_text_ends(const char *text, size_t capacity);

/* injections.c: the rows that a condition selects, whose parameters, if any, are all `id`. */
enum journal_code journal_injections_select(struct journal *journal, const char *condition,
                                            int64_t id, struct journal_injection **injections,
                                            size_t *count, const char *operation,
                                            struct journal_error *error);

/* injections.c: journal_advance() within a transaction that is already open. */
enum journal_code journal_advance_within(struct journal *journal, int64_t id,
                                         enum journal_phase phase, const char *detail,
                                         const char *operation, struct journal_error *error);
/* injections.c: within a transaction too; phase and skew of an injection. */
enum journal_code journal_phase_within(struct journal *journal, int64_t id,
                                       enum journal_phase *phase, const char *operation,
                                       struct journal_error *error);
enum journal_code journal_set_skew_within(struct journal *journal, int64_t id,
                                          const struct journal_skew *skew,
                                          struct journal_error *error);

/* groups.c: within a transaction too; refuse a group that has ended. */
enum journal_code journal_group_switch_within(struct journal *journal, int64_t id,
                                              const struct journal_skew *skew,
                                              struct journal_error *error);
enum journal_code journal_group_join_within(struct journal *journal, int64_t id, int64_t injection,
                                            struct journal_error *error);

#endif
