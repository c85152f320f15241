/*
 * stop.c - stops single threads and lets them go.
 *
 * What happens if skewctl dies, or a signal arrives, at each step:
 *
 *   SEIZE         changes nothing a thread can see. Death: the kernel detaches.
 *   INTERRUPT     the thread stops where it next enters or leaves the kernel;
 *                 it runs no user instruction before that. Death before or at
 *                 the stop: it is detached and goes on from its own registers;
 *                 the kernel restarts an interrupted system call itself.
 *   the wait      waitid with WNOWAIT leaves the stop unconsumed. waitpid would
 *                 clear the task's exit code, and a tracer that died then would
 *                 take the signal of a signal-delivery stop with it.
 *   a signal      reported first, as a signal-delivery stop: it is passed on at
 *                 once with CONT, and the pending interrupt then stops the
 *                 thread at the first instruction of its handler. Masks are
 *                 never touched. Death before CONT: the kernel delivers it.
 *   group stop    a thread of a stopped process reports its group stop; after
 *                 DETACH it is stopped as before. SIGSTOP and SIGCONT are never
 *                 sent.
 *   SETREGS       at once turns the EINTR that the stop caused into the kernel's
 *                 restart code (asm/arch.h); later puts back the registers of the
 *                 stop. Death between the stop and the first: EINTR is seen once.
 *   DETACH        Death before: the same happens by itself.
 *
 * A new thread is attached at birth (PTRACE_O_TRACECLONE), so threads that
 * create threads cannot run away from the scan. PTRACE_O_EXITKILL is never set.
 *
 * Waiting is polling: a stop takes microseconds, waitid has no time limit, and
 * a library may not claim SIGCHLD or a timer signal. It spins, then yields so
 * that tracees on this CPU get their turn, then sleeps, until the deadline.
 */
#include "engine/stop.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/error.h"
#include "engine/memory.h"
#include "engine/scope.h"

/* Linux 6.4; not in the headers of Debian 12. */
#ifndef PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG
#define PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG 0x4211
struct ptrace_sud_config {
    uint64_t mode;
    uint64_t selector;
    uint64_t offset;
    uint64_t len;
};
#endif
#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1
#endif
#ifndef SYS_USER_DISPATCH
#define SYS_USER_DISPATCH 2
#endif

/* stop window begins */

#define MILLISECOND INT64_C(1000000)
/*
 * A thread in an uninterruptible wait (a vfork parent, a frozen cgroup, a dead
 * network disk) is given up after the first; one that only waits for a
 * processor, or for a debugger's eye on skewctl itself, after the second.
 */
#define BLOCKED_LIMIT (200 * MILLISECOND)
#define STOP_LIMIT    (5000 * MILLISECOND)
#define SPIN_TIME     (INT64_C(5) * 1000)
#define YIELD_TIME    (2 * MILLISECOND)
#define SLEEP_TIME    (INT64_C(100) * 1000)

#define SYSCALL_SIGNAL  (SIGTRAP | 0x80)
#define SEIZE_OPTIONS   (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC)
#define STOP_EVENT(si)  ((si)->si_status >> 8)
#define STOP_SIGNAL(si) ((si)->si_status & 0xff)

_Static_assert((SEIZE_OPTIONS & PTRACE_O_EXITKILL) == 0, "the target must outlive its tracer");

int64_t monotonic_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

void child_reap(pid_t child)
{
    siginfo_t exit;
    while (waitid(P_PID, (id_t)child, &exit, WEXITED) < 0 && errno == EINTR) {
    }
}

static enum skew_code tracer_error(const struct tracer *tracer, pid_t tid, int errnum,
                                   const char *operation, const char *message,
                                   struct skew_error *error)
{
    return error_set_plain(error, error_code_for(errnum), tracer->target->pid, tid, errnum,
                           operation, message);
}

static enum skew_code tracee_lost(const struct tracer *tracer, struct tracee *tracee,
                                  struct skew_error *error)
{
    tracee->state = TRACEE_GONE;
    return error_set_plain(error, SKEW_NOT_FOUND, tracer->target->pid, tracee->tid, 0, "stop",
                           "the thread exited, or exec replaced the program, while it was held");
}

