/*
 * blocked [restartable | limited | alone KIND NAME] - one thread in each kind of
 * wait that a stop must not be seen by; or only in those that the kernel itself
 * restarts after a stop; or in those that have a limit. A wait that returns without its
 * cause (EINTR without a handler having run, a wrong count, a value that was
 * not sent) makes "check" bad; those with a limit only count it, and wait again.
 * With "alone" the main thread is in the wait of that name, of KIND restarted,
 * repeated or limited (waits.h), and another, which talks, is in epoll_wait: no
 * thread is left that would be better held than these. It answers
 *     wake         gives each wait its cause, waits until each thread has returned
 *                  from it; "ok", or "bad" with the name of one that did not
 *     interrupted  "ok N": how often a wait with a limit was cut short; says so
 *                  once every thread waits again
 *     without      "ok" and the names of waits that cannot be had here
 * PROGRESS is how often the least woken thread was woken. When "ready" is said,
 * and again after each wake, every thread is back in its wait.
 */
#include "dialogue.h"
#include "waits.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAITS_MAX 64

static struct wait *waits[WAITS_MAX];
static size_t wait_count;
static char without[1000];
static _Atomic long talk_errors;

static void on_signal(int signal)
{
    (void)signal;
    wait_handled++;
}

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

/* Several times in a row, since a thread may sleep for a moment on its way into the wait. */
static bool all_asleep(void)
{
    for (int tries = 0, good = 0; tries < 10000; tries++) {
        bool every = true;
        for (size_t i = 0; i < wait_count; i++)
            every = every && asleep(waits[i]);
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

static void wake_all(char *answer, size_t size)
{
    for (size_t i = 0; i < wait_count; i++)
        if (!wake(waits[i])) {
            snprintf(answer, size, "bad %s was not woken", waits[i]->name);
            return;
        }
    snprintf(answer, size, all_asleep() ? "ok" : "bad not all wait again");
}

static void answer_line(const char *line, char *answer, size_t size)
{
    const char *first;
    if (strcmp(line, "wake") == 0) {
        wake_all(answer, size);
    } else if (strcmp(line, "interrupted") == 0) {
        bool waiting = all_asleep();
        snprintf(answer, size, waiting ? "ok %ld" : "bad %ld", atomic_load(&wait_interruptions));
    } else if (strcmp(line, "without") == 0) {
        snprintf(answer, size, "ok%s", without);
    } else if (strcmp(line, "check") != 0) {
        snprintf(answer, size, "bad command");
    } else if (wait_errors(&first)) {
        snprintf(answer, size, "bad %u errors, first: %s", wait_errors(&first), first);
    } else if (atomic_load(&talk_errors)) {
        snprintf(answer, size, "bad the talker's epoll_wait ended early");
    } else {
        int64_t least = INT64_MAX;
        for (size_t i = 0; i < wait_count; i++)
            if (atomic_load(&waits[i]->woken) < least)
                least = atomic_load(&waits[i]->woken);
        snprintf(answer, size, "ok %ld", (long)least);
    }
}

static void *talk_in_epoll(void *unused)
{
    int set = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    epoll_ctl(set, EPOLL_CTL_ADD, 0, &event);
    if (!all_asleep())
        exit(1);
    dialogue_open();
    for (;;) {
        if (epoll_wait(set, &event, 1, -1) != 1)
            atomic_fetch_add(&talk_errors, 1);
        dialogue_poll(0, answer_line);
    }
    return unused;
}

/* Where a wait cannot be had here it is left out, and its name kept. */
static void wait_add(struct wait *wait)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        exit(1);
    wait->near = ends[0];
    wait->far = ends[1];
    if (wait->prepare && !wait->prepare(wait)) {
        size_t length = strlen(without);
        snprintf(without + length, sizeof without - length, " %s (%s)", wait->name,
                 strerror(errno));
        return;
    }
    waits[wait_count++] = wait;
}

static void add_all(struct wait *of_kind, size_t count)
{
    for (size_t i = 0; i < count; i++)
        wait_add(&of_kind[i]);
}

static struct wait *wait_find(const char *kind, const char *name)
{
    struct wait *table = waits_restarted;
    size_t count = waits_restarted_count;
    if (strcmp(kind, "repeated") == 0) {
        table = waits_repeated;
        count = waits_repeated_count;
    } else if (strcmp(kind, "limited") == 0) {
        table = waits_limited;
        count = waits_limited_count;
    }
    for (size_t i = 0; i < count; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

static void be_alone(struct wait *wait)
{
    if (!wait)
        exit(2);
    wait_add(wait);
    wait->thread = pthread_self();
    atomic_store(&wait->tid, gettid());
    pthread_t talker;
    if (pthread_create(&talker, NULL, talk_in_epoll, NULL) != 0)
        exit(1);
    if (wait_count == 0)
        pthread_join(talker, NULL);
    run(wait);
}

int main(int count, char **arguments)
{
    const char *kind = count > 1 ? arguments[1] : "";
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = on_signal}, NULL);
    sigset_t waited;
    sigemptyset(&waited);
    sigaddset(&waited, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &waited, NULL);
    /* So that semaphores and queues end with it. */
    wait_ipc_is_private = unshare(CLONE_NEWIPC) == 0;
    if (strcmp(kind, "alone") == 0)
        be_alone(count > 3 ? wait_find(arguments[2], arguments[3]) : NULL);
    if (strcmp(kind, "limited") == 0)
        add_all(waits_limited, waits_limited_count);
    else
        add_all(waits_restarted, waits_restarted_count);
    if (!*kind)
        add_all(waits_repeated, waits_repeated_count);
    for (size_t i = 0; i < wait_count; i++)
        if (pthread_create(&waits[i]->thread, NULL, run, waits[i]) != 0)
            return 1;
    if (!all_asleep())
        return 1;
    dialogue_open();
    for (;;)
        dialogue_poll(-1, answer_line);
}
