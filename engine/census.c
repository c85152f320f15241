/*
 * census.c - see census.h.
 *
 * Two processes share their memory from the birth of one of them until either executes
 * another program, which gives it memory that nobody else has. So of two that did not share it
 * at some time neither will ever share that of the other: who was alone then can only have come
 * to share with somebody born since. Pids are given in ascending order, so these are the
 * ones behind that which was given last before the processes were listed, and some before it,
 * as a process gets its number some time before it is to be seen. Where the numbers have begun
 * anew, the census is of no use any more. Who chooses the pids of new processes (clone3(2) with
 * set_tid, as CRIU does) could hide one from it. Of the two that such a sharer would make,
 * the one that waits for the other, as in vfork(2), is seen all the same: stoppable.c.
 *
 * Who shares has the same beginning of the stack, the program and the arguments, which
 * proc_pid_stat(5) tells and which differ from program to program by chance
 * (randomize_va_space); kcmp(2) is only asked about those who agree in them: a family of forked
 * processes, or those that sit where they do without randomization. These are sorted by it; an
 * exec in the middle of that could part two that share their memory, so they are looked at once
 * more, and where one has changed each is asked about each.
 */
#include "engine/census.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/error.h"
#include "engine/private.h"
#include "engine/scope.h"

/* More births than that, and a look at all processes is as fast. */
#define BIRTHS_MAX 8192
/* So many before the last pid may have been given to processes that are not to be seen yet. */
#define BIRTHS_UNSEEN 64

struct person {
    uint64_t place[3]; /* where its program, its stack and its arguments begin */
    uint64_t start_time;
    pid_t pid;
    bool shares;
};

struct census {
    pid_t last; /* pid up to which all processes were to be seen when it began */
    size_t count;
    size_t capacity;
    struct person *persons; /* by ascending pid */
    /* Births by how far behind `last`: those that have ended, as threads of our own soon do. */
    atomic_bool ended[BIRTHS_MAX + 1];
};

/* The pid that was given last in our pid namespace; 0 where that is not to be seen. */
static pid_t last_pid_read(void)
{
    char text[128];
    struct stat file, system;
    /* A container may have another file mounted there. */
    if (stat("/proc/loadavg", &file) != 0 || stat("/proc/self", &system) != 0 ||
        file.st_dev != system.st_dev ||
        proc_file_read(AT_FDCWD, "/proc/loadavg", text, sizeof text) <= 0) {
        return 0;
    }
    const char *last = strrchr(text, ' ');
    return last != NULL ? (pid_t)strtol(last, NULL, 10) : 0;
}

static bool namespace_is_ours(void)
{
    char text[32];
    ssize_t length = readlink("/proc/self", text, sizeof text - 1);
    if (length <= 0) {
        return false;
    }
    text[length] = '\0';
    return strtol(text, NULL, 10) == getpid();
}

/* By its number in proc_pid_stat(5), as far as those of persons. */
enum { FIELD_FIRST = 4, FIELD_SIZE = 23, FIELD_CODE = 26, FIELD_STACK = 28, FIELD_ARGUMENTS = 48 };

/* False for one that has no memory, or is no more. */
static bool person_read(pid_t pid, struct person *person)
{
    char path[64];
    char text[2048];
    struct proc_stat stat;
    uint64_t fields[FIELD_ARGUMENTS + 1] = {0};
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (proc_file_read(AT_FDCWD, path, text, sizeof text) <= 0 || !proc_stat_parse(text, &stat)) {
        return false;
    }
    /* Behind the command, which may hold any character, and the state. */
    char *rest = strrchr(text, ')') + strlen(") S");
    for (int field = FIELD_FIRST; field <= FIELD_ARGUMENTS; field++) {
        fields[field] = strtoull(rest, &rest, 10);
    }
    *person =
        (struct person){.place = {fields[FIELD_CODE], fields[FIELD_STACK], fields[FIELD_ARGUMENTS]},
                        .start_time = stat.start_time,
                        .pid = pid};
    return fields[FIELD_SIZE] != 0;
}

static bool person_add(struct census *census, const struct person *person)
{
    if (census->count == census->capacity) {
        size_t capacity = census->capacity * 2 + 256;
        struct person *grown = reallocarray(census->persons, capacity, sizeof *grown);
        if (grown == NULL) {
            return false;
        }
        census->persons = grown;
        census->capacity = capacity;
    }
    census->persons[census->count++] = *person;
    return true;
}

