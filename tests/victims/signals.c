/*
 * signals [calls | restarted] - a thread that reads the clock, on an alternate stack, while
 * signals interrupt it: numbered real-time signals that another process queues
 * to the process and to the thread, 4000 a second together, so that they come
 * while it is stopped as well; a POSIX timer that expires a thousand times a
 * second; two interval timers. Counts that no signal is lost, doubled or out of
 * order, that each brings the value it was sent with, that no expiry of the
 * timer goes missing, and that the thread's signal mask stays as it is. Another
 * thread waits without a limit, and counts each EINTR without a handler having
 * run. With "calls" all that wait do so in a call that a stop may end, so that
 * the thread that gets the signals is the best one to make calls in; with
 * "restarted" that other thread waits in one that no stop ends, not even where
 * skewctl dies right after it. "check"
 * waits until all that was sent has been handled. PROGRESS is the number of
 * handled signals. It answers
 *     figures   "ok HANDLED EXPIRIES LOST DOUBLED MISSED SPURIOUS": signals,
 *               expiries of the timer, signals that did not come, that came
 *               twice or out of order, expiries that did not count, EINTRs
 */
#include "dialogue.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define TO_PROCESS (SIGRTMIN + 1)
#define TO_THREAD  (SIGRTMIN + 2)
#define TO_WAITER  (SIGRTMIN + 3)
#define EXPIRED    (SIGRTMIN + 4)
#define KINDS      2
/* Far below what RLIMIT_SIGPENDING commonly allows. */
#define IN_FLIGHT_MAX 200
/* One of each kind. */
#define PACE_NS   INT64_C(500000)
#define EXPIRY_NS INT64_C(1000000)
#define COOKIE    0x5ca1ab1e

/* Shared with the sender. */
struct traffic {
    _Atomic long sent[KINDS];
    _Atomic long handled[KINDS];
    _Atomic long to_waiter;
    atomic_bool hold, held;
    _Atomic pid_t reader, waiter;
};
static struct traffic *traffic;

static _Atomic long due[KINDS], lost, doubled, spurious, expiries;
static _Atomic int64_t expiry_first, expiries_behind_least;
static _Thread_local volatile sig_atomic_t waiter_handled;
static atomic_uint errors;
static char first_error[200];

static void wrong(const char *what, long number)
{
    if (atomic_fetch_add(&errors, 1) == 0)
        snprintf(first_error, sizeof first_error, "%s (%ld)", what, number);
}

