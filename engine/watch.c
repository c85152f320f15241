/*
 * watch.c - following a group from outside, tracing nobody: processes that are born,
 * run another program or come to belong are noticed (notice.c), asked whether they
 * belong (membership.c), and skewed like any other process (skew_inject).
 *
 * Promise: whoever belongs and is noticed gets the skew that the group has when its inject
 * ends. Nothing is done to a process unless it belonged when it was looked at, and was
 * still the one that was noticed.
 *
 * Notices are hints. One makes a process due for a look, and what it looks like decides:
 * one with the image is left alone (a forked child has its parent's), one without is
 * injected. A number may be used again before its notice is read; so before a process
 * is touched its start time is read, and then all notices that have come till then: had
 * it been another process than the one noticed, the exit of that would be among them.
 * Where notices were lost, everybody is looked at again; and now and then in any case, since
 * nothing tells that a process is moved to another cgroup.
 *
 * A process in which it does not work is tried some more times, since it may be in the
 * middle of an exec or of vfork(2), and then given up until it runs another program.
 *
 * If skewctl dies: what it leaves in a process is what an inject leaves (inject.c), and the
 * claim is that of a dead process (follower.c).
 * If another skewctl changes the group's skew meanwhile: it writes the group's row before it
 * looks which members there are; here the row is read again after an inject, which is
 * repeated if it changed.
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/enrol.h"
#include "engine/error.h"
#include "engine/follow.h"
#include "engine/membership.h"
#include "engine/notice.h"
#include "engine/scope.h"
#include "engine/select.h"
#include "engine/watched.h"

#define MILLISECOND INT64_C(1000000)
#define NOTICES     256
#define TRIES       8
#define RETRY_NS    (2 * MILLISECOND)   /* doubled each time: half a second in all */
#define CHILD_NS    (50 * MILLISECOND)  /* when a forked child is looked at, should it be whole */
#define LOOK_NS     (100 * MILLISECOND) /* between two looks at everybody, */
#define LOOK_SHARE  50                  /* and they take no more of a processor than 1 in this */
#define POLL_LIMIT  1000
#define DUE_AT_ONCE 1

struct watch {
    struct skew_engine *engine;
    const struct skew_follow *follow;
    struct following *following;
    const struct membership *membership;
    struct noticer *noticer;
    struct watched_table members;
    pid_t last;      /* who was settled last */
    int64_t look_ns; /* CLOCK_MONOTONIC: when to look at everybody */
    bool short_of_memory;
};

/* It is to be looked at no later than that, for a reason that came up at since_ns. */
static void watched_due(struct watched *member, int64_t due_ns, int64_t since_ns)
{
    member->tries = 0;
    member->since_ns = since_ns;
    if (member->due_ns == 0 || due_ns < member->due_ns) {
        member->due_ns = due_ns;
    }
}

/* One that is no more; its row is told. */
static void member_gone(struct watch *watch, pid_t pid)
{
    struct watched *member = watched_find(&watch->members, pid);
    struct journal_injection row;
    struct journal_error ignored;
    if (member != NULL && member->injection != 0 &&
        journal_get(watch->engine->journal, member->injection, &row, &ignored) == JOURNAL_OK &&
        journal_phase_live(row.phase)) {
        journal_gone(watch->engine->journal, &row, "the process exited", &ignored);
    }
    watched_remove(&watch->members, pid);
}

static struct watched *member_add(struct watch *watch, pid_t pid, unsigned by)
{
    struct watched *member = watched_add(&watch->members, pid);
    watch->short_of_memory = watch->short_of_memory || member == NULL;
    if (member != NULL) {
        *member = (struct watched){.pid = pid, .by = by};
        /* Before it is looked at: see noticer_watch. */
        noticer_watch(watch->noticer, pid);
    }
    return member;
}

static void born(struct watch *watch, const struct notice *notice)
{
    const struct watched *parent = watched_find(&watch->members, notice->parent);
    unsigned by = parent != NULL ? parent->by & (MEMBER_TREE | MEMBER_PLACE) : 0;
    /* What a whole parent forks has the image; not what one forks that is yet to get it. */
    bool whole = parent != NULL && parent->due_ns == 0 && by != 0 &&
                 noticer_way(watch->noticer) == NOTICE_BY_CONNECTOR;
    member_gone(watch, notice->pid);
    if (by == 0 && membership_has_places(watch->membership) && !enrol_is_skewctl(notice->pid)) {
        by = membership_of(watch->membership, notice->pid);
    }
    struct watched *member = by != 0 ? member_add(watch, notice->pid, by) : NULL;
    if (member != NULL) {
        watched_due(member, whole ? notice->at_ns + CHILD_NS : DUE_AT_ONCE, notice->at_ns);
    }
}

