/*
 * blocked [restartable] - one thread in each kind of wait that a stop must not
 * be seen by, or only in those that the kernel itself restarts after a stop.
 * A wait that returns without its cause (EINTR without a handler having run, a
 * wrong count, a value that was not sent) makes "check" bad. It answers
 *     wake    gives each wait its cause, waits until each thread has returned
 *             from it; "ok", or "bad" with the name of one that did not
 * PROGRESS is how often the least woken thread was woken. When "ready" is said,
 * and again after each wake, every thread is back in its wait.
 */
#include "dialogue.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct wait {
    const char *name;
    void (*once)(struct wait *wait);  /* waits, judges how it returned */
    void (*cause)(struct wait *wait); /* ends the wait */
    bool by_handler;                  /* the cause is a signal handler: may be given again */
    pthread_t thread;
    _Atomic pid_t tid;
    _Atomic int64_t woken;
    int near, far; /* two ends of a socket pair; far is the waker's */
    _Atomic uint32_t word;
    _Atomic pid_t child;
};

static _Thread_local volatile sig_atomic_t handled;
static atomic_uint errors;
static char first_error[200];

static void wrong(const struct wait *wait, const char *what, long result)
{
    int error = errno;
    if (atomic_fetch_add(&errors, 1) == 0)
        snprintf(first_error, sizeof first_error, "%s %s: returned %ld, errno %s", wait->name, what,
                 result, strerror(error));
}

static void on_signal(int signal)
{
    (void)signal;
    handled++;
}

/* Takes the byte that ended the wait. */
static void take(struct wait *wait)
{
    char byte = 0;
    ssize_t got = recv(wait->near, &byte, 1, MSG_DONTWAIT);
    if (got != 1 || byte != 'w')
        wrong(wait, "found no byte", got);
}

static void send_byte(struct wait *wait)
{
    if (write(wait->far, "w", 1) != 1)
        wrong(wait, "could not be woken", -1);
}

static void send_signal(struct wait *wait)
{
    pthread_kill(wait->thread, SIGUSR1);
}

static void wait_read(struct wait *wait)
{
    char byte = 0;
    ssize_t got = read(wait->near, &byte, 1);
    if (got != 1 || byte != 'w')
        wrong(wait, "ended early", got);
}

static void wait_recv(struct wait *wait)
{
    char byte = 0;
    ssize_t got = recv(wait->near, &byte, 1, 0);
    if (got != 1 || byte != 'w')
        wrong(wait, "ended early", got);
}

static void wait_poll(struct wait *wait)
{
    struct pollfd ready = {.fd = wait->near, .events = POLLIN};
    int result = poll(&ready, 1, -1);
    if (result != 1)
        wrong(wait, "ended early", result);
    take(wait);
}

/* A finite wait: restarted with the time that is left (restart_syscall(2)). */
static void wait_poll_finite(struct wait *wait)
{
    struct pollfd ready = {.fd = wait->near, .events = POLLIN};
    int result = poll(&ready, 1, 3600 * 1000);
    if (result != 1)
        wrong(wait, "ended early", result);
    take(wait);
}

static void wait_select(struct wait *wait)
{
    fd_set ready;
    FD_ZERO(&ready);
    FD_SET(wait->near, &ready);
    int result = select(wait->near + 1, &ready, NULL, NULL, NULL);
    if (result != 1)
        wrong(wait, "ended early", result);
    take(wait);
}

static void wait_epoll(struct wait *wait)
{
    int set = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    epoll_ctl(set, EPOLL_CTL_ADD, wait->near, &event);
    int result = epoll_wait(set, &event, 1, -1);
    if (result != 1)
        wrong(wait, "ended early", result);
    close(set);
    take(wait);
}

