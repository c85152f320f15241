/* See traced.h. */
#include "traced.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/*
 * SQLite tries for ten seconds to read from a WAL that it finds locked, also where only its own
 * unlocking had failed; a recover reads some four times after that.
 */
#define DEADLINE_MS (4 * HARNESS_DEADLINE_MS)

#define THREADS_MAX  64
#define SYSCALL_STOP (SIGTRAP | 0x80) /* PTRACE_O_TRACESYSGOOD */

/* A thread of the traced program and the call that it is in. */
struct thread {
    pid_t tid;
    long call, number;
    bool failing; /* at its exit it gets the error */
};

struct trace {
    pid_t leader;
    long point;
    bool switches;                 /* only calls that switch a member count for the point, */
    long switched;                 /* so many so far */
    bool (*over)(void *context);   /* whether it is to get SIGTERM now; NULL: never, or not again */
    long meddled_number;           /* of the calls that are counted for `meddle`: */
    long until_meddled;            /* so many; 0: none is waited for */
    void (*meddle)(void *context); /* and what is to happen then */
    void *context;
    size_t count;
    struct thread threads[THREADS_MAX];
    struct traced result;
    const struct failure *failure; /* or NULL */
    long n, matched;
    bool loaded; /* the dynamic loader is done */
    struct failed *failed;
};

/* What the child needs between fork and exec. */
struct birth {
    int errors;
    int nothing;
    bool traced;
};

/* A group of its own, so that waitpid(2) can tell its threads from the harness's children. */
static void be_born(void *argument)
{
    const struct birth *birth = argument;
    setpgid(0, 0);
    dup2(birth->nothing, STDIN_FILENO);
    dup2(birth->nothing, STDOUT_FILENO);
    dup2(birth->errors, STDERR_FILENO);
    if (birth->traced)
        ptrace(PTRACE_TRACEME, 0, 0, 0);
}

static const char *errors_path(void)
{
    return harness_format("%s/skewctl.err", harness_home());
}

const char *traced_said(void)
{
    const char *said = harness_file_read(errors_path(), NULL);
    return said ? said : "";
}