static void execed(struct watch *watch, const struct notice *notice)
{
    struct watched *member = watched_find(&watch->members, notice->pid);
    bool known = member != NULL && (member->by & (MEMBER_TREE | MEMBER_ALONE)) != 0;
    unsigned by = known ? member->by : membership_of(watch->membership, notice->pid);
    if (by == 0 || enrol_is_skewctl(notice->pid)) {
        watched_remove(&watch->members, notice->pid);
        return;
    }
    if (member == NULL) {
        member = member_add(watch, notice->pid, by);
    }
    if (member != NULL) {
        member->by |= by;
        watched_due(member, DUE_AT_ONCE, notice->at_ns);
    }
}

/* Only its first thread may have exited. */
static void exited(struct watch *watch, pid_t pid)
{
    struct process process;
    if (watched_find(&watch->members, pid) != NULL && !process_read(pid, &process)) {
        member_gone(watch, pid);
    }
}

/* Takes in all that has been noticed so far. */
static void notices_take(struct watch *watch)
{
    struct notice notices[NOTICES];
    size_t count;
    do {
        count = noticer_read(watch->noticer, notices, NOTICES);
        for (size_t i = 0; i < count; i++) {
            switch (notices[i].kind) {
            case NOTICE_BORN:
                born(watch, &notices[i]);
                break;
            case NOTICE_EXECED:
                execed(watch, &notices[i]);
                break;
            case NOTICE_EXITED:
                exited(watch, notices[i].pid);
                break;
            case NOTICE_MISSED:
                watch->look_ns = 0;
                for (size_t m = 0; m < watch->members.count; m++) {
                    watched_due(&watch->members.rows[m], DUE_AT_ONCE, monotonic_now());
                }
                break;
            }
        }
    } while (count == NOTICES);
}

/* A process that no notice told of, or none that was believed. */
static void process_consider(struct watch *watch, pid_t pid)
{
    struct process process;
    struct watched *member = watched_find(&watch->members, pid);
    if (!process_read(pid, &process)) {
        member_gone(watch, pid);
        return;
    }
    if (enrol_is_skewctl(pid)) {
        watched_remove(&watch->members, pid);
        return;
    }
    if (member != NULL && member->start_time != 0 && member->start_time != process.start_time) {
        member_gone(watch, pid);
        member = NULL;
    }
    if (member != NULL) {
        return;
    }
    const struct watched *parent = watched_find(&watch->members, process.parent);
    unsigned by = parent != NULL ? parent->by & MEMBER_TREE : 0;
    by |= membership_of(watch->membership, pid);
    member = by != 0 ? member_add(watch, pid, by) : NULL;
    if (member != NULL) {
        watched_due(member, DUE_AT_ONCE, monotonic_now());
    }
}

/* Everybody: who belongs and is not known, and who is known and is no more. */
static void all_look(struct watch *watch)
{
    int64_t began_ns = monotonic_now();
    DIR *processes = opendir("/proc");
    for (struct dirent *entry; processes != NULL && (entry = readdir(processes)) != NULL;) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 0) {
            process_consider(watch, pid);
        }
    }
    if (processes != NULL) {
        closedir(processes);
    }
    for (size_t m = watch->members.count; m-- > 0;) {
        process_consider(watch, watch->members.rows[m].pid);
    }
    int64_t now_ns = monotonic_now();
    int64_t pause_ns = (now_ns - began_ns) * LOOK_SHARE;
    watch->look_ns = now_ns + (pause_ns > LOOK_NS ? pause_ns : LOOK_NS);
}

/* Who is a member by the journal: also those who belong by nothing that can be seen now. */
static enum skew_code members_recall(struct watch *watch, struct skew_error *error)
{
    struct journal_error journal_error = {0};
    scoped_memory struct journal_injection *rows = NULL;
    size_t count;
    if (journal_group_members(watch->engine->journal, watch->following->group.id, false, &rows,
                              &count, &journal_error) != JOURNAL_OK) {
        return error_from_journal(error, 0, &journal_error);
    }
    for (size_t i = 0; i < count; i++) {
        struct skew_error ignored;
        if (row_life_look(&rows[i], &ignored) == ROW_ALIVE) {
            unsigned by = membership_of(watch->membership, rows[i].key.pid);
            struct watched *member = member_add(watch, rows[i].key.pid,
                                                by != 0 ? by : membership_kept(watch->membership));
            if (member != NULL) {
                member->injection = rows[i].id;
                watched_due(member, DUE_AT_ONCE, monotonic_now());
            }
        }
    }
    return SKEW_OK;
}

/*
 * Looks at one that is due, and injects it where that is called for. *injected: it was.
 * SKEW_NOT_FOUND where it is no more, or not the one that was noticed.
 */
