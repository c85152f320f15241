/*
 * idle [no-vdso] - waits for lines and does nothing else; with "no-vdso" it
 * unmaps its vDSO first. Also built for 32 bits. It answers
 *     exec    replaces itself by a new idle, whose "ready" is the answer
 *     spawn   starts a child that idles too, "ok PID"; it dies with this one
 *     vfork   starts a child that shares its memory for 100 ms, then runs
 *             sleep(1), "ok PID"; it dies with this one
 */
#include "dialogue.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

static void answer_line(const char *line, char *answer, size_t size)
{
    if (strcmp(line, "exec") == 0) {
        execl("/proc/self/exe", "idle", (char *)NULL);
        _exit(1);
    }
    if (strcmp(line, "spawn") == 0) {
        pid_t child = fork();
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            for (;;)
                pause();
        }
        snprintf(answer, size, "ok %d", child);
        return;
    }
    if (strcmp(line, "vfork") == 0) {
        pid_t child = vfork();
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            usleep(100000);
            execlp("sleep", "sleep", "1000", (char *)NULL);
            _exit(1);
        }
        snprintf(answer, size, "ok %d", child);
        return;
    }
    snprintf(answer, size, strcmp(line, "check") == 0 ? "ok 0" : "bad command");
}

/* One mapping or two, according to the kernel: all up to the next page that is not there. */
static void unmap_vdso(void)
{
    char *vdso = (char *)getauxval(AT_SYSINFO_EHDR);
    if (!vdso || munmap(vdso, 2UL * (size_t)sysconf(_SC_PAGESIZE)) != 0)
        exit(1);
}

int main(int count, char **arguments)
{
    if (count > 1 && strcmp(arguments[1], "no-vdso") == 0)
        unmap_vdso();
    dialogue_open();
    for (;;)
        dialogue_poll(-1, answer_line);
}