static void wait_futex(struct wait *wait)
{
    long result = syscall(SYS_futex, &wait->word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    if (atomic_load(&wait->word) == 0)
        wrong(wait, "ended early", result);
    atomic_store(&wait->word, 0);
}

static void cause_futex(struct wait *wait)
{
    atomic_store(&wait->word, 1);
    syscall(SYS_futex, &wait->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;

/* Spurious wake-ups are the condition's right: only the time-out would be wrong. */
static void wait_condition(struct wait *wait)
{
    struct timespec end;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &end);
    end.tv_sec += 3600;
    pthread_mutex_lock(&mutex);
    while (atomic_load(&wait->word) == 0) {
        int result = pthread_cond_clockwait(&condition, &mutex, CLOCK_MONOTONIC, &end);
        if (result != 0)
            wrong(wait, "ended early", result);
    }
    atomic_store(&wait->word, 0);
    pthread_mutex_unlock(&mutex);
}

static void cause_condition(struct wait *wait)
{
    pthread_mutex_lock(&mutex);
    atomic_store(&wait->word, 1);
    pthread_cond_signal(&condition);
    pthread_mutex_unlock(&mutex);
}

static void wait_nanosleep(struct wait *wait)
{
    sig_atomic_t before = handled;
    struct timespec hour = {3600, 0};
    int result = nanosleep(&hour, NULL);
    if (handled == before)
        wrong(wait, "ended early", result);
}

static void wait_clock_nanosleep(struct wait *wait)
{
    sig_atomic_t before = handled;
    struct timespec end;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &end);
    end.tv_sec += 3600;
    int result = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL);
    if (handled == before)
        wrong(wait, "ended early", result);
}

static void wait_pause(struct wait *wait)
{
    sig_atomic_t before = handled;
    int result = pause();
    if (handled == before)
        wrong(wait, "ended early", result);
}

static void wait_sigwaitinfo(struct wait *wait)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    int result = sigwaitinfo(&set, NULL);
    if (result != SIGUSR2)
        wrong(wait, "ended early", result);
}

static void cause_sigwaitinfo(struct wait *wait)
{
    pthread_kill(wait->thread, SIGUSR2);
}

static pid_t fork_sleeper(void)
{
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        while (getppid() == parent)
            pause();
        _exit(0);
    }
    return child;
}

static void wait_wait4(struct wait *wait)
{
    int status;
    pid_t child = atomic_load(&wait->child);
    pid_t result = waitpid(child, &status, 0);
    if (result != child)
        wrong(wait, "ended early", result);
    atomic_store(&wait->child, fork_sleeper());
}

static void cause_wait4(struct wait *wait)
{
    kill(atomic_load(&wait->child), SIGKILL);
}

static struct sockaddr_un address;
static socklen_t address_length = sizeof address;

static void wait_accept(struct wait *wait)
{
    int connection = accept(wait->near, NULL, NULL);
    if (connection < 0)
        wrong(wait, "ended early", connection);
    else
        close(connection);
}

static void cause_accept(struct wait *wait)
{
    int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(connection, (struct sockaddr *)&address, address_length) != 0)
        wrong(wait, "could not be woken", -1);
    close(connection);
}

/* Listens at an abstract name that the kernel picks (unix(7), autobind). */
static int listen_somewhere(void)
{
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sun_family = AF_UNIX;
    if (bind(listener, (struct sockaddr *)&address, sizeof address.sun_family) != 0 ||
        listen(listener, 8) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &address_length) != 0)
        return -1;
    return listener;
}

static struct wait waits[] = {
    {.name = "read", .once = wait_read, .cause = send_byte},
    {.name = "recv", .once = wait_recv, .cause = send_byte},
    {.name = "poll", .once = wait_poll, .cause = send_byte},
    {.name = "poll with a time-out", .once = wait_poll_finite, .cause = send_byte},
    {.name = "select", .once = wait_select, .cause = send_byte},
    {.name = "futex", .once = wait_futex, .cause = cause_futex},
    {.name = "condition", .once = wait_condition, .cause = cause_condition},
    {.name = "nanosleep", .once = wait_nanosleep, .cause = send_signal, .by_handler = true},
    {.name = "clock_nanosleep",
     .once = wait_clock_nanosleep,
     .cause = send_signal,
     .by_handler = true},
    {.name = "pause", .once = wait_pause, .cause = send_signal, .by_handler = true},
    {.name = "wait4", .once = wait_wait4, .cause = cause_wait4},
    {.name = "accept", .once = wait_accept, .cause = cause_accept},
    /* These see EINTR: signal(7), "Interruption of system calls by stop signals". */
    {.name = "epoll_wait", .once = wait_epoll, .cause = send_byte},
    {.name = "sigwaitinfo", .once = wait_sigwaitinfo, .cause = cause_sigwaitinfo},
};
#define UNRESTARTABLE 2
static size_t wait_count = sizeof waits / sizeof *waits;

