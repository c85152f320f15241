/* See family.h. */
#include "family.h"

#include "observe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct family family_start(void)
{
    struct family family = {.path = harness_format("%s/board", harness_directory(geteuid()))};
    int file = open(family.path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || ftruncate(file, sizeof(struct forks_board)) != 0)
        fail_msg("%s: %s", family.path, strerror(errno));
    family.board =
        mmap(NULL, sizeof(struct forks_board), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (family.board == MAP_FAILED)
        fail_msg("mmap: %s", strerror(errno));
    family.parent = victim_start("forks", family.path, NULL);
    family.pid = family.parent->pid;
    family.maps = observe_maps(family.pid);
    family.input = fcntl(family.parent->input, F_DUPFD_CLOEXEC, 3);
    return family;
}

void family_end(struct family *family)
{
    child_kill(family->parent);
    close(family->input);
    munmap(family->board, sizeof *family->board);
}

static int64_t deadline(void)
{
    return harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
}

void family_await(const _Atomic int *count, int least)
{
    int64_t end = deadline();
    while (atomic_load(count) < least) {
        if (harness_monotonic_ns() > end)
            fail_msg("the program does not fork");
        harness_sleep_ms(1);
    }
}

void family_await_passing(const struct family *family, int64_t more)
{
    int64_t end = deadline();
    int64_t due = atomic_load(&family->board->passing) + more;
    while (atomic_load(&family->board->passing) < due) {
        if (harness_monotonic_ns() > end)
            fail_msg("the program does not fork");
        harness_sleep_ms(1);
    }
}

static char *file_of(const char *pid, const char *name, size_t *size)
{
    return harness_file_read(harness_format("/proc/%s/%s", pid, name), size);
}

/* The [vdso] row of maps is where its bytes are; false where the process is gone. */
static bool vdso_is(const char *pid, const char *maps, const struct vdso *pristine)
{
    const char *row = strstr(maps, "[vdso]");
    while (row && row > maps && row[-1] != '\n')
        row--;
    int memory = open(harness_format("/proc/%s/mem", pid), O_RDONLY | O_CLOEXEC);
    uint8_t *bytes = harness_memory(pristine->size);
    ssize_t got = row && memory >= 0
                      ? pread(memory, bytes, pristine->size, (off_t)strtoull(row, NULL, 16))
                      : -1;
    if (memory >= 0)
        close(memory);
    return got != (ssize_t)pristine->size || memcmp(bytes, pristine->bytes, pristine->size) == 0;
}

void family_expect_clean(const struct family *family)
{
    struct keep *mark = harness_mark();
    struct vdso pristine = observe_vdso_own();
    DIR *processes = opendir("/proc");
    assert_non_null(processes);
    const char *wrong = NULL;
    for (struct dirent *entry; !wrong && (entry = readdir(processes));) {
        const char *pid = entry->d_name;
        const char *maps = *pid >= '1' && *pid <= '9' ? file_of(pid, "maps", NULL) : NULL;
        if (!maps || !strstr(maps, family->path))
            continue;
        for (const char *row = maps; row && *row; row = strchr(row, '\n')) {
            row += *row == '\n';
            const char *code = strstr(row, " r-xp 00000000 00:00 0 ");
            size_t length = strcspn(row, "\n");
            if (code && code < row + length && !memchr(code, '[', (size_t)(row + length - code)))
                wrong = pid;
        }
        if (!vdso_is(pid, maps, &pristine))
            wrong = pid;
    }
    int number = wrong ? atoi(wrong) : 0;
    closedir(processes);
    harness_release(mark);
    if (number)
        fail_msg("process %d, forked, carries something of skewctl", number);
}
