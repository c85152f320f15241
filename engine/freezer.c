/*
 * freezer.c - finds out from the cgroup file system whether a process is frozen.
 *
 * A frozen thread looks like one that sleeps: with cgroup v1 it is attached to
 * and never stops; with v2 it stops, but does not run a remote call when it is
 * let go. So it has to be known before. /proc/PID/cgroup tells the paths,
 * /proc/self/mountinfo where they are mounted.
 *
 * Kernel source this relies on: Documentation/admin-guide/cgroup-v1/
 * freezer-subsystem.rst (freezer.state is the state of the cgroup and of all
 * above it together) and cgroup-v2.rst (cgroup.freeze is that of the cgroup
 * alone, "frozen" of cgroup.events comes when all its processes have stopped).
 */
#include "engine/freezer.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/scope.h"

/* Where a process is in one hierarchy, as the caller's cgroup namespace shows it. */
struct place {
    bool found;
    char path[PATH_MAX];
};

static void file_close(FILE **file)
{
    if (*file != NULL) {
        fclose(*file);
    }
}

#define scoped_file __attribute__((cleanup(file_close))) FILE *

static bool list_has(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, word, length) == 0 && (at[length] == ',' || at[length] == '\0')) {
            return true;
        }
    }
    return false;
}

/* Lines of "HIERARCHY:CONTROLLERS:PATH"; v2 is hierarchy 0 and names no controllers. */
static void places_read(const struct target *target, struct place *v1, struct place *v2)
{
    int descriptor = target_file_open(target, "cgroup", O_RDONLY);
    scoped_file file = descriptor < 0 ? NULL : fdopen(descriptor, "r");
    if (file == NULL) {
        descriptor_close(&descriptor);
        return;
    }
    scoped_memory char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, file) > 0) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
        if (path == NULL) {
            continue;
        }
        *controllers++ = '\0';
        *path++ = '\0';
        struct place *place = strcmp(line, "0") == 0             ? v2
                              : list_has(controllers, "freezer") ? v1
                                                                 : NULL;
        if (place != NULL && strlen(path) < sizeof place->path) {
            memcpy(place->path, path, strlen(path) + 1);
            place->found = true;
        }
    }
}

/* Undoes the octal escapes of mountinfo. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0';) {
        unsigned code;
        if (from[0] == '\\' && sscanf(from + 1, "%3o", &code) == 1) {
            *to++ = (char)code;
            from += 4;
        } else {
            *to++ = *from++;
        }
    }
    *to = '\0';
}

/*
 * One line of proc_pid_mountinfo(5), taken apart in place: "ID PARENT MAJOR:MINOR
 * ROOT MOUNTPOINT OPTIONS... - TYPE SOURCE SUPEROPTIONS".
 */
static bool mount_parse(char *line, char **root, char **point, char **type, char **super)
{
    char *rest = strstr(line, " - ");
    char *save;
    if (rest == NULL) {
        return false;
    }
    *rest = '\0';
    char *field = strtok_r(line, " ", &save);
    for (int i = 0; i < 3 && field != NULL; i++) {
        field = strtok_r(NULL, " ", &save);
    }
    *root = field;
    *point = strtok_r(NULL, " ", &save);
    *type = strtok_r(rest + 3, " ", &save);
    *super = strtok_r(NULL, " ", &save) != NULL ? strtok_r(NULL, " \n", &save) : NULL;
    if (*root == NULL || *point == NULL || *super == NULL) {
        return false;
    }
    unescape(*root);
    unescape(*point);
    return true;
}

/* What is left of a path below the root of a mount; NULL where it is not below it. */
static const char *path_below(const char *path, const char *root)
{
    size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);
    bool below = strncmp(path, root, length) == 0 && (path[length] == '/' || path[length] == '\0');
    return below && strstr(path, "/..") == NULL ? path + length : NULL;
}

static bool file_begins(const char *directory, const char *name, const char *beginning)
{
    char path[2 * PATH_MAX + 32];
    char text[256];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return proc_file_read(AT_FDCWD, path, text, sizeof text) > 0 &&
           strncmp(text, beginning, strlen(beginning)) == 0;
}

static bool frozen_v1(char *directory)
{
    return file_begins(directory, "freezer.state", "FRO") ||
           file_begins(directory, "freezer.state", "FREEZING");
}

static bool events_say_frozen(const char *directory)
{
    char path[2 * PATH_MAX + 32];
    char text[256];
    snprintf(path, sizeof path, "%s/cgroup.events", directory);
    return proc_file_read(AT_FDCWD, path, text, sizeof text) > 0 &&
           strstr(text, "frozen 1") != NULL;
}

/* Shortens `directory` to the cgroup that is frozen; never above the mount, `top` characters. */
static bool frozen_v2(char *directory, size_t top)
{
    if (events_say_frozen(directory)) {
        return true;
    }
    while (strlen(directory) > top) {
        if (file_begins(directory, "cgroup.freeze", "1")) {
            return true;
        }
        *strrchr(directory, '/') = '\0';
    }
    return false;
}

/* Whether a mounted hierarchy, taken apart above, says that the place is frozen. */
static bool mount_says_frozen(const char *root, const char *point, const char *type,
                              const char *super, const struct place *v1, const struct place *v2,
                              char *cgroup, size_t size)
{
    bool second = strcmp(type, "cgroup2") == 0;
    if (!second && (strcmp(type, "cgroup") != 0 || !list_has(super, "freezer"))) {
        return false;
    }
    const struct place *place = second ? v2 : v1;
    const char *below = place->found ? path_below(place->path, root) : NULL;
    if (below == NULL) {
        return false;
    }
    char directory[2 * PATH_MAX];
    snprintf(directory, sizeof directory, "%s%s", point, below);
    if (second ? !frozen_v2(directory, strlen(point)) : !frozen_v1(directory)) {
        return false;
    }
    snprintf(cgroup, size, "%s", directory);
    return true;
}

bool freezer_holds(const struct target *target, char *cgroup, size_t size)
{
    struct place v1 = {.found = false}, v2 = {.found = false};
    places_read(target, &v1, &v2);
    scoped_file mounts = v1.found || v2.found ? fopen("/proc/self/mountinfo", "re") : NULL;
    scoped_memory char *line = NULL;
    size_t capacity = 0;
    while (mounts != NULL && getline(&line, &capacity, mounts) > 0) {
        char *root, *point, *type, *super;
        if (mount_parse(line, &root, &point, &type, &super) &&
            mount_says_frozen(root, point, type, super, &v1, &v2, cgroup, size)) {
            return true;
        }
    }
    return false;
}
