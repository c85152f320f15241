/* See observe.h. */
#include "observe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

/* Lines that grow and can be sorted. */
struct lines {
    size_t count, capacity;
    const char **line;
};

static void lines_add(struct lines *lines, const char *line)
{
    if (lines->count == lines->capacity) {
        lines->capacity = lines->capacity * 2 + 64;
        lines->line = realloc(lines->line, lines->capacity * sizeof *lines->line);
        if (!lines->line)
            fail_msg("out of memory");
    }
    lines->line[lines->count++] = line;
}

static int line_order(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* One text of all lines; empties the list. */
static const char *lines_join(struct lines *lines, bool sorted)
{
    if (sorted && lines->count)
        qsort(lines->line, lines->count, sizeof *lines->line, line_order);
    size_t size = 1;
    for (size_t i = 0; i < lines->count; i++)
        size += strlen(lines->line[i]) + 1;
    char *text = harness_format("%*s", (int)size, "");
    char *end = text;
    for (size_t i = 0; i < lines->count; i++)
        end += sprintf(end, "%s\n", lines->line[i]);
    *end = 0;
    free(lines->line);
    *lines = (struct lines){0};
    return text;
}

/* Calls `visit` for each line of a text. */
static void text_split(const char *text, void (*visit)(const char *line, void *context),
                       void *context)
{
    while (*text) {
        size_t length = strcspn(text, "\n");
        visit(harness_format("%.*s", (int)length, text), context);
        text += length + (text[length] == '\n');
    }
}

static void maps_line(const char *line, void *context)
{
    unsigned long low, high;
    int rest = 0;
    if (sscanf(line, "%lx-%lx%n", &low, &high, &rest) != 2)
        fail_msg("not a line of /proc/PID/maps: %s", line);
    if (strstr(line, "[stack]"))
        line = harness_format("*-%lx%s", high, line + rest);
    else if (strstr(line, "[heap]"))
        line = harness_format("%lx-*%s", low, line + rest);
    lines_add(context, line);
}

static const char *maps_raw(pid_t pid)
{
    const char *text = harness_file_read(harness_format("/proc/%d/maps", pid), NULL);
    if (!text)
        fail_msg("/proc/%d/maps: %s", pid, strerror(errno));
    return text;
}

const char *observe_maps(pid_t pid)
{
    struct lines lines = {0};
    text_split(maps_raw(pid), maps_line, &lines);
    return lines_join(&lines, false);
}

static void code_line(const char *line, void *context)
{
    char permissions[8], name[16] = "";
    size_t *count = context;
    if (sscanf(line, "%*s %7s %*s %*s %*s %15s", permissions, name) >= 1 && !*name &&
        strcmp(permissions, "r-xp") == 0)
        ++*count;
}

size_t observe_code_mappings(pid_t pid)
{
    size_t count = 0;
    text_split(maps_raw(pid), code_line, &count);
    return count;
}

static void vdso_line(const char *line, void *context)
{
    struct vdso *vdso = context;
    unsigned long low, high;
    if (strstr(line, "[vdso]") && sscanf(line, "%lx-%lx", &low, &high) == 2) {
        vdso->address = low;
        vdso->size = high - low;
    }
}

struct vdso observe_vdso(pid_t pid)
{
    struct vdso vdso = {0};
    text_split(maps_raw(pid), vdso_line, &vdso);
    if (!vdso.size)
        return vdso;
    uint8_t *bytes = (uint8_t *)harness_format("%*s", (int)vdso.size, "");
    int memory = open(harness_format("/proc/%d/mem", pid), O_RDONLY | O_CLOEXEC);
    ssize_t got = memory < 0 ? -1 : pread(memory, bytes, vdso.size, (off_t)vdso.address);
    int error = errno;
    if (memory >= 0)
        close(memory);
    if (got != (ssize_t)vdso.size)
        fail_msg("reading the vDSO of %d: %s", pid, strerror(error));
    vdso.bytes = bytes;
    return vdso;
}

struct vdso observe_vdso_own(void)
{
    struct vdso vdso = observe_vdso(getpid());
    assert_int_equal(vdso.address, getauxval(AT_SYSINFO_EHDR));
    return vdso;
}

const char *observe_status(pid_t pid, pid_t tid, const char *field)
{
    const char *text = harness_file_read(harness_format("/proc/%d/task/%d/status", pid, tid), NULL);
    const char *found = text ? strstr(text, harness_format("\n%s:\t", field)) : NULL;
    if (!found)
        return NULL;
    found += strlen(field) + 3;
    return harness_format("%.*s", (int)strcspn(found, "\n"), found);
}

/* Calls `visit` for each entry of a folder of numbers, as /proc/PID/task and fd are. */
static void numbers_visit(const char *folder, void (*visit)(const char *name, void *context),
                          void *context)
{
    DIR *directory = opendir(folder);
    if (!directory)
        fail_msg("%s: %s", folder, strerror(errno));
    struct lines names = {0};
    for (struct dirent *entry; (entry = readdir(directory));)
        if (entry->d_name[0] != '.')
            lines_add(&names, harness_format("%s", entry->d_name));
    closedir(directory);
    const char *text = lines_join(&names, true);
    text_split(text, visit, context);
}

static void count_one(const char *name, void *context)
{
    (void)name;
    ++*(size_t *)context;
}

size_t observe_thread_count(pid_t pid)
{
    size_t count = 0;
    numbers_visit(harness_format("/proc/%d/task", pid), count_one, &count);
    return count;
}

static void untraced_one(const char *name, void *context)
{
    pid_t pid = *(pid_t *)context;
    const char *tracer = observe_status(pid, atoi(name), "TracerPid");
    if (tracer && strcmp(tracer, "0") != 0)
        fail_msg("thread %s of %d is traced by %s", name, pid, tracer);
}

void observe_untraced(pid_t pid)
{
    numbers_visit(harness_format("/proc/%d/task", pid), untraced_one, &pid);
}

struct collection {
    pid_t pid;
    struct lines facts;
};

static void collect_mapping(const char *line, void *context)
{
    lines_add(&((struct collection *)context)->facts, harness_format("map %s", line));
}

static void collect_thread(const char *name, void *context)
{
    struct collection *all = context;
    const char *fields[] = {"TracerPid", "SigBlk", "SigIgn", "SigCgt"};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const char *value = observe_status(all->pid, atoi(name), fields[i]);
        lines_add(&all->facts,
                  harness_format("thread %s %s %s", name, fields[i], value ? value : "?"));
    }
    /* Running or asleep is its own affair; stopped is not. */
    const char *state = observe_status(all->pid, atoi(name), "State");
    bool stopped = state && (*state == 'T' || *state == 't');
    lines_add(&all->facts, harness_format("thread %s %s", name, stopped ? "stopped" : "runs"));
}

