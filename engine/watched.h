/*
 * watched.h - the processes that a watched group has, as far as is known: a table by pid.
 */
#ifndef SKEWCTL_ENGINE_WATCHED_H
#define SKEWCTL_ENGINE_WATCHED_H

#include "engine/skewctl.h"

struct watched {
    pid_t pid;
    uint64_t start_time; /* of select.h; 0 until it was looked at */
    unsigned by;         /* of membership.h */
    int64_t due_ns;      /* CLOCK_MONOTONIC, when it is to be looked at; 0 never */
    int64_t since_ns;    /* when it became what is to be looked at */
    unsigned tries;      /* in vain, since then */
    int64_t injection;   /* its row; 0 where none is known */
};

struct watched_table {
    struct watched *rows; /* by ascending pid; for watched_release */
    size_t count;
    size_t capacity;
};

struct watched *watched_find(const struct watched_table *table, pid_t pid);
/* The one of that pid, or a new one; NULL where memory ran out. Moves the others. */
struct watched *watched_add(struct watched_table *table, pid_t pid);
void watched_remove(struct watched_table *table, pid_t pid);
/* The one that is due first; NULL where none is. */
struct watched *watched_next(const struct watched_table *table);
void watched_release(struct watched_table *table);

#endif