/* As in proc(5): R S D T t Z X; X also where there is no such thread. */
static char thread_state(const struct tracer *tracer, pid_t tid)
{
    char path[TASK_PATH_SIZE];
    char text[1024];
    struct proc_stat stat;
    task_path_format(tid, "stat", path);
    if (proc_file_read(tracer->tasks, path, text, sizeof text) <= 0 ||
        !proc_stat_parse(text, &stat)) {
        return 'X';
    }
    return stat.state;
}

/*
 * Waits for something that may take for ever: an uninterruptible wait, or, on its
 * way through a stub, in which no thread ever sleeps, a frozen cgroup of version 2.
 */
static bool thread_blocked(const struct tracer *tracer, const struct tracee *tracee)
{
    char state = thread_state(tracer, tracee->tid);
    return state == 'D' || (state == 'S' && tracee->in_stub);
}

static bool thread_exited(const struct tracer *tracer, pid_t tid)
{
    char state = thread_state(tracer, tid);
    return state == 'Z' || state == 'X';
}

struct tracee *tracer_find(struct tracer *tracer, pid_t tid, size_t hint)
{
    if (tid > tracer->highest) {
        return NULL;
    }
    if (hint < tracer->count && tracer->tracees[hint].tid == tid &&
        tracer->tracees[hint].state != TRACEE_GONE) {
        return &tracer->tracees[hint];
    }
    for (size_t i = 0; i < tracer->count; i++) {
        if (tracer->tracees[i].tid == tid && tracer->tracees[i].state != TRACEE_GONE) {
            return &tracer->tracees[i];
        }
    }
    return NULL;
}

static struct tracee *tracee_add(struct tracer *tracer, pid_t tid)
{
    if (tracer->count == tracer->capacity) {
        return NULL;
    }
    struct tracee *tracee = &tracer->tracees[tracer->count++];
    *tracee = (struct tracee){.tid = tid, .state = TRACEE_SEIZED};
    if (tid > tracer->highest) {
        tracer->highest = tid;
    }
    return tracee;
}

/* A thread that begins life attached, and in an event stop. */
static struct tracee *tracee_add_born(struct tracer *tracer, pid_t tid)
{
    struct tracee *born = tracee_add(tracer, tid);
    if (born != NULL) {
        born->interrupted = true;
    }
    return born;
}

bool thread_traced_by_caller(int tasks, pid_t tid)
{
    char path[TASK_PATH_SIZE];
    char text[4096];
    uint64_t tracer_tid;
    task_path_format(tid, "status", path);
    return proc_file_read(tasks, path, text, sizeof text) > 0 &&
           status_field_parse(text, "TracerPid", 10, &tracer_tid) && (pid_t)tracer_tid == gettid();
}

struct tracee *tracer_seize(struct tracer *tracer, pid_t tid, struct skew_error *error)
{
    struct tracee *known = tracer_find(tracer, tid, 0);
    if (known != NULL) {
        return known;
    }
    if (tracer->count == tracer->capacity) {
        error_set_plain(error, SKEW_FAILED, tracer->target->pid, tid, 0, "seize",
                        "threads appear faster than they can be stopped");
        return NULL;
    }
    if (ptrace(PTRACE_SEIZE, tid, NULL, SEIZE_OPTIONS) < 0) {
        int errnum = errno;
        /* Lent, or created by a tracee and seen in a scan before its creator's stop told of it. */
        if (errnum == EPERM && thread_traced_by_caller(tracer->tasks, tid)) {
            return tracee_add_born(tracer, tid);
        }
        if (errnum == ESRCH || thread_exited(tracer, tid)) {
            error_set_plain(error, SKEW_NOT_FOUND, tracer->target->pid, tid, ESRCH, "seize",
                            "the thread is gone");
        } else {
            tracer_error(tracer, tid, errnum, "seize", "cannot attach to the thread", error);
        }
        return NULL;
    }
    return tracee_add(tracer, tid);
}

