/*
 * create.c - makes a journal that was not there.
 *
 * Promise: under its name there is either nothing or a whole journal, whenever
 * this process dies. The database is built in memory and written to a file that
 * has no name yet (O_TMPFILE of open(2)); linkat(2) then gives it one, or finds
 * that another skewctl was faster. A database that was made in place could be
 * left half made, and would look like some other program's.
 *
 * Closing the descriptor drops the locks that this process holds on the file
 * (fcntl(2)); none can be held on a file that had no name a moment ago.
 */
#include "journal/create.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

#include "journal/schema.h"

static int write_all(int file, const unsigned char *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        const ssize_t put = write(file, bytes + done, size - done);
        if (put < 0 && errno != EINTR)
            return errno;
        done += put > 0 ? (size_t)put : 0;
    }
    return fsync(file) == 0 ? 0 : errno;
}

static int name_give(int file, int folder, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    if (linkat(AT_FDCWD, path, folder, name, AT_SYMLINK_FOLLOW) == 0 || errno == EEXIST)
        return 0;
    return errno;
}

/* For file systems without O_TMPFILE: what a death leaves has a name, but not the journal's. */
static int create_named(int folder, const char *name, const unsigned char *bytes, size_t size)
{
    char temporary[64];
    snprintf(temporary, sizeof temporary, ".skewctl-new-%d", (int)getpid());
    unlinkat(folder, temporary, 0);
    const int file = openat(folder, temporary, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (file < 0)
        return errno;
    int errnum = write_all(file, bytes, size);
    close(file);
    if (errnum == 0 && linkat(folder, temporary, folder, name, 0) != 0 && errno != EEXIST)
        errnum = errno;
    unlinkat(folder, temporary, 0);
    return errnum;
}

int journal_create(int folder, const char *name)
{
    size_t size;
    unsigned char *bytes = journal_schema_serialize(&size);
    if (bytes == NULL)
        return ENOMEM;
    const int file = openat(folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    int errnum = file < 0 ? errno : write_all(file, bytes, size);
    if (errnum == EOPNOTSUPP || errnum == EISDIR)
        errnum = create_named(folder, name, bytes, size);
    else if (errnum == 0)
        errnum = name_give(file, folder, name);
    if (file >= 0)
        close(file);
    sqlite3_free(bytes);
    return errnum;
}
