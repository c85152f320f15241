/* See runtime.h. */
#include "runtime.h"

#include "command.h"
#include "victim.h"
#include "world.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORDS_MAX 64
#define IMAGE     "localhost/clocks:1"
#define ROOT      WORLD_FOLDER "/root"
#define BUNDLES   WORLD_FOLDER "/bundles"
#define ARCHIVE   WORLD_FOLDER "/root.tar"

/*
 * In these lists %n stands for the container's name, %u for the user within it and
 * %c for the cgroup of this world; callers other than root have no cgroups, so for
 * them words with %c are left out. A word with %d is left out where capabilities are the
 * default ones.
 */
#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* skewctl and its libraries are lent by the host; capabilities, image and program follow. */
#define DEBUG(...)                                                                                 \
    WORDS(__VA_ARGS__, "run", "-i", "--rm", "--network", "none", "--read-only", "--pid",           \
          "container:%n", "--cgroup-parent=%c", "--tmpfs", "/run:mode=1777", "-v", "/usr:/usr:ro", \
          "-v", "/lib:/lib:ro", "-v", "/lib64:/lib64:ro", "-v",                                    \
          WORLD_FOLDER "/skewctl:/skewctl:ro")

#define PODMAN(RUNTIME)                                                                            \
    .programs = WORDS("podman", RUNTIME, "newuidmap"),                                             \
    .import = WORDS("podman", "import", ARCHIVE, IMAGE),                                           \
    .run = WORDS("podman", "--runtime", RUNTIME, "run", "-i", "--name", "%n", "--network", "none", \
                 "--read-only", "%d--cap-drop=ALL", "--user", "%u", "--cgroup-parent=%c", IMAGE),  \
    .debug = DEBUG("podman", "--runtime", RUNTIME),                                                \
    .execute = WORDS("podman", "--runtime", RUNTIME, "exec", "-i", "%n"),                          \
    .remove = WORDS("podman", "--runtime", RUNTIME, "rm", "-f", "%n"),                             \
    .list = WORDS("podman", "--runtime", RUNTIME, "ps", "-q"),                                     \
    .inspect = WORDS("podman", "--runtime", RUNTIME, "inspect", "%n"),                             \
    .pid_filter = ".[0].State.Pid", .id_filter = ".[0].Id",                                        \
    .finish = WORDS("podman", "system", "migrate"), .rootless = true, .seccomp = true,             \
    .capabilities = "00000000800405fb"

#define BUNDLE(RUNTIME)                                                                            \
    .programs = WORDS(RUNTIME, "runc"),                                                            \
    .run = WORDS(RUNTIME, "run", "--bundle", BUNDLES "/%n", "%n"),                                 \
    .execute = WORDS(RUNTIME, "exec", "%n"), .remove = WORDS(RUNTIME, "delete", "--force", "%n"),  \
    .list = WORDS(RUNTIME, "list", "-q"), .inspect = WORDS(RUNTIME, "state", "%n"),                \
    .pid_filter = ".pid", .bundle = true, .rootless = true

static const struct runtime runtimes[] = {
    {.name = "runc", BUNDLE("runc")},
    {.name = "crun", BUNDLE("crun")},
    {.name = "podman", PODMAN("runc")},
    {.name = "podman_crun", PODMAN("crun")},
    {
        .name = "docker",
        .programs = WORDS("dockerd", "docker"),
        /* Without CAP_SYS_RESOURCE the limits that it would set cannot be had. */
        .daemon = WORDS("dockerd", "--bridge=none", "--iptables=false", "--ip6tables=false",
                        "--ip-forward=false", "--ip-masq=false", "--log-level=error",
                        "--default-ulimit", "nofile=1024:1024"),
        .ask = WORDS("docker", "version"),
        .import = WORDS("docker", "import", ARCHIVE, IMAGE),
        .run = WORDS("docker", "run", "-i", "--name", "%n", "--network", "none", "--read-only",
                     "%d--cap-drop=ALL", "--user", "%u", "--cgroup-parent=%c", IMAGE),
        .debug = DEBUG("docker"),
        .execute = WORDS("docker", "exec", "-i", "%n"),
        .remove = WORDS("docker", "rm", "-f", "%n"),
        .list = WORDS("docker", "ps", "-q"),
        .inspect = WORDS("docker", "inspect", "%n"),
        .pid_filter = ".[0].State.Pid",
        .id_filter = ".[0].Id",
        .seccomp = true,
        .capabilities = "00000000a80425fb",
    },
    {
        .name = "containerd",
        .programs = WORDS("containerd", "ctr"),
        .daemon = WORDS("containerd", "--log-level", "error"),
        .ask = WORDS("ctr", "version"),
        .run = WORDS("ctr", "run", "--rootfs", "--read-only", "--seccomp", "--cgroup=%c/%n", ROOT,
                     "%n"),
        .execute = WORDS("ctr", "task", "exec", "--exec-id", "executed", "%n"),
        .remove = WORDS("ctr", "container", "rm", "%n"),
        .list = WORDS("ctr", "task", "ls", "-q"),
        /* ctr tells it only in a table. */
        .inspect =
            WORDS("cat", "/run/containerd/io.containerd.runtime.v2.task/default/%n/init.pid"),
        .pid_filter = ".",
        .seccomp = true,
        .capabilities = "00000000a80425fb",
        .always_capable = true,
    },
};