static int64_t true_time(void)
{
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void read_clock(void)
{
    struct timespec now = {0, -1};
    if (clock_gettime(CLOCK_REALTIME, &now) != 0 || now.tv_nsec < 0 || now.tv_nsec > 999999999)
        wrong("clock_gettime gave tv_nsec", now.tv_nsec);
}

/* Signals of one number queue, and come in the order in which they were sent (signal(7)). */
static void on_numbered(int signal, siginfo_t *info, void *context)
{
    (void)context;
    int kind = signal == TO_THREAD;
    long number = info->si_value.sival_int, expected = atomic_load(&due[kind]);
    if (info->si_code != SI_QUEUE || info->si_pid == getpid())
        wrong("a signal came with another origin", info->si_code);
    if (number > expected) {
        atomic_fetch_add(&lost, number - expected);
        wrong("a signal was lost; due was number", expected);
    } else if (number < expected) {
        atomic_fetch_add(&doubled, 1);
        wrong("a signal was doubled or overtaken; due was number", expected);
    }
    atomic_store(&due[kind], number + 1);
    atomic_fetch_add(&traffic->handled[kind], 1);
    read_clock();
}

/*
 * Each signal stands for itself and those that it overran (sigaction(2)): right
 * after one that was not late, the sum is what the clock says.
 */
static void on_expiry(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    if (info->si_code != SI_TIMER || info->si_value.sival_int != COOKIE)
        wrong("an expiry came with another value", info->si_value.sival_int);
    long counted = atomic_fetch_add(&expiries, 1 + info->si_overrun) + 1 + info->si_overrun;
    int64_t passed = (true_time() - atomic_load(&expiry_first)) / EXPIRY_NS + 1;
    if (passed - counted < 0)
        wrong("the timer expired too often", (long)(passed - counted));
    if (passed - counted < atomic_load(&expiries_behind_least))
        atomic_store(&expiries_behind_least, passed - counted);
    read_clock();
}

static void on_timer(int signal)
{
    (void)signal;
    read_clock();
}

static void on_waiter(int signal)
{
    (void)signal;
    waiter_handled++;
}

static void mask_set(int first, int second)
{
    sigset_t mask;
    sigfillset(&mask);
    for (int signal = first; signal <= second; signal++)
        sigdelset(&mask, signal);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

static void *read_forever(void *unused)
{
    static char stack[64 * 1024];
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&alternate, NULL);
    sigset_t mask, then, now;
    sigemptyset(&mask);
    sigaddset(&mask, TO_WAITER);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    pthread_sigmask(SIG_SETMASK, NULL, &then);
    atomic_store(&traffic->reader, gettid());
    for (;;) {
        for (int i = 0; i < 1000; i++)
            read_clock();
        pthread_sigmask(SIG_SETMASK, NULL, &now);
        if (memcmp(&now, &then, sizeof now) != 0)
            wrong("the signal mask is another", 0);
    }
    return unused;
}

static bool restarted;

/* Of all that a stop may end, the wait that is made most; or one that the kernel restarts. */
static void *wait_forever(void *unused)
{
    mask_set(TO_WAITER, TO_WAITER);
    int set = epoll_create1(EPOLL_CLOEXEC);
    atomic_store(&traffic->waiter, gettid());
    for (;;) {
        sig_atomic_t before = waiter_handled;
        struct epoll_event event;
        int result = restarted ? poll(NULL, 0, -1) : epoll_wait(set, &event, 1, -1);
        /* Before the signal, a handler may have run that was late for the last wait. */
        if (result != -1 || errno != EINTR || waiter_handled == before) {
            atomic_fetch_add(&spurious, 1);
            wrong("a wait ended early", result);
        }
    }
    return unused;
}

static int signal_queue(pid_t pid, pid_t tid, int signal, int value)
{
    siginfo_t info = {.si_signo = signal, .si_code = SI_QUEUE};
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_int = value;
    return tid ? (int)syscall(SYS_rt_tgsigqueueinfo, pid, tid, signal, &info)
               : (int)syscall(SYS_rt_sigqueueinfo, pid, signal, &info);
}

static void signal_send(pid_t pid, int kind)
{
    long number = atomic_load(&traffic->sent[kind]);
    if (number - atomic_load(&traffic->handled[kind]) >= IN_FLIGHT_MAX)
        return;
    atomic_store(&traffic->sent[kind], number + 1);
    while (signal_queue(pid, kind ? atomic_load(&traffic->reader) : 0,
                        kind ? TO_THREAD : TO_PROCESS, (int)number) != 0 &&
           errno == EAGAIN)
        usleep(100);
}

/* The sender: a process of its own, that nobody stops. */
static void send_forever(pid_t target)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != target)
        _exit(0);
    while (!atomic_load(&traffic->reader) || !atomic_load(&traffic->waiter))
        usleep(100);
    int64_t at = true_time();
    for (long round = 0;; round++) {
        at += PACE_NS;
        struct timespec until = {at / 1000000000, at % 1000000000};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
        if (atomic_load(&traffic->hold)) {
            atomic_store(&traffic->held, true);
            at = true_time();
            continue;
        }
        atomic_store(&traffic->held, false);
        for (int kind = 0; kind < KINDS; kind++)
            signal_send(target, kind);
        if (round % 32 == 0)
            signal_queue(target, atomic_load(&traffic->waiter), TO_WAITER, 0);
    }
}

static long outstanding(void)
{
    long count = 0;
    for (int kind = 0; kind < KINDS; kind++)
        count += atomic_load(&traffic->sent[kind]) - atomic_load(&traffic->handled[kind]);
    return count;
}

static long handled(void)
{
    return atomic_load(&traffic->handled[0]) + atomic_load(&traffic->handled[1]);
}