enum skew_code tracer_memory_open(struct tracer *tracer, const struct tracee *tracee,
                                  struct skew_error *error)
{
    descriptor_close(&tracer->memory);
    tracer->memory = memory_open(tracer->target->directory, tracee->tid, true);
    if (tracer->memory < 0) {
        return tracer_error(tracer, tracee->tid, errno, "open memory", "cannot open its memory",
                            error);
    }
    return SKEW_OK;
}

/* One look, without waiting, at what the thread reports: 1 something, 0 nothing, -1 gone. */
static int tracee_peek(pid_t tid, siginfo_t *info)
{
    *info = (siginfo_t){0};
    int result = waitid(P_PID, (id_t)tid, info,
                        WSTOPPED | WEXITED | WNOHANG | WNOWAIT | __WALL | __WNOTHREAD);
    if (result < 0) {
        return errno == EINTR ? 0 : -1;
    }
    return info->si_pid == 0 ? 0 : 1;
}

/*
 * Waits until the thread reports a stop. An exit is consumed, so that the real
 * parent learns of it (ptrace(2), "Death under ptrace").
 */
static enum skew_code tracee_wait(struct tracer *tracer, struct tracee *tracee, siginfo_t *info,
                                  struct skew_error *error)
{
    int64_t began = monotonic_now();
    for (;;) {
        int seen = tracee_peek(tracee->tid, info);
        if (seen < 0) {
            return tracee_lost(tracer, tracee, error);
        }
        if (seen > 0) {
            if (info->si_code == CLD_TRAPPED || info->si_code == CLD_STOPPED) {
                return SKEW_OK;
            }
            siginfo_t exit;
            waitid(P_PID, (id_t)tracee->tid, &exit, WEXITED | WNOHANG | __WALL | __WNOTHREAD);
            return tracee_lost(tracer, tracee, error);
        }
        int64_t now = monotonic_now();
        if (now - began > STOP_LIMIT || now > tracer->deadline_ns ||
            (now - began > BLOCKED_LIMIT && thread_blocked(tracer, tracee))) {
            return error_set_plain(error, SKEW_REFUSED, tracer->target->pid, tracee->tid, 0, "stop",
                                   thread_blocked(tracer, tracee)
                                       ? "it is frozen or in an uninterruptible wait and does not "
                                         "stop; try again when that is over"
                                       : "it does not stop");
        }
        if (now - began < SPIN_TIME) {
            __builtin_ia32_pause();
        } else if (now - began < YIELD_TIME) {
            sched_yield();
        } else {
            nanosleep(&(struct timespec){.tv_nsec = SLEEP_TIME}, NULL);
        }
    }
}

static enum skew_code tracee_resume(const struct tracer *tracer, struct tracee *tracee, int request,
                                    int signal, struct skew_error *error)
{
    if (ptrace((enum __ptrace_request)request, tracee->tid, NULL, (void *)(intptr_t)signal) < 0) {
        if (errno == ESRCH) {
            return tracee_lost(tracer, tracee, error);
        }
        return tracer_error(tracer, tracee->tid, errno, "resume", "cannot let the thread run",
                            error);
    }
    tracee->state = TRACEE_SEIZED;
    return SKEW_OK;
}

/* A thread born while its creator was attached is attached too; take note of it. */
static enum skew_code clone_adopt(struct tracer *tracer, const struct tracee *creator,
                                  struct skew_error *error)
{
    unsigned long tid;
    if (ptrace(PTRACE_GETEVENTMSG, creator->tid, NULL, &tid) < 0 ||
        tracer_find(tracer, (pid_t)tid, 0) != NULL) {
        return SKEW_OK;
    }
    if (tracee_add_born(tracer, (pid_t)tid) == NULL) {
        return error_set_plain(error, SKEW_FAILED, tracer->target->pid, (pid_t)tid, 0, "seize",
                               "threads appear faster than they can be stopped");
    }
    return SKEW_OK;
}

