/*
 * cgroup.c - see cgroup.h. Only computes.
 */
#include "engine/cgroup.h"

#include <stdio.h>
#include <string.h>

#define HEX_ID_LENGTH 64

/* Calls `look` with each path of "HIERARCHY:CONTROLLERS:PATH" lines until it returns true. */
static bool paths_any(const char *lines,
                      bool (*look)(const char *path, size_t length, const void *wanted,
                                   void *found),
                      const void *wanted, void *found)
{
    for (const char *line = lines; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        const char *path = memchr(line, ':', length);
        path = path == NULL ? NULL : memchr(path + 1, ':', length - (size_t)(path + 1 - line));
        if (path != NULL && look(path + 1, length - (size_t)(path + 1 - line), wanted, found)) {
            return true;
        }
        line += length + (line[length] == '\n');
    }
    return false;
}

static bool path_contained(const char *path, size_t length, const void *wanted, void *found)
{
    (void)found;
    size_t parent = strlen(wanted);
    while (parent > 0 && ((const char *)wanted)[parent - 1] == '/') {
        parent--;
    }
    return length >= parent && memcmp(path, wanted, parent) == 0 &&
           (length == parent || path[parent] == '/');
}

bool cgroup_contains(const char *lines, const char *path)
{
    return paths_any(lines, path_contained, path, NULL);
}

static bool is_hex_id(const char *text, size_t length)
{
    return length == HEX_ID_LENGTH && strspn(text, "0123456789abcdef") >= length;
}

/* "docker-ID.scope", "libpod-ID": what stands around the id is cut off. */
static void component_strip(const char **text, size_t *length)
{
    static const char *const prefixes[] = {"docker-", "libpod-", "cri-containerd-", "crio-",
                                           "crun-",   "runc-",   "nerdctl-"};
    static const char suffix[] = ".scope";
    size_t suffix_length = sizeof suffix - 1;
    if (*length > suffix_length &&
        memcmp(*text + *length - suffix_length, suffix, suffix_length) == 0) {
        *length -= suffix_length;
    }
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t prefix = strlen(prefixes[i]);
        if (*length > prefix && memcmp(*text, prefixes[i], prefix) == 0) {
            *text += prefix;
            *length -= prefix;
            return;
        }
    }
}

/*
 * One path: the part that names the container. An id that is no hexadecimal one
 * counts only whole, and not where another id follows: then it is the name of a
 * folder of containers, like "docker".
 */
static bool path_container(const char *path, size_t length, const void *wanted, void *found)
{
    const char *end = path + length;
    size_t wanted_length = strlen(wanted);
    bool matched = false;
    for (const char *at = path; at < end;) {
        at += *at == '/';
        const char *slash = memchr(at, '/', (size_t)(end - at));
        const char *next = slash == NULL ? end : slash;
        const char *part = at;
        size_t part_length = (size_t)(next - at);
        component_strip(&part, &part_length);
        bool hex = is_hex_id(part, part_length);
        if (hex) {
            matched = false;
        }
        if (part_length < CONTAINER_ID_SIZE &&
            (hex ? part_length >= wanted_length : part_length == wanted_length) &&
            wanted_length > 0 && memcmp(part, wanted, wanted_length) == 0) {
            memcpy(found, part, part_length);
            ((char *)found)[part_length] = '\0';
            matched = true;
        }
        at = next;
    }
    return matched;
}

bool cgroup_container_find(const char *lines, const char *wanted, char *id)
{
    return paths_any(lines, path_container, wanted, id);
}

/* The n-th word of a line, counted from 0; its length, or 0 where there is none. */
static size_t word_find(const char *line, size_t length, unsigned index, const char **word)
{
    const char *end = line + length;
    for (const char *at = line; at < end;) {
        const char *space = memchr(at, ' ', (size_t)(end - at));
        const char *next = space == NULL ? end : space;
        if (index-- == 0) {
            *word = at;
            return (size_t)(next - at);
        }
        at = next + 1;
    }
    return 0;
}

/* Words 3 and 4 of a line are root and mount point; " - cgroup" or " - cgroup2" the type. */
bool cgroup_path_from_mount(const char *mountinfo, const char *file, char *path, size_t size)
{
    size_t best = 0;
    for (const char *line = mountinfo; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        const char *type = memmem(line, length, " - cgroup", strlen(" - cgroup"));
        const char *root = line, *point = line;
        size_t root_length = word_find(line, length, 3, &root);
        size_t point_length = word_find(line, length, 4, &point);
        if (type != NULL && point_length > best && root_length > 0 &&
            strncmp(file, point, point_length) == 0 &&
            (file[point_length] == '/' || file[point_length] == '\0')) {
            best = point_length;
            bool at_root = root_length == 1;
            const char *rest = file + point_length;
            snprintf(path, size, "%.*s%s", at_root ? 0 : (int)root_length, root,
                     *rest == '\0' && at_root ? "/" : rest);
        }
        line += length + (line[length] == '\n');
    }
    return best > 0;
}
