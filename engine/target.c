/*
 * target.c - identity of a process, and what /proc tells of it.
 *
 * Promise: nothing here stops, signals or writes to the process.
 * All paths are opened relative to one descriptor of /proc/PID, so all answers
 * are about the same process even if its number is used again meanwhile.
 */
#include "engine/target.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/error.h"
#include "engine/kernel.h"
#include "engine/scope.h"

/* 10 s in all: as long as an operation may take on a loaded machine. */
#define LOCK_TRIES   1000
#define LOCK_WAIT_NS 10000000

/* /proc/PID/status lists up to NGROUPS_MAX (65536) groups before what is asked for. */
#define STATUS_SIZE (1 << 20)

ssize_t proc_file_read(int directory, const char *name, char *buffer, size_t size)
{
    int file = openat(directory, name, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return -1;
    }
    size_t length = 0;
    while (length < size - 1) {
        ssize_t got = read(file, buffer + length, size - 1 - length);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            int errnum = errno;
            close(file);
            errno = errnum;
            return -1;
        }
        if (got == 0) {
            break;
        }
        length += (size_t)got;
    }
    close(file);
    buffer[length] = '\0';
    return (ssize_t)length;
}

void task_path_format(pid_t tid, const char *name, char path[TASK_PATH_SIZE])
{
    char digits[16];
    size_t count = 0;
    for (unsigned rest = (unsigned)tid; count == 0 || rest != 0; rest /= 10) {
        digits[count++] = (char)('0' + rest % 10);
    }
    size_t length = 0;
    while (count > 0) {
        path[length++] = digits[--count];
    }
    path[length++] = '/';
    for (; *name != '\0' && length < TASK_PATH_SIZE - 1; name++) {
        path[length++] = *name;
    }
    path[length] = '\0';
}

bool status_field_parse(const char *status, const char *field, int base, uint64_t *value)
{
    size_t length = strlen(field);
    for (const char *line = status; line != NULL && *line != '\0';) {
        if (strncmp(line, field, length) == 0 && line[length] == ':') {
            const char *number = line + length + 1;
            char *end;
            errno = 0;
            unsigned long long parsed = strtoull(number, &end, base);
            if (end == number || errno != 0) {
                return false;
            }
            *value = parsed;
            return true;
        }
        line = strchr(line, '\n');
        if (line != NULL) {
            line++;
        }
    }
    return false;
}

bool proc_stat_parse(const char *text, struct proc_stat *stat)
{
    /* The command is in parentheses and may itself hold ") ": the last one ends it. */
    const char *end = strrchr(text, ')');
    if (end == NULL || end[1] != ' ') {
        return false;
    }
    int parent;
    unsigned flags;
    unsigned long long start_time;
    char state;
    if (sscanf(end + 2,
               "%c %d %*d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
               &state, &parent, &flags, &start_time) != 4) {
        return false;
    }
    *stat = (struct proc_stat){
        .state = state, .parent = parent, .flags = flags, .start_time = start_time};
    return true;
}

static void command_sanitize(char *command)
{
    command[strcspn(command, "\n")] = '\0';
    for (char *c = command; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f) {
            *c = '?';
        }
    }
}

void process_command_read(pid_t pid, char *command, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    if (proc_file_read(AT_FDCWD, path, command, size) <= 0) {
        snprintf(command, size, "?");
        return;
    }
    command_sanitize(command);
}

enum skew_code target_world_read(char boot_id[40], uint64_t *pid_namespace,
                                 struct skew_error *error)
{
    if (proc_file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", boot_id, 40) <= 0) {
        return error_set(error, SKEW_FAILED, 0, errno, "read boot id",
                         "cannot read /proc/sys/kernel/random/boot_id");
    }
    boot_id[strcspn(boot_id, "\n")] = '\0';
    struct stat status;
    if (stat("/proc/self/ns/pid", &status) < 0) {
        return error_set(error, SKEW_FAILED, 0, errno, "read pid namespace",
                         "cannot read /proc/self/ns/pid");
    }
    *pid_namespace = status.st_ino;
    return SKEW_OK;
}

static bool thread_stat_read(int directory, const char *tid, struct proc_stat *stat)
{
    char path[64];
    char text[1024];
    snprintf(path, sizeof path, "task/%s/stat", tid);
    return proc_file_read(directory, path, text, sizeof text) > 0 && proc_stat_parse(text, stat);
}