/* All that was sent has come, and one expiry in time has told what came of the others. */
static void settle(void)
{
    atomic_store(&traffic->held, false);
    atomic_store(&traffic->hold, true);
    for (int tries = 0; tries < 10000 && !atomic_load(&traffic->held); tries++)
        usleep(1000);
    for (int tries = 0; tries < 10000 && outstanding() > 0; tries++)
        usleep(1000);
    long missing = outstanding();
    atomic_store(&expiries_behind_least, INT64_MAX);
    for (int tries = 0; tries < 10000 && atomic_load(&expiries_behind_least) > 0; tries++)
        usleep(1000);
    atomic_store(&traffic->hold, false);
    if (missing > 0) {
        atomic_fetch_add(&lost, missing);
        wrong("signals sent and not handled", missing);
    }
    if (atomic_load(&expiries_behind_least) > 0)
        wrong("expiries of the timer went missing", (long)atomic_load(&expiries_behind_least));
}

static void answer_line(const char *line, char *answer, size_t size)
{
    settle();
    if (strcmp(line, "figures") == 0)
        snprintf(answer, size, "ok %ld %ld %ld %ld %" PRId64 " %ld", handled(),
                 atomic_load(&expiries), atomic_load(&lost), atomic_load(&doubled),
                 atomic_load(&expiries_behind_least), atomic_load(&spurious));
    else if (strcmp(line, "check") != 0)
        snprintf(answer, size, "bad command");
    else if (atomic_load(&errors))
        snprintf(answer, size, "bad %u errors, first: %s", atomic_load(&errors), first_error);
    else
        snprintf(answer, size, "ok %ld", handled());
}

static void handlers_install(void)
{
    struct sigaction numbered = {.sa_sigaction = on_numbered,
                                 .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    struct sigaction expiry = {.sa_sigaction = on_expiry,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    struct sigaction timer = {.sa_handler = on_timer, .sa_flags = SA_ONSTACK | SA_RESTART};
    sigfillset(&numbered.sa_mask);
    sigfillset(&expiry.sa_mask);
    sigaction(TO_PROCESS, &numbered, NULL);
    sigaction(TO_THREAD, &numbered, NULL);
    sigaction(EXPIRED, &expiry, NULL);
    sigaction(SIGALRM, &timer, NULL);
    sigaction(SIGPROF, &timer, NULL);
    sigaction(TO_WAITER, &(struct sigaction){.sa_handler = on_waiter}, NULL);
}

static bool timers_start(void)
{
    struct sigevent event = {
        .sigev_notify = SIGEV_SIGNAL, .sigev_signo = EXPIRED, .sigev_value.sival_int = COOKIE};
    timer_t timer;
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0)
        return false;
    int64_t first = true_time() + EXPIRY_NS;
    atomic_store(&expiry_first, first);
    struct itimerspec expiry = {{0, EXPIRY_NS}, {first / 1000000000, first % 1000000000}};
    struct itimerval often = {{0, 1000}, {0, 1000}};
    return timer_settime(timer, TIMER_ABSTIME, &expiry, NULL) == 0 &&
           setitimer(ITIMER_REAL, &often, NULL) == 0 && setitimer(ITIMER_PROF, &often, NULL) == 0;
}

/* As dialogue_poll(-1, ...), in a wait that caller.c shuns. */
static void dialogue_await(void)
{
    static int set = -1;
    struct epoll_event event = {.events = EPOLLIN | EPOLLHUP};
    if (set < 0) {
        set = epoll_create1(EPOLL_CLOEXEC);
        epoll_ctl(set, EPOLL_CTL_ADD, STDIN_FILENO, &event);
    }
    epoll_wait(set, &event, 1, -1);
    dialogue_poll(0, answer_line);
}

int main(int count, char **arguments)
{
    bool calls = count > 1 && strcmp(arguments[1], "calls") == 0;
    restarted = count > 1 && strcmp(arguments[1], "restarted") == 0;
    traffic =
        mmap(NULL, sizeof *traffic, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (traffic == MAP_FAILED)
        return 1;
    atomic_store(&expiries_behind_least, INT64_MAX);
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    pid_t self = getpid();
    pid_t sender = fork();
    if (sender == 0)
        send_forever(self);
    handlers_install();
    pthread_t reader, waiter;
    if (sender < 0 || pthread_create(&reader, NULL, read_forever, NULL) != 0 ||
        pthread_create(&waiter, NULL, wait_forever, NULL) != 0 || !timers_start())
        return 1;
    dialogue_open();
    for (;;) {
        if (calls)
            dialogue_await();
        else
            dialogue_poll(-1, answer_line);
    }
}
