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

#include "engine/attach.h"
#include "engine/deadline.h"
#include "engine/enrol.h"
#include "engine/error.h"
#include "engine/exact.h"
#include "engine/followed.h"
#include "engine/private.h"
#include "engine/remote.h"
#include "engine/scope.h"
#include "engine/select.h"

/* SIGCHLD and SIGUSR1 say when to look; this is for those to whom they do not come. */
#define LOOK_ANYWAY_MS 250
/* Between two looks for members that came from elsewhere, */
#define LOOK_NS    INT64_C(100000000)
#define LOOK_SHARE 50 /* and they take no more of a processor than 1 in this */
/* However much happens, the group is looked at each time so much has. */
#define EVENTS_TOGETHER 256

/* A process that has executed something since it is attached to. */
struct program {
    pid_t pid;
    bool newborn;      /* to be skewed at its next stop */
    int64_t injection; /* 0 for none */
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

/* Whether the group is to be followed on; exact->group is as it is now. */
static bool group_check(struct exact *exact)
{
    return follower_check(exact->engine, exact->follower, &exact->group, &exact->code,
                          exact->error);
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
static enum skew_code member_enrol(struct exact *exact, pid_t pid, struct skew_report *report,
                                   struct skew_error *error)
{
    struct journal_group before;
    enum skew_code code;
    do {
        before = exact->group;
        code = enrol(exact->engine, &before, pid, exact->request.force, report, error);
    } while (code == SKEW_OK && group_check(exact) && enrol_changed(&before, &exact->group));
    return code;
}

/* In front of the first user instruction of a program. */
static void program_begin(struct exact *exact, pid_t pid)
{
    struct skew_report report;
    struct skew_error error = {0};
    struct program *program = program_find(exact, pid);
    program->newborn = false;
    enum skew_code code = exact->follower != NULL
                              ? member_enrol(exact, pid, &report, &error)
                              : skew_inject(exact->engine, pid, &exact->request, &report, &error);
    program->injection = code == SKEW_OK ? report.id : 0;
    /* The next look at the group ends what has gone on until its deadline. */
    bool over = exact->follower != NULL && deadline_passed(exact->group.skew.deadline_ns);
    if (code != SKEW_OK && code != SKEW_NOT_FOUND && !over && exact->refused != NULL) {
        exact->refused(exact->context, &report, &error);
    }
    if (exact->once) {
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
    if (!exact->once && enrol_is_skewctl(event->tid)) {
        followed_continue(event);
        return;
    }
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
            return !exact->once;
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
    struct pollfd changes[] = {
        {.fd = exact->changes, .events = POLLIN},
        {.fd = exact->follower != NULL ? exact->follower->signals : -1, .events = POLLIN}};
    if (poll(changes, 2, LOOK_ANYWAY_MS) > 0 && changes[0].revents != 0 &&
        read(exact->changes, &ignored, sizeof ignored) < 0) {
        return;
    }
}

/* A running member that is attached to now: what it executed before that, it began unskewed. */
static void member_attached(void *context, pid_t pid, bool whole)
{
    struct exact *exact = context;
    struct program *program = whole ? NULL : program_add(exact, pid);
    if (program != NULL) {
        program->newborn = true;
        followed_interrupt(pid);
    }
}

static bool refused_before(const struct exact *exact, const struct process *process)
{
    for (size_t i = 0; i < EXACT_REFUSALS; i++) {
        if (exact->refusals[i].pid == process->pid &&
            exact->refusals[i].start_time == process->start_time) {
            return true;
        }
    }
    return false;
}

static enum skew_code member_place(void *context, pid_t pid)
{
    struct exact *exact = context;
    struct skew_report report = {.pid = pid};
    struct skew_error error = {0};
    struct process process;
    if (!process_read(pid, &process)) {
        return SKEW_NOT_FOUND;
    }
    /* Each look for members comes to those again that cannot be attached to. */
    if (refused_before(exact, &process)) {
        return SKEW_REFUSED;
    }
    enum skew_code code = member_enrol(exact, pid, &report, &error);
    if (code != SKEW_OK && code != SKEW_NOT_FOUND) {
        exact->refusals[exact->refusal_count++ % EXACT_REFUSALS] =
            (struct refusal){.pid = pid, .start_time = process.start_time};
        if (exact->refused != NULL) {
            exact->refused(exact->context, &report, &error);
        }
    }
    return code;
}

/*
 * Attaches to the members that are not attached to yet, at the `beginning` also to those that
 * only the journal knows. False where there are none.
 */
static bool members_attach(struct exact *exact, bool beginning)
{
    struct attach attach = {.engine = exact->engine,
                            .group = &exact->group,
                            .membership = exact->membership,
                            .place = member_place,
                            .attached = member_attached,
                            .context = exact};
    if (exact->membership == NULL) {
        return false;
    }
    int64_t began_ns = monotonic_now();
    size_t news = (beginning ? attach_recalled(&attach) : 0) + attach_members(&attach);
    int64_t now_ns = monotonic_now(), pause_ns = (now_ns - began_ns) * LOOK_SHARE;
    exact->look_ns = now_ns + (pause_ns > LOOK_NS ? pause_ns : LOOK_NS);
    return news > 0;
}

/* Members live that nobody can be attached to now, as another traces them. */
static bool members_live(const struct exact *exact)
{
    scoped_memory struct journal_injection *rows = NULL;
    struct journal_error ignored;
    struct skew_error unused;
    size_t count = 0;
    bool live = false;
    if (exact->membership == NULL ||
        journal_group_members(exact->engine->journal, exact->group.id, false, &rows, &count,
                              &ignored) != JOURNAL_OK) {
        return false;
    }
    for (size_t i = 0; i < count && !live; i++) {
        live = row_life_look(&rows[i], &unused) == ROW_ALIVE;
    }
    return live;
}

static void events_handle(struct exact *exact)
{
    for (unsigned handled = 1;; handled++) {
        struct followed_event event = followed_next();
        if (event.kind == FOLLOWED_NOBODY && !members_attach(exact, false)) {
            if (!members_live(exact)) {
                exact->alone = true;
                return;
            }
            event.kind = FOLLOWED_QUIET;
        }
        if (!event_handle(exact, &event)) {
            return;
        }
        if (event.kind == FOLLOWED_QUIET) {
            changes_await(exact);
        } else if (handled % EVENTS_TOGETHER != 0) {
            continue;
        }
        if (exact->follower != NULL && !group_check(exact)) {
            return;
        }
        if (exact->membership != NULL && monotonic_now() >= exact->look_ns) {
            members_attach(exact, false);
        }
    }
}

static void *exact_main(void *context)
{
    struct exact *exact = context;
    if (exact->pid != 0) {
        exact->code = followed_seize(exact->pid, !exact->once, exact->error);
    } else {
        members_attach(exact, true);
    }
    if (exact->code != SKEW_OK) {
        return NULL;
    }
    if (exact->attached != NULL) {
        exact->attached(exact->context);
    }
    if (exact->once) {
        exact->code = error_set(exact->error, SKEW_NOT_FOUND, exact->pid, 0, "run",
                                "it ended without executing a program");
    }
    events_handle(exact);
    return NULL;
}

/* The tracer thread takes no signals, and its end lets everybody go. */
enum skew_code exact_run(struct exact *exact)
{
    /* Where the caller has it ignored, the kernel tells a tracer of no stop. */
    const struct sigaction told = {.sa_handler = SIG_DFL};
    struct sigaction before;
    sigset_t changes, all, previous, meanwhile;
    pthread_t thread;
    sigemptyset(&changes);
    sigaddset(&changes, SIGCHLD);
    scoped_descriptor descriptor = signalfd(-1, &changes, SFD_CLOEXEC | SFD_NONBLOCK);
    if (descriptor < 0) {
        return error_set(exact->error, SKEW_FAILED, exact->pid, errno, "follow",
                         "cannot wait for signals");
    }
    exact->changes = descriptor;
    sigaction(SIGCHLD, &told, &before);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &previous);
    int errnum = pthread_create(&thread, NULL, exact_main, exact);
    if (errnum == 0) {
        meanwhile = previous;
        sigaddset(&meanwhile, SIGCHLD);
        pthread_sigmask(SIG_SETMASK, &meanwhile, NULL);
        pthread_join(thread, NULL);
    } else {
        exact->code = error_set(exact->error, SKEW_FAILED, exact->pid, errnum, "follow",
                                "cannot start the tracer thread");
    }
    sigaction(SIGCHLD, &before, NULL);
    pthread_sigmask(SIG_SETMASK, &previous, NULL);
    free(exact->programs);
    exact->programs = NULL;
    return exact->code;
}

static void ready(void *context)
{
    const struct following *following = context;
    const struct skew_follow *follow = following->follow;
    if (follow->ready != NULL) {
        follow->ready(follow->context, SKEW_FOLLOWS_ATTACHED);
    }
}

static void refused(void *context, const struct skew_report *report, const struct skew_error *error)
{
    const struct following *following = context;
    const struct skew_follow *follow = following->follow;
    if (follow->refused != NULL) {
        follow->refused(follow->context, report, error);
    }
}

enum skew_code exact_follow(struct following *following, struct skew_error *error)
{
    struct exact exact = {.engine = following->engine,
                          .follower = &following->follower,
                          .group = following->group,
                          .membership = following->membership,
                          .request = {.force = following->follow->force},
                          .attached = ready,
                          .refused = refused,
                          .context = following,
                          .error = error};
    enum skew_code code = exact_run(&exact);
    following->alone = exact.alone;
    return code;
}