static enum skew_code tracee_stopped(struct tracer *tracer, struct tracee *tracee,
                                     struct skew_error *error)
{
    tracee->state = TRACEE_STOPPED;
    tracee->interrupted = false;
    tracee->outside = false;
    tracee->held_since_ns = monotonic_now();
    enum skew_code code = tracee_registers_get(tracee, &tracee->registers, error);
    if (code != SKEW_OK) {
        return code;
    }
    enum arch_interruption interruption = arch_interruption_cure(&tracee->registers);
    tracee->altered = false;
    if (interruption == ARCH_INTERRUPTION_CURED) {
        code = tracee_registers_set(tracee, &tracee->registers, error);
        if (code != SKEW_OK) {
            return code;
        }
        tracee->altered = false;
    }
    if (interruption == ARCH_INTERRUPTION_EXPOSED && !tracee->exposed) {
        tracee->exposed = true;
        tracer->exposed++;
    }
    if (tracer->stopped != NULL) {
        tracer->stopped(tracer->stopped_context, tracee);
    }
    return SKEW_OK;
}

/* Waits for the event stop that an interrupt brings about, passing on what comes before. */
static enum skew_code event_stop_await(struct tracer *tracer, struct tracee *tracee,
                                       struct skew_error *error)
{
    for (;;) {
        siginfo_t info;
        enum skew_code code = tracee_wait(tracer, tracee, &info, error);
        if (code != SKEW_OK) {
            return code;
        }
        int signal = 0;
        switch (STOP_EVENT(&info)) {
        case PTRACE_EVENT_STOP:
            /* The stop signal where the process is in a group stop (ptrace(2)). */
            tracee->job_stopped = STOP_SIGNAL(&info) != SIGTRAP;
            return tracee_stopped(tracer, tracee, error);
        case PTRACE_EVENT_EXEC:
            return tracee_lost(tracer, tracee, error);
        case PTRACE_EVENT_CLONE:
            code = clone_adopt(tracer, tracee, error);
            break;
        case 0:
            signal = STOP_SIGNAL(&info) == SYSCALL_SIGNAL ? 0 : STOP_SIGNAL(&info);
            break;
        default:
            break;
        }
        /* Any stop takes a pending interrupt along with it: ask again. */
        if (code == SKEW_OK && ptrace(PTRACE_INTERRUPT, tracee->tid, NULL, NULL) < 0) {
            return tracee_lost(tracer, tracee, error);
        }
        if (code == SKEW_OK) {
            code = tracee_resume(tracer, tracee, PTRACE_CONT, signal, error);
        }
        if (code != SKEW_OK) {
            return code;
        }
    }
}

enum skew_code tracer_interrupt(const struct tracer *tracer, struct tracee *tracee,
                                struct skew_error *error)
{
    if (tracee->interrupted || tracee->state != TRACEE_SEIZED) {
        return SKEW_OK;
    }
    if (ptrace(PTRACE_INTERRUPT, tracee->tid, NULL, NULL) < 0) {
        int errnum = errno;
        /* One that lives on would be waited for, as a thread that is already attached. */
        if (errnum == ESRCH && thread_exited(tracer, tracee->tid)) {
            return tracee_lost(tracer, tracee, error);
        }
        return tracer_error(tracer, tracee->tid, errnum, "interrupt", "cannot stop the thread",
                            error);
    }
    tracee->interrupted = true;
    return SKEW_OK;
}

/*
 * A thread of a stopped process stops by itself when it is attached to, so the
 * interrupt that follows is due once more when it goes on. Interrupted while
 * it reports that stop it would have one due for ever, and never run.
 */
enum skew_code tracer_stop(struct tracer *tracer, struct tracee *tracee, struct skew_error *error)
{
    siginfo_t info;
    if (tracee->state == TRACEE_SEIZED && !tracee->interrupted &&
        tracee_peek(tracee->tid, &info) > 0) {
        tracee->interrupted = true;
    }
    enum skew_code code = tracer_interrupt(tracer, tracee, error);
    if (code == SKEW_OK && tracee->state == TRACEE_SEIZED) {
        code = event_stop_await(tracer, tracee, error);
    }
    return code;
}

