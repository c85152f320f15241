/*
 * keeper - waits for lines and keeps memory of its own where it is told to. It
 * answers
 *     keep ADDRESS SIZE WHERE   "ok": it mapped that much there (hexadecimal),
 *                               and wrote something to that offset of it
 *     reserve ADDRESS SIZE      "ok": the same, but it wrote nothing
 * and what it wrote must stay there.
 */
#include "dialogue.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char precious[] = "precious data";
static char *kept;

static char *reserve(uintptr_t address, size_t size, char *answer, size_t room)
{
    char *memory = mmap((void *)address, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    bool there = memory == (char *)address;
    snprintf(answer, room, there ? "ok" : "bad mmap");
    return there ? memory : NULL;
}

static void keep(uintptr_t address, size_t size, size_t where, char *answer, size_t room)
{
    char *memory = reserve(address, size, answer, room);
    if (memory) {
        kept = memory + where;
        memcpy(kept, precious, sizeof precious);
    }
}

/* Through a pipe: where the memory is gone, write(2) says so and no signal comes. */
static int still_kept(void)
{
    int ends[2];
    char copy[sizeof precious] = "";
    if (pipe(ends) != 0)
        return 0;
    int read_back = write(ends[1], kept, sizeof precious) == sizeof precious &&
                    read(ends[0], copy, sizeof copy) == sizeof copy;
    close(ends[0]);
    close(ends[1]);
    return read_back && memcmp(copy, precious, sizeof precious) == 0;
}

static void answer_line(const char *line, char *answer, size_t size)
{
    unsigned long address, length, where;
    if (sscanf(line, "keep %lx %lx %lx", &address, &length, &where) == 3)
        keep(address, length, where, answer, size);
    else if (sscanf(line, "reserve %lx %lx", &address, &length) == 2)
        reserve(address, length, answer, size);
    else if (strcmp(line, "check") != 0)
        snprintf(answer, size, "bad command");
    else if (kept && !still_kept())
        snprintf(answer, size, "bad its data is lost");
    else
        snprintf(answer, size, "ok 0");
}

int main(void)
{
    dialogue_open();
    for (;;)
        dialogue_poll(-1, answer_line);
}