static struct child *start(const char *const argv[], bool traced)
{
    struct birth birth = {
        .errors = open(errors_path(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600),
        .nothing = open("/dev/null", O_RDWR | O_CLOEXEC),
        .traced = traced,
    };
    if (birth.errors < 0 || birth.nothing < 0)
        fail_msg("open: %s", strerror(errno));
    /* A sanitized program cannot look for leaks under a tracer, and fails at its end. */
    const char *sanitizer = getenv("ASAN_OPTIONS");
    sanitizer = sanitizer ? harness_format("%s", sanitizer) : NULL;
    if (traced)
        setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
    struct child *child =
        child_start(argv, &(struct start){.before_exec = be_born, .argument = &birth});
    if (sanitizer)
        setenv("ASAN_OPTIONS", sanitizer, 1);
    else
        unsetenv("ASAN_OPTIONS");
    close(birth.errors);
    close(birth.nothing);
    return child;
}

static void on_alarm(int signal)
{
    (void)signal;
}

/* Makes waitpid(2) return now and then, so that the deadline is seen. */
static void alarm_every(time_t seconds)
{
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval interval = {{seconds, 0}, {seconds, 0}};
    setitimer(ITIMER_REAL, &interval, NULL);
}

/* The next change of a thread of the group; 0 when there are no more. */
static pid_t wait_next(const struct trace *trace, int64_t end, int *status)
{
    for (;;) {
        pid_t tid = waitpid(-trace->leader, status, __WALL);
        if (tid > 0)
            return tid;
        if (errno == ECHILD)
            return 0;
        if (errno != EINTR)
            fail_msg("waitpid: %s", strerror(errno));
        if (harness_monotonic_ns() > end)
            fail_msg("skewctl, %s, does not end", trace->result.killed ? "killed" : "traced");
    }
}

static struct thread *thread_find(struct trace *trace, pid_t tid)
{
    for (size_t i = 0; i < trace->count; i++)
        if (trace->threads[i].tid == tid)
            return &trace->threads[i];
    return NULL;
}

static struct thread *thread_add(struct trace *trace, pid_t tid)
{
    if (trace->count == THREADS_MAX)
        fail_msg("skewctl has more than %d threads", THREADS_MAX);
    trace->threads[trace->count] = (struct thread){.tid = tid};
    return &trace->threads[trace->count++];
}

static void thread_remove(struct trace *trace, pid_t tid)
{
    struct thread *thread = thread_find(trace, tid);
    if (thread)
        *thread = trace->threads[--trace->count];
}

static bool failure_has(const struct failure *failure, long number)
{
    for (size_t i = 0; i < failure->count; i++)
        if (failure->numbers[i] == number)
            return true;
    return false;
}

static void register_set(pid_t tid, size_t offset, uint64_t value)
{
    if (ptrace(PTRACE_POKEUSER, tid, offset, value) < 0)
        fail_msg("PTRACE_POKEUSER: %s", strerror(errno));
}

/* How much of a transfer at an offset, as of pread(2), can be short of it: to the end of a page. */
static uint64_t part_of(const struct __ptrace_syscall_info *info)
{
    uint64_t page = 0x1000 - (info->entry.args[3] & 0xfff);
    return page < info->entry.args[2] ? page : 0;
}

/* At the entry of a call: makes it fail if it is due. */
static void entry_fail(struct trace *trace, struct thread *thread,
                       const struct __ptrace_syscall_info *info)
{
    const struct failure *failure = trace->failure;
    long number = (long)info->entry.nr;
    bool matches = trace->loaded && failure_has(failure, number) &&
                   (failure->errnum != 0 || part_of(info) != 0);
    trace->loaded = trace->loaded || number == SYS_munmap;
    if (!matches)
        return;
    trace->matched++;
    if (trace->matched != trace->n && !(failure->for_good && trace->matched > trace->n))
        return;
    if (!trace->failed->struck)
        snprintf(trace->failed->call, sizeof trace->failed->call, "%ld(0x%llx, 0x%llx)", number,
                 (unsigned long long)info->entry.args[0], (unsigned long long)info->entry.args[1]);
    trace->failed->struck = true;
    if (failure->errnum == 0) {
        register_set(thread->tid, offsetof(struct user, regs.rdx), part_of(info));
    } else {
        register_set(thread->tid, offsetof(struct user, regs.orig_rax), (uint64_t)-1);
        thread->failing = true;
    }
}

static void syscall_fail(struct trace *trace, struct thread *thread)
{
    struct __ptrace_syscall_info info;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, thread->tid, sizeof info, &info) <= 0)
        return;
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
        entry_fail(trace, thread, &info);
    } else if (info.op == PTRACE_SYSCALL_INFO_EXIT && thread->failing) {
        register_set(thread->tid, offsetof(struct user, regs.rax),
                     (uint64_t)-trace->failure->errnum);
        thread->failing = false;
    }
}

/* One byte into a process: its image lies far above any offset in a file. */
static bool is_switch(const struct __ptrace_syscall_info *info)
{
    return info->entry.nr == SYS_pwrite64 && info->entry.args[2] == 1 &&
           info->entry.args[3] > UINT32_MAX;
}

/* Whether this stop is the point. */
static bool at_point(struct trace *trace, struct thread *thread)
{
    if (trace->failure) {
        syscall_fail(trace, thread);
        return false;
    }
    struct __ptrace_syscall_info info;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, thread->tid, sizeof info, &info) <= 0)
        return false;
    bool is_exit = info.op == PTRACE_SYSCALL_INFO_EXIT;
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
        trace->result.calls++;
        if (!trace->switches)
            thread->call = trace->result.calls;
        else
            thread->call = is_switch(&info) ? ++trace->switched : 0;
        thread->number = (long)info.entry.nr;
        if (trace->over && trace->over(trace->context)) {
            trace->over = NULL;
            kill(trace->leader, SIGTERM);
        }
        if (thread->number == trace->meddled_number && trace->until_meddled &&
            --trace->until_meddled == 0) {
            trace->result.meddled = true;
            trace->meddle(trace->context);
        }
    } else if (!is_exit || thread->call == 0) {
        return false;
    }
    if (trace->point == POINT_NEVER || thread->call != point_call(trace->point) ||
        is_exit != point_is_exit(trace->point))
        return false;
    trace->result.number = thread->number;
    trace->result.attached = thread->tid != trace->leader;
    return true;
}

