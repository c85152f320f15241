/* See world.h. */
#include "world.h"

#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* What process 1 in there ends with where the world cannot be set up: not one of cmocka's codes. */
#define CANNOT 125

/* Ends of the guard's pipes: it sees the program's death, and tells what it could not remove. */
struct guard {
    int alive;
    int verdict;
};

static char cgroup[64];

const char *world_cgroup(void)
{
    return cgroup;
}

static bool write_file(const char *path, const char *mode, const char *text)
{
    FILE *file = fopen(path, mode);
    if (!file)
        return false;
    bool written = fputs(text, file) >= 0;
    return fclose(file) == 0 && written;
}

static bool make_folders(const char *path)
{
    char part[256];
    snprintf(part, sizeof part, "%s", path);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(part, 0755);
        *slash = '/';
    }
    return mkdir(part, 0755) == 0 || errno == EEXIST;
}

/* Changes to the folder go to memory. */
static bool cover(const char *folder, const char *name)
{
    char changes[128], work[128], options[512];
    snprintf(changes, sizeof changes, "/run/covers/%s/changes", name);
    snprintf(work, sizeof work, "/run/covers/%s/work", name);
    snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s,workdir=%s", folder, changes, work);
    return make_folders(changes) && make_folders(work) &&
           mount("overlay", folder, "overlay", 0, options) == 0;
}

/* Overlays of their own cannot lie on the one that covers /var/lib, so these get plain memory. */
static bool storage(const char *name)
{
    char memory[128], place[128];
    snprintf(memory, sizeof memory, "/run/storage/%s", name);
    snprintf(place, sizeof place, "/var/lib/%s", name);
    return make_folders(memory) && make_folders(place) &&
           mount(memory, place, NULL, MS_BIND, NULL) == 0;
}

static bool user_add(void)
{
    char account[128], range[64];
    snprintf(account, sizeof account, "world:x:%d:%d::" WORLD_USER_HOME ":/bin/sh\n", WORLD_USER,
             WORLD_USER);
    snprintf(range, sizeof range, "%d:200000:65536\n", WORLD_USER);
    return write_file("/etc/passwd", "a", account) && write_file("/etc/subuid", "a", range) &&
           write_file("/etc/subgid", "a", range) && make_folders(WORLD_USER_HOME) &&
           make_folders(WORLD_USER_RUNDIR) && chown(WORLD_USER_HOME, WORLD_USER, WORLD_USER) == 0 &&
           chown(WORLD_USER_RUNDIR, WORLD_USER, WORLD_USER) == 0;
}

static bool loopback_up(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int end = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool up = end >= 0 && ioctl(end, SIOCSIFFLAGS, &request) == 0;
    if (end >= 0)
        close(end);
    return up;
}

static const char *furnish(void)
{
    umask(022);
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0 ||
        mount("tmpfs", "/run", "tmpfs", 0, "mode=755") != 0 ||
        /* Shared within this world: container runtimes expect that of the root. */
        mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL) != 0)
        return "it may not mount";
    if (!cover("/etc", "etc") || !cover("/var/lib", "lib"))
        return "it has no overlay file system";
    if (!make_folders(WORLD_FOLDER) || !storage("containers") || !storage("containerd") ||
        !storage("docker") || !user_add() || !loopback_up())
        return "its folders cannot be made";
    return NULL;
}