/* Undoes what was done to the registers of a stopped thread, if anything was. */
static enum skew_code registers_put_back(struct tracee *tracee, struct skew_error *error)
{
    if (!tracee->altered) {
        return SKEW_OK;
    }
    enum skew_code code = tracee_registers_set(tracee, &tracee->registers, error);
    tracee->altered = code != SKEW_OK;
    return code;
}

enum skew_code tracer_continue(struct tracer *tracer, struct tracee *tracee,
                               struct skew_error *error)
{
    enum skew_code code = registers_put_back(tracee, error);
    if (code == SKEW_OK) {
        code = tracee_resume(tracer, tracee, PTRACE_CONT, 0, error);
    }
    return code;
}

enum skew_code tracee_registers_get(const struct tracee *tracee, arch_registers *registers,
                                    struct skew_error *error)
{
    if (ptrace(PTRACE_GETREGS, tracee->tid, NULL, registers) < 0) {
        return error_set_plain(error, error_code_for(errno), tracee->tid, tracee->tid, errno,
                               "read registers", "cannot read the registers of a thread");
    }
    return SKEW_OK;
}

enum skew_code tracee_registers_set(struct tracee *tracee, const arch_registers *registers,
                                    struct skew_error *error)
{
    tracee->altered = true;
    if (ptrace(PTRACE_SETREGS, tracee->tid, NULL, registers) < 0) {
        return error_set_plain(error, error_code_for(errno), tracee->tid, tracee->tid, errno,
                               "set registers", "cannot set the registers of a thread");
    }
    return SKEW_OK;
}

enum skew_code tracee_syscall_step(struct tracer *tracer, struct tracee *tracee,
                                   struct skew_error *error)
{
    for (;;) {
        enum skew_code code = tracee_resume(tracer, tracee, PTRACE_SYSCALL, 0, error);
        siginfo_t info;
        tracee->in_stub = code == SKEW_OK;
        if (code == SKEW_OK) {
            code = tracee_wait(tracer, tracee, &info, error);
        }
        if (code != SKEW_OK) {
            return code;
        }
        tracee->in_stub = false;
        switch (STOP_EVENT(&info)) {
        case 0:
            if (STOP_SIGNAL(&info) == SYSCALL_SIGNAL) {
                tracee->state = TRACEE_SYSCALL;
            } else {
                tracee->state = TRACEE_STOPPED;
                tracee->signal = STOP_SIGNAL(&info);
            }
            return SKEW_OK;
        case PTRACE_EVENT_EXEC:
            return tracee_lost(tracer, tracee, error);
        default:
            /* An event stop that was still due, as after a group stop: go on. */
            break;
        }
    }
}

enum skew_code tracee_halt(struct tracer *tracer, struct tracee *tracee, struct skew_error *error)
{
    tracee->in_stub = false;
    if (ptrace(PTRACE_INTERRUPT, tracee->tid, NULL, NULL) < 0) {
        return tracee_lost(tracer, tracee, error);
    }
    siginfo_t info;
    enum skew_code code = tracee_wait(tracer, tracee, &info, error);
    if (code != SKEW_OK) {
        return code;
    }
    /* At the entry of a call, registers that are put back would make another. */
    bool at_call = STOP_EVENT(&info) == 0 && STOP_SIGNAL(&info) == SYSCALL_SIGNAL;
    if (at_call || STOP_EVENT(&info) == PTRACE_EVENT_EXEC) {
        return tracer_error(tracer, tracee->tid, EAGAIN, "stop", "it goes on again", error);
    }
    tracee->state = TRACEE_STOPPED;
    tracee->signal = STOP_EVENT(&info) == 0 ? STOP_SIGNAL(&info) : 0;
    return SKEW_OK;
}

enum skew_code tracee_signal_deliver(struct tracer *tracer, struct tracee *tracee,
                                     struct skew_error *error)
{
    enum skew_code code = registers_put_back(tracee, error);
    if (code != SKEW_OK) {
        return code;
    }
    if (ptrace(PTRACE_INTERRUPT, tracee->tid, NULL, NULL) < 0) {
        return tracee_lost(tracer, tracee, error);
    }
    tracee->interrupted = true;
    int signal = tracee->signal;
    tracee->signal = 0;
    code = tracee_resume(tracer, tracee, PTRACE_CONT, signal, error);
    if (code == SKEW_OK) {
        code = event_stop_await(tracer, tracee, error);
    }
    return code;
}

