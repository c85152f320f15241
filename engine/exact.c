/*
 * exact.c - skews a program before its first user instruction: stays attached to a
 * process until exec(3) replaces its program, and to its descendants if they are
 * to be followed.
 *
 * The order, for each exec, and what a death of skewctl leaves behind right after
 * each step. The kernel then lets every thread go (followed.c):
 *
 *   1 attached           nothing: the program runs on unskewed, and so do those that
 *                        it executes.
 *   2 PTRACE_EVENT_EXEC  the new program is there, and its thread about to return
 *                        from execve(2). As 1. Nothing is called here: the return
 *                        value of the execve would replace a register of the call.
 *   3 INTERRUPT, CONT    the thread stops once more, before its first user instruction.
 *                        As 1.
 *   4 the inject         of inject.c, all in this one stop and on this very thread: what
 *                        that file says of each step holds here too, but that there is
 *                        one thread only, which nobody else can stop or signal into
 *                        code of its own. Recovers.
 *   5 CONT               skewed; followed on, or let go for good.
 *
 * If a signal arrives: before 4 it waits, or ends the program, which has no handlers
 * yet; in 4 see remote.c.
 * Where an inject fails it is undone in the same stop (recover.c). A program that is
 * followed then goes on unskewed; one that was to be run skewed and nothing else is
 * ended before its first instruction, with the code of the failure as its exit status.
 *
 * Forked children need nothing: they have the image of their parent (inherited), and are
 * attached only so that what they execute is skewed.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/error.h"
#include "engine/followed.h"
#include "engine/follower.h"
#include "engine/private.h"
#include "engine/remote.h"
#include "engine/scope.h"

/* SIGCHLD and SIGUSR1 say when to look; this is for those to whom they do not come. */
#define LOOK_ANYWAY_MS 250
/* However much happens, the group is looked at each time so much has. */
#define EVENTS_TOGETHER 256

/* A process that has executed something since it is attached to. */
struct program {
    pid_t pid;
    bool newborn;      /* to be skewed at its next stop */
    int64_t injection; /* 0 for none */
};

struct exact {
    struct skew_engine *engine;
    const struct skew_run *run;
    struct follower follower;   /* with run->follow; */
    struct journal_group group; /* as last read */
    int changes;                /* signalfd(2) of SIGCHLD */
    struct program *programs;
    size_t count;
    size_t capacity;
    struct skew_report *report;
    struct skew_error *error;
    enum skew_code code;
};

static struct program *program_find(struct exact *exact, pid_t pid)
{
    for (size_t i = 0; i < exact->count; i++) {
        if (exact->programs[i].pid == pid) {
            return &exact->programs[i];
        }
    }
    return NULL;
}

static struct program *program_add(struct exact *exact, pid_t pid)
{
    struct program *known = program_find(exact, pid);
    if (known != NULL) {
        return known;
    }
    if (exact->count == exact->capacity) {
        size_t capacity = exact->capacity * 2 + 16;
        struct program *grown = reallocarray(exact->programs, capacity, sizeof *grown);
        if (grown == NULL) {
            return NULL;
        }
        exact->programs = grown;
        exact->capacity = capacity;
    }
    struct program *added = &exact->programs[exact->count++];
    *added = (struct program){.pid = pid};
    return added;
}

/* It has ended: so has its injection, which nobody else would hear of soon. */
static void program_remove(struct exact *exact, pid_t pid)
{
    struct journal_error ignored;
    struct program *program = program_find(exact, pid);
    if (program == NULL) {
        return;
    }
    if (program->injection != 0) {
        journal_advance(exact->engine->journal, program->injection, JOURNAL_GONE, "exited",
                        &ignored);
    }
    *program = exact->programs[--exact->count];
}

static bool newborn_is(struct exact *exact, pid_t pid)
{
    const struct program *program = program_find(exact, pid);
    return program != NULL && program->newborn;
}

/* stop window begins */

static enum skew_code registers_need_no_saving(void *context, pid_t tid,
                                               const arch_registers *registers,
                                               struct skew_error *error)
{
    (void)context;
    (void)tid;
    (void)registers;
    (void)error;
    return SKEW_OK;
}

struct ending {
    uint64_t stub;
    int status;
};

/* Has the thread call exit_group(2): there is nothing to come back to. */
static enum skew_code ending_run(struct tracer *tracer, void *context, struct skew_error *error)
{
    const struct ending *ending = context;
    struct tracee *tracee;
    bool busy;
    enum skew_code code = caller_seize(tracer, &tracee, &busy, error);
    if (code == SKEW_OK) {
        code = tracer_stop(tracer, tracee, error);
    }
    if (code != SKEW_OK) {
        return code;
    }
    struct remote remote = {
        .tracer = tracer, .tracee = tracee, .stub = ending->stub, .save = registers_need_no_saving};
    const uint64_t arguments[6] = {(uint64_t)ending->status};
    long result;
    code = remote_syscall(&remote, SYS_exit_group, arguments, &result, error);
    return remote_conclude(&remote, code, error);
}