static bool thread_live(const struct target *target, const char *tid)
{
    struct proc_stat stat;
    return thread_stat_read(target->directory, tid, &stat) && stat.state != 'Z' &&
           stat.state != 'X';
}

/* Finds a thread that has not exited: nearly always the first in the list, the leader. */
static enum skew_code threads_look(struct target *target, struct skew_error *error)
{
    int list = openat(target->directory, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *tasks = list < 0 ? NULL : fdopendir(list);
    if (tasks == NULL) {
        int errnum = errno;
        if (list >= 0) {
            close(list);
        }
        return error_set(error, error_code_for(errnum), target->pid, errnum, "list threads",
                         "cannot list the threads");
    }
    struct dirent *entry;
    while (target->live_tid == 0 && (entry = readdir(tasks)) != NULL) {
        if (entry->d_name[0] != '.' && thread_live(target, entry->d_name)) {
            target->live_tid = (pid_t)atoi(entry->d_name);
        }
    }
    closedir(tasks);
    if (target->live_tid == 0) {
        return error_set(error, SKEW_NOT_FOUND, target->pid, 0, "list threads",
                         "the process has exited and waits to be reaped");
    }
    return SKEW_OK;
}

static void executable_look(struct target *target)
{
    int file = openat(target->directory, "exe", O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return;
    }
    struct stat status;
    unsigned char ident[EI_NIDENT];
    if (fstat(file, &status) == 0 && pread(file, ident, sizeof ident, 0) == sizeof ident) {
        target->executable_known = true;
        target->executable_64bit = ident[EI_CLASS] == ELFCLASS64;
        target->executable_device = status.st_dev;
        target->executable_inode = status.st_ino;
    }
    close(file);
}

/*
 * The kernel shows start times shifted by the reader's time namespace
 * (time_namespaces(7)), since Linux 5.11; a skewctl in another one must know the
 * process again.
 */
static uint64_t start_time_shift(void)
{
    if (!kernel_is_from(5, 11)) {
        return 0;
    }
    char text[256];
    long long seconds, nanoseconds;
    if (proc_file_read(AT_FDCWD, "/proc/self/timens_offsets", text, sizeof text) <= 0) {
        return 0;
    }
    const char *boottime = strstr(text, "boottime");
    if (boottime == NULL || sscanf(boottime, "boottime %lld %lld", &seconds, &nanoseconds) != 2) {
        return 0;
    }
    long ticks = sysconf(_SC_CLK_TCK);
    return (uint64_t)(seconds * ticks + nanoseconds * ticks / 1000000000);
}

static enum skew_code target_look(struct target *target, struct skew_error *error)
{
    char text[4096];
    struct proc_stat stat;
    if (proc_file_read(target->directory, "stat", text, sizeof text) < 0 ||
        !proc_stat_parse(text, &stat)) {
        return error_set(error, error_code_for(errno), target->pid, errno, "read stat",
                         "cannot read /proc/%d/stat", (int)target->pid);
    }
    target->start_time = stat.start_time - start_time_shift();
    target->kernel_thread = (stat.flags & PROCESS_FLAG_KERNEL_THREAD) != 0;
    if (proc_file_read(target->directory, "comm", target->command, sizeof target->command) < 0) {
        snprintf(target->command, sizeof target->command, "?");
    }
    command_sanitize(target->command);

