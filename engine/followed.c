/*
 * followed.c - the stops of threads that are followed. See followed.h.
 *
 * What happens if skewctl dies, or a signal arrives, at each step:
 *
 *   SEIZE      changes nothing a thread can see. Death: the kernel detaches.
 *   a stop     is looked at with WNOWAIT, so it is still there, and what it was about
 *              with it, until the thread is let go (stop.c says why). Death: the kernel
 *              detaches; a signal is delivered, a group stop stays one.
 *   exec       is consumed: where another thread than the first called it, the kernel
 *              believes nobody about the new one who has not been told (kernel/ptrace.c,
 *              looks_like_a_spurious_pid). It carries no signal that could be lost.
 *   CONT       as above. A SIGKILL may have come first: ESRCH, which is no matter.
 *   LISTEN     of a group stop: the thread stays stopped until SIGCONT. Death: it stays
 *              so all the same.
 *   INTERRUPT  then CONT: the thread stops again before its next user instruction, which
 *              it had not begun. Death between the two: it goes on from there.
 *   an exit    is consumed, so that the parent learns of it (ptrace(2), "Death under
 *              ptrace"). Death before: the kernel tells the parent.
 *
 * Children and threads are attached at birth. PTRACE_O_EXITKILL is never set.
 */
#include "engine/followed.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "engine/error.h"

#define SYSCALL_SIGNAL (SIGTRAP | 0x80)
#define OPTIONS_ALONE  (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC)
#define OPTIONS_ALL    (OPTIONS_ALONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE)

_Static_assert((OPTIONS_ALL & PTRACE_O_EXITKILL) == 0, "the target must outlive its tracer");

enum skew_code followed_seize(pid_t pid, bool descendants, struct skew_error *error)
{
    intptr_t options = descendants ? OPTIONS_ALL : OPTIONS_ALONE;
    if (ptrace(PTRACE_SEIZE, pid, NULL, (void *)options) < 0) {
        return error_set(error, error_code_for(errno), pid, errno, "seize", "cannot attach to it");
    }
    return SKEW_OK;
}

void followed_interrupt(pid_t tid)
{
    ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
}

static struct followed_event stop_read(const siginfo_t *info)
{
    struct followed_event event = {.kind = FOLLOWED_PASSING, .tid = info->si_pid};
    int signal = info->si_status & 0xff;
    switch (info->si_status >> 8) {
    case 0:
        event.kind = signal == SYSCALL_SIGNAL ? FOLLOWED_CALL : FOLLOWED_SIGNAL;
        event.signal = signal == SYSCALL_SIGNAL ? 0 : signal;
        break;
    case PTRACE_EVENT_STOP:
        event.kind = FOLLOWED_READY;
        event.group = signal != SIGTRAP;
        break;
    case PTRACE_EVENT_EXEC:
        event.kind = FOLLOWED_EXEC;
        break;
    default:
        break;
    }
    return event;
}

struct followed_event followed_next(void)
{
    siginfo_t info = {0};
    if (waitid(P_ALL, 0, &info, WSTOPPED | WEXITED | WNOHANG | WNOWAIT | __WALL | __WNOTHREAD) <
        0) {
        return (struct followed_event){.kind = errno == ECHILD ? FOLLOWED_NOBODY : FOLLOWED_QUIET};
    }
    if (info.si_pid == 0) {
        return (struct followed_event){.kind = FOLLOWED_QUIET};
    }
    struct followed_event event = {.kind = FOLLOWED_ENDED, .tid = info.si_pid};
    if (info.si_code == CLD_TRAPPED || info.si_code == CLD_STOPPED) {
        event = stop_read(&info);
    }
    siginfo_t taken;
    if (event.kind == FOLLOWED_ENDED || event.kind == FOLLOWED_EXEC) {
        waitid(P_PID, (id_t)event.tid, &taken, WSTOPPED | WEXITED | WNOHANG | __WALL | __WNOTHREAD);
    }
    return event;
}

static void *signal_argument(const struct followed_event *event)
{
    return (void *)(intptr_t)event->signal;
}

void followed_continue(const struct followed_event *event)
{
    ptrace(event->group ? PTRACE_LISTEN : PTRACE_CONT, event->tid, NULL,
           event->group ? NULL : signal_argument(event));
}

void followed_advance(const struct followed_event *event)
{
    if (ptrace(PTRACE_INTERRUPT, event->tid, NULL, NULL) == 0) {
        ptrace(PTRACE_CONT, event->tid, NULL, signal_argument(event));
    }
}

void followed_release(const struct followed_event *event)
{
    ptrace(PTRACE_DETACH, event->tid, NULL, signal_argument(event));
}
