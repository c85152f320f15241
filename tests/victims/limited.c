/*
 * limited KIND - an idle program that has brought itself into a state in which
 * memory is hard to map, or the vDSO hard to change. KIND is
 *     locked    mlockall(2) of all that comes, with RLIMIT_MEMLOCK reached and
 *               no right to go beyond it
 *     mappings  as many mappings as vm.max_map_count allows
 *     full      no free address within 2 GiB of the vDSO
 *     no-gain   PR_SET_MDWE: nothing may become executable
 *     private   PR_SET_DUMPABLE 0
 *     sealed    mseal(2) on the vDSO
 *     nameless  a copy of the vDSO in plain memory, in place of it
 * and it says "unsupported" in place of "ready" where the kernel cannot do that.
 */
#include "dialogue.h"

#include <linux/capability.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE        4096UL
#define REACH       (UINT64_C(2) << 30)
#define VDSO_SIZE   (2 * PAGE)
#define SYS_MSEAL   462
#define SET_MDWE    65 /* PR_SET_MDWE and PR_MDWE_REFUSE_EXEC_GAIN, Linux 6.3 */
#define REFUSE_GAIN 1

static void answer_line(const char *line, char *answer, size_t size)
{
    snprintf(answer, size, strcmp(line, "check") == 0 ? "ok 0" : "bad command");
}

static bool lock(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2] = {{0}};
    struct rlimit limit = {PAGE, PAGE};
    return mlockall(MCL_CURRENT | MCL_FUTURE) == 0 && setrlimit(RLIMIT_MEMLOCK, &limit) == 0 &&
           syscall(SYS_capset, &header, sets) == 0;
}

/* Neighbours of different protection do not merge. */
static bool map_until_none_is_left(void)
{
    for (int i = 0;; i++)
        if (mmap(NULL, PAGE, i % 2 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
            MAP_FAILED)
            return i > 1000;
}

static bool fill(uint64_t start, uint64_t end)
{
    return start >= end || mmap((void *)start, end - start, PROT_NONE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
                                -1, 0) == (void *)start;
}

/* What is mapped is read first: reading maps memory of its own. */
static bool fill_all_gaps(void)
{
    static struct {
        unsigned long start, end;
    } rows[256];
    size_t count = 0;
    uint64_t vdso = getauxval(AT_SYSINFO_EHDR);
    uint64_t low = vdso - REACH - (64 << 20), high = vdso + REACH + (64 << 20);
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    while (maps && count < 256 && fgets(line, sizeof line, maps))
        if (sscanf(line, "%lx-%lx", &rows[count].start, &rows[count].end) == 2)
            count++;
    if (high > 0x7ffffffff000)
        high = 0x7ffffffff000;
    for (size_t i = 0; i < count && rows[i].start < high; i++) {
        /* Right below the stack the kernel keeps a gap of its own. */
        if (rows[i].start > low && !fill(low, rows[i].start) &&
            !fill(low, rows[i].start - (2 << 20)))
            return false;
        if (rows[i].end > low)
            low = rows[i].end;
    }
    return fill(low, high);
}

static bool replace_by_copy(void)
{
    char *vdso = (char *)getauxval(AT_SYSINFO_EHDR);
    char *copy = mmap(NULL, VDSO_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(copy, vdso, VDSO_SIZE);
    return munmap(vdso, VDSO_SIZE) == 0 &&
           mremap(copy, VDSO_SIZE, VDSO_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, vdso) == vdso &&
           mprotect(vdso, VDSO_SIZE, PROT_READ | PROT_EXEC) == 0;
}

static bool become(const char *kind)
{
    char *vdso = (char *)getauxval(AT_SYSINFO_EHDR);
    if (strcmp(kind, "locked") == 0)
        return lock();
    if (strcmp(kind, "mappings") == 0)
        return map_until_none_is_left();
    if (strcmp(kind, "full") == 0)
        return fill_all_gaps();
    if (strcmp(kind, "no-gain") == 0)
        return prctl(SET_MDWE, REFUSE_GAIN, 0, 0, 0) == 0;
    if (strcmp(kind, "private") == 0)
        return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
    if (strcmp(kind, "sealed") == 0)
        return syscall(SYS_MSEAL, vdso, VDSO_SIZE, 0) == 0;
    return strcmp(kind, "nameless") == 0 && replace_by_copy();
}

int main(int count, char **arguments)
{
    char text[32];
    /* Whatever allocates when it is first used does so now. */
    answer_line("check", text, sizeof text);
    if (count != 2 || !become(arguments[1])) {
        puts("unsupported");
        return 0;
    }
    dialogue_open();
    for (;;)
        dialogue_poll(-1, answer_line);
}
