/*
 * workers KIND FIFO - an io_uring whose requests the kernel works on with
 * threads of its own, listed among those of the process. KIND is
 *     async    one that waits, interruptibly, for the other end of FIFO to be opened
 *     sqpoll   also one that polls for requests
 *     late     as async, but the first request is made at "begin"
 * PROGRESS is how often the request was done. It answers
 *     begin    makes the first request; "ok"
 *     serve    opens the other end, waits until the request is done and made again;
 *              "ok", or "bad" with what it came to
 *     name     "ok NAME" of a thread of the kernel's, or "bad" where there is none
 * A handler is installed, so that a signal that is blocked may mean that one runs.
 */
#include "dialogue.h"
#include "ring.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *fifo;
static struct ring ring;
static _Atomic long served;
static atomic_uint errors;
static char first_error[200];

static void wrong(const char *what, long result)
{
    if (atomic_fetch_add(&errors, 1) == 0)
        snprintf(first_error, sizeof first_error, "%s: %ld", what, result);
}

static void on_signal(int signal)
{
    (void)signal;
}

static void request_make(void)
{
    memset(ring.request, 0, sizeof *ring.request);
    ring.request->opcode = IORING_OP_OPENAT;
    ring.request->flags = IOSQE_ASYNC;
    ring.request->fd = AT_FDCWD;
    ring.request->addr = (uintptr_t)fifo;
    ring.request->open_flags = O_RDONLY | O_CLOEXEC;
    if (!ring_submit(&ring))
        wrong("a request could not be submitted, errno", errno);
}

static void *serve_forever(void *unused)
{
    for (;;) {
        long waited = ring_wait(&ring, 0);
        if (waited < 0)
            wrong("io_uring_enter ended early, errno", errno);
        int result;
        if (!ring_take(&ring, &result))
            continue;
        if (result < 0)
            wrong("the request came to", result);
        else
            close(result);
        request_make();
        atomic_fetch_add(&served, 1);
    }
    return unused;
}

static void serve(char *answer, size_t size)
{
    long due = atomic_load(&served) + 1;
    int end = -1;
    /* ENXIO: nobody has it open for reading yet. */
    for (int tries = 0; tries < 20000 && end < 0; tries++) {
        end = open(fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        if (end < 0)
            usleep(1000);
    }
    for (int tries = 0; tries < 20000 && atomic_load(&served) < due; tries++)
        usleep(1000);
    close(end);
    snprintf(answer, size, atomic_load(&served) >= due ? "ok" : "bad not served");
}

static void worker_name(char *answer, size_t size)
{
    snprintf(answer, size, "bad none");
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *entry; tasks && (entry = readdir(tasks)) != NULL;) {
        char path[300], name[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = fopen(path, "re");
        if (!file)
            continue;
        if (fscanf(file, "%31s", name) == 1 && strncmp(name, "iou-", 4) == 0)
            snprintf(answer, size, "ok %s", name);
        fclose(file);
    }
    if (tasks)
        closedir(tasks);
}

static void *begin(void *unused)
{
    request_make();
    return serve_forever(unused);
}

static bool begin_apart(void)
{
    pthread_t server;
    return pthread_create(&server, NULL, begin, NULL) == 0;
}

static void answer_line(const char *line, char *answer, size_t size)
{
    if (strcmp(line, "serve") == 0)
        serve(answer, size);
    else if (strcmp(line, "begin") == 0)
        snprintf(answer, size, begin_apart() ? "ok" : "bad no thread");
    else if (strcmp(line, "name") == 0)
        worker_name(answer, size);
    else if (atomic_load(&errors))
        snprintf(answer, size, "bad %u errors, first: %s", atomic_load(&errors), first_error);
    else
        snprintf(answer, size, "ok %ld", atomic_load(&served));
}

int main(int count, char **arguments)
{
    if (count < 3)
        return 2;
    fifo = arguments[2];
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = on_signal}, NULL);
    bool polled = strcmp(arguments[1], "sqpoll") == 0;
    dialogue_open();
    if (!ring_open(&ring, polled ? IORING_SETUP_SQPOLL : 0))
        wrong("io_uring_setup, errno", errno);
    else if (strcmp(arguments[1], "late") != 0 && !begin_apart())
        wrong("no thread, errno", errno);
    for (;;)
        dialogue_poll(-1, answer_line);
}
