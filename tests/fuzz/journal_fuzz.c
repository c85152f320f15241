/*
 * journal_fuzz.c - a file of any bytes as the journal. It is opened or refused;
 * what is refused keeps its bytes, and the refusal is one line. From what is
 * opened rows are read, and written, or that is refused in one line too. Beside
 * it nothing is made but what SQLite calls by its name, and nothing is changed.
 */
#include "journal/journal.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

#define JOURNAL   "journal.db"
#define BYSTANDER "bystander"

/* In memory, where there is such a file system: hundreds of files are made each second. */
static char folder[32] = "/dev/shm/skewctl-fuzz-XXXXXX";

static void folder_clear(void)
{
    DIR *entries = opendir(folder);
    fuzz_check(entries != NULL);
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;)
        if (entry->d_name[0] != '.')
            fuzz_check(unlinkat(dirfd(entries), entry->d_name, 0) == 0);
    closedir(entries);
}

static void folder_remove(void)
{
    folder_clear();
    rmdir(folder);
}

static void folder_make(void)
{
    static bool made;
    if (!made) {
        if (mkdtemp(folder) == NULL)
            fuzz_check(mkdtemp(strcpy(folder, "/tmp/skewctl-fuzz-XXXXXX")) != NULL);
        atexit(folder_remove);
        made = true;
    }
}

static char *path_of(const char *name)
{
    static char path[64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void file_write(const char *name, const void *bytes, size_t size)
{
    int file = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    fuzz_check(file >= 0 && write(file, bytes, size) == (ssize_t)size);
    close(file);
}

static bool file_holds(const char *name, const void *bytes, size_t size)
{
    int file = open(path_of(name), O_RDONLY | O_CLOEXEC);
    struct stat status;
    fuzz_check(file >= 0 && fstat(file, &status) == 0);
    char *content = malloc(size + 1);
    fuzz_check(content != NULL);
    bool same = status.st_size == (off_t)size && read(file, content, size) == (ssize_t)size &&
                memcmp(content, bytes, size) == 0;
    free(content);
    close(file);
    return same;
}

static void neighbours_check(void)
{
    DIR *entries = opendir(folder);
    fuzz_check(entries != NULL);
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;)
        fuzz_check(entry->d_name[0] == '.' || strcmp(entry->d_name, BYSTANDER) == 0 ||
                   strcmp(entry->d_name, JOURNAL) == 0 ||
                   strcmp(entry->d_name, JOURNAL "-wal") == 0 ||
                   strcmp(entry->d_name, JOURNAL "-shm") == 0 ||
                   strcmp(entry->d_name, JOURNAL "-journal") == 0);
    closedir(entries);
    fuzz_check(file_holds(BYSTANDER, BYSTANDER, sizeof BYSTANDER));
}

static bool line_whole(const char *line, size_t size)
{
    return *line != '\0' && memchr(line, '\0', size) != NULL && strchr(line, '\n') == NULL;
}

static bool succeeded(enum journal_code code, const struct journal_error *error)
{
    if (code == JOURNAL_OK)
        return true;
    fuzz_check(error->code == code && error->operation != NULL);
    fuzz_check(line_whole(error->message, sizeof error->message));
    fuzz_check(memchr(error->advice, '\0', sizeof error->advice) != NULL);
    return false;
}

static void row_check(const struct journal_injection *row)
{
    fuzz_check((unsigned)row->phase < JOURNAL_PHASE_COUNT);
    fuzz_check(row->patch_count <= JOURNAL_PATCHES_MAX);
    fuzz_check(memchr(row->command, '\0', sizeof row->command) != NULL);
    fuzz_check(memchr(row->detail, '\0', sizeof row->detail) != NULL);
    fuzz_check(memchr(row->key.boot_id, '\0', sizeof row->key.boot_id) != NULL);
    for (size_t i = 0; i < row->patch_count; i++) {
        fuzz_check(row->patches[i].length <= JOURNAL_PATCH_BYTES);
        fuzz_check(memchr(row->patches[i].symbol, '\0', sizeof row->patches[i].symbol) != NULL);
    }
}

static void row_use(struct journal *journal, const struct journal_injection *row)
{
    struct journal_error error = {0};
    struct journal_injection found;
    char bytes[64];
    size_t size = sizeof bytes;
    pid_t tid;
    row_check(row);
    if (succeeded(journal_find_live(journal, &row->key, &found, &error), &error))
        row_check(&found);
    if (succeeded(journal_registers_load(journal, row->id, &tid, bytes, &size, &error), &error))
        fuzz_check(size <= sizeof bytes);
    size = sizeof bytes;
    if (succeeded(journal_vdso_load(journal, row->id, bytes, &size, &error), &error))
        fuzz_check(size <= sizeof bytes);
    if (succeeded(journal_registers_begin(journal, row->id, JOURNAL_RECOVERING, &error), &error) &&
        !succeeded(journal_registers_commit(journal, 1, "registers", 9, &error), &error))
        journal_registers_abort(journal);
    succeeded(journal_advance(journal, row->id, JOURNAL_RECOVERED, "done", &error), &error);
    if (succeeded(journal_get(journal, row->id, &found, &error), &error))
        row_check(&found);
}

static void journal_use(struct journal *journal)
{
    struct journal_error error = {0};
    struct journal_injection *rows = NULL, row = {.key = {.boot_id = "boot", .pid = 4711}};
    size_t count = 0;
    if (succeeded(journal_list(journal, true, &rows, &count, &error), &error)) {
        for (size_t i = 0; i < count && i < 4; i++)
            row_use(journal, &rows[i]);
        free(rows);
    }
    if (succeeded(journal_plan(journal, &row, "vdso", 4, &error), &error))
        row_use(journal, &row);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct journal *journal;
    struct journal_error error = {0};
    folder_make();
    file_write(BYSTANDER, BYSTANDER, sizeof BYSTANDER);
    file_write(JOURNAL, input, size);
    if (succeeded(journal_open(path_of(JOURNAL), &journal, &error), &error)) {
        journal_wait_limit(journal, 0);
        journal_use(journal);
        journal_close(journal);
    } else {
        fuzz_check(journal == NULL);
        fuzz_check(file_holds(JOURNAL, input, size));
    }
    neighbours_check();
    folder_clear();
    return 0;
}
