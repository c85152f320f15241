/*
 * program.c - what a command would execute, and whether that can be skewed.
 *
 * Promise: nothing is executed; what cannot be read is left to execve(2) to judge. The
 * file may be another one by the time of the exec: then exact.c finds out.
 *
 * A traced process gets no rights from a set-user-ID or set-group-ID mode or the
 * capabilities of a file, unless its tracer has CAP_SYS_PTRACE (ptrace(2), execve(2)):
 * the program would run, and fail in some way of its own.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "engine/error.h"
#include "engine/privilege.h"
#include "engine/scope.h"

/* fs/exec.c: a script's interpreter may be a script, and so on, so often. */
#define INTERPRETERS_MAX 5
#define BEGINNING_SIZE   256

/* As execvp(3) finds it. False where there is none. */
static bool program_find(const char *name, char path[PATH_MAX])
{
    if (strchr(name, '/') != NULL) {
        return snprintf(path, PATH_MAX, "%s", name) < PATH_MAX;
    }
    const char *folders = getenv("PATH");
    if (folders == NULL) {
        folders = "/bin:/usr/bin";
    }
    for (const char *folder = folders; name[0] != '\0'; folder++) {
        size_t length = strcspn(folder, ":");
        struct stat status;
        if (snprintf(path, PATH_MAX, "%.*s%s%s", (int)length, folder, length > 0 ? "/" : "", name) <
                PATH_MAX &&
            access(path, X_OK) == 0 && stat(path, &status) == 0 && S_ISREG(status.st_mode)) {
            return true;
        }
        folder += length;
        if (*folder == '\0') {
            break;
        }
    }
    return false;
}

/* "#! /bin/sh -e": the interpreter, in place. False where it is no script. */
static bool script_parse(char *beginning, char path[PATH_MAX])
{
    if (strncmp(beginning, "#!", 2) != 0) {
        return false;
    }
    char *interpreter = beginning + 2 + strspn(beginning + 2, " \t");
    interpreter[strcspn(interpreter, " \t\n")] = '\0';
    return snprintf(path, PATH_MAX, "%s", interpreter) < PATH_MAX;
}

/* Whether the file would give rights that its user does not have. */
static bool rights_lent_by(int file)
{
    struct stat status;
    struct statvfs system;
    if (fstat(file, &status) < 0 || fstatvfs(file, &system) < 0 ||
        (system.f_flag & ST_NOSUID) != 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) {
        return false;
    }
    return ((status.st_mode & S_ISUID) != 0 && status.st_uid != geteuid()) ||
           ((status.st_mode & S_ISGID) != 0 && (status.st_mode & S_IXGRP) != 0 &&
            status.st_gid != getegid()) ||
           fgetxattr(file, "security.capability", NULL, 0) > 0;
}

static enum skew_code binary_check(const char *path, int file, const unsigned char *beginning,
                                   struct skew_error *error)
{
    if (memcmp(beginning, ELFMAG, SELFMAG) == 0 && beginning[EI_CLASS] != ELFCLASS64) {
        error_set(error, SKEW_REFUSED, 0, 0, "run", "%s is a 32-bit program", path);
        error_advise(error, "skewctl supports 64-bit programs only");
        return SKEW_REFUSED;
    }
    if (rights_lent_by(file) && !privilege_may_trace_others()) {
        error_set(error, SKEW_REFUSED, 0, 0, "run",
                  "%s gets rights from its file, and a traced process gets none", path);
        error_advise(error, "run skewctl as root, or start it first and use skewctl inject");
        return SKEW_REFUSED;
    }
    return SKEW_OK;
}

enum skew_code skew_run_check(const char *command, struct skew_error *error)
{
    char path[PATH_MAX];
    if (!program_find(command, path)) {
        return SKEW_OK;
    }
    for (int i = 0; i <= INTERPRETERS_MAX; i++) {
        char beginning[BEGINNING_SIZE] = {0};
        scoped_descriptor file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (file < 0 || read(file, beginning, sizeof beginning - 1) < SELFMAG) {
            return SKEW_OK;
        }
        if (!script_parse(beginning, path)) {
            return binary_check(path, file, (const unsigned char *)beginning, error);
        }
    }
    return SKEW_OK;
}
