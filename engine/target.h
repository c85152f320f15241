/*
 * target.h - which process, and what /proc says of it without stopping it.
 */
#ifndef SKEWCTL_ENGINE_TARGET_H
#define SKEWCTL_ENGINE_TARGET_H

#include "engine/skewctl.h"
#include "journal/journal.h"

/*
 * A process that cannot be confused with another: `directory` is an open
 * /proc/PID, which belongs to this very process even when the number is used
 * again (proc(5)); reads through it then fail with ESRCH.
 */
struct target {
    pid_t pid;
    int directory;
    int pidfd; /* -1 on kernels without pidfd_open(2) */
    uint64_t start_time;
    uint64_t pid_namespace;
    char boot_id[40];
    char command[64];
    pid_t live_tid; /* a thread that has not exited: the leader may have */
    unsigned threads;
    unsigned seccomp;      /* 0 none, 1 strict, 2 filter */
    uint64_t capabilities; /* permitted */
    bool kernel_thread;
    bool executable_known; /* /proc/PID/exe could be read */
    bool executable_64bit;
    uint64_t executable_device;
    uint64_t executable_inode;
};

/*
 * Opens a process. SKEW_NOT_FOUND where there is none, or only a zombie;
 * SKEW_NOT_PERMITTED where /proc does not let the caller look.
 */
enum skew_code target_open(pid_t pid, struct target *target, struct skew_error *error);

/* What to say of a kernel thread. Returns SKEW_REFUSED. */
enum skew_code target_kernel_thread_refuse(pid_t pid, struct skew_error *error);
void target_close(struct target *target);

/*
 * Keeps other engines away from the process until target_close: an flock(2) on
 * /proc/PID, so it holds whoever they are and whatever journal they use, and
 * ends with this process. SKEW_FAILED where another works on it for too long.
 */
enum skew_code target_lock(const struct target *target, struct skew_error *error);

/* The journal's key of this process. */
struct journal_key target_key(const struct target *target);

/* True while it is the same process and not a zombie. May be used during a stop. */
bool target_alive(const struct target *target);

/* Opens a file of the process by its live thread: "maps", "mem", ... Returns -1 with errno. */
int target_file_open(const struct target *target, const char *name, int flags);

/*
 * Reads a whole small /proc file into `buffer`, always terminated. Returns the
 * length or -1 with errno. May be used during a stop.
 */
ssize_t proc_file_read(int directory, const char *name, char *buffer, size_t size);

/* "TID/name", for a descriptor of /proc/PID/task. May be used during a stop. */
#define TASK_PATH_SIZE 48
/* A process or thread that /proc/PID/status names, as in TracerPid; 0 where it cannot be read. */
pid_t process_status_number(pid_t pid, const char *field);
void task_path_format(pid_t tid, const char *name, char path[TASK_PATH_SIZE]);

/* One number of /proc/TID/status, in the given base. False where the field is absent. */
bool status_field_parse(const char *status, const char *field, int base, uint64_t *value);

/* Fields of /proc/PID/stat behind the command, which may hold any character. */
struct proc_stat {
    char state;
    pid_t parent;
    uint32_t flags;
    uint64_t start_time;
};
#define PROCESS_FLAG_KERNEL_THREAD 0x00200000 /* PF_KTHREAD of linux/sched.h */
bool proc_stat_parse(const char *text, struct proc_stat *stat);

/* The command of any process, made printable; "?" where it cannot be read. */
void process_command_read(pid_t pid, char *command, size_t size);

/* This boot and this pid namespace, for keys of processes that are gone. */
enum skew_code target_world_read(char boot_id[40], uint64_t *pid_namespace,
                                 struct skew_error *error);

#endif
