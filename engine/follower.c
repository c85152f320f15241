/*
 * follower.c - which skewctl follows a group: the claim in the journal, and how
 * another skewctl gets it back.
 *
 * A follower is named in the group's row by pid and start time, so that one that died
 * is known from another process with its number; its place may be taken at once, since
 * the kernel has let go of whatever it held.
 *
 * Whoever recovers the group first sets the phase RECOVERING, then wakes the follower
 * with SIGUSR1 and waits until the claim is given up. A follower reads the phase
 * after it has claimed and before it touches a process, and gives the claim up
 * when it touches none any more. So whichever comes first, claim or phase: either
 * the one who recovers sees the claim and waits, or the follower sees the phase.
 *
 * If either dies: a phase RECOVERING stays, and so the group cannot be followed again, but
 * recovered by whoever asks. A claim of a dead process is no claim.
 * If a signal comes when nobody is following any more: SIGUSR1 is ignored from then on.
 */
#include "engine/follower.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "engine/deadline.h"
#include "engine/error.h"
#include "engine/scope.h"

/* An operation on a process may take as long: OPERATION_LIMIT of tracer.c, and a journal's wait. */
#define DISMISS_LIMIT_NS INT64_C(30000000000)
#define DISMISS_WAIT_NS  2000000

_Static_assert(sizeof(sigset_t) <= sizeof(((struct follower *)0)->previous),
               "the signal mask fits");

static bool same_world(const struct journal_group *group, enum skew_code *code,
                       struct skew_error *error)
{
    char boot_id[40];
    uint64_t pid_namespace;
    *code = target_world_read(boot_id, &pid_namespace, error);
    if (*code != SKEW_OK || strcmp(boot_id, group->boot_id) != 0) {
        return false;
    }
    if (pid_namespace != group->pid_namespace) {
        *code = error_set(error, SKEW_REFUSED, 0, 0, "look for follower",
                          "group g%lld is of another pid namespace", (long long)group->id);
        error_advise(error, "run skewctl there");
        return false;
    }
    return true;
}

/* Opens the follower's process, if it is the one of the row. */
static bool follower_open(const struct journal_follower *follower, struct target *target)
{
    struct skew_error ignored;
    if (follower->pid == 0 || target_open(follower->pid, target, &ignored) != SKEW_OK) {
        return false;
    }
    if (target->start_time != follower->start_time || !target_alive(target)) {
        target_close(target);
        return false;
    }
    return true;
}

enum skew_code follower_alive(const struct journal_group *group, bool *alive,
                              struct skew_error *error)
{
    enum skew_code code = SKEW_OK;
    struct target target;
    *alive = false;
    if (group->follower.pid != 0 && same_world(group, &code, error) &&
        follower_open(&group->follower, &target)) {
        *alive = true;
        target_close(&target);
    }
    return code;
}

static enum skew_code group_read(struct skew_engine *engine, int64_t id,
                                 struct journal_group *group, struct skew_error *error)
{
    struct journal_error journal_error = {0};
    return journal_group_get(engine->journal, id, group, &journal_error) == JOURNAL_OK
               ? SKEW_OK
               : error_from_journal(error, 0, &journal_error);
}