static void *run(void *argument)
{
    struct wait *wait = argument;
    atomic_store(&wait->tid, gettid());
    for (;;) {
        wait->once(wait);
        atomic_fetch_add(&wait->woken, 1);
    }
    return NULL;
}

/* In a system call and asleep: field 3 of /proc/PID/task/TID/stat is S. */
static bool asleep(const struct wait *wait)
{
    char path[64], text[512] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", atomic_load(&wait->tid));
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    size_t got = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    const char *state = got ? strrchr(text, ')') : NULL;
    return state && state[1] && state[2] == 'S';
}

/* Twice in a row, since a thread may sleep for a moment on its way into the wait. */
static bool all_asleep(void)
{
    for (int tries = 0, good = 0; tries < 10000; tries++) {
        bool every = true;
        for (size_t i = 0; i < wait_count; i++)
            every = every && asleep(&waits[i]);
        good = every ? good + 1 : 0;
        if (good == 3)
            return true;
        usleep(1000);
    }
    return false;
}

static bool wake(struct wait *wait)
{
    int64_t due = atomic_load(&wait->woken) + 1;
    wait->cause(wait);
    for (int tries = 0; tries < 100000; tries++) {
        if (atomic_load(&wait->woken) >= due)
            return true;
        usleep(100);
        /* A signal that came just before the wait did not end it. */
        if (wait->by_handler && tries % 1000 == 999)
            wait->cause(wait);
    }
    return false;
}

static void answer_line(const char *line, char *answer, size_t size)
{
    if (strcmp(line, "wake") == 0) {
        for (size_t i = 0; i < wait_count; i++)
            if (!wake(&waits[i])) {
                snprintf(answer, size, "bad %s was not woken", waits[i].name);
                return;
            }
        snprintf(answer, size, all_asleep() ? "ok" : "bad not all wait again");
        return;
    }
    if (strcmp(line, "check") != 0) {
        snprintf(answer, size, "bad command");
        return;
    }
    int64_t least = INT64_MAX;
    for (size_t i = 0; i < wait_count; i++)
        if (atomic_load(&waits[i].woken) < least)
            least = atomic_load(&waits[i].woken);
    if (atomic_load(&errors))
        snprintf(answer, size, "bad %u errors, first: %s", atomic_load(&errors), first_error);
    else
        snprintf(answer, size, "ok %ld", (long)least);
}

int main(int count, char **arguments)
{
    if (count > 1 && strcmp(arguments[1], "restartable") == 0)
        wait_count -= UNRESTARTABLE;
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGUSR1, &action, NULL);
    sigset_t waited;
    sigemptyset(&waited);
    sigaddset(&waited, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &waited, NULL);
    for (size_t i = 0; i < wait_count; i++) {
        int ends[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
            return 1;
        waits[i].near = ends[0];
        waits[i].far = ends[1];
        if (waits[i].once == wait_accept && (waits[i].near = listen_somewhere()) < 0)
            return 1;
        if (waits[i].once == wait_wait4)
            atomic_store(&waits[i].child, fork_sleeper());
        if (pthread_create(&waits[i].thread, NULL, run, &waits[i]) != 0)
            return 1;
    }
    if (!all_asleep())
        return 1;
    dialogue_open();
    for (;;)
        dialogue_poll(-1, answer_line);
}
