/*
 * membership.c - whether one process belongs to a group, by the selectors that its row
 * keeps: "tree:123 cgroup:/a/b container:3f2a pidns:77 pid:9", or "run:COMMAND" for
 * the tree of a command that skewctl started.
 *
 * Selectors name processes by pid, and the group may outlive them. A pid counts if its
 * process, by pid and start time, is or was a member. Of a pid namespace any
 * process that is still in it will do: the namespace of a live member, if it is not our
 * own. The beginning of a container's id is completed once, so that it cannot come
 * to mean another one.
 */
#include "engine/membership.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/cgroup.h"
#include "engine/error.h"
#include "engine/scope.h"
#include "engine/select.h"

struct selector {
    enum { BY_PID, BY_TREE, BY_CGROUP, BY_CONTAINER, BY_PIDNS } kind;
    pid_t pid; /* of BY_PID and BY_TREE */
    uint64_t start_time;
    char path[PATH_MAX]; /* of BY_CGROUP; of BY_CONTAINER the id */
    struct stat namespace;
};

struct membership {
    struct selector *selectors;
    size_t count;
};

static const struct {
    const char *name;
    int kind;
} kinds[] = {
    {"pid:", BY_PID},       {"tree:", BY_TREE},           {"run:", BY_TREE},
    {"cgroup:", BY_CGROUP}, {"container:", BY_CONTAINER}, {"pidns:", BY_PIDNS},
};
#define KINDS (sizeof kinds / sizeof *kinds)

/* Where the next selector begins: a path may hold spaces, but no " tree:" and the like. */
static const char *selector_next(const char *text, size_t *kind)
{
    for (bool begins = true; *text != '\0'; begins = *text++ == ' ') {
        for (size_t k = 0; begins && k < KINDS; k++) {
            if (strncmp(text, kinds[k].name, strlen(kinds[k].name)) == 0) {
                *kind = k;
                return text;
            }
        }
    }
    return text;
}

/* The rows of the group, live or not, that tell which processes its numbers mean. */
struct rows {
    struct journal_injection *rows;
    size_t count;
};

static const struct journal_injection *row_of(const struct rows *rows, pid_t pid,
                                              uint64_t start_time)
{
    for (size_t i = 0; i < rows->count; i++) {
        if (rows->rows[i].key.pid == pid && rows->rows[i].key.start_time == start_time) {
            return &rows->rows[i];
        }
    }
    return NULL;
}

static bool pid_resolve(const struct rows *rows, pid_t pid, struct selector *selector)
{
    struct target target;
    struct skew_error ignored;
    struct process process;
    if (target_open(pid, &target, &ignored) != SKEW_OK) {
        return false;
    }
    bool known = row_of(rows, pid, target.start_time) != NULL && process_read(pid, &process) &&
                 target_alive(&target);
    target_close(&target);
    if (known) {
        selector->pid = pid;
        selector->start_time = process.start_time;
    }
    return known;
}

static bool namespace_read(pid_t pid, struct stat *namespace)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/pid", (int)pid);
    return stat(path, namespace) == 0;
}

static bool namespace_resolve(const struct rows *rows, pid_t pid, struct selector *selector)
{
    struct selector unused;
    struct skew_error ignored;
    struct stat own;
    if (pid_resolve(rows, pid, &unused) && namespace_read(pid, &selector->namespace)) {
        return true;
    }
    if (!namespace_read(getpid(), &own)) {
        return false;
    }
    for (size_t i = 0; i < rows->count; i++) {
        if (journal_phase_live(rows->rows[i].phase) &&
            row_life_look(&rows->rows[i], &ignored) == ROW_ALIVE &&
            namespace_read(rows->rows[i].key.pid, &selector->namespace) &&
            selector->namespace.st_ino != own.st_ino) {
            return true;
        }
    }
    return false;
}

static bool container_resolve(const struct rows *rows, const char *name, struct selector *selector)
{
    char lines[CGROUP_SIZE];
    char id[CONTAINER_ID_SIZE];
    for (size_t i = 0; i < rows->count; i++) {
        if (journal_phase_live(rows->rows[i].phase) &&
            process_cgroup_read(rows->rows[i].key.pid, lines) &&
            cgroup_container_find(lines, name, id)) {
            snprintf(selector->path, sizeof selector->path, "%s", id);
            return true;
        }
    }
    snprintf(selector->path, sizeof selector->path, "%s", name);
    return true;
}

/* A command that was run is the first process that became a member. */
static bool first_resolve(const struct rows *rows, struct selector *selector)
{
    return rows->count > 0 && pid_resolve(rows, rows->rows[0].key.pid, selector);
}