static enum skew_code member_settle(struct watch *watch, pid_t pid, bool *injected,
                                    struct skew_report *report, struct skew_error *error)
{
    struct target target;
    struct process process;
    bool whole = false;
    *injected = false;
    *report = (struct skew_report){.pid = pid};
    enum skew_code code = target_open(pid, &target, error);
    if (code != SKEW_OK) {
        return code;
    }
    memcpy(report->command, target.command, sizeof report->command);
    bool present = process_read(pid, &process);
    notices_take(watch);
    struct watched *member = watched_find(&watch->members, pid);
    if (!present || member == NULL || !target_alive(&target) ||
        (member->start_time != 0 && member->start_time != process.start_time)) {
        target_close(&target);
        return error_set(error, SKEW_NOT_FOUND, pid, 0, "follow", "the process exited");
    }
    member->start_time = process.start_time;
    code = enrol_check(watch->engine, &watch->following->group, &target, &whole, error);
    target_close(&target);
    if (code == SKEW_OK && !whole) {
        code = enrol(watch->engine, &watch->following->group, pid, watch->follow->force, report,
                     error);
        *injected = code == SKEW_OK;
    }
    return code;
}

/* What became of it. Others may have come and gone meanwhile, so it is looked for again. */
static void member_settled(struct watch *watch, pid_t pid, enum skew_code code, bool injected,
                           const struct skew_report *report, const struct skew_error *error)
{
    const struct skew_follow *follow = watch->follow;
    struct watched *member = watched_find(&watch->members, pid);
    struct process process;
    if (member == NULL) {
        return;
    }
    if (code == SKEW_OK) {
        int64_t after_ns = monotonic_now() - member->since_ns;
        member->tries = 0;
        member->injection = report->id != 0 ? report->id : member->injection;
        if (injected && follow->injected != NULL) {
            follow->injected(follow->context, report, after_ns);
        }
        return;
    }
    if (!process_read(pid, &process)) {
        member_gone(watch, pid);
    } else if (++member->tries < TRIES) {
        member->due_ns = monotonic_now() + (RETRY_NS << member->tries);
    } else if (follow->refused != NULL) {
        follow->refused(follow->context, report, error);
    }
}

/*
 * The group as it is now. Whoever changed its skew gives that to those it knew; they are
 * looked at later, and at once the one that may have been injected meanwhile.
 */
static bool group_check(struct watch *watch, enum skew_code *code, struct skew_error *error)
{
    struct journal_group now;
    if (!follower_check(watch->engine, &watch->following->follower, &now, code, error)) {
        return false;
    }
    if (enrol_changed(&watch->following->group, &now)) {
        for (size_t m = 0; m < watch->members.count; m++) {
            struct watched *member = &watch->members.rows[m];
            int64_t now_ns = monotonic_now();
            watched_due(member, member->pid == watch->last ? DUE_AT_ONCE : now_ns + CHILD_NS,
                        now_ns);
        }
    }
    watch->following->group = now;
    return true;
}

static void wait_for(const struct watch *watch, const struct watched *next)
{
    int64_t now_ns = monotonic_now();
    int64_t until_ns = watch->look_ns;
    if (next != NULL && next->due_ns < until_ns) {
        until_ns = next->due_ns;
    }
    int64_t wait_ms = until_ns > now_ns ? (until_ns - now_ns) / MILLISECOND + 1 : 0;
    struct pollfd ready[] = {
        {.fd = noticer_descriptor(watch->noticer), .events = POLLIN},
        {.fd = watch->following->follower.signals, .events = POLLIN},
    };
    poll(ready, 2, wait_ms < POLL_LIMIT ? (int)wait_ms : POLL_LIMIT);
}

static enum skew_code members_follow(struct watch *watch, struct skew_error *error)
{
    enum skew_code code = members_recall(watch, error);
    while (code == SKEW_OK && group_check(watch, &code, error)) {
        notices_take(watch);
        if (monotonic_now() >= watch->look_ns) {
            all_look(watch);
            if (watch->members.count == 0) {
                watch->following->alone = true;
                return SKEW_OK;
            }
        }
        if (watch->short_of_memory) {
            return error_set(error, SKEW_FAILED, 0, 0, "follow", "out of memory");
        }
        struct watched *next = watched_next(&watch->members);
        if (next == NULL || next->due_ns > monotonic_now()) {
            wait_for(watch, next);
            continue;
        }
        pid_t pid = next->pid;
        bool injected;
        struct skew_report report;
        struct skew_error reason = {0};
        next->due_ns = 0;
        watch->last = pid;
        if (!group_check(watch, &code, error)) {
            break;
        }
        enum skew_code settled = member_settle(watch, pid, &injected, &report, &reason);
        member_settled(watch, pid, settled, injected, &report, &reason);
    }
    return code;
}

enum skew_code watch_run(struct following *following, struct skew_error *error)
{
    const struct skew_follow *follow = following->follow;
    struct watch watch = {.engine = following->engine,
                          .follow = follow,
                          .following = following,
                          .membership = following->membership,
                          .noticer = follow->notices};
    if (follow->ready != NULL) {
        follow->ready(follow->context, noticer_way(watch.noticer) == NOTICE_BY_CONNECTOR
                                           ? SKEW_FOLLOWS_TOLD
                                           : SKEW_FOLLOWS_POLLING);
    }
    enum skew_code code = members_follow(&watch, error);
    watched_release(&watch.members);
    return code;
}
