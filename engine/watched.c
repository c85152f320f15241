/*
 * watched.c - see watched.h.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/watched.h"

/* Where that pid is, or would be. */
static size_t place_of(const struct watched_table *table, pid_t pid)
{
    size_t low = 0, high = table->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (table->rows[middle].pid < pid) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct watched *watched_find(const struct watched_table *table, pid_t pid)
{
    size_t at = place_of(table, pid);
    return at < table->count && table->rows[at].pid == pid ? &table->rows[at] : NULL;
}

struct watched *watched_add(struct watched_table *table, pid_t pid)
{
    size_t at = place_of(table, pid);
    if (at < table->count && table->rows[at].pid == pid) {
        return &table->rows[at];
    }
    if (table->count == table->capacity) {
        size_t capacity = 2 * table->capacity + 64;
        struct watched *grown = reallocarray(table->rows, capacity, sizeof *grown);
        if (grown == NULL) {
            return NULL;
        }
        table->rows = grown;
        table->capacity = capacity;
    }
    memmove(&table->rows[at + 1], &table->rows[at], (table->count - at) * sizeof *table->rows);
    table->rows[at] = (struct watched){.pid = pid};
    table->count++;
    return &table->rows[at];
}

void watched_remove(struct watched_table *table, pid_t pid)
{
    struct watched *found = watched_find(table, pid);
    if (found != NULL) {
        size_t at = (size_t)(found - table->rows);
        table->count--;
        memmove(found, found + 1, (table->count - at) * sizeof *found);
    }
}

struct watched *watched_next(const struct watched_table *table)
{
    struct watched *next = NULL;
    for (size_t i = 0; i < table->count; i++) {
        struct watched *row = &table->rows[i];
        if (row->due_ns != 0 && (next == NULL || row->due_ns < next->due_ns)) {
            next = row;
        }
    }
    return next;
}

void watched_release(struct watched_table *table)
{
    free(table->rows);
    *table = (struct watched_table){0};
}
