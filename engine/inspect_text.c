/*
 * inspect_text.c - executable memory that reads time without the vDSO.
 *
 * Promise: code of a file is read from that file, not through the process, so that no page
 * becomes part of the process that it never used; other code only where pages are in
 * memory already. No more than BUDGET_NS of time and a few MiB of memory are taken; what
 * that leaves out is told as unknown.
 *
 * What is counted are places, not uses: whether one is ever executed is not to be seen.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "asm/arch.h"
#include "engine/function_starts.h"
#include "engine/inspect.h"
#include "engine/pagemap.h"
#include "engine/scope.h"

#define BUDGET_NS INT64_C(3000000000)
#define PAGE      UINT64_C(0x1000)
#define CHUNK     (UINT64_C(1) << 20)
#define LOOKBACK                                                                                   \
    (UINT64_C(1) << 14)          /* kept of the chunk before, to decode from a function's start */
#define INSTRUCTION UINT64_C(15) /* the longest */
#define KINDS       (ARCH_TIME_CALL + 1)

/* What one file, or all memory of no file, has. */
struct object {
    char name[160];
    size_t places[KINDS];
    size_t guessed[KINDS]; /* of them */
};

struct search {
    const struct target *target;
    int memory;
    uint8_t *buffer; /* LOOKBACK + CHUNK */
    int64_t end_ns;  /* of CLOCK_MONOTONIC */
    uint64_t looked, left_out;
    struct findings *findings;
};

static int64_t monotonic_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000 + now.tv_nsec;
}

static void place_judge(const struct search *search, struct object *object, size_t length,
                        size_t at, uint64_t position, const struct function_starts *starts)
{
    uint64_t start;
    bool known = function_start_find(starts, position, &start) && position - start <= at;
    enum arch_time_read kind =
        known ? arch_time_read_at(search->buffer, length, at - (size_t)(position - start), at)
              : arch_time_read_guess(search->buffer, length, at);
    object->places[kind]++;
    object->guessed[kind] += !known;
}

/* Code at `position` of a file, or of memory as /proc/PID/mem counts it. */
static void region_search(struct search *search, struct object *object, int descriptor,
                          uint64_t position, uint64_t size, const struct function_starts *starts)
{
    size_t kept = 0, judged = 0; /* bytes of the buffer that were there before; were gone through */
    for (uint64_t done = 0; done < size;) {
        uint64_t want = size - done < CHUNK ? size - done : CHUNK;
        ssize_t got = monotonic_now() < search->end_ns
                          ? pread(descriptor, search->buffer + kept, want, (off_t)(position + done))
                          : -1;
        if (got <= 0) {
            /* A mapping may be longer than its file. */
            search->left_out += got < 0 ? size - done : 0;
            return;
        }
        size_t length = kept + (size_t)got;
        uint64_t base = position + done - kept;
        done += (uint64_t)got;
        search->looked += (uint64_t)got;
        size_t end = done < size && length > INSTRUCTION ? length - INSTRUCTION : length;
        for (size_t at = arch_time_candidate(search->buffer, length, judged); at < end;
             at = arch_time_candidate(search->buffer, length, at + 1)) {
            place_judge(search, object, length, at, base + at, starts);
        }
        kept = length < LOOKBACK ? length : LOOKBACK;
        judged = end > length - kept ? end - (length - kept) : 0;
        memmove(search->buffer, search->buffer + length - kept, kept);
    }
}

