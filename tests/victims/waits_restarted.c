/* See waits.h. */
#include "waits.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void wait_read(struct wait *wait)
{
    char byte = 0;
    ssize_t got = read(wait->near, &byte, 1);
    if (got != 1 || byte != 'w')
        wait_wrong(wait, "ended early", got);
}

static void wait_recv(struct wait *wait)
{
    char byte = 0;
    ssize_t got = recv(wait->near, &byte, 1, 0);
    if (got != 1 || byte != 'w')
        wait_wrong(wait, "ended early", got);
}

static void wait_poll(struct wait *wait)
{
    struct pollfd ready = {.fd = wait->near, .events = POLLIN};
    int result = poll(&ready, 1, -1);
    if (result != 1)
        wait_wrong(wait, "ended early", result);
    wait_take_byte(wait);
}

/* A finite wait: restarted with the time that is left (restart_syscall(2)). */
static void wait_poll_finite(struct wait *wait)
{
    struct pollfd ready = {.fd = wait->near, .events = POLLIN};
    int result = poll(&ready, 1, 3600 * 1000);
    if (result != 1)
        wait_wrong(wait, "ended early", result);
    wait_take_byte(wait);
}

static void wait_select(struct wait *wait)
{
    fd_set ready;
    FD_ZERO(&ready);
    FD_SET(wait->near, &ready);
    int result = select(wait->near + 1, &ready, NULL, NULL, NULL);
    if (result != 1)
        wait_wrong(wait, "ended early", result);
    wait_take_byte(wait);
}

static void wait_futex(struct wait *wait)
{
    long result = syscall(SYS_futex, &wait->word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    if (atomic_load(&wait->word) == 0)
        wait_wrong(wait, "ended early", result);
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
            wait_wrong(wait, "ended early", result);
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
    sig_atomic_t before = wait_handled;
    struct timespec hour = {3600, 0};
    int result = nanosleep(&hour, NULL);
    if (wait_handled == before)
        wait_wrong(wait, "ended early", result);
}

static void wait_clock_nanosleep(struct wait *wait)
{
    sig_atomic_t before = wait_handled;
    struct timespec end;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &end);
    end.tv_sec += 3600;
    int result = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL);
    if (wait_handled == before)
        wait_wrong(wait, "ended early", result);
}

static void wait_pause(struct wait *wait)
{
    sig_atomic_t before = wait_handled;
    int result = pause();
    if (wait_handled == before)
        wait_wrong(wait, "ended early", result);
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
        wait_wrong(wait, "ended early", result);
    atomic_store(&wait->child, fork_sleeper());
}

static void cause_wait4(struct wait *wait)
{
    kill(atomic_load(&wait->child), SIGKILL);
}

static void wait_accept(struct wait *wait)
{
    int connection = accept(wait->near, NULL, NULL);
    if (connection < 0)
        wait_wrong(wait, "ended early", connection);
    else
        close(connection);
}

static void wait_send(struct wait *wait)
{
    wait_expect(wait, send(wait->near, "w", 1, 0), 1);
    if (!wait_prepare_full(wait))
        wait_wrong(wait, "could not be filled", -1);
}

/* With a mask of its own and a limit, of which the kernel writes down what is left. */
static void wait_ppoll(struct wait *wait)
{
    struct pollfd ready = {.fd = wait->near, .events = POLLIN};
    struct timespec hour = {WAIT_HOUR, 0};
    sigset_t none;
    sigemptyset(&none);
    wait_expect(wait, ppoll(&ready, 1, &hour, &none), 1);
    wait_take_byte(wait);
}

