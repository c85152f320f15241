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
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/error.h"
#include "engine/followed.h"
#include "engine/private.h"
#include "engine/remote.h"
#include "engine/scope.h"

/* SIGCHLD says when to look; this is for those to whom it does not come. */
#define LOOK_ANYWAY_MS 1000

struct exact {
    struct skew_engine *engine;
    const struct skew_run *run;
    int changes;    /* signalfd(2) of SIGCHLD */
    pid_t *newborn; /* executed, and to be skewed at their next stop */
    size_t count;
    size_t capacity;
    struct skew_report *report;
    struct skew_error *error;
    enum skew_code code;
};

static bool newborn_add(struct exact *exact, pid_t pid)
{
    if (exact->count == exact->capacity) {
        size_t capacity = exact->capacity * 2 + 16;
        pid_t *grown = reallocarray(exact->newborn, capacity, sizeof *grown);
        if (grown == NULL) {
            return false;
        }
        exact->newborn = grown;
        exact->capacity = capacity;
    }
    exact->newborn[exact->count++] = pid;
    return true;
}

static bool newborn_is(const struct exact *exact, pid_t pid)
{
    for (size_t i = 0; i < exact->count; i++) {
        if (exact->newborn[i] == pid) {
            return true;
        }
    }
    return false;
}

static void newborn_remove(struct exact *exact, pid_t pid)
{
    for (size_t i = 0; i < exact->count; i++) {
        if (exact->newborn[i] == pid) {
            exact->newborn[i] = exact->newborn[--exact->count];
            return;
        }
    }
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

/* In front of the first user instruction of a program. */
static void program_begin(struct exact *exact, const struct followed_event *event)
{
    struct skew_report report;
    struct skew_error error = {0};
    newborn_remove(exact, event->tid);
    enum skew_code code =
        skew_inject(exact->engine, event->tid, &exact->run->request, &report, &error);
    if (code != SKEW_OK && code != SKEW_NOT_FOUND && exact->run->refused != NULL) {
        exact->run->refused(exact->run->context, &report, &error);
    }
    if (!exact->run->follow) {
        *exact->report = report;
        *exact->error = error;
        exact->code = code;
        if (code != SKEW_OK) {
            program_end(exact, event->tid);
        }
    }
}

/* Returns false once there is nothing more to do. */
static bool event_handle(struct exact *exact, const struct followed_event *event)
{
    switch (event->kind) {
    case FOLLOWED_QUIET:
    case FOLLOWED_NOBODY:
        break;
    case FOLLOWED_ENDED:
        newborn_remove(exact, event->tid);
        break;
    case FOLLOWED_EXEC:
        /* Without memory it goes on unskewed. */
        (newborn_add(exact, event->tid) ? followed_advance : followed_continue)(event);
        break;
    case FOLLOWED_READY:
        if (newborn_is(exact, event->tid)) {
            program_begin(exact, event);
            /* The stop that it is in now is seen next. */
            return exact->run->follow;
        }
        followed_continue(event);
        break;
    case FOLLOWED_SIGNAL:
        (newborn_is(exact, event->tid) ? followed_advance : followed_continue)(event);
        break;
    case FOLLOWED_CALL:
        /* Of the inject's. Where the process is in a group stop, the thread has to come back to it.
         */
        followed_advance(event);
        break;
    case FOLLOWED_PASSING:
        followed_continue(event);
        break;
    }
    return true;
}

static void changes_await(const struct exact *exact)
{
    struct pollfd change = {.fd = exact->changes, .events = POLLIN};
    struct signalfd_siginfo ignored;
    if (poll(&change, 1, LOOK_ANYWAY_MS) > 0 &&
        read(exact->changes, &ignored, sizeof ignored) < 0) {
        return;
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
    exact->code = exact->run->follow ? SKEW_OK : SKEW_NOT_FOUND;
    for (;;) {
        struct followed_event event = followed_next();
        if (event.kind == FOLLOWED_NOBODY) {
            break;
        }
        if (event.kind == FOLLOWED_QUIET) {
            changes_await(exact);
        } else if (!event_handle(exact, &event)) {
            break;
        }
    }
    if (exact->code == SKEW_NOT_FOUND) {
        error_set(exact->error, SKEW_NOT_FOUND, exact->run->pid, 0, "run",
                  "it ended without executing a program");
    }
    return NULL;
}

enum skew_code skew_run(struct skew_engine *engine, const struct skew_run *run,
                        struct skew_report *report, struct skew_error *error)
{
    sigset_t changes, all, previous, meanwhile;
    *report = (struct skew_report){.pid = run->pid};
    struct exact exact = {.engine = engine, .run = run, .report = report, .error = error};
    if (engine->unusable.code != SKEW_OK) {
        *error = engine->unusable;
        return error->code;
    }
    sigemptyset(&changes);
    sigaddset(&changes, SIGCHLD);
    scoped_descriptor descriptor = signalfd(-1, &changes, SFD_CLOEXEC | SFD_NONBLOCK);
    if (descriptor < 0) {
        return error_set(error, SKEW_FAILED, run->pid, errno, "run", "cannot wait for signals");
    }
    exact.changes = descriptor;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &previous);
    pthread_t thread;
    int errnum = pthread_create(&thread, NULL, exact_main, &exact);
    if (errnum == 0) {
        meanwhile = previous;
        sigaddset(&meanwhile, SIGCHLD);
        pthread_sigmask(SIG_SETMASK, &meanwhile, NULL);
        pthread_join(thread, NULL);
    } else {
        exact.code = error_set(error, SKEW_FAILED, run->pid, errnum, "run",
                               "cannot start the tracer thread");
    }
    pthread_sigmask(SIG_SETMASK, &previous, NULL);
    free(exact.newborn);
    return exact.code;
}