const struct runtime *runtime_find(const char *name)
{
    for (size_t i = 0; i < sizeof runtimes / sizeof *runtimes; i++)
        if (strcmp(runtimes[i].name, name) == 0)
            return &runtimes[i];
    fail_msg("no runtime is called %s", name);
    return NULL;
}

/* One word with what %n and %c stand for; NULL where it is to be left out. */
static const char *word_fill(const char *word, const struct container *container)
{
    const char *text = "";
    for (const char *mark; (mark = strchr(word, '%')) != NULL; word = mark + 2) {
        if ((mark[1] == 'c' && container->user != 0) || (mark[1] == 'd' && container->capable))
            return NULL;
        const char *filling = mark[1] == 'c'   ? world_cgroup()
                              : mark[1] == 'u' ? harness_format("%u", container->inside)
                              : mark[1] == 'n' ? container->name
                                               : "";
        text = harness_format("%s%.*s%s", text, (int)(mark - word), word, filling);
    }
    return harness_format("%s%s", text, word);
}

/* The words of a list, then those of a command, as that user would type them. */
static const char *const *line(const char *const *list, const struct container *container,
                               const char *const *command)
{
    const char **words = harness_memory((WORDS_MAX + 1) * sizeof *words);
    const char *const *parts[] = {
        container->user ? WORDS("env", "--chdir=" WORLD_USER_HOME, "HOME=" WORLD_USER_HOME,
                                "XDG_RUNTIME_DIR=" WORLD_USER_RUNDIR)
                        : NULL,
        list,
        command,
    };
    size_t count = 0;
    for (size_t part = 0; part < 3; part++) {
        for (const char *const *word = parts[part]; word && *word; word++) {
            const char *filled = part == 1 ? word_fill(*word, container) : *word;
            if (count == WORDS_MAX)
                fail_msg("too many words");
            if (filled)
                words[count++] = filled;
        }
    }
    return words;
}

/* Runs it to its end, which must be a good one; returns what it printed. */
static const char *say(const char *const *list, const struct container *container)
{
    struct run run = program_run(line(list, container, NULL),
                                 &(struct start){.user = container->user}, HARNESS_DEADLINE_MS);
    run_expect(&run, 0);
    return run.out;
}

const char *runtime_missing(const struct runtime *runtime)
{
    for (const char *const *program = runtime->programs; *program; program++)
        if (!harness_program(*program))
            return *program;
    return harness_program("busybox") ? NULL : "busybox";
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0)
        fail_msg("%s: %s", path, strerror(errno));
}

/* Starts it and waits until it says so. */
static struct child *begin(const char *const *list, const struct container *container,
                           const char *const *command)
{
    struct child *child =
        child_start(line(list, container, command), &(struct start){.user = container->user});
    assert_string_equal(child_line(child, HARNESS_DEADLINE_MS), "ready");
    return child;
}

/* As that user. */
static void shell(const char *script, uid_t user)
{
    say(WORDS("sh", "-ec", script), &(struct container){.user = user});
}

void runtimes_prepare(void)
{
    const char *reader = victim_path("clock_reader_musl");
    if (!reader)
        fail_msg("there is no static program to run: it takes musl-gcc to build");
    shell(harness_format(
              "mkdir -p " BUNDLES " " ROOT "/bin /etc/containers; chmod 1777 " BUNDLES "; cd " ROOT
              "; mkdir -p dev etc proc sys tmp;"
              "cp $(command -v busybox) bin; ln -sf busybox bin/awk; ln -sf busybox bin/sh;"
              "cp %s bin/clock_reader; tar -cf " ARCHIVE " .; cp %s " WORLD_FOLDER "/skewctl",
              reader, skewctl_path()),
          0);
    /* Neither systemd nor the right to raise limits (CAP_SYS_RESOURCE) is needed. */
    write_text("/etc/containers/containers.conf",
               "[containers]\n"
               "default_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n"
               "[engine]\n"
               "cgroup_manager = \"cgroupfs\"\n"
               "events_logger = \"file\"\n");
}

