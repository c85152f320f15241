/* See history.h. */
#include "history.h"

#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const char *const suffixes[HISTORY_FILES] = {"", "-wal"};

static const char *file_path(size_t i)
{
    return harness_format("%s%s", skewctl_journal(), suffixes[i]);
}

void history_remove(void)
{
    for (size_t i = 0; i < HISTORY_FILES; i++)
        unlink(file_path(i));
    unlink(harness_format("%s-shm", skewctl_journal()));
}

struct history history_take(void)
{
    struct history history;
    for (size_t i = 0; i < HISTORY_FILES; i++)
        history.bytes[i] = harness_file_read(file_path(i), &history.size[i]);
    return history;
}

void history_restore(const struct history *history)
{
    history_remove();
    for (size_t i = 0; i < HISTORY_FILES; i++) {
        if (!history->bytes[i])
            continue;
        int file = open(file_path(i), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        ssize_t wrote = file < 0 ? -1 : write(file, history->bytes[i], history->size[i]);
        if (wrote != (ssize_t)history->size[i] || close(file) != 0)
            fail_msg("%s: %s", file_path(i), strerror(errno));
    }
}