static void collect_descriptor(const char *name, void *context)
{
    struct collection *all = context;
    char target[256];
    ssize_t length =
        readlink(harness_format("/proc/%d/fd/%s", all->pid, name), target, sizeof target);
    lines_add(&all->facts,
              harness_format("descriptor %s %.*s", name, length < 0 ? 0 : (int)length, target));
}

struct snapshot snapshot_take(pid_t pid)
{
    struct collection all = {.pid = pid};
    text_split(observe_maps(pid), collect_mapping, &all);
    numbers_visit(harness_format("/proc/%d/task", pid), collect_thread, &all);
    numbers_visit(harness_format("/proc/%d/fd", pid), collect_descriptor, &all);
    return (struct snapshot){.facts = lines_join(&all.facts, true), .vdso = observe_vdso(pid)};
}

static void index_line(const char *line, void *context)
{
    lines_add(context, line);
}

const char *snapshot_difference(const struct snapshot *before, const struct snapshot *after)
{
    struct lines old = {0}, new = {0}, found = {0};
    text_split(before->facts, index_line, &old);
    text_split(after->facts, index_line, &new);
    for (size_t i = 0, j = 0; i < old.count || j < new.count;) {
        int order = i == old.count ? 1 : j == new.count ? -1 : strcmp(old.line[i], new.line[j]);
        if (order < 0)
            lines_add(&found, harness_format("- %s", old.line[i]));
        else if (order > 0)
            lines_add(&found, harness_format("+ %s", new.line[j]));
        i += order <= 0;
        j += order >= 0;
    }
    size_t common = before->vdso.size < after->vdso.size ? before->vdso.size : after->vdso.size;
    size_t differing = 0, first = 0;
    for (size_t i = common; i-- > 0;)
        if (before->vdso.bytes[i] != after->vdso.bytes[i]) {
            differing++;
            first = i;
        }
    if (differing || before->vdso.size != after->vdso.size)
        lines_add(&found, harness_format("vdso: %zu bytes differ, first at offset 0x%zx", differing,
                                         first));
    free(old.line);
    free(new.line);
    return found.count ? lines_join(&found, false) : NULL;
}

void snapshot_expect(const struct snapshot *before, pid_t pid)
{
    struct snapshot after = snapshot_take(pid);
    const char *difference = snapshot_difference(before, &after);
    if (difference)
        fail_msg("process %d is not as before:\n%s", pid, difference);
}

void observe_put_back(pid_t pid, const char *maps, const struct vdso *vdso)
{
    assert_string_equal(observe_maps(pid), maps);
    struct vdso now = observe_vdso(pid);
    assert_int_equal(now.size, vdso->size);
    assert_memory_equal(now.bytes, vdso->bytes, vdso->size);
    observe_untraced(pid);
}

bool observe_rseq_known(void)
{
    const char *without = getenv("WITHOUT");
    if (without && strcmp(without, "rseq_configuration") == 0)
        return false;
    struct __ptrace_rseq_configuration configuration;
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    bool asked =
        ptrace(PTRACE_SEIZE, child, NULL, NULL) == 0 &&
        ptrace(PTRACE_INTERRUPT, child, NULL, NULL) == 0 && waitpid(child, NULL, 0) == child &&
        ptrace(PTRACE_GET_RSEQ_CONFIGURATION, child, sizeof configuration, &configuration) > 0;
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return asked;
}
