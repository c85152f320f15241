/*
 * shell [THREADS] - the parent of a job: THREADS (default 4) that read the
 * clock, in a child process with a group of its own, which it watches as a shell
 * does (waitpid(2) with WUNTRACED and WCONTINUED). It answers
 *     job        "ok PID" of the child
 *     events N   "ok" and what it was told of the child since the last such
 *                question, a letter each: S stopped, C continued, E ended; once
 *                there are N and a time has passed in which no more came
 *     signals    "ok N": how many SIGCHLD came since the last such question
 *     reads      "ok N": clock reads of the child, so far
 *     terms      "ok N": SIGTERMs that the child has handled
 * PROGRESS is that of the child, too.
 */
#include "dialogue.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct job {
    _Atomic long reads;
    _Atomic long terms;
    atomic_uint errors;
};
static struct job *job;
static pid_t child;
static char told[64];
static volatile sig_atomic_t child_signals;

static void on_child(int signal)
{
    (void)signal;
    child_signals++;
}

static void on_term(int signal)
{
    (void)signal;
    atomic_fetch_add(&job->terms, 1);
}

static void *read_forever(void *unused)
{
    for (;;) {
        struct timespec now = {0, -1};
        if (clock_gettime(CLOCK_REALTIME, &now) != 0 || now.tv_nsec < 0 || now.tv_nsec > 999999999)
            atomic_fetch_add(&job->errors, 1);
        if (atomic_fetch_add(&job->reads, 1) % 100 == 0)
            usleep(100);
    }
    return unused;
}

static void job_run(pid_t parent, int threads)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(0);
    setpgid(0, 0);
    close(0);
    signal(SIGCHLD, SIG_DFL);
    signal(SIGTERM, on_term);
    for (int i = 1; i < threads; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, read_forever, NULL) != 0)
            _exit(1);
    }
    read_forever(NULL);
}

static void events_collect(size_t due, char *answer, size_t size)
{
    size_t length = 0;
    for (int quiet = 0, tries = 0; (quiet < 10 || length < due) && tries < 4000; tries++) {
        int status;
        pid_t changed = waitpid(child, &status, WUNTRACED | WCONTINUED | WNOHANG);
        if (changed != child) {
            usleep(5000);
            quiet++;
            continue;
        }
        quiet = 0;
        if (length < sizeof told - 1)
            told[length++] = WIFSTOPPED(status) ? 'S' : WIFCONTINUED(status) ? 'C' : 'E';
    }
    told[length] = 0;
    snprintf(answer, size, "ok%s%s", length ? " " : "", told);
}

static void answer_line(const char *line, char *answer, size_t size)
{
    if (strcmp(line, "job") == 0) {
        snprintf(answer, size, "ok %d", child);
    } else if (strncmp(line, "events ", 7) == 0) {
        events_collect((size_t)atoi(line + 7), answer, size);
    } else if (strcmp(line, "signals") == 0) {
        snprintf(answer, size, "ok %d", (int)child_signals);
        child_signals = 0;
    } else if (strcmp(line, "reads") == 0) {
        snprintf(answer, size, "ok %ld", atomic_load(&job->reads));
    } else if (strcmp(line, "terms") == 0) {
        snprintf(answer, size, "ok %ld", atomic_load(&job->terms));
    } else if (atomic_load(&job->errors)) {
        snprintf(answer, size, "bad %u errors", atomic_load(&job->errors));
    } else {
        snprintf(answer, size, "ok %ld", atomic_load(&job->reads));
    }
}

int main(int count, char **arguments)
{
    job = mmap(NULL, sizeof *job, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (job == MAP_FAILED)
        return 1;
    sigaction(SIGCHLD, &(struct sigaction){.sa_handler = on_child, .sa_flags = SA_RESTART}, NULL);
    pid_t self = getpid();
    child = fork();
    if (child == 0)
        job_run(self, count > 1 ? atoi(arguments[1]) : 4);
    if (child < 0)
        return 1;
    while (atomic_load(&job->reads) < 1000)
        usleep(1000);
    dialogue_open();
    for (;;)
        dialogue_poll(-1, answer_line);
}