/* Without those that are ignored: a blocked signal is kept even then. */
static void signals_take(struct follower *follower)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
    sigset_t taken, previous;
    sigemptyset(&taken);
    sigaddset(&taken, SIGUSR1);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct sigaction action;
        if (sigaction(ends[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN) {
            sigaddset(&taken, ends[i]);
        }
    }
    pthread_sigmask(SIG_BLOCK, &taken, &previous);
    memcpy(follower->previous, &previous, sizeof previous);
    follower->signals = signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void signals_give_back(struct follower *follower)
{
    sigset_t previous;
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    descriptor_close(&follower->signals);
    sigaction(SIGUSR1, &ignore, NULL);
    memcpy(&previous, follower->previous, sizeof previous);
    pthread_sigmask(SIG_SETMASK, &previous, NULL);
}

static enum skew_code followable(const struct journal_group *group, struct skew_error *error)
{
    bool alive;
    if (group->phase != JOURNAL_GROUP_ACTIVE) {
        return error_set(error, SKEW_REFUSED, 0, 0, "follow", "group g%lld is %s, not active",
                         (long long)group->id, journal_group_phase_name(group->phase));
    }
    enum skew_code code = follower_alive(group, &alive, error);
    if (code == SKEW_OK && alive) {
        error_set(error, SKEW_REFUSED, group->follower.pid, 0, "follow",
                  "group g%lld is followed by this process already", (long long)group->id);
        error_advise(error, "that goes on; nothing was changed");
        code = SKEW_REFUSED;
    }
    return code;
}

static enum skew_code claim_write(struct skew_engine *engine, struct follower *follower,
                                  struct skew_error *error)
{
    struct journal_error journal_error = {0};
    struct journal_group group;
    enum skew_code code = group_read(engine, follower->group, &group, error);
    if (code == SKEW_OK) {
        code = followable(&group, error);
    }
    if (code == SKEW_OK &&
        journal_group_set_follower(engine->journal, follower->group, &group.follower,
                                   &follower->self, &journal_error) != JOURNAL_OK) {
        code = error_from_journal(error, 0, &journal_error);
    }
    follower->claimed = code == SKEW_OK;
    return code;
}

enum skew_code follower_claim(struct skew_engine *engine, int64_t group, struct follower *follower,
                              struct skew_error *error)
{
    struct target self;
    *follower = (struct follower){.group = group, .signals = -1};
    enum skew_code code = target_open(getpid(), &self, error);
    if (code != SKEW_OK) {
        return code;
    }
    follower->self = (struct journal_follower){.pid = self.pid, .start_time = self.start_time};
    target_close(&self);
    signals_take(follower);
    if (follower->signals < 0) {
        code = error_set(error, SKEW_FAILED, 0, errno, "follow", "cannot wait for signals");
    }
    if (code == SKEW_OK) {
        code = claim_write(engine, follower, error);
    }
    /* Only now is it certain that whoever recovers the group will see the claim. */
    struct journal_group now;
    enum skew_code checked = SKEW_OK;
    if (code == SKEW_OK && !follower_check(engine, follower, &now, &checked, error) &&
        !follower->expired && follower->signal == 0) {
        code = checked != SKEW_OK ? checked
                                  : error_set(error, SKEW_REFUSED, 0, 0, "follow",
                                              "group g%lld is being recovered", (long long)group);
    }
    if (code != SKEW_OK) {
        follower_release(engine, follower);
    }
    return code;
}

void follower_release(struct skew_engine *engine, struct follower *follower)
{
    static const struct journal_follower nobody;
    struct journal_error ignored;
    if (follower->claimed) {
        journal_group_set_follower(engine->journal, follower->group, &follower->self, &nobody,
                                   &ignored);
        follower->claimed = false;
    }
    if (follower->signals >= 0) {
        signals_give_back(follower);
    }
}

bool follower_check(struct skew_engine *engine, struct follower *follower,
                    struct journal_group *group, enum skew_code *code, struct skew_error *error)
{
    struct signalfd_siginfo came;
    while (read(follower->signals, &came, sizeof came) == sizeof came) {
        if (came.ssi_signo != SIGUSR1) {
            follower->signal = (int)came.ssi_signo;
        }
    }
    *code = group_read(engine, follower->group, group, error);
    follower->expired = *code == SKEW_OK && deadline_passed(group->skew.deadline_ns);
    return *code == SKEW_OK && follower->signal == 0 && !follower->expired &&
           group->phase == JOURNAL_GROUP_ACTIVE && group->follower.pid == follower->self.pid &&
           group->follower.start_time == follower->self.start_time;
}

static void follower_wake(const struct journal_group *group)
{
    struct target target;
    if (!follower_open(&group->follower, &target)) {
        return;
    }
    if (target.pidfd >= 0) {
        pidfd_send_signal(target.pidfd, SIGUSR1, NULL, 0);
    } else {
        kill(target.pid, SIGUSR1);
    }
    target_close(&target);
}

enum skew_code follower_dismiss(struct skew_engine *engine, int64_t id, struct skew_error *error)
{
    struct journal_group group;
    struct journal_error journal_error = {0};
    bool alive = false;
    if (journal_group_advance(engine->journal, id, JOURNAL_GROUP_RECOVERING, &journal_error) !=
        JOURNAL_OK) {
        return error_from_journal(error, 0, &journal_error);
    }
    enum skew_code code = group_read(engine, id, &group, error);
    if (code == SKEW_OK && group.follower.pid != getpid()) {
        code = follower_alive(&group, &alive, error);
    }
    if (code != SKEW_OK || !alive) {
        return code;
    }
    follower_wake(&group);
    for (int64_t limit = monotonic_now() + DISMISS_LIMIT_NS; alive && monotonic_now() < limit;) {
        nanosleep(&(struct timespec){.tv_nsec = DISMISS_WAIT_NS}, NULL);
        code = group_read(engine, id, &group, error);
        if (code == SKEW_OK) {
            code = follower_alive(&group, &alive, error);
        }
        if (code != SKEW_OK) {
            return code;
        }
    }
    if (alive) {
        error_set(error, SKEW_FAILED, group.follower.pid, 0, "recover",
                  "the skewctl that follows group g%lld does not let go of it", (long long)id);
        error_advise(error, "end that process, then run the same command again");
        return SKEW_FAILED;
    }
    return SKEW_OK;
}

static void group_report(const struct journal_group *group, struct skew_report *reports,
                         size_t count)
{
    struct skew_error ignored;
    bool alive;
    if (group->follow == JOURNAL_FOLLOW_NONE ||
        follower_alive(group, &alive, &ignored) != SKEW_OK) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (reports[i].group == group->id) {
            reports[i].follower = alive ? group->follower.pid : 0;
            reports[i].follower_lost = !alive && group->phase == JOURNAL_GROUP_ACTIVE;
        }
    }
}

void follower_report(struct skew_engine *engine, struct skew_report *reports, size_t count)
{
    struct journal_error ignored;
    struct journal_group *groups;
    size_t group_count;
    if (journal_group_list(engine->journal, false, &groups, &group_count, &ignored) != JOURNAL_OK) {
        return;
    }
    for (size_t i = 0; i < group_count; i++) {
        group_report(&groups[i], reports, count);
    }
    free(groups);
}

int64_t follower_of(struct skew_engine *engine, pid_t pid)
{
    pid_t tracer = process_status_number(pid, "TracerPid");
    pid_t process = tracer != 0 ? process_status_number(tracer, "Tgid") : 0;
    scoped_memory struct journal_group *groups = NULL;
    struct journal_error ignored;
    size_t count = 0;
    if (process == 0 ||
        journal_group_list(engine->journal, false, &groups, &count, &ignored) != JOURNAL_OK) {
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        struct skew_error unused;
        bool alive;
        if (groups[i].follow == JOURNAL_FOLLOW_EXACT && groups[i].follower.pid == process &&
            follower_alive(&groups[i], &alive, &unused) == SKEW_OK && alive) {
            return groups[i].id;
        }
    }
    return 0;
}
