/* See apart.h. */
#include "apart.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* A point takes a fraction of a second; each wait within it has its own deadline. */
#define STANDSTILL_NS INT64_C(180000000000)

static void run_here(const char *name, CMUnitTestFunction function, void *shared, FILE *log,
                     pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent ||
        dup2(fileno(log), STDOUT_FILENO) < 0 || dup2(fileno(log), STDERR_FILENO) < 0)
        _exit(126);
    const struct CMUnitTest tests[] = {
        {name, function, harness_setup, harness_teardown, shared},
    };
    exit(cmocka_run_group_tests_name(name, tests, NULL, NULL));
}

bool apart_run(const char *name, CMUnitTestFunction function, void *shared, const long *progress,
               FILE *log)
{
    fflush(NULL);
    pid_t parent = getpid();
    pid_t child = fork();
    if (child < 0) {
        printf("cannot start a process: %s\n", strerror(errno));
        return false;
    }
    if (child == 0)
        run_here(name, function, shared, log, parent);
    long seen = -1;
    int status;
    int64_t moved = harness_monotonic_ns();
    for (; waitpid(child, &status, WNOHANG) != child; harness_sleep_ms(5)) {
        long now = *(volatile const long *)progress;
        if (now != seen)
            moved = harness_monotonic_ns();
        seen = now;
        if (harness_monotonic_ns() - moved > STANDSTILL_NS) {
            kill(child, SIGKILL);
            waitpid(child, &status, 0);
            printf("  no progress for three minutes\n");
            return false;
        }
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void *apart_memory(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        fprintf(stderr, "no memory: %s\n", strerror(errno));
        exit(1);
    }
    return memory;
}

void apart_print(FILE *log)
{
    char line[1000];
    rewind(log);
    while (fgets(line, sizeof line, log) && strncmp(line, "[  FAILED", 9) != 0)
        if (strncmp(line, "[==", 3) != 0 && strncmp(line, "[ RUN", 5) != 0 && *line != '\n')
            printf("  | %s", line);
}
