/* See fault.h. */
#include "fault.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CALLS(...)                                                                                 \
    .count = sizeof((const long[]){__VA_ARGS__}) / sizeof(long), .numbers = {__VA_ARGS__}
#define SYSTEM(text, error, ...)                                                                   \
    {                                                                                              \
        .name = text, .failure = {.errnum = error, CALLS(__VA_ARGS__) }                            \
    }
#define RESTARTED(text, error, ...)                                                                \
    {                                                                                              \
        .name = text, .failure = {.errnum = error, CALLS(__VA_ARGS__)}, .harmless = true           \
    }
#define TEXT(value)  #value
#define NUMBER(code) TEXT(code)
#define LIBRARY(called, code, every)                                                               \
    {                                                                                              \
        .name = called "-" #code, .function = called, .result = NUMBER(code), .stride = every      \
    }

const struct fault faults[] = {
    SYSTEM("ptrace-esrch", ESRCH, SYS_ptrace),
    SYSTEM("ptrace-eio", EIO, SYS_ptrace),
    SYSTEM("ptrace-eperm", EPERM, SYS_ptrace),
    SYSTEM("waitid-echild", ECHILD, SYS_waitid),
    RESTARTED("waitid-eintr", EINTR, SYS_waitid),
    SYSTEM("pwrite-eio", EIO, SYS_pwrite64),
    SYSTEM("pwrite-enospc", ENOSPC, SYS_pwrite64),
    SYSTEM("pwrite-short", 0, SYS_pwrite64),
    RESTARTED("pwrite-eintr", EINTR, SYS_pwrite64),
    SYSTEM("pread-eio", EIO, SYS_pread64),
    SYSTEM("pread-short", 0, SYS_pread64),
    RESTARTED("pread-eintr", EINTR, SYS_pread64),
    SYSTEM("openat-emfile", EMFILE, SYS_openat),
    SYSTEM("openat-eacces", EACCES, SYS_openat),
    SYSTEM("openat-enoent", ENOENT, SYS_openat),
    SYSTEM("read-eio", EIO, SYS_read),
    SYSTEM("read-esrch", ESRCH, SYS_read),
    SYSTEM("list-eio", EIO, SYS_getdents64, SYS_lseek),
    SYSTEM("sync-eio", EIO, SYS_fdatasync, SYS_fsync),
    SYSTEM("lock-enolck", ENOLCK, SYS_fcntl, SYS_flock),
    SYSTEM("lock-eagain", EAGAIN, SYS_fcntl),
    SYSTEM("file-eio", EIO, SYS_ftruncate, SYS_fchown, SYS_linkat, SYS_newfstatat),
    SYSTEM("memory-enomem", ENOMEM, SYS_mmap, SYS_mprotect),
    SYSTEM("thread-eagain", EAGAIN, SYS_clone3, SYS_clone),
    SYSTEM("look-eperm", EPERM, SYS_pidfd_open, SYS_kcmp, SYS_capset, SYS_prctl, SYS_getrandom),
    LIBRARY("open", SQLITE_CANTOPEN, 1),
    LIBRARY("prepare", SQLITE_NOMEM, 1),
    LIBRARY("prepare", SQLITE_CORRUPT, 1),
    LIBRARY("step", SQLITE_BUSY, 1),
    LIBRARY("step", SQLITE_IOERR, 1),
    LIBRARY("step", SQLITE_FULL, 1),
    LIBRARY("step", SQLITE_CORRUPT, 1),
    LIBRARY("exec", SQLITE_IOERR, 1),
    LIBRARY("exec", SQLITE_BUSY, 1),
    LIBRARY("bind", SQLITE_NOMEM, 1),
    LIBRARY("column", SQLITE_NOMEM, 1),
    LIBRARY("checkpoint", SQLITE_IOERR, 1),
    LIBRARY("memory", SQLITE_NOMEM, 7),
};
const size_t fault_count = sizeof faults / sizeof *faults;

static void variable_set(const char *name, const char *value)
{
    if (setenv(name, value, 1) != 0)
        fail_msg("setenv: %s", strerror(errno));
}

/* Only the program that runs now: a victim or another skewctl has none of it. */
static struct failed library_run(const struct fault *fault, long n, const char *const argv[])
{
    const char *struck = harness_format("%s/struck", harness_home());
    unlink(struck);
    variable_set("LD_PRELOAD", NTHCALL_PRELOAD);
    variable_set("NTHCALL_FUNCTION", fault->function);
    variable_set("NTHCALL_NUMBER", harness_format("%ld", n));
    variable_set("NTHCALL_RESULT", fault->result);
    variable_set("NTHCALL_STRUCK", struck);
    struct run run = program_run(argv, NULL, HARNESS_DEADLINE_MS);
    unsetenv("LD_PRELOAD");
    unsetenv("NTHCALL_FUNCTION");
    struct failed failed = {.struck = access(struck, F_OK) == 0,
                            .outcome = {.code = run.code, .err = run.err}};
    snprintf(failed.call, sizeof failed.call, "%s", fault->function);
    return failed;
}

struct failed fault_run(const struct fault *fault, long n, const char *const argv[])
{
    return fault->failure.count ? traced_run_failing(argv, &fault->failure, n)
                                : library_run(fault, n, argv);
}