/* stop window ends */

/* Ends a program that has not begun, as if skewctl itself had ended with that code. */
static void program_end(struct exact *exact, pid_t pid)
{
    struct skew_error ignored;
    struct look look;
    if (look_open(&exact->engine->vdso, pid, 0, &look, &ignored) == SKEW_OK) {
        struct ending ending = {.stub =
                                    look.vdso_address + vdso_stub_offset(&exact->engine->vdso, 0),
                                .status = (int)exact->code};
        int64_t pause_ns;
        unsigned exposed;
        tracer_run(&look.target, ending_run, &ending, &pause_ns, &exposed, &ignored);
        look_close(&look);
    }
    /* Where it could not make the call; it has ended otherwise, and nobody has reaped it. */
    kill(pid, SIGKILL);
}

/*
 * With the skew that the group has now. Whoever changes that writes it down before it looks
 * who the members are; so it is read again once this is one.
 */
static enum skew_code member_inject(struct exact *exact, pid_t pid, struct skew_report *report,
                                    struct skew_error *error)
{
    struct journal_error journal_error = {0};
    struct journal_group before;
    enum skew_code code;
    do {
        before = exact->group;
        struct skew_request request = exact->run->request;
        request.offset_ns = before.offset_ns;
        request.clocks = before.clocks;
        code = skew_inject(exact->engine, pid, &request, report, error);
        if (code == SKEW_OK && journal_group_join(exact->engine->journal, before.id, report->id,
                                                  &journal_error) != JOURNAL_OK) {
            code = error_from_journal(error, pid, &journal_error);
        }
    } while (code == SKEW_OK &&
             follower_check(exact->engine, &exact->follower, &exact->group, &code, error) &&
             (exact->group.offset_ns != before.offset_ns || exact->group.clocks != before.clocks));
    return code;
}

/* In front of the first user instruction of a program. */
static void program_begin(struct exact *exact, pid_t pid)
{
    struct skew_report report;
    struct skew_error error = {0};
    struct program *program = program_find(exact, pid);
    program->newborn = false;
    enum skew_code code =
        exact->run->follow ? member_inject(exact, pid, &report, &error)
                           : skew_inject(exact->engine, pid, &exact->run->request, &report, &error);
    program->injection = code == SKEW_OK ? report.id : 0;
    if (code != SKEW_OK && code != SKEW_NOT_FOUND && exact->run->refused != NULL) {
        exact->run->refused(exact->run->context, &report, &error);
    }
    if (!exact->run->follow) {
        *exact->report = report;
        *exact->error = error;
        exact->code = code;
        if (code != SKEW_OK) {
            program_end(exact, pid);
        }
    }
}

static void program_executed(struct exact *exact, const struct followed_event *event)
{
    struct program *program = program_add(exact, event->tid);
    if (program == NULL) {
        /* Without memory it goes on unskewed. */
        followed_continue(event);
        return;
    }
    program->newborn = true;
    followed_advance(event);
}

/* Returns false once there is nothing more to do. */
static bool event_handle(struct exact *exact, const struct followed_event *event)
{
    switch (event->kind) {
    case FOLLOWED_QUIET:
    case FOLLOWED_NOBODY:
        break;
    case FOLLOWED_ENDED:
        program_remove(exact, event->tid);
        break;
    case FOLLOWED_EXEC:
        program_executed(exact, event);
        break;
    case FOLLOWED_READY:
        if (newborn_is(exact, event->tid)) {
            program_begin(exact, event->tid);
            /* The stop that it is in now is seen next. */
            return exact->run->follow;
        }
        followed_continue(event);
        break;
    case FOLLOWED_SIGNAL:
        (newborn_is(exact, event->tid) ? followed_advance : followed_continue)(event);
        break;
    case FOLLOWED_CALL:
        /* Of an inject. Where the process is in a group stop, the thread has to come back to it. */
        followed_advance(event);
        break;
    case FOLLOWED_PASSING:
        followed_continue(event);
        break;
    }
    return true;
}

/* Until something has happened, or it is time to look at the group. */
static void changes_await(const struct exact *exact)
{
    struct signalfd_siginfo ignored;
    struct pollfd changes[] = {{.fd = exact->changes, .events = POLLIN},
                               {.fd = exact->follower.signals, .events = POLLIN}};
    if (poll(changes, 2, LOOK_ANYWAY_MS) > 0 && changes[0].revents != 0 &&
        read(exact->changes, &ignored, sizeof ignored) < 0) {
        return;
    }
}

static void events_handle(struct exact *exact)
{
    for (unsigned handled = 1;; handled++) {
        struct followed_event event = followed_next();
        if (event.kind == FOLLOWED_NOBODY || !event_handle(exact, &event)) {
            return;
        }
        if (event.kind == FOLLOWED_QUIET) {
            changes_await(exact);
        } else if (handled % EVENTS_TOGETHER != 0) {
            continue;
        }
        if (exact->run->follow && !follower_check(exact->engine, &exact->follower, &exact->group,
                                                  &exact->code, exact->error)) {
            return;
        }
    }
}

