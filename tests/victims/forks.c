/*
 * forks FILE - forks children as FILE, a struct forks_board, tells. Those that
 * stay read the clock for good. Those of the storm read it for some milliseconds; one in
 * two forks another first, and waits for it. With the board's `programs` every other one of them
 * first executes itself anew, and then reads the clock for a longer time. In the chain each reads
 * it for 4 ms, forks the next and exits. PROGRESS is the number that have ended in the storm. It
 * answers now       the time in nanoseconds since 1970 exec      "ready", as another program, which
 * forks nothing Whoever is forked ends when nobody is left who could write to stdin.
 */
#include "forks.h"

#include "dialogue.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECOND        INT64_C(1000000000)
#define PROGRAM_READS 300

static struct forks_board *board;
static char **arguments;

static int64_t nanoseconds(const struct timespec *time)
{
    return time->tv_sec * SECOND + time->tv_nsec;
}

/* Skewed minus true, rounded to the millisecond; it has to be one of the three of the tests. */
static int64_t offset_read(void)
{
    struct timespec before, skewed, after;
    for (;;) {
        syscall(SYS_clock_gettime, CLOCK_REALTIME, &before);
        clock_gettime(CLOCK_REALTIME, &skewed);
        syscall(SYS_clock_gettime, CLOCK_REALTIME, &after);
        if (nanoseconds(&after) - nanoseconds(&before) < 400000)
            break;
    }
    int64_t offset = nanoseconds(&skewed) - nanoseconds(&before) / 2 - nanoseconds(&after) / 2;
    int64_t rounded = (offset + (offset < 0 ? -500000 : 500000)) / 1000000 * 1000000;
    if (rounded != 0 && rounded != -300 * SECOND && rounded != 5400 * SECOND)
        atomic_fetch_add(&board->errors, 1);
    return rounded;
}

static int abandoned(void)
{
    struct pollfd input = {.fd = 0};
    return poll(&input, 1, 0) == 1;
}

static void stay(int number)
{
    struct forks_child *self = &board->children[number];
    while (!abandoned()) {
        atomic_store(&self->offset_ns, offset_read());
        atomic_fetch_add(&self->reads, 1);
        atomic_store(&self->pid, getpid());
        usleep(500);
    }
    _exit(0);
}

/* What it does when it has been executed anew. */
static int program_main(void)
{
    int64_t skewed = 0;
    for (int i = 0; i < PROGRAM_READS && !abandoned(); i++) {
        skewed |= offset_read();
        usleep(500);
    }
    atomic_fetch_add(&board->skewed, skewed != 0);
    atomic_fetch_add(&board->passing, 1);
    return 0;
}

static void pass_by(unsigned seed)
{
    pid_t other = 0;
    if (atomic_load(&board->programs) && seed % 2)
        execl("/proc/self/exe", arguments[0], arguments[1], "program", (char *)NULL);
    for (int depth = 0; depth < 3 && other == 0; depth++, seed /= 2)
        other = seed % 2 == 0 ? fork() : -1;
    /* One in eight stays a little. */
    for (unsigned i = 0; i < (seed % 8 == 7 ? 100 : 2 + seed % 8); i++) {
        offset_read();
        usleep(500);
    }
    if (other > 0)
        waitpid(other, NULL, 0);
    atomic_fetch_add(&board->passing, 1);
    _exit(0);
}

static void hop(void)
{
    while (atomic_load(&board->chain) && !abandoned()) {
        for (int i = 0; i < 8; i++) {
            offset_read();
            usleep(500);
        }
        atomic_fetch_add(&board->hops, 1);
        if (fork() != 0)
            _exit(0);
    }
    _exit(0);
}

static void *fork_staying(void *unused)
{
    for (;;) {
        int forked = atomic_load(&board->forked);
        if (atomic_load(&board->chain) && atomic_load(&board->hops) == 0) {
            atomic_store(&board->hops, 1);
            if (fork() == 0)
                hop();
        }
        if (forked >= atomic_load(&board->wanted)) {
            usleep(200);
            continue;
        }
        if (fork() == 0)
            stay(forked);
        atomic_fetch_add(&board->forked, 1);
    }
    return unused;
}

static void *fork_passing(void *unused)
{
    int running = 0;
    for (unsigned seed = 1;; seed = seed * 1103515245 + 12345) {
        if (running >= atomic_load(&board->storm)) {
            if (running == 0)
                usleep(200);
            else if (waitpid(-1, NULL, 0) > 0)
                running--;
            continue;
        }
        if (fork() == 0)
            pass_by(seed >> 8);
        running++;
    }
    return unused;
}

static void answer_line(const char *line, char *answer, size_t size)
{
    struct timespec now;
    if (strcmp(line, "now") == 0) {
        clock_gettime(CLOCK_REALTIME, &now);
        snprintf(answer, size, "%lld", (long long)nanoseconds(&now));
    } else if (strcmp(line, "exec") == 0) {
        execl("/proc/self/exe", arguments[0], "quiet", (char *)NULL);
    } else if (atomic_load(&board->errors)) {
        snprintf(answer, size, "bad %d reads", atomic_load(&board->errors));
    } else {
        snprintf(answer, size, "ok %lld", (long long)atomic_load(&board->passing));
    }
}

static void board_map(const char *path)
{
    int file = open(path, O_RDWR | O_CLOEXEC);
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE,
                 file < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED, file, 0);
    if (file >= 0)
        close(file);
    if (board == MAP_FAILED)
        exit(1);
}

int main(int count, char **values)
{
    arguments = values;
    board_map(count > 1 ? values[1] : "");
    if (count > 2)
        return program_main();
    pthread_t threads[2];
    if (pthread_create(&threads[0], NULL, fork_staying, NULL) != 0 ||
        pthread_create(&threads[1], NULL, fork_passing, NULL) != 0)
        return 1;
    dialogue_open();
    for (;;)
        dialogue_poll(-1, answer_line);
}