/* False for one that names nobody any more. */
static bool selector_resolve(const struct rows *rows, size_t kind, const char *value,
                             struct selector *selector)
{
    *selector = (struct selector){.kind = kinds[kind].kind};
    pid_t pid = (pid_t)strtol(value, NULL, 10);
    switch (selector->kind) {
    case BY_TREE:
        return kinds[kind].name[0] == 'r' ? first_resolve(rows, selector)
                                          : pid_resolve(rows, pid, selector);
    case BY_PID:
        return pid_resolve(rows, pid, selector);
    case BY_CGROUP:
        cgroup_path_resolve(value, selector->path);
        return true;
    case BY_CONTAINER:
        return container_resolve(rows, value, selector);
    case BY_PIDNS:
        return namespace_resolve(rows, pid, selector);
    }
    return false;
}

static enum skew_code selectors_read(struct membership *membership, const struct rows *rows,
                                     const char *text, struct skew_error *error)
{
    size_t kind = 0, next_kind = 0;
    for (text = selector_next(text, &kind); *text != '\0'; kind = next_kind) {
        const char *value = text + strlen(kinds[kind].name);
        const char *next = selector_next(value, &next_kind);
        size_t length = (size_t)(next - value) - (*next != '\0');
        char name[PATH_MAX];
        struct selector *grown =
            reallocarray(membership->selectors, membership->count + 1, sizeof *grown);
        if (grown == NULL) {
            return error_set(error, SKEW_FAILED, 0, 0, "follow", "out of memory");
        }
        membership->selectors = grown;
        snprintf(name, sizeof name, "%.*s", (int)length, value);
        /* A tree without its root is still one: of its members. */
        if (selector_resolve(rows, kind, name, &grown[membership->count]) ||
            kinds[kind].kind == BY_TREE) {
            membership->count++;
        }
        text = next;
    }
    return SKEW_OK;
}

enum skew_code membership_open(struct skew_engine *engine, const struct journal_group *group,
                               struct membership **membership, struct skew_error *error)
{
    struct journal_error journal_error = {0};
    struct rows rows;
    struct membership *opened = calloc(1, sizeof *opened);
    if (opened == NULL) {
        return error_set(error, SKEW_FAILED, 0, 0, "follow", "out of memory");
    }
    if (journal_group_members(engine->journal, group->id, true, &rows.rows, &rows.count,
                              &journal_error) != JOURNAL_OK) {
        membership_close(opened);
        return error_from_journal(error, 0, &journal_error);
    }
    enum skew_code code = selectors_read(opened, &rows, group->selectors, error);
    free(rows.rows);
    if (code != SKEW_OK) {
        membership_close(opened);
        return code;
    }
    *membership = opened;
    return SKEW_OK;
}

void membership_close(struct membership *membership)
{
    if (membership != NULL) {
        free(membership->selectors);
        free(membership);
    }
}

static bool process_is(pid_t pid, const struct selector *selector)
{
    struct process process;
    return pid == selector->pid && process_read(pid, &process) &&
           process.start_time == selector->start_time;
}

unsigned membership_of(const struct membership *membership, pid_t pid)
{
    unsigned by = 0;
    char lines[CGROUP_SIZE] = "";
    char id[CONTAINER_ID_SIZE];
    for (size_t i = 0; i < membership->count; i++) {
        const struct selector *selector = &membership->selectors[i];
        bool grouped = selector->kind == BY_CGROUP || selector->kind == BY_CONTAINER;
        if (grouped && lines[0] == '\0' && !process_cgroup_read(pid, lines)) {
            continue;
        }
        switch (selector->kind) {
        case BY_PID:
            by |= process_is(pid, selector) ? MEMBER_ALONE : 0;
            break;
        case BY_TREE:
            by |= process_is(pid, selector) ? MEMBER_TREE : 0;
            break;
        case BY_CGROUP:
            by |= cgroup_contains(lines, selector->path) ? MEMBER_PLACE : 0;
            break;
        case BY_CONTAINER:
            by |= cgroup_container_find(lines, selector->path, id) ? MEMBER_PLACE : 0;
            break;
        case BY_PIDNS:
            by |= process_namespace_within(pid, &selector->namespace) ? MEMBER_PLACE : 0;
            break;
        }
    }
    return by;
}

unsigned membership_kept(const struct membership *membership)
{
    for (size_t i = 0; i < membership->count; i++) {
        if (membership->selectors[i].kind == BY_TREE) {
            return MEMBER_TREE;
        }
    }
    return MEMBER_ALONE;
}

bool membership_has_places(const struct membership *membership)
{
    for (size_t i = 0; i < membership->count; i++) {
        if (membership->selectors[i].kind != BY_PID && membership->selectors[i].kind != BY_TREE) {
            return true;
        }
    }
    return false;
}