static void wait_sigsuspend(struct wait *wait)
{
    sig_atomic_t before = wait_handled;
    sigset_t own, old;
    sigemptyset(&own);
    sigaddset(&own, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &own, &old);
    int result = sigsuspend(&old);
    if (wait_handled == before)
        wait_wrong(wait, "ended early", result);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static bool prepare_queue(struct wait *wait)
{
    errno = EPERM;
    return wait_ipc_is_private && (wait->set = msgget(IPC_PRIVATE, 0600)) >= 0;
}

static void wait_msgrcv(struct wait *wait)
{
    struct {
        long type;
        char byte;
    } message = {0, 0};
    wait_expect(wait, msgrcv(wait->set, &message, 1, 0, 0), 1);
}

static void cause_msgrcv(struct wait *wait)
{
    struct {
        long type;
        char byte;
    } message = {1, 'w'};
    if (msgsnd(wait->set, &message, 1, 0) != 0)
        wait_wrong(wait, "could not be woken", -1);
}

static bool prepare_mqueue(struct wait *wait)
{
    struct mq_attr attributes = {.mq_maxmsg = 1, .mq_msgsize = 1};
    errno = EPERM;
    return wait_ipc_is_private &&
           (wait->set = mq_open("/wait", O_RDWR | O_CREAT | O_CLOEXEC, 0600, &attributes)) >= 0;
}

static void wait_mq_receive(struct wait *wait)
{
    char byte;
    wait_expect(wait, mq_receive(wait->set, &byte, 1, NULL), 1);
}

static void cause_mq_receive(struct wait *wait)
{
    if (mq_send(wait->set, "w", 1, 0) != 0)
        wait_wrong(wait, "could not be woken", -1);
}

/* Watches a file that has no name any more. */
static bool prepare_inotify(struct wait *wait)
{
    char path[64];
    wait->far = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    snprintf(path, sizeof path, "/proc/self/fd/%d", wait->far);
    wait->near = inotify_init1(IN_CLOEXEC);
    return wait->far >= 0 && inotify_add_watch(wait->near, path, IN_MODIFY) >= 0;
}

static void wait_inotify(struct wait *wait)
{
    struct inotify_event event;
    wait_expect(wait, read(wait->near, &event, sizeof event), sizeof event);
}

static bool prepare_eventfd(struct wait *wait)
{
    wait->near = wait->far = eventfd(0, EFD_CLOEXEC);
    return wait->near >= 0;
}

static void wait_eventfd(struct wait *wait)
{
    uint64_t count;
    wait_expect(wait, read(wait->near, &count, sizeof count), sizeof count);
}

static void cause_eventfd(struct wait *wait)
{
    uint64_t one = 1;
    if (write(wait->far, &one, sizeof one) != sizeof one)
        wait_wrong(wait, "could not be woken", -1);
}

/* Two descriptions of one file: far holds the lock that near waits for. */
static bool prepare_lock(struct wait *wait)
{
    char path[64];
    struct flock whole = {.l_type = F_WRLCK};
    wait->far = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    snprintf(path, sizeof path, "/proc/self/fd/%d", wait->far);
    wait->near = open(path, O_RDWR | O_CLOEXEC);
    return wait->near >= 0 && fcntl(wait->far, F_OFD_SETLK, &whole) == 0;
}

static void wait_lock(struct wait *wait)
{
    struct flock whole = {.l_type = F_WRLCK};
    wait_expect(wait, fcntl(wait->near, F_OFD_SETLKW, &whole), 0);
    whole.l_type = F_UNLCK;
    fcntl(wait->near, F_OFD_SETLK, &whole);
    whole.l_type = F_WRLCK;
    wait_expect(wait, fcntl(wait->far, F_OFD_SETLK, &whole), 0);
}

static void cause_lock(struct wait *wait)
{
    struct flock whole = {.l_type = F_UNLCK};
    fcntl(wait->far, F_OFD_SETLK, &whole);
}

static bool prepare_child(struct wait *wait)
{
    atomic_store(&wait->child, fork_sleeper());
    return atomic_load(&wait->child) > 0;
}

struct wait waits_restarted[] = {
    {.name = "read", .once = wait_read, .cause = wait_send_byte},
    {.name = "recv", .once = wait_recv, .cause = wait_send_byte},
    {.name = "send", .prepare = wait_prepare_full, .once = wait_send, .cause = wait_cause_drain},
    {.name = "poll", .once = wait_poll, .cause = wait_send_byte},
    {.name = "poll with a time-out", .once = wait_poll_finite, .cause = wait_send_byte},
    {.name = "ppoll", .once = wait_ppoll, .cause = wait_send_byte},
    {.name = "select", .once = wait_select, .cause = wait_send_byte},
    {.name = "futex", .once = wait_futex, .cause = cause_futex},
    {.name = "condition", .once = wait_condition, .cause = cause_condition},
    {.name = "nanosleep", .once = wait_nanosleep, .cause = wait_send_signal, .by_handler = true},
    {.name = "clock_nanosleep",
     .once = wait_clock_nanosleep,
     .cause = wait_send_signal,
     .by_handler = true},
    {.name = "pause", .once = wait_pause, .cause = wait_send_signal, .by_handler = true},
    {.name = "sigsuspend", .once = wait_sigsuspend, .cause = wait_send_signal, .by_handler = true},
    {.name = "wait4", .prepare = prepare_child, .once = wait_wait4, .cause = cause_wait4},
    {.name = "accept",
     .prepare = wait_prepare_listener,
     .once = wait_accept,
     .cause = wait_cause_accept},
    {.name = "msgrcv", .prepare = prepare_queue, .once = wait_msgrcv, .cause = cause_msgrcv},
    {.name = "mq_receive",
     .prepare = prepare_mqueue,
     .once = wait_mq_receive,
     .cause = cause_mq_receive},
    {.name = "inotify", .prepare = prepare_inotify, .once = wait_inotify, .cause = wait_send_byte},
    {.name = "eventfd", .prepare = prepare_eventfd, .once = wait_eventfd, .cause = cause_eventfd},
    {.name = "fcntl", .prepare = prepare_lock, .once = wait_lock, .cause = cause_lock},
};
const size_t waits_restarted_count = sizeof waits_restarted / sizeof *waits_restarted;
