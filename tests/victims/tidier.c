/*
 * tidier - one thread that never rests. It answers
 *     tidy   "ok N": it unmapped all nameless code in its memory, N mappings, as
 *            a program might that guards itself against what it does not know
 * "check" reads the clock. PROGRESS is the number of rounds.
 */
#include "dialogue.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

static unsigned long rounds;

/* Rows of proc_pid_maps(5): nameless ones end with the inode, 0. */
static int tidy(void)
{
    static char line[512];
    int unmapped = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps && fgets(line, sizeof line, maps)) {
        uintptr_t start, end;
        char permissions[5];
        unsigned long inode;
        int length = 0;
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %*s %*s %lu %n", &start, &end, permissions,
                   &inode, &length) == 4 &&
            inode == 0 && line[length] == '\0' && strcmp(permissions, "r-xp") == 0)
            unmapped += munmap((void *)start, end - start) == 0;
    }
    if (maps)
        fclose(maps);
    return unmapped;
}

static void answer_line(const char *line, char *answer, size_t size)
{
    struct timespec now;
    if (strcmp(line, "tidy") == 0)
        snprintf(answer, size, "ok %d", tidy());
    else
        snprintf(answer, size,
                 strcmp(line, "check") == 0 && clock_gettime(CLOCK_REALTIME, &now) == 0 ? "ok %lu"
                                                                                        : "bad",
                 rounds);
}

int main(void)
{
    tidy();
    dialogue_open();
    for (;; rounds++)
        dialogue_poll(0, answer_line);
}