/* The file that is mapped there, whatever is at its path by now; -1 where it cannot be had. */
static int mapped_file_open(const struct target *target, const struct mapping *row, char *name,
                            size_t size)
{
    char link[64];
    snprintf(link, sizeof link, "map_files/%" PRIx64 "-%" PRIx64, row->start, row->end);
    char mapped[4096] = "";
    if (readlinkat(target->directory, link, mapped, sizeof mapped - 1) <= 0) {
        snprintf(name, size, "%s", row->name);
        return -1;
    }
    snprintf(name, size, "%s", mapped);
    /* Takes CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN: proc_pid_map_files(5). */
    int file = openat(target->directory, link, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file >= 0 || mapped[0] != '/') {
        return file;
    }
    scoped_descriptor root = target_file_open(target, "root", O_PATH | O_DIRECTORY);
    file = root < 0 ? -1 : openat(root, mapped + 1, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    struct stat status;
    if (file >= 0 &&
        (fstat(file, &status) != 0 || !S_ISREG(status.st_mode) || status.st_ino != row->inode)) {
        descriptor_close(&file);
    }
    return file;
}

/* Runs of pages that are in memory. */
static void memory_search(struct search *search, struct object *object, const struct mapping *row)
{
    static const struct function_starts none;
    uint64_t run = row->start;
    for (uint64_t at = row->start; at <= row->end; at += PAGE) {
        if (at < row->end && !pagemap_untouched(search->target, at, PAGE)) {
            continue;
        }
        if (at > run) {
            region_search(search, object, search->memory, run, at - run, &none);
        }
        /* Of a file that was used by others, more may be in memory than this process has. */
        search->left_out += at < row->end && row->inode != 0 ? PAGE : 0;
        run = at + PAGE;
    }
}

static bool of_c_library(const char *name)
{
    static const char *const names[] = {"libc.so",  "libc-2.",    "ld-linux",  "ld-2.",
                                        "ld-musl-", "libc.musl-", "libpthread"};
    const char *slash = strrchr(name, '/');
    for (size_t i = 0; slash != NULL && i < sizeof names / sizeof *names; i++) {
        if (strncmp(slash + 1, names[i], strlen(names[i])) == 0) {
            return true;
        }
    }
    return false;
}

static void object_tell_kind(const struct object *object, enum arch_time_read kind,
                             struct findings *findings)
{
    bool fallback = kind == ARCH_TIME_CALL && of_c_library(object->name);
    size_t count = object->places[kind];
    char doubt[64] = "";
    if (count == 0) {
        return;
    }
    if (object->guessed[kind] != 0) {
        snprintf(doubt, sizeof doubt, ", %zu of them only probable", object->guessed[kind]);
    }
    const struct skew_finding finding = {
        .subject = kind == ARCH_TIME_COUNTER ? "counter" : "call",
        .follows = fallback ? SKEW_FOLLOWS_UNCONCERNED : SKEW_FOLLOWS_NO,
        .count = count,
        .meaning = fallback ? "is what the C library does where the vDSO has no answer"
                   : kind == ARCH_TIME_COUNTER
                       ? "reads the processor's counter, which a skew does not move; most code "
                         "measures with it or wants a random number"
                       : "asks the kernel itself, which tells the true time; if it is but a way "
                         "out where the vDSO has no answer, it is not used",
    };
    findings_add(findings, &finding, "%zu place%s with %s in %s%s", count, inspect_plural(count),
                 kind == ARCH_TIME_COUNTER ? "rdtsc or rdtscp" : "a system call for the time",
                 object->name, doubt);
}

static void object_tell(const struct object *object, struct findings *findings)
{
    object_tell_kind(object, ARCH_TIME_COUNTER, findings);
    object_tell_kind(object, ARCH_TIME_CALL, findings);
}

/* A file's mappings of code; returns behind the last row that is of it. */
static size_t file_search(struct search *search, const struct maps *maps, size_t first)
{
    const struct mapping *begin = &maps->rows[first];
    struct object object = {0};
    struct function_starts starts = {0};
    scoped_descriptor file = -1;
    size_t i = first;
    for (; i < maps->count; i++) {
        const struct mapping *row = &maps->rows[i];
        if (row->inode != begin->inode || strcmp(row->name, begin->name) != 0) {
            break;
        }
        if (row->permissions[2] != 'x') {
            continue;
        }
        if (file < 0) {
            file = mapped_file_open(search->target, row, object.name, sizeof object.name);
            if (file >= 0) {
                function_starts_read(file, &starts);
            }
        }
        if (file >= 0) {
            region_search(search, &object, file, row->offset, row->end - row->start, &starts);
        } else {
            memory_search(search, &object, row);
        }
    }
    function_starts_release(&starts);
    object_tell(&object, search->findings);
    return i;
}

static void rows_search(struct search *search, const struct maps *maps, uint64_t image,
                        size_t image_size)
{
    struct object generated = {.name = "memory of no file, as for code made at run time"};
    for (size_t i = 0; i < maps->count;) {
        const struct mapping *row = &maps->rows[i];
        bool ours = image != 0 && row->start >= image && row->start < image + image_size;
        bool special = strcmp(row->name, "[vdso]") == 0 || strcmp(row->name, "[vsyscall]") == 0;
        if (row->inode != 0) {
            i = file_search(search, maps, i);
            continue;
        }
        if (row->permissions[2] == 'x' && !ours && !special) {
            memory_search(search, &generated, row);
        }
        i++;
    }
    object_tell(&generated, search->findings);
}

void inspect_text(const struct target *target, const struct maps *maps, int memory, uint64_t image,
                  size_t image_size, struct findings *findings)
{
    scoped_memory uint8_t *buffer = malloc(LOOKBACK + CHUNK);
    struct search search = {.target = target,
                            .memory = memory,
                            .buffer = buffer,
                            .end_ns = monotonic_now() + BUDGET_NS,
                            .findings = findings};
    if (buffer == NULL) {
        findings->lost = true;
        return;
    }
    rows_search(&search, maps, image, image_size);
    findings_add(findings,
                 &(struct skew_finding){
                     .subject = "code",
                     .follows = SKEW_FOLLOWS_UNKNOWN,
                     .meaning = "calls whose number is computed elsewhere, as by syscall(2), "
                                "and code that is loaded later are not among the places found"},
                 "%.1f MiB of executable memory was searched", (double)search.looked / (1 << 20));
    if (search.left_out != 0) {
        findings_add(findings,
                     &(struct skew_finding){.subject = "code",
                                            .follows = SKEW_FOLLOWS_UNKNOWN,
                                            .meaning = "may read time in any way"},
                     "%.1f MiB of executable memory could not be searched",
                     (double)search.left_out / (1 << 20));
    }
}