/* Process 1 in there: reaps whoever nobody else does, and ends with the tests. */
static int first_process(const char *name, int (*tests)(void))
{
    const char *missing = furnish();
    if (missing) {
        harness_skip_say(name, "no machine of its own here, %s: %s", missing, strerror(errno));
        return CANNOT;
    }
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        exit(tests());
    int status = 0;
    for (pid_t reaped; child > 0 && (reaped = wait(&status)) != child;)
        if (reaped < 0 && errno != EINTR)
            return EXIT_FAILURE;
    if (child > 0 && WIFSIGNALED(status))
        printf("%s: the tests ended with signal %d\n", name, WTERMSIG(status));
    return child > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

static int busy; /* how many cgroups could not be removed: nftw(3) passes nothing on */

static int cgroup_remove(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status, (void)where;
    const char *found = strstr(path, cgroup);
    char after = found ? found[strlen(cgroup)] : 'x';
    if (type == FTW_DP && (after == 0 || after == '/') && rmdir(path) != 0 && errno != ENOENT)
        busy++;
    return 0;
}

/* One look through every mounted hierarchy. */
static int cgroups_remove(void)
{
    char line[1024], place[256], kind[32];
    FILE *mounts = fopen("/proc/self/mounts", "re");
    busy = mounts ? 0 : 1;
    while (mounts && fgets(line, sizeof line, mounts))
        if (sscanf(line, "%*s %255s %31s", place, kind) == 2 && strncmp(kind, "cgroup", 6) == 0)
            nftw(place, cgroup_remove, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    if (mounts)
        fclose(mounts);
    return busy;
}

/* A process that dies leaves its cgroup only when all of it is gone. */
static void guard_run(int alive, int verdict)
{
    char byte;
    while (read(alive, &byte, 1) < 0 && errno == EINTR)
        continue;
    int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    int left;
    while ((left = cgroups_remove()) != 0 && harness_monotonic_ns() < end)
        harness_sleep_ms(20);
    byte = left ? 1 : 0;
    _exit(write(verdict, &byte, 1) == 1 ? 0 : 1);
}

/* It is nobody's child and in a session of its own, so that what ends the tests leaves it alone. */
static bool guard_start(struct guard *guard)
{
    int alive[2], verdict[2];
    if (pipe2(alive, O_CLOEXEC) != 0 || pipe2(verdict, O_CLOEXEC) != 0)
        return false;
    pid_t child = fork();
    if (child == 0) {
        signal(SIGPIPE, SIG_IGN);
        int nothing = open("/dev/null", O_RDWR);
        if (setsid() < 0 || dup2(nothing, 0) < 0 || dup2(nothing, 1) < 0 || dup2(nothing, 2) < 0)
            _exit(1);
        close(alive[1]);
        close(verdict[0]);
        pid_t grandchild = fork();
        if (grandchild != 0)
            _exit(grandchild < 0);
        guard_run(alive[0], verdict[1]);
    }
    close(alive[0]);
    close(verdict[1]);
    *guard = (struct guard){.alive = alive[1], .verdict = verdict[0]};
    int status;
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static bool guard_finish(const struct guard *guard)
{
    char byte = 1;
    close(guard->alive);
    return read(guard->verdict, &byte, 1) == 1 && byte == 0;
}

/* The kernel ends process 1, and so the world, with this process; it may have ended already. */
static void first_process_start(const char *name, int (*tests)(void), int parent)
{
    struct pollfd dead = {.fd = parent, .events = POLLIN};
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || poll(&dead, 1, 0) != 0)
        _exit(EXIT_FAILURE);
    close(parent);
    exit(first_process(name, tests));
}

static int world_enter(const char *name, int (*tests)(void), const struct guard *guard)
{
    if (geteuid() != 0 ||
        unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) != 0) {
        harness_skip_say(name, "no machine of its own here: %s",
                         geteuid() ? "takes root" : strerror(errno));
        return CANNOT;
    }
    int self = pidfd_open(getpid(), 0);
    fflush(NULL);
    pid_t child = self < 0 ? -1 : fork();
    if (child == 0) {
        close(guard->alive);
        close(guard->verdict);
        first_process_start(name, tests, self);
    }
    int status = 0;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    return child > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

int world_run(const char *name, int (*tests)(void))
{
    struct guard guard;
    snprintf(cgroup, sizeof cgroup, "/skewctl-tests-%d", (int)getpid());
    if (!guard_start(&guard)) {
        printf("%s: no guard: %s\n", name, strerror(errno));
        return EXIT_FAILURE;
    }
    int code = world_enter(name, tests, &guard);
    if (!guard_finish(&guard)) {
        printf("%s: cgroups are left: %s\n", name, cgroup);
        return EXIT_FAILURE;
    }
    return code == CANNOT ? EXIT_SUCCESS : code;
}

/* Prints who is left if asked to; zombies are process 1's to reap. */
static int others(bool print)
{
    int count = 0;
    DIR *processes = opendir("/proc");
    for (struct dirent *entry; processes && (entry = readdir(processes));) {
        char path[64], stat[256], name[64] = "", state = 'Z';
        pid_t pid = atoi(entry->d_name);
        if (pid <= 1 || pid == getpid())
            continue;
        snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
        int file = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t got = file < 0 ? -1 : read(file, stat, sizeof stat - 1);
        if (file >= 0)
            close(file);
        if (got <= 0)
            continue;
        stat[got] = 0;
        if (sscanf(stat, "%*d (%63[^)]) %c", name, &state) != 2 || state == 'Z')
            continue;
        count++;
        if (print)
            printf("left behind: process %d, %s\n", (int)pid, name);
    }
    if (processes)
        closedir(processes);
    return count;
}

int world_expect_empty(void **state)
{
    (void)state;
    int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    while (others(false) > 0 && harness_monotonic_ns() < end)
        harness_sleep_ms(10);
    return others(true) ? 1 : 0;
}