    scoped_memory char *status = malloc(STATUS_SIZE);
    if (status == NULL || proc_file_read(target->directory, "status", status, STATUS_SIZE) < 0) {
        return error_set(error, error_code_for(errno), target->pid, errno, "read status",
                         "cannot read /proc/%d/status", (int)target->pid);
    }
    uint64_t value;
    target->seccomp = status_field_parse(status, "Seccomp", 10, &value) ? (unsigned)value : 0;
    target->threads = status_field_parse(status, "Threads", 10, &value) ? (unsigned)value : 1;
    target->capabilities = status_field_parse(status, "CapPrm", 16, &value) ? value : 0;
    executable_look(target);
    return SKEW_OK;
}

static enum skew_code target_open_once(pid_t pid, struct target *target, struct skew_error *error)
{
    *target = (struct target){.pid = pid, .directory = -1, .pidfd = -1};
    char path[64];
    snprintf(path, sizeof path, "/proc/%d", (int)pid);
    target->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (target->directory < 0) {
        enum skew_code code =
            error_set(error, error_code_for(errno), pid, errno == ENOENT ? 0 : errno,
                      "open process", errno == ENOENT ? "no such process" : "cannot open %s", path);
        return code;
    }
    target->pidfd = pidfd_open(pid, 0);
    /* For a thread that leads no group: EINVAL, or ENOENT on newer kernels. */
    if (target->pidfd < 0 && (errno == EINVAL || errno == ENOENT)) {
        target_close(target);
        error_set(error, SKEW_REFUSED, pid, 0, "open process", "this is a thread, not a process");
        error_advise(error, "give the number of its process (Tgid in /proc/%d/status)", (int)pid);
        return SKEW_REFUSED;
    }
    enum skew_code code = target_world_read(target->boot_id, &target->pid_namespace, error);
    if (code == SKEW_OK) {
        code = target_look(target, error);
    }
    if (code == SKEW_OK) {
        code = threads_look(target, error);
    }
    if (code != SKEW_OK) {
        target_close(target);
    }
    return code;
}

/* A process of somebody else that /proc does not show (proc(5), hidepid=2). */
static bool target_hidden(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d", (int)pid);
    return access(path, F_OK) != 0 && kill(pid, 0) != 0 && errno == EPERM;
}

enum skew_code target_kernel_thread_refuse(pid_t pid, struct skew_error *error)
{
    error_set(error, SKEW_REFUSED, pid, 0, "look", "it is a kernel thread and reads no user clock");
    error_advise(error, "give the pid of a program");
    return SKEW_REFUSED;
}

/* That a process is no more ends its row in the journal, so it is looked for twice. */
enum skew_code target_open(pid_t pid, struct target *target, struct skew_error *error)
{
    enum skew_code code = target_open_once(pid, target, error);
    if (code == SKEW_NOT_FOUND && (kill(pid, 0) == 0 || errno == EPERM)) {
        code = target_open_once(pid, target, error);
    }
    if (code == SKEW_NOT_FOUND && target_hidden(pid)) {
        code = error_set(error, SKEW_NOT_PERMITTED, pid, 0, "open process",
                         "/proc hides it (hidepid)");
    }
    return code;
}

enum skew_code target_lock(const struct target *target, struct skew_error *error)
{
    for (int tries = 0; flock(target->directory, LOCK_EX | LOCK_NB) < 0; tries++) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            return error_set(error, SKEW_FAILED, target->pid, errno, "lock process",
                             "cannot lock it against other skewctl");
        }
        if (tries == LOCK_TRIES) {
            error_set(error, SKEW_FAILED, target->pid, 0, "lock process",
                      "another skewctl is at work on it");
            error_advise(error, "wait until that has ended, then try again");
            return SKEW_FAILED;
        }
        nanosleep(&(struct timespec){.tv_nsec = LOCK_WAIT_NS}, NULL);
    }
    return SKEW_OK;
}

void target_close(struct target *target)
{
    descriptor_close(&target->directory);
    descriptor_close(&target->pidfd);
}

struct journal_key target_key(const struct target *target)
{
    struct journal_key key = {.pid_namespace = target->pid_namespace,
                              .pid = target->pid,
                              .start_time = target->start_time};
    memcpy(key.boot_id, target->boot_id, sizeof key.boot_id);
    return key;
}

bool target_alive(const struct target *target)
{
    /* A pidfd is readable once all threads have exited: pidfd_open(2). */
    struct pollfd exit = {.fd = target->pidfd, .events = POLLIN};
    if (target->pidfd >= 0) {
        return poll(&exit, 1, 0) == 0;
    }
    char text[1024];
    struct proc_stat stat;
    char path[64];
    snprintf(path, sizeof path, "task/%d/stat", (int)target->live_tid);
    return proc_file_read(target->directory, path, text, sizeof text) > 0 &&
           proc_stat_parse(text, &stat) && stat.state != 'Z' && stat.state != 'X';
}

int target_file_open(const struct target *target, const char *name, int flags)
{
    char path[64];
    snprintf(path, sizeof path, "task/%d/%s", (int)target->live_tid, name);
    return openat(target->directory, path, flags | O_CLOEXEC);
}

pid_t process_status_number(pid_t pid, const char *field)
{
    char path[64];
    char text[4096];
    uint64_t value;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    return proc_file_read(AT_FDCWD, path, text, sizeof text) > 0 &&
                   status_field_parse(text, field, 10, &value)
               ? (pid_t)value
               : 0;
}
