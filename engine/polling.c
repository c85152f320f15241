/*
 * polling.c - noticing processes by looking at /proc again and again.
 *
 * Births and exits are differences between two listings of /proc. That a process
 * runs another program is seen by a descriptor of its /proc/PID/mem: it belongs to
 * the memory of the program it was opened on, and reads as ended once that is gone
 * (proc_pid_mem(5)), which asks for no page and disturbs nobody. A child of vfork(2)
 * has the memory of its parent until it execs, and the parent's lives on: for such a
 * one kcmp(2) tells when the two part.
 *
 * Not seen: a process that is born and exits between two listings; an exit and a
 * birth with the same number between two of them; and, where the kernel has no
 * kcmp(2), that a child of vfork(2) execs.
 *
 * How often: every POLL_NS, or less often where one look takes long, so that looking
 * takes no more than a twentieth of a processor.
 */
#include "engine/polling.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "engine/error.h"
#include "engine/stop.h"
#include "engine/target.h"

#define POLL_NS INT64_C(5000000)
#define SHARE   20

/* A process whose program matters. */
struct watched {
    pid_t pid;
    int memory;   /* of its program; -1: none could be opened since it was found gone */
    pid_t parent; /* not 0: whose memory it uses */
};

struct pid_list {
    pid_t *pids; /* ascending; for free(3) */
    size_t count;
    size_t capacity;
};

struct polling {
    int timer;
    DIR *processes;
    struct pid_list known;
    struct pid_list next;
    struct watched *watched; /* by ascending pid */
    size_t watched_count;
    size_t watched_capacity;
    /* Found and not read yet. */
    struct notice *found;
    size_t found_count, found_read, found_capacity;
};

/* Room for one more, or NULL. */
static void *array_grow(void *array, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity) {
        return array;
    }
    void *grown = reallocarray(array, *capacity * 2 + 64, size);
    *capacity = grown != NULL ? *capacity * 2 + 64 : *capacity;
    return grown;
}

static int pid_compare(const void *one, const void *other)
{
    return (*(const pid_t *)one > *(const pid_t *)other) -
           (*(const pid_t *)one < *(const pid_t *)other);
}

static bool pids_list(struct polling *polling)
{
    struct pid_list *list = &polling->next;
    bool sorted = true;
    list->count = 0;
    rewinddir(polling->processes);
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(polling->processes);
        if (entry == NULL) {
            break;
        }
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid <= 0) {
            continue;
        }
        pid_t *grown = array_grow(list->pids, list->count, &list->capacity, sizeof *grown);
        if (grown == NULL) {
            return false;
        }
        list->pids = grown;
        sorted = sorted && (list->count == 0 || grown[list->count - 1] < pid);
        grown[list->count++] = pid;
    }
    bool complete = errno == 0;
    if (!sorted) {
        qsort(list->pids, list->count, sizeof *list->pids, pid_compare);
    }
    return complete;
}

static pid_t parent_of(pid_t pid)
{
    char path[64];
    char text[1024];
    struct proc_stat stat;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    return proc_file_read(AT_FDCWD, path, text, sizeof text) > 0 && proc_stat_parse(text, &stat)
               ? stat.parent
               : 0;
}

static void notice_add(struct polling *polling, enum notice_kind kind, pid_t pid, pid_t parent)
{
    struct notice *grown =
        array_grow(polling->found, polling->found_count, &polling->found_capacity, sizeof *grown);
    if (grown == NULL) {
        if (polling->found == NULL) {
            return;
        }
        polling->found[0] = (struct notice){.kind = NOTICE_MISSED};
        return;
    }
    polling->found = grown;
    grown[polling->found_count++] =
        (struct notice){.kind = kind, .pid = pid, .parent = parent, .at_ns = monotonic_now()};
}

static void listings_compare(struct polling *polling)
{
    const struct pid_list *before = &polling->known, *now = &polling->next;
    for (size_t b = 0, n = 0; b < before->count || n < now->count;) {
        if (b == before->count || (n < now->count && now->pids[n] < before->pids[b])) {
            notice_add(polling, NOTICE_BORN, now->pids[n], parent_of(now->pids[n]));
            n++;
        } else if (n == now->count || before->pids[b] < now->pids[n]) {
            notice_add(polling, NOTICE_EXITED, before->pids[b++], 0);
        } else {
            b++;
            n++;
        }
    }
    struct pid_list spare = polling->known;
    polling->known = polling->next;
    polling->next = spare;
}

static bool memory_shared(pid_t one, pid_t other)
{
    return syscall(SYS_kcmp, one, other, KCMP_VM, 0, 0) == 0;
}

/* Takes hold of the program that it runs now. */
static bool program_open(struct watched *watched)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mem", (int)watched->pid);
    pid_t parent = parent_of(watched->pid);
    watched->parent = parent > 0 && memory_shared(watched->pid, parent) ? parent : 0;
    watched->memory = open(path, O_RDONLY | O_CLOEXEC);
    return watched->memory >= 0;
}