/* A thread has stopped: kills the program if this is the point, else lets it go on. */
static void handle_stop(struct trace *trace, pid_t tid, int status)
{
    int signal = WSTOPSIG(status);
    struct thread *thread = thread_find(trace, tid);
    if (!thread) {
        /* A thread that is followed from birth begins with this stop. */
        thread = thread_add(trace, tid);
        if (signal == SIGSTOP)
            signal = 0;
    }
    if (signal == SYSCALL_STOP) {
        signal = 0;
        if (at_point(trace, thread)) {
            trace->result.killed = true;
            kill(trace->leader, SIGKILL);
            return;
        }
    } else if (status >> 16) {
        signal = 0;
    }
    /* ESRCH: it was killed meanwhile. */
    ptrace(PTRACE_SYSCALL, tid, 0, signal);
}

static void conclude(struct traced *result, struct child *child)
{
    close(child->input);
    close(child->output);
    result->code = WIFEXITED(child->status) ? WEXITSTATUS(child->status) : -1;
    result->err = traced_said();
}

/* Runs the program to its end, however that comes. */
static void trace_run(struct trace *trace, const char *const argv[])
{
    int64_t end = harness_monotonic_ns() + DEADLINE_MS * INT64_C(1000000);
    alarm_every(1);
    struct child *child = start(argv, true);
    trace->leader = child->pid;
    int status;
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (!WIFSTOPPED(status))
        fail_msg("%s could not be started", argv[0]);
    thread_add(trace, child->pid);
    ptrace(PTRACE_SETOPTIONS, child->pid, 0,
           PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
               PTRACE_O_TRACEVFORK);
    ptrace(PTRACE_SYSCALL, child->pid, 0, 0);
    for (pid_t tid; (tid = wait_next(trace, end, &status)) != 0;) {
        if (WIFSTOPPED(status)) {
            handle_stop(trace, tid, status);
        } else if (tid == child->pid) {
            child->ended = true;
            child->status = status;
        } else {
            thread_remove(trace, tid);
        }
    }
    alarm_every(0);
    conclude(&trace->result, child);
}

struct traced traced_run(const char *const argv[], long point)
{
    struct trace trace = {.point = point};
    trace_run(&trace, argv);
    return trace.result;
}

struct traced traced_run_until(const char *const argv[], long point, bool (*over)(void *context),
                               void *context)
{
    struct trace trace = {.point = point, .over = over, .context = context};
    trace_run(&trace, argv);
    return trace.result;
}

struct traced traced_run_switching(const char *const argv[], long point)
{
    struct trace trace = {.point = point, .switches = true};
    trace_run(&trace, argv);
    return trace.result;
}

struct failed traced_run_failing(const char *const argv[], const struct failure *failure, long n)
{
    struct failed failed = {0};
    struct trace trace = {.point = POINT_NEVER, .failure = failure, .n = n, .failed = &failed};
    trace_run(&trace, argv);
    failed.outcome = trace.result;
    return failed;
}

struct traced meddled_run_at(const char *const argv[], long number, long k,
                             void (*meddle)(void *context), void *context)
{
    struct trace trace = {.point = POINT_NEVER,
                          .meddled_number = number,
                          .until_meddled = k,
                          .meddle = meddle,
                          .context = context};
    trace_run(&trace, argv);
    return trace.result;
}

struct traced meddled_run(const char *const argv[], long k, void (*meddle)(void *context),
                          void *context)
{
    return meddled_run_at(argv, SYS_ptrace, k, meddle, context);
}

struct traced timed_run(const char *const argv[], int64_t delay_ns)
{
    struct child *child = start(argv, false);
    struct timespec delay = {delay_ns / 1000000000, delay_ns % 1000000000};
    nanosleep(&delay, NULL);
    struct traced result = {.killed = child_alive(child)};
    if (result.killed)
        kill(child->pid, SIGKILL);
    child_wait(child, HARNESS_DEADLINE_MS);
    /* It may have ended by itself between the two. */
    result.killed = WIFSIGNALED(child->status) && WTERMSIG(child->status) == SIGKILL;
    conclude(&result, child);
    return result;
}