struct child *runtime_start(const struct runtime *runtime, uid_t user)
{
    struct child *daemon = NULL;
    if (runtime->daemon) {
        daemon = child_start(runtime->daemon, NULL);
        int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
        while (program_run(runtime->ask, NULL, HARNESS_DEADLINE_MS).code != 0) {
            if (!child_alive(daemon) || harness_monotonic_ns() > end)
                fail_msg("%s does not answer", runtime->name);
            harness_sleep_ms(50);
        }
    }
    if (runtime->import)
        say(runtime->import, &(struct container){.user = user});
    return daemon;
}

void runtime_stop(const struct runtime *runtime, uid_t user, struct child *daemon)
{
    if (runtime->finish && user != 0)
        say(runtime->finish, &(struct container){.user = user});
    if (!daemon)
        return;
    assert_int_equal(kill(daemon->pid, SIGTERM), 0);
    child_wait(daemon, HARNESS_DEADLINE_MS);
}

static void bundle_make(const struct container *container)
{
    const char *folder = harness_format(BUNDLES "/%s", container->name);
    const char *filter = harness_format(
        "%s|.process.args=[\"/bin/clock_reader\",\"2\",\"1000\"]|.process.terminal=false"
        "|.process.rlimits=[]|.process.capabilities={}|.process.noNewPrivileges=true"
        "|.root={path:\"" ROOT "\",readonly:true}",
        container->user ? "."
                        : harness_format(".linux.cgroupsPath=\"%s/%s\"|.process.user.uid=%u",
                                         world_cgroup(), container->name, container->inside));
    const char *rootless = container->user ? "--rootless" : "";
    shell(harness_format("mkdir %s; cd %s; runc spec %s; jq '%s' config.json >changed;"
                         "mv changed config.json",
                         folder, folder, rootless, filter),
          container->user);
}

struct container *container_start(const struct runtime *runtime, uid_t user, uid_t inside,
                                  bool capable, const char *name)
{
    struct container *container = harness_memory(sizeof *container);
    *container = (struct container){
        .runtime = runtime, .user = user, .inside = inside, .capable = capable, .name = name};
    const char *const *command = WORDS("/bin/clock_reader", "2", "1000");
    if (runtime->bundle) {
        bundle_make(container);
        command = NULL;
    }
    container->first = begin(runtime->run, container, command);
    const char *facts = say(runtime->inspect, container);
    container->pid = atoi(json_query(facts, runtime->pid_filter));
    if (user == 0) {
        const char *listed = say(runtime->list, container);
        container->id = runtime->id_filter ? json_query(facts, runtime->id_filter) : name;
        container->listed = harness_format("%.*s", (int)strcspn(listed, "\n"), listed);
    }
    return container;
}

struct child *container_execute(const struct container *container)
{
    return begin(container->runtime->execute, container,
                 WORDS("/bin/awk", "BEGIN { print \"ready\"; fflush() }"
                                   "/end/ { exit } { print systime(); fflush() }"));
}

struct child *container_debug(const struct container *container, const struct debug *debug)
{
    const char *command[WORDS_MAX] = {"--cap-drop", "ALL", "--user",
                                      harness_format("%u", debug->user)};
    size_t count = 4;
    for (size_t i = 0; debug->capabilities[i]; i++) {
        command[count++] = "--cap-add";
        command[count++] = debug->capabilities[i];
    }
    if (debug->unconfined) {
        command[count++] = "--security-opt";
        command[count++] = "seccomp=unconfined";
    }
    static const char *const shell[] = {IMAGE, "/bin/sh", "-c",
                                        "busybox mkdir -m 700 " CONTAINER_OWN
                                        " && echo ready && exec /bin/sh"};
    memcpy(command + count, shell, sizeof shell);
    return begin(container->runtime->debug, container, command);
}

void container_stop(struct container *container)
{
    child_send(container->first, "quit");
    assert_int_equal(child_wait(container->first, HARNESS_DEADLINE_MS), 0);
    say(container->runtime->remove, container);
}
