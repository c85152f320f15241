/* See harness.h. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Everything a test holds, as one list of things to undo. */
struct keep {
    struct keep *next;
    enum { KEEP_MEMORY, KEEP_CHILD, KEEP_DIRECTORY } kind;
    void *thing;
};

static struct keep *kept;
static const char *home;

static void keep(int kind, void *thing)
{
    struct keep *entry = malloc(sizeof *entry);
    if (!thing || !entry)
        fail_msg("out of memory");
    *entry = (struct keep){.next = kept, .kind = (unsigned)kind, .thing = thing};
    kept = entry;
}

void *harness_memory(size_t size)
{
    void *memory = calloc(1, size);
    keep(KEEP_MEMORY, memory);
    return memory;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status, (void)type, (void)where;
    return remove(path);
}

/* All are killed before any is reaped: a tracer's death is what lets its tracee be reaped. */
static void release_everything(void)
{
    for (struct keep *entry = kept; entry; entry = entry->next) {
        struct child *child = entry->thing;
        if (entry->kind == KEEP_CHILD && !child->ended)
            kill(child->pid, SIGKILL);
    }
    for (struct keep *entry = kept; entry; entry = entry->next)
        if (entry->kind == KEEP_CHILD)
            child_kill(entry->thing);
    while (kept) {
        struct keep *entry = kept;
        kept = entry->next;
        if (entry->kind == KEEP_DIRECTORY)
            nftw(entry->thing, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
        free(entry->thing);
        free(entry);
    }
    home = NULL;
}

struct keep *harness_mark(void)
{
    return kept;
}

void harness_release(struct keep *mark)
{
    for (struct keep **link = &kept; *link && *link != mark;) {
        struct keep *entry = *link;
        struct child *child = entry->thing;
        if (entry->kind == KEEP_DIRECTORY || (entry->kind == KEEP_CHILD && !child->ended)) {
            link = &entry->next;
            continue;
        }
        *link = entry->next;
        free(entry->thing);
        free(entry);
    }
}

int harness_setup(void **state)
{
    static bool registered;
    (void)state;
    if (!registered) {
        registered = true;
        signal(SIGPIPE, SIG_IGN);
        atexit(release_everything);
    }
    release_everything();
    return 0;
}

int harness_teardown(void **state)
{
    (void)state;
    release_everything();
    return 0;
}

void harness_skip_say(const char *test, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("SKIPPED: %s: ", test);
    vprintf(format, arguments);
    printf("\n");
    fflush(stdout);
    va_end(arguments);
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

int64_t harness_monotonic_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

int64_t harness_realtime_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}

int64_t harness_time_parse(const char *text)
{
    struct tm broken = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%T", &broken);
    if (!rest)
        fail_msg("\"%s\" is no time", text);
    int64_t fraction = 0, place = 100000000;
    if (*rest == '.')
        for (rest++; *rest >= '0' && *rest <= '9'; rest++, place /= 10)
            fraction += (*rest - '0') * place;
    if (strcmp(rest, "Z") != 0)
        fail_msg("\"%s\" is no time", text);
    return timegm(&broken) * INT64_C(1000000000) + fraction;
}

void harness_sleep_ms(int milliseconds)
{
    struct timespec rest = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
    while (nanosleep(&rest, &rest) != 0 && errno == EINTR)
        continue;
}

char *harness_format(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        text = NULL;
    va_end(arguments);
    keep(KEEP_MEMORY, text);
    return text;
}

const char *harness_home(void)
{
    if (!home)
        home = harness_directory(geteuid());
    return home;
}

const char *harness_directory(uid_t owner)
{
    char *path = strdup("/tmp/skewctl-test-XXXXXX");
    if (!path || !mkdtemp(path))
        fail_msg("mkdtemp: %s", strerror(errno));
    keep(KEEP_DIRECTORY, path);
    if (owner != geteuid() && chown(path, owner, owner) != 0)
        fail_msg("chown %s to %u: %s", path, owner, strerror(errno));
    return path;
}

char *harness_file_read(const char *path, size_t *size)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return NULL;
    size_t capacity = 1 << 16, length = 0;
    char *text = malloc(capacity);
    ssize_t got = -1;
    while (text && (got = read(file, text + length, capacity - length - 1)) > 0) {
        length += (size_t)got;
        if (capacity - length == 1) {
            char *larger = realloc(text, capacity *= 2);
            if (!larger)
                free(text);
            text = larger;
        }
    }
    close(file);
    if (!text || got < 0) {
        free(text);
        return NULL;
    }
    text[length] = 0;
    if (size)
        *size = length;
    keep(KEEP_MEMORY, text);
    return text;
}

