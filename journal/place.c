/*
 * place.c - see place.h.
 *
 * Everything is looked at through O_PATH descriptors: closing an ordinary one
 * would drop the fcntl(2) locks that another connection of this process may
 * hold on the same file, and with them SQLite's protection.
 *
 * Folders above the journal's own are taken on trust, as every program takes
 * them. Within the journal's folder nobody else can write, so what was checked
 * is what SQLite will open.
 */
#include "journal/place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal/create.h"
#include "journal/error.h"

/* The unix VFS of SQLite takes no path above 512 bytes, suffix and terminator included. */
#define PATH_LENGTH_MAX (512 - sizeof("-journal"))

#define OPERATION    "open"
#define ADVICE_OTHER "choose another with --journal"
#define ADVICE_OWNER "run skewctl as the user who made it, or choose another with --journal"

static void free_string(char **string)
{
    free(*string);
}

static void close_descriptor(const int *descriptor)
{
    if (*descriptor >= 0)
        close(*descriptor);
}

#define CLEANUP(function) __attribute__((cleanup(function)))

/* What is missing of a path's folders beyond its first `given` bytes may be made. */
struct choice {
    char *path;
    size_t given;
};

/*
 * The user's home. A program that has, or had, more rights than its caller
 * believes no variable, see secure_getenv(3), and asks the user database.
 */
static const char *home_find(void)
{
    if (getauxval(AT_SECURE) == 0)
        return getenv("HOME");
    const struct passwd *user = getpwuid(getuid());
    return user != NULL ? user->pw_dir : NULL;
}

static enum journal_code choose_path(const char *requested, struct choice *choice,
                                     struct journal_error *error)
{
    const char *base = requested;
    const char *rest = "";
    bool make_base = false;

    if (base == NULL) {
        base = secure_getenv("SKEWCTL_JOURNAL");
        if (base != NULL && base[0] == '\0')
            base = NULL;
    }
    if (base == NULL && geteuid() == 0) {
        base = "/var/lib";
        rest = "/skewctl/journal.db";
    }
    if (base == NULL) {
        /* The XDG Base Directory Specification: a relative path is to be ignored,
         * and what is missing is made with mode 0700. */
        base = secure_getenv("XDG_STATE_HOME");
        rest = "/skewctl/journal.db";
        make_base = true;
        if (base != NULL && base[0] != '/')
            base = NULL;
    }
    if (base == NULL) {
        base = home_find();
        rest = "/.local/state/skewctl/journal.db";
        make_base = false;
        if (base != NULL && base[0] != '/')
            base = NULL;
    }
    if (base == NULL)
        return journal_error_set(error, JOURNAL_REFUSED, 0, OPERATION,
                                 "set HOME, or name a file with --journal",
                                 "there is no place for the journal: neither XDG_STATE_HOME nor "
                                 "HOME is an absolute path");
    if (base[0] == '\0')
        return journal_error_set(error, JOURNAL_REFUSED, 0, OPERATION, ADVICE_OTHER,
                                 "the path of the journal is empty");

    if (asprintf(&choice->path, "%s%s", base, rest) < 0) {
        choice->path = NULL;
        return journal_error_set(error, JOURNAL_FAILED, ENOMEM, OPERATION, "",
                                 "no memory for the path of the journal");
    }
    choice->given = make_base ? 0 : strlen(base);
    return JOURNAL_OK;
}

static enum journal_code make_folders(const struct choice *choice, struct journal_error *error)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): an error is never JOURNAL_OK */
    for (char *slash = choice->path; (slash = strchr(slash, '/')) != NULL; slash++) {
        if ((size_t)(slash - choice->path) <= choice->given)
            continue;
        *slash = '\0';
        if (mkdir(choice->path, 0700) != 0 && errno != EEXIST) {
            const int errnum = errno;
            return journal_error_set(error, journal_code_of_errno(errnum), errnum, OPERATION,
                                     "name a file in another place with --journal",
                                     "the folder %s cannot be made for the journal: %s",
                                     choice->path, strerror(errnum));
        }
        *slash = '/';
    }
    return JOURNAL_OK;
}