static bool persons_list(struct census *census)
{
    DIR *processes = opendir("/proc");
    struct person person;
    bool complete = processes != NULL;
    for (struct dirent *entry; complete && (entry = readdir(processes)) != NULL;) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 0 && person_read(pid, &person)) {
            complete = person_add(census, &person);
        }
    }
    if (processes != NULL) {
        closedir(processes);
    }
    return complete;
}

static int by_place(const void *one, const void *other)
{
    const struct person *a = one, *b = other;
    return memcmp(a->place, b->place, sizeof a->place);
}

static int by_pid(const void *one, const void *other)
{
    const struct person *a = one, *b = other;
    return (a->pid > b->pid) - (a->pid < b->pid);
}

/* As kcmp(2) has it, which orders all memory there is; `context` tells whether it could not. */
static int by_memory(const void *one, const void *other, void *context)
{
    const struct person *a = one, *b = other;
    bool *failed = context;
    switch (a->pid == b->pid ? 0 : syscall(SYS_kcmp, a->pid, b->pid, KCMP_VM, 0, 0)) {
    case 0:
        return 0;
    case 1:
        return -1;
    case 2:
        return 1;
    default:
        *failed = true;
        return 0;
    }
}

/* Nobody has executed another program or exited since: then the order that was found was one. */
static bool family_stayed(const struct person *persons, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct person now;
        if (!person_read(persons[i].pid, &now) || now.start_time != persons[i].start_time ||
            by_place(&now, &persons[i]) != 0) {
            return false;
        }
    }
    return true;
}

/* Those in one place: put in the order of their memory, or else asked each about each. */
static void family_mark(struct person *persons, size_t count)
{
    bool failed = false;
    qsort_r(persons, count, sizeof *persons, by_memory, &failed);
    bool ordered = family_stayed(persons, count) && !failed;
    for (size_t i = 0; i < count; i++) {
        size_t end = ordered && i + 2 < count ? i + 2 : count;
        for (size_t j = i + 1; j < end; j++) {
            if (memory_shared(persons[i].pid, persons[j].pid)) {
                persons[i].shares = persons[j].shares = true;
            }
        }
    }
}

/* Those in one place come one after the other. */
static void sharers_mark(struct census *census)
{
    struct person *persons = census->persons;
    for (size_t first = 0, end; first < census->count; first = end) {
        end = first + 1;
        while (end < census->count && by_place(&persons[first], &persons[end]) == 0) {
            end++;
        }
        if (end - first > 1) {
            family_mark(&persons[first], end - first);
        }
    }
}

struct census *census_take(void)
{
    pid_t last = last_pid_read();
    if (last <= 0 || !namespace_is_ours() || !memory_shared(getpid(), getpid())) {
        return NULL;
    }
    struct census *census = calloc(1, sizeof *census);
    if (census == NULL) {
        return NULL;
    }
    census->last = last > BIRTHS_UNSEEN ? last - BIRTHS_UNSEEN : 0;
    if (!persons_list(census) || census->persons == NULL) {
        census_release(census);
        return NULL;
    }
    qsort(census->persons, census->count, sizeof *census->persons, by_place);
    sharers_mark(census);
    qsort(census->persons, census->count, sizeof *census->persons, by_pid);
    return census;
}

void census_release(struct census *census)
{
    if (census != NULL) {
        free(census->persons);
        free(census);
    }
}

bool census_ask(struct census *census, const struct target *target, pid_t *sharer)
{
    const struct person key = {.pid = target->pid};
    const struct person *person =
        bsearch(&key, census->persons, census->count, sizeof *census->persons, by_pid);
    pid_t last = last_pid_read();
    *sharer = 0;
    /* A leader that has exited has no memory, whatever its threads have. */
    if (person == NULL || person->start_time != target->start_time || person->shares ||
        target->live_tid != target->pid || last < census->last ||
        last - census->last > BIRTHS_MAX) {
        return false;
    }
    for (pid_t pid = census->last + 1; pid <= last; pid++) {
        atomic_bool *ended = &census->ended[pid - census->last];
        if (atomic_load(ended)) {
            continue;
        }
        if (kill(pid, 0) < 0 && errno == ESRCH) {
            /* Or it is not to be seen yet. */
            atomic_store(ended, last - pid > BIRTHS_UNSEEN);
            continue;
        }
        if (memory_shared(target->pid, pid)) {
            pid_t process = process_status_number(pid, "Tgid");
            if (process != 0 && process != target->pid && memory_present(process)) {
                *sharer = process;
                return true;
            }
        }
    }
    return true;
}