static void *exact_main(void *context)
{
    struct exact *exact = context;
    exact->code = followed_seize(exact->run->pid, exact->run->follow, exact->error);
    if (exact->code != SKEW_OK) {
        return NULL;
    }
    if (exact->run->attached != NULL) {
        exact->run->attached(exact->run->context);
    }
    if (!exact->run->follow) {
        exact->code = error_set(exact->error, SKEW_NOT_FOUND, exact->run->pid, 0, "run",
                                "it ended without executing a program");
    }
    events_handle(exact);
    return NULL;
}

/* The tracer thread takes no signals, and its end lets everybody go. */
static enum skew_code exact_run(struct exact *exact)
{
    sigset_t changes, all, previous, meanwhile;
    pthread_t thread;
    sigemptyset(&changes);
    sigaddset(&changes, SIGCHLD);
    scoped_descriptor descriptor = signalfd(-1, &changes, SFD_CLOEXEC | SFD_NONBLOCK);
    if (descriptor < 0) {
        return error_set(exact->error, SKEW_FAILED, exact->run->pid, errno, "run",
                         "cannot wait for signals");
    }
    exact->changes = descriptor;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &previous);
    int errnum = pthread_create(&thread, NULL, exact_main, exact);
    if (errnum == 0) {
        meanwhile = previous;
        sigaddset(&meanwhile, SIGCHLD);
        pthread_sigmask(SIG_SETMASK, &meanwhile, NULL);
        pthread_join(thread, NULL);
    } else {
        exact->code = error_set(exact->error, SKEW_FAILED, exact->run->pid, errnum, "run",
                                "cannot start the tracer thread");
    }
    pthread_sigmask(SIG_SETMASK, &previous, NULL);
    return exact->code;
}

/* A group of its own, with us as its follower. */
static enum skew_code group_begin(struct exact *exact)
{
    struct journal *journal = exact->engine->journal;
    struct journal_error journal_error = {0};
    struct journal_group *group = &exact->group;
    const struct skew_request *request = &exact->run->request;
    pid_t pid = exact->run->pid;
    uint64_t clocks = request->clocks != 0 ? request->clocks : skew_clocks_default();
    *group = (struct journal_group){
        .offset_ns = request->offset_ns, .clocks = clocks, .follow = JOURNAL_FOLLOW_EXACT};
    snprintf(group->selectors, sizeof group->selectors, "run:%s", exact->run->command);
    enum skew_code code = target_world_read(group->boot_id, &group->pid_namespace, exact->error);
    if (code == SKEW_OK && (journal_group_plan(journal, group, &journal_error) != JOURNAL_OK ||
                            journal_group_advance(journal, group->id, JOURNAL_GROUP_ACTIVE,
                                                  &journal_error) != JOURNAL_OK)) {
        code = error_from_journal(exact->error, pid, &journal_error);
    }
    return code == SKEW_OK
               ? follower_claim(exact->engine, group->id, &exact->follower, exact->error)
               : code;
}

/* Where nobody is left. Listing tells the rows of those who are gone. */
static void group_end(struct exact *exact)
{
    struct skew_report *reports = NULL;
    struct journal_injection *members = NULL;
    struct skew_error ignored;
    struct journal_error journal_ignored;
    size_t count = 0;
    skew_list(exact->engine, false, &reports, &count, &ignored);
    free(reports);
    if (journal_group_members(exact->engine->journal, exact->group.id, false, &members, &count,
                              &journal_ignored) == JOURNAL_OK &&
        count == 0) {
        journal_group_advance(exact->engine->journal, exact->group.id, JOURNAL_GROUP_ENDED,
                              &journal_ignored);
    }
    free(members);
}

enum skew_code skew_run(struct skew_engine *engine, const struct skew_run *run,
                        struct skew_report *report, struct skew_run_end *end,
                        struct skew_error *error)
{
    *report = (struct skew_report){.pid = run->pid};
    *end = (struct skew_run_end){0};
    if (engine->unusable.code != SKEW_OK) {
        *error = engine->unusable;
        return error->code;
    }
    scoped_memory struct exact *exact = calloc(1, sizeof *exact);
    if (exact == NULL) {
        return error_set(error, SKEW_FAILED, run->pid, 0, "run", "out of memory");
    }
    *exact = (struct exact){.engine = engine,
                            .run = run,
                            .follower = {.signals = -1},
                            .report = report,
                            .error = error};
    enum skew_code code = run->follow ? group_begin(exact) : SKEW_OK;
    if (code == SKEW_OK) {
        code = exact_run(exact);
    }
    end->group = exact->group.id;
    end->signal = exact->follower.signal;
    if (exact->group.id != 0) {
        follower_release(engine, &exact->follower);
        group_end(exact);
    }
    free(exact->programs);
    return code;
}