const char *harness_program(const char *name)
{
    const char *path = getenv("PATH");
    const char *folders = path ? path : "/usr/sbin:/usr/bin:/sbin:/bin";
    while (*folders) {
        size_t length = strcspn(folders, ":");
        const char *candidate = harness_format("%.*s/%s", (int)length, folders, name);
        if (access(candidate, X_OK) == 0)
            return candidate;
        folders += length + (folders[length] == ':');
    }
    return NULL;
}

/* In the child: nothing here may allocate or take a lock. */
static void become_program(const char *const argv[], const struct start *start, pid_t parent)
{
    if (start && start->user &&
        (setgroups(0, NULL) != 0 || setresgid(start->user, start->user, start->user) != 0 ||
         setresuid(start->user, start->user, start->user) != 0))
        _exit(126);
    /* After the change of user, which clears it; see PR_SET_PDEATHSIG(2const). */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        _exit(126);
    signal(SIGPIPE, SIG_DFL);
    if (start && start->before_exec)
        start->before_exec(start->argument);
    execvp(argv[0], (char *const *)argv);
    _exit(127);
}

/* Forks argv[0] with the three descriptors; errors < 0 leaves stderr as it is. */
static struct child *spawn(const char *const argv[], const struct start *start, int input,
                           int output, int errors)
{
    struct child *child = harness_memory(sizeof *child);
    kept->kind = KEEP_CHILD;
    child->ended = true;
    pid_t parent = getpid();
    fflush(NULL);
    child->pid = fork();
    if (child->pid < 0)
        fail_msg("fork: %s", strerror(errno));
    if (child->pid == 0) {
        if (dup2(input, 0) < 0 || dup2(output, 1) < 0 || (errors >= 0 && dup2(errors, 2) < 0))
            _exit(126);
        become_program(argv, start, parent);
    }
    child->ended = false;
    child->input = child->output = -1;
    return child;
}

static void pipe_open(int ends[2])
{
    if (pipe2(ends, O_CLOEXEC) != 0)
        fail_msg("pipe2: %s", strerror(errno));
}

struct child *child_start(const char *const argv[], const struct start *start)
{
    int input[2], output[2];
    pipe_open(input);
    pipe_open(output);
    struct child *child = spawn(argv, start, input[0], output[1], -1);
    close(input[0]);
    close(output[1]);
    child->input = input[1];
    child->output = output[0];
    return child;
}

void child_send(struct child *child, const char *line)
{
    const char *text = harness_format("%s\n", line);
    size_t length = strlen(text);
    if (write(child->input, text, length) != (ssize_t)length)
        fail_msg("process %d: cannot send \"%s\": %s", child->pid, line, strerror(errno));
}

/* Milliseconds left until a moment of harness_monotonic_ns, for poll(2). */
static int left_until(int64_t moment_ns)
{
    int64_t left = (moment_ns - harness_monotonic_ns()) / 1000000;
    return left < 0 ? 0 : (int)left;
}