static enum journal_code refuse_type(const char *what, const char *path, mode_t mode,
                                     struct journal_error *error)
{
    const char *type = S_ISLNK(mode)    ? "a symlink"
                       : S_ISDIR(mode)  ? "a directory"
                       : S_ISFIFO(mode) ? "a FIFO"
                       : S_ISSOCK(mode) ? "a socket"
                       : S_ISREG(mode)  ? "a file"
                                        : "a device";
    return journal_error_set(error, JOURNAL_REFUSED, 0, OPERATION,
                             S_ISLNK(mode) ? "name what it points to, with --journal"
                                           : ADVICE_OTHER,
                             "%s %s is %s", what, path, type);
}

/* `needed` are the owner's permission bits without which the journal cannot work. */
static enum journal_code check_owner(const char *what, const char *path, const struct stat *status,
                                     mode_t needed, struct journal_error *error)
{
    if (status->st_uid != geteuid())
        return journal_error_set(error, JOURNAL_NOT_PERMITTED, 0, OPERATION, ADVICE_OWNER,
                                 "%s %s belongs to user %u, not to user %u", what, path,
                                 (unsigned)status->st_uid, (unsigned)geteuid());
    if ((status->st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return journal_error_set(error, JOURNAL_NOT_PERMITTED, 0, OPERATION,
                                 "use a file in a folder of your own, that no other may write",
                                 "%s %s may be written by others (mode %04o)", what, path,
                                 (unsigned)(status->st_mode & 07777));
    /* Said of root too, who would get past the mode: whoever set it meant it. */
    if ((status->st_mode & needed) != needed)
        return journal_error_set(error, JOURNAL_NOT_PERMITTED, EACCES, OPERATION,
                                 "Give its owner access with chmod, or choose another with "
                                 "--journal.",
                                 "%s %s is closed to its owner (mode %04o)%s", what, path,
                                 (unsigned)(status->st_mode & 07777),
                                 (status->st_mode & S_IWUSR) == 0 ? ": it is read-only" : "");
    return JOURNAL_OK;
}

static enum journal_code check_folder(const char *folder, int *descriptor,
                                      struct journal_error *error)
{
    static const char what[] = "the journal's folder";
    struct stat status;

    *descriptor = open(folder, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (*descriptor < 0 && errno == ENOENT)
        return journal_error_set(error, JOURNAL_REFUSED, ENOENT, OPERATION,
                                 "Make it with mkdir -m 700, or choose another place with "
                                 "--journal.",
                                 "%s %s does not exist", what, folder);
    if (*descriptor < 0 || fstat(*descriptor, &status) != 0) {
        const int errnum = errno;
        const bool shape = errnum == ENOTDIR || errnum == ELOOP || errnum == ENAMETOOLONG;
        return journal_error_set(error, shape ? JOURNAL_REFUSED : journal_code_of_errno(errnum),
                                 errnum, OPERATION, ADVICE_OTHER, "%s %s cannot be used: %s", what,
                                 folder, strerror(errnum));
    }
    if (!S_ISDIR(status.st_mode))
        return refuse_type(what, folder, status.st_mode, error);
    return check_owner(what, folder, &status, S_IRWXU, error);
}

static enum journal_code check_file(int folder, const char *name, const char *path,
                                    struct journal_error *error)
{
    static const char what[] = "the journal";
    CLEANUP(close_descriptor) int descriptor = -1;
    struct stat status;

    descriptor = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (descriptor < 0 && errno == ENOENT) {
        const int errnum = journal_create(folder, name);
        if (errnum != 0) {
            return journal_error_set(error, journal_code_of_errno(errnum), errnum, OPERATION,
                                     ADVICE_OTHER, "%s %s cannot be made: %s", what, path,
                                     strerror(errnum));
        }
        descriptor = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    }
    if (descriptor < 0 || fstat(descriptor, &status) != 0) {
        const int errnum = errno;
        return journal_error_set(error, journal_code_of_errno(errnum), errnum, OPERATION,
                                 ADVICE_OTHER, "%s %s cannot be used: %s", what, path,
                                 strerror(errnum));
    }
    if (!S_ISREG(status.st_mode))
        return refuse_type(what, path, status.st_mode, error);
    enum journal_code code = check_owner(what, path, &status, S_IRUSR | S_IWUSR, error);
    if (code != JOURNAL_OK)
        return code;
    if (faccessat(folder, name, R_OK | W_OK, AT_EACCESS | AT_SYMLINK_NOFOLLOW) != 0) {
        const int errnum = errno;
        return journal_error_set(error, journal_code_of_errno(errnum), errnum, OPERATION,
                                 ADVICE_OTHER, "%s %s may not be written: %s", what, path,
                                 strerror(errnum));
    }
    return JOURNAL_OK;
}

/* The folder of a path as a new string: without trailing slashes, which would follow a symlink. */
static char *folder_of(const char *path, const char *name)
{
    size_t length = (size_t)(name - path);

    if (length == 0)
        return strdup(".");
    while (length > 1 && path[length - 1] == '/')
        length--;
    return strndup(path, length);
}

enum journal_code journal_place_prepare(const char *requested, char **path,
                                        struct journal_error *error)
{
    struct choice choice = {0};
    enum journal_code code = choose_path(requested, &choice, error);
    CLEANUP(free_string) char *chosen = choice.path;
    if (code == JOURNAL_OK)
        code = make_folders(&choice, error);
    if (code != JOURNAL_OK)
        return code;

    if (strlen(chosen) >= PATH_MAX)
        return journal_error_set(error, JOURNAL_REFUSED, ENAMETOOLONG, OPERATION, ADVICE_OTHER,
                                 "the path of the journal is longer than %d bytes", PATH_MAX - 1);

    const char *slash = strrchr(chosen, '/');
    const char *name = slash != NULL ? slash + 1 : chosen;
    if (name[0] == '\0')
        return refuse_type("the journal", chosen, S_IFDIR, error);

    CLEANUP(free_string) char *folder = folder_of(chosen, name);
    CLEANUP(free_string) char *canonical = NULL;
    CLEANUP(close_descriptor) int descriptor = -1;
    if (folder == NULL)
        return journal_error_set(error, JOURNAL_FAILED, ENOMEM, OPERATION, "",
                                 "no memory for the path of the journal");
    code = check_folder(folder, &descriptor, error);
    if (code != JOURNAL_OK)
        return code;

    canonical = realpath(folder, NULL);
    if (canonical == NULL) {
        const int errnum = errno;
        return journal_error_set(error, journal_code_of_errno(errnum), errnum, OPERATION,
                                 ADVICE_OTHER, "the journal's folder %s cannot be used: %s", folder,
                                 strerror(errnum));
    }
    if (strlen(canonical) + 1 + strlen(name) > PATH_LENGTH_MAX)
        return journal_error_set(error, JOURNAL_REFUSED, ENAMETOOLONG, OPERATION, ADVICE_OTHER,
                                 "the path of the journal is longer than %zu bytes: %s",
                                 PATH_LENGTH_MAX, chosen);
    code = check_file(descriptor, name, chosen, error);
    if (code != JOURNAL_OK)
        return code;

    const char *root = strcmp(canonical, "/") == 0 ? "" : canonical;
    if (asprintf(path, "%s/%s", root, name) < 0) {
        *path = NULL;
        return journal_error_set(error, JOURNAL_FAILED, ENOMEM, OPERATION, "",
                                 "no memory for the path of the journal");
    }
    return JOURNAL_OK;
}