/*
 * Nothing is mapped at 0 in any program that matters here; where something is, it is read.
 * Either way only the memory of a program that is gone reads as ended.
 */
static bool program_gone(const struct watched *watched)
{
    char byte;
    if (watched->memory < 0) {
        return true;
    }
    if (watched->parent != 0 && !memory_shared(watched->pid, watched->parent)) {
        return true;
    }
    return pread(watched->memory, &byte, sizeof byte, 0) == 0;
}

static bool pid_listed(const struct pid_list *list, pid_t pid)
{
    return list->count > 0 &&
           bsearch(&pid, list->pids, list->count, sizeof pid, pid_compare) != NULL;
}

/* Also lets go of those that have exited. */
static void programs_compare(struct polling *polling)
{
    size_t kept = 0;
    for (size_t i = 0; i < polling->watched_count; i++) {
        struct watched watched = polling->watched[i];
        bool gone = program_gone(&watched);
        if (gone && watched.memory >= 0) {
            close(watched.memory);
            watched.memory = -1;
        }
        if (!pid_listed(&polling->known, watched.pid)) {
            if (watched.memory >= 0) {
                close(watched.memory);
            }
            continue;
        }
        /* One that cannot be opened has exited, or is about to: it stays until it is not listed. */
        if (gone && program_open(&watched)) {
            notice_add(polling, NOTICE_EXECED, watched.pid, 0);
        }
        polling->watched[kept++] = watched;
    }
    polling->watched_count = kept;
}

static void timer_set(const struct polling *polling, int64_t wait_ns)
{
    const struct itimerspec when = {
        .it_value = {.tv_sec = wait_ns / 1000000000, .tv_nsec = wait_ns % 1000000000}};
    timerfd_settime(polling->timer, 0, &when, NULL);
}

static void look(struct polling *polling)
{
    int64_t began_ns = monotonic_now();
    polling->found_count = polling->found_read = 0;
    if (pids_list(polling)) {
        listings_compare(polling);
    }
    programs_compare(polling);
    int64_t wait_ns = (monotonic_now() - began_ns) * (SHARE - 1);
    timer_set(polling, wait_ns > POLL_NS ? wait_ns : POLL_NS);
}

enum skew_code polling_open(struct polling **polling, struct skew_error *error)
{
    struct polling *opened = calloc(1, sizeof *opened);
    if (opened == NULL) {
        return error_set(error, SKEW_FAILED, 0, 0, "watch processes", "out of memory");
    }
    opened->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    opened->processes = opendir("/proc");
    opened->found = array_grow(NULL, 0, &opened->found_capacity, sizeof *opened->found);
    if (opened->timer < 0 || opened->processes == NULL || opened->found == NULL ||
        !pids_list(opened)) {
        int errnum = errno;
        polling_close(opened);
        return error_set(error, SKEW_FAILED, 0, errnum, "watch processes",
                         "cannot list the processes");
    }
    /* What is there already is looked at by the caller. */
    opened->known = opened->next;
    opened->next = (struct pid_list){0};
    timer_set(opened, POLL_NS);
    *polling = opened;
    return SKEW_OK;
}

void polling_close(struct polling *polling)
{
    for (size_t i = 0; i < polling->watched_count; i++) {
        if (polling->watched[i].memory >= 0) {
            close(polling->watched[i].memory);
        }
    }
    if (polling->processes != NULL) {
        closedir(polling->processes);
    }
    if (polling->timer >= 0) {
        close(polling->timer);
    }
    free(polling->watched);
    free(polling->known.pids);
    free(polling->next.pids);
    free(polling->found);
    free(polling);
}

int polling_descriptor(const struct polling *polling)
{
    return polling->timer;
}

size_t polling_read(struct polling *polling, struct notice *notices, size_t capacity)
{
    uint64_t expirations;
    if (polling->found_read == polling->found_count &&
        read(polling->timer, &expirations, sizeof expirations) == sizeof expirations) {
        look(polling);
    }
    size_t count = polling->found_count - polling->found_read;
    count = count < capacity ? count : capacity;
    if (count > 0) {
        memcpy(notices, polling->found + polling->found_read, count * sizeof *notices);
        polling->found_read += count;
    }
    return count;
}

bool polling_watch(struct polling *polling, pid_t pid)
{
    size_t at = 0;
    while (at < polling->watched_count && polling->watched[at].pid < pid) {
        at++;
    }
    bool known = at < polling->watched_count && polling->watched[at].pid == pid;
    if (!known) {
        struct watched *grown = array_grow(polling->watched, polling->watched_count,
                                           &polling->watched_capacity, sizeof *grown);
        if (grown == NULL) {
            return false;
        }
        polling->watched = grown;
        memmove(&grown[at + 1], &grown[at], (polling->watched_count - at) * sizeof *grown);
        polling->watched_count++;
    } else if (polling->watched[at].memory >= 0) {
        close(polling->watched[at].memory);
    }
    polling->watched[at] = (struct watched){.pid = pid, .memory = -1};
    return program_open(&polling->watched[at]);
}