const char *child_line(struct child *child, int deadline)
{
    int64_t end = harness_monotonic_ns() + deadline * INT64_C(1000000);
    for (;;) {
        char *newline = memchr(child->buffer, '\n', child->buffered);
        if (newline) {
            size_t length = (size_t)(newline - child->buffer);
            char *line = harness_format("%.*s", (int)length, child->buffer);
            child->buffered -= length + 1;
            memmove(child->buffer, newline + 1, child->buffered);
            return line;
        }
        struct pollfd ready = {.fd = child->output, .events = POLLIN};
        int polled = poll(&ready, 1, left_until(end));
        if (polled < 0 && errno == EINTR)
            continue;
        if (polled <= 0)
            fail_msg("process %d said nothing for %d ms", child->pid, deadline);
        ssize_t got = read(child->output, child->buffer + child->buffered,
                           sizeof child->buffer - child->buffered);
        if (got <= 0) {
            bool running = child_alive(child);
            fail_msg("process %d closed its output (%s, status 0x%x)", child->pid,
                     running ? "still runs" : "ended", running ? 0U : (unsigned)child->status);
        }
        child->buffered += (size_t)got;
    }
}

const char *child_ask(struct child *child, const char *line)
{
    child_send(child, line);
    return child_line(child, HARNESS_DEADLINE_MS);
}

static void close_once(int *descriptor)
{
    if (*descriptor >= 0)
        close(*descriptor);
    *descriptor = -1;
}

static void child_reaped(struct child *child)
{
    child->ended = true;
    close_once(&child->input);
    close_once(&child->output);
}

bool child_alive(struct child *child)
{
    if (!child->ended && waitpid(child->pid, &child->status, WNOHANG) == child->pid)
        child_reaped(child);
    return !child->ended;
}

int child_wait(struct child *child, int deadline)
{
    int64_t end = harness_monotonic_ns() + deadline * INT64_C(1000000);
    while (child_alive(child)) {
        if (harness_monotonic_ns() > end)
            fail_msg("process %d did not end within %d ms", child->pid, deadline);
        harness_sleep_ms(1);
    }
    return child->status;
}

void child_kill(struct child *child)
{
    if (child->ended)
        return;
    kill(child->pid, SIGKILL);
    while (waitpid(child->pid, &child->status, 0) < 0 && errno == EINTR)
        continue;
    child_reaped(child);
}

/* Text that grows as it is read from a descriptor. */
struct stream {
    int descriptor;
    size_t length, capacity;
    char *text;
};

/* Reads once; closes at end of file. */
static void stream_read(struct stream *stream)
{
    if (stream->capacity - stream->length < 4096) {
        stream->capacity = stream->capacity * 2 + 16384;
        char *larger = harness_memory(stream->capacity);
        if (stream->length)
            memcpy(larger, stream->text, stream->length);
        stream->text = larger;
    }
    ssize_t got = read(stream->descriptor, stream->text + stream->length,
                       stream->capacity - stream->length - 1);
    if (got > 0)
        stream->length += (size_t)got;
    else
        close_once(&stream->descriptor);
}

struct run program_run(const char *const argv[], const struct start *start, int deadline)
{
    int64_t began = harness_monotonic_ns(), end = began + deadline * INT64_C(1000000);
    int output[2], errors[2];
    pipe_open(output);
    pipe_open(errors);
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct child *child = spawn(argv, start, nothing, output[1], errors[1]);
    close(nothing);
    close(output[1]);
    close(errors[1]);
    struct stream out = {.descriptor = output[0]}, err = {.descriptor = errors[0]};
    while (out.descriptor >= 0 || err.descriptor >= 0) {
        struct pollfd ready[2] = {{.fd = out.descriptor, .events = POLLIN},
                                  {.fd = err.descriptor, .events = POLLIN}};
        int polled = poll(ready, 2, left_until(end));
        if (polled < 0 && errno == EINTR)
            continue;
        if (polled <= 0) {
            close_once(&out.descriptor);
            close_once(&err.descriptor);
            fail_msg("%s %s did not end within %d ms", argv[0], argv[1] ? argv[1] : "", deadline);
        }
        if (ready[0].revents)
            stream_read(&out);
        if (ready[1].revents)
            stream_read(&err);
    }
    int status = child_wait(child, left_until(end) + 1000);
    return (struct run){.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
                        .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
                        .elapsed_ns = harness_monotonic_ns() - began,
                        .out = out.text ? out.text : "",
                        .err = err.text ? err.text : ""};
}
