/*
 * sharing - a program whose memory other processes share that are no threads of
 * it; all read the clock. PROGRESS counts the reads of the one that has done
 * fewest. It answers
 *     share   "ok PID PID PID PID": from now on such processes, made by clone(2)
 *             with CLONE_VM, read the clock without rest
 *     vfork   "ok PID" from the child of vfork(2), which holds its parent until
 *     hold    the same with clone(2) and CLONE_VFORK alone: the child holds its
 *             parent, but has memory of its own
 *     release "ok"
 *     spawn   "ok": from now on a thread starts programs with posix_spawn(3),
 *             one after the other
 */
#include "dialogue.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* More than most machines here have processors: some are always preempted in the midst of a read.
 */
#define SHARERS 4

static _Atomic long own_reads;
static atomic_uint errors;
static struct sharer {
    pid_t pid;
    _Atomic long reads;
    _Alignas(16) char stack[64 * 1024];
} sharers[SHARERS];

static void read_clock(_Atomic long *reads)
{
    struct timespec now = {0, -1};
    if (clock_gettime(CLOCK_REALTIME, &now) != 0 || now.tv_nsec < 0 || now.tv_nsec > 999999999)
        atomic_fetch_add(&errors, 1);
    atomic_fetch_add(reads, 1);
}

/* It has its parent's thread-local storage as well, so it makes no call that could set errno. */
static int read_forever(void *argument)
{
    struct sharer *sharer = argument;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;)
        read_clock(&sharer->reads);
    return 0;
}

static void *read_as_thread(void *unused)
{
    for (;;) {
        read_clock(&own_reads);
        usleep(100);
    }
    return unused;
}

static void *spawn_forever(void *unused)
{
    static char *const arguments[] = {"true", NULL};
    for (;;) {
        pid_t child;
        int status;
        if (posix_spawnp(&child, "true", NULL, NULL, arguments, NULL) != 0 ||
            waitpid(child, &status, 0) != child || status != 0)
            atomic_fetch_add(&errors, 1);
    }
    return unused;
}

static void spawn(char *answer, size_t size)
{
    pthread_t spawner;
    snprintf(answer, size,
             pthread_create(&spawner, NULL, spawn_forever, NULL) == 0 ? "ok" : "bad thread");
}

/* The child speaks and listens in its parent's place. */
static void be_held(bool shared, char *answer, size_t size)
{
    pid_t child = shared ? vfork() : (pid_t)syscall(SYS_clone, CLONE_VFORK | SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
        char text[40];
        int length = snprintf(text, sizeof text, "ok %d\n", getpid());
        char byte = 0;
        if (write(1, text, (size_t)length) == length)
            while (byte != '\n' && read(0, &byte, 1) == 1)
                continue;
        _exit(byte == '\n' ? 0 : 1);
    }
    int status = -1;
    bool reaped = waitpid(child, &status, 0) == child;
    snprintf(answer, size, reaped && status == 0 ? "ok" : "bad child, status 0x%x", status);
}

static void share(char *answer, size_t size)
{
    int length = snprintf(answer, size, "ok");
    for (struct sharer *sharer = sharers; sharer < sharers + SHARERS; sharer++) {
        sharer->pid =
            clone(read_forever, sharer->stack + sizeof sharer->stack, CLONE_VM | SIGCHLD, sharer);
        length += snprintf(answer + length, size - (size_t)length, " %d", sharer->pid);
    }
}

static void check(char *answer, size_t size)
{
    long least = atomic_load(&own_reads);
    for (struct sharer *sharer = sharers; sharer < sharers + SHARERS && sharer->pid; sharer++) {
        int status = 0;
        if (waitpid(sharer->pid, &status, WNOHANG) != 0) {
            snprintf(answer, size, "bad sharer died, status 0x%x", (unsigned)status);
            return;
        }
        if (atomic_load(&sharer->reads) < least)
            least = atomic_load(&sharer->reads);
    }
    if (atomic_load(&errors))
        snprintf(answer, size, "bad %u errors", atomic_load(&errors));
    else
        snprintf(answer, size, "ok %ld", least);
}

static void answer_line(const char *line, char *answer, size_t size)
{
    if (strcmp(line, "share") == 0)
        share(answer, size);
    else if (strcmp(line, "vfork") == 0)
        be_held(true, answer, size);
    else if (strcmp(line, "hold") == 0)
        be_held(false, answer, size);
    else if (strcmp(line, "spawn") == 0)
        spawn(answer, size);
    else if (strcmp(line, "check") == 0)
        check(answer, size);
    else
        snprintf(answer, size, "bad command");
}

int main(void)
{
    pthread_t reader;
    if (pthread_create(&reader, NULL, read_as_thread, NULL) != 0)
        return 1;
    while (atomic_load(&own_reads) == 0)
        usleep(1000);
    dialogue_open();
    for (;;)
        dialogue_poll(-1, answer_line);
}
