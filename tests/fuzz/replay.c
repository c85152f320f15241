/*
 * replay.c - replay FOLDER - gives each file of a corpus to a fuzz target once:
 * what was found by fuzzing stays found, whatever the compiler.
 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static void file_replay(int folder, const char *name)
{
    struct stat status;
    int file = openat(folder, name, O_RDONLY | O_CLOEXEC);
    fuzz_check(file >= 0 && fstat(file, &status) == 0);
    size_t size = (size_t)status.st_size;
    uint8_t *input = malloc(size + 1);
    fuzz_check(input != NULL && read(file, input, size) == (ssize_t)size);
    close(file);
    /* Where an input crashes, this is the last line. */
    printf("%s\n", name);
    fflush(stdout);
    LLVMFuzzerTestOneInput(input, size);
    free(input);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    DIR *folder = opendir(argv[1]);
    if (folder == NULL) {
        perror(argv[1]);
        return 1;
    }
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] != '.') {
            file_replay(dirfd(folder), entry->d_name);
            count++;
        }
    }
    closedir(folder);
    printf("%zu inputs\n", count);
    return count > 0 ? 0 : 1;
}