bool tracee_signal_is_refusal(const struct tracee *tracee, uint64_t address)
{
    siginfo_t info;
    return tracee->signal == SIGSYS && ptrace(PTRACE_GETSIGINFO, tracee->tid, NULL, &info) == 0 &&
           (info.si_code == SYS_SECCOMP || info.si_code == SYS_USER_DISPATCH) &&
           (uint64_t)(uintptr_t)info.si_call_addr == address;
}

bool tracee_dispatches_syscalls(const struct tracee *tracee)
{
    struct ptrace_sud_config config = {0};
    return ptrace((enum __ptrace_request)PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, tracee->tid,
                  sizeof config, &config) == 0 &&
           config.mode != PR_SYS_DISPATCH_OFF;
}

uint64_t tracee_rseq_address(const struct tracee *tracee)
{
    struct __ptrace_rseq_configuration configuration = {0};
    if (ptrace((enum __ptrace_request)PTRACE_GET_RSEQ_CONFIGURATION, tracee->tid,
               sizeof configuration, &configuration) < 0) {
        return 0;
    }
    return configuration.rseq_abi_pointer;
}

bool tracee_rseq_known(const struct tracee *tracee)
{
    struct __ptrace_rseq_configuration configuration;
    return ptrace((enum __ptrace_request)PTRACE_GET_RSEQ_CONFIGURATION, tracee->tid,
                  sizeof configuration, &configuration) >= 0 ||
           errno != EIO ||
           /* Refused for its arguments, where there is such a call. */
           (syscall(SYS_rseq, NULL, 0, 0, 0) < 0 && errno == ENOSYS);
}

bool tracee_rseq_safe(const struct tracee *tracee)
{
    return arch_in_syscall(&tracee->registers) || tracee_rseq_known(tracee);
}

int tracee_seccomp_suspend(const struct tracee *tracee, bool suspended)
{
    intptr_t options = SEIZE_OPTIONS | (suspended ? PTRACE_O_SUSPEND_SECCOMP : 0);
    return ptrace(PTRACE_SETOPTIONS, tracee->tid, NULL, (void *)options) < 0 ? errno : 0;
}

long tracee_seccomp_filter(const struct tracee *tracee, unsigned index, struct sock_filter *filter)
{
    long length = ptrace((enum __ptrace_request)PTRACE_SECCOMP_GET_FILTER, tracee->tid,
                         (void *)(uintptr_t)index, filter);
    return length < 0 ? -errno : length;
}

bool tracee_poke(const struct tracee *tracee, uint64_t address, uint64_t word)
{
    return ptrace(PTRACE_POKEDATA, tracee->tid, (void *)(uintptr_t)address,
                  (void *)(uintptr_t)word) == 0;
}

const struct tracee *tracer_stopped(const struct tracer *tracer)
{
    for (size_t i = 0; i < tracer->count; i++) {
        if (tracer->tracees[i].state == TRACEE_STOPPED ||
            tracer->tracees[i].state == TRACEE_SYSCALL) {
            return &tracer->tracees[i];
        }
    }
    return NULL;
}

void tracer_release(struct tracer *tracer, struct tracee *tracee)
{
    struct skew_error ignored;
    bool stopped = tracee->state == TRACEE_STOPPED || tracee->state == TRACEE_SYSCALL;
    if (!stopped || registers_put_back(tracee, &ignored) != SKEW_OK ||
        (!tracer->lent &&
         ptrace(PTRACE_DETACH, tracee->tid, NULL, (void *)(intptr_t)tracee->signal) < 0)) {
        /* Running, or dead: the end of the tracer thread detaches it. */
        return;
    }
    tracee->state = tracer->lent ? tracee->state : TRACEE_GONE;
    int64_t held = monotonic_now() - tracee->held_since_ns;
    if (held > tracer->pause_ns) {
        tracer->pause_ns = held;
    }
}

/* stop window ends */
