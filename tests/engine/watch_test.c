/*
 * watch_test.c - following a group from outside: who is born, execs or joins gets the
 * group's skew, whoever follows it may die, and others work on the group meanwhile.
 */
#include "engine/skewctl.h"
#include "engine/target.h"
#include "journal/groups.h"

#include "apart.h"
#include "cgroup_place.h"
#include "observe.h"
#include "victim.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HOUR INT64_C(3600000000000)

/* What a follower says, in memory that the test shares with it. */
struct said {
    int ready; /* 1 told by the kernel, 2 by polling */
    int injected, refused;
    int64_t after_ns[256]; /* of each injected */
    char refusal[420];
};
struct following {
    pid_t pid;
    struct said *said;
};

static bool polling; /* how the tests are run now */

static const char *journal_here(void)
{
    return harness_format("%s/watch.db", harness_home());
}

static struct skew_engine *engine_start(void)
{
    struct skew_engine_options options = {.journal_path = journal_here()};
    struct skew_engine *engine;
    struct skew_error error = {0};
    if (skew_engine_open(&options, &engine, &error) != SKEW_OK)
        fail_msg("%s", error.message);
    return engine;
}

static struct journal *journal_start(void)
{
    struct journal *journal;
    struct journal_error error = {0};
    if (journal_open(journal_here(), &journal, &error) != JOURNAL_OK)
        fail_msg("%s", error.message);
    return journal;
}

static struct journal_group group_now(int64_t id)
{
    struct journal *journal = journal_start();
    struct journal_group group;
    struct journal_error error = {0};
    assert_int_equal(journal_group_get(journal, id, &group, &error), JOURNAL_OK);
    journal_close(journal);
    return group;
}

/* A group with one member. */
static int64_t group_make(pid_t member, const char *selectors)
{
    struct skew_engine *engine = engine_start();
    struct skew_request request = {.offset_ns = -HOUR};
    struct skew_report report;
    struct journal_group group = {.skew = {.clocks = skew_clocks_default(), .offset_ns = -HOUR}};
    struct journal_error error = {0};
    struct skew_error failed = {0};
    struct journal *journal = journal_start();
    snprintf(group.selectors, sizeof group.selectors, "%s", selectors);
    assert_int_equal(target_world_read(group.boot_id, &group.pid_namespace, &failed), SKEW_OK);
    if (journal_group_plan(journal, &group, &error) != JOURNAL_OK)
        fail_msg("%s", error.message);
    if (skew_inject(engine, member, &request, &report, &failed) != SKEW_OK)
        fail_msg("%s", failed.message);
    if (journal_group_join(journal, group.id, report.id, &error) != JOURNAL_OK ||
        journal_group_advance(journal, group.id, JOURNAL_GROUP_ACTIVE, &error) != JOURNAL_OK)
        fail_msg("%s", error.message);
    journal_close(journal);
    skew_engine_close(engine);
    return group.id;
}

static void say_ready(void *context, enum skew_follow_way way)
{
    struct said *said = context;
    said->ready = way == SKEW_FOLLOWS_TOLD ? 1 : 2;
}

static void say_injected(void *context, const struct skew_report *report, int64_t after_ns)
{
    struct said *said = context;
    (void)report;
    said->after_ns[said->injected++ % 256] = after_ns;
}

static void say_refused(void *context, const struct skew_report *report,
                        const struct skew_error *error)
{
    struct said *said = context;
    snprintf(said->refusal, sizeof said->refusal, "%d %s: %s", report->pid, report->command,
             error->message);
    said->refused++;
}

static _Noreturn void follow_as_other(const char *path, int64_t group, struct said *said)
{
    struct skew_engine_options options = {.journal_path = path};
    struct skew_engine *engine;
    struct skew_error error = {0};
    struct skew_follow how = {
        .ready = say_ready, .injected = say_injected, .refused = say_refused, .context = said};
    enum skew_follow_end end;
    int signal;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    enum skew_code code = skew_engine_open(&options, &engine, &error);
    if (code == SKEW_OK)
        code = skew_notices_open(polling, &how.notices, &error);
    if (code == SKEW_OK)
        code = skew_follow(engine, group, &how, &end, &signal, &error);
    if (code != SKEW_OK)
        dprintf(STDERR_FILENO, "%s\n", error.message);
    _exit(code != SKEW_OK ? 50 + (int)code : (int)end * 10);
}

static struct following follow(int64_t group)
{
    struct following following = {.said = apart_memory(sizeof *following.said)};
    const char *path = journal_here();
    following.pid = fork();
    if (following.pid == 0)
        follow_as_other(path, group, following.said);
    for (int waited = 0; *(volatile int *)&following.said->ready == 0; waited++) {
        assert_true(waited < HARNESS_DEADLINE_MS);
        harness_sleep_ms(1);
    }
    if (following.said->ready == 2 && !polling) {
        kill(following.pid, SIGKILL);
        waitpid(following.pid, NULL, 0);
        harness_skip("the kernel does not tell this process of others");
    }
    return following;
}

/* The exit status, or minus the signal. */
static int following_wait(const struct following *following)
{
    int status;
    for (int waited = 0; waited < HARNESS_DEADLINE_MS; waited += 5) {
        if (waitpid(following->pid, &status, WNOHANG) == following->pid)
            return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
        harness_sleep_ms(5);
    }
    kill(following->pid, SIGKILL);
    waitpid(following->pid, NULL, 0);
    fail_msg("the follower does not end");
    return -1;
}

static int following_end(const struct following *following, int signal)
{
    kill(following->pid, signal);
    return following_wait(following);
}

/* By its functions: what lies behind them is used by each remote call. */
static bool is_skewed(pid_t pid)
{
    struct vdso own = observe_vdso_own();
    struct vdso now = observe_vdso(pid);
    size_t used = own.size;
    while (used > 0 && own.bytes[used - 1] == 0)
        used--;
    return now.size == own.size && memcmp(now.bytes, own.bytes, used) != 0;
}

static void await_skewed(pid_t pid)
{
    struct keep *mark = harness_mark();
    for (int waited = 0; !is_skewed(pid); waited++) {
        if (waited == HARNESS_DEADLINE_MS)
            fail_msg("process %d is not skewed", pid);
        harness_release(mark);
        harness_sleep_ms(1);
        mark = harness_mark();
    }
    /* The readback, with which an inject ends. */
    for (int waited = 0; strcmp(observe_status(pid, pid, "TracerPid"), "0") != 0; waited++) {
        assert_true(waited < HARNESS_DEADLINE_MS);
        harness_sleep_ms(1);
    }
}

static struct child *shell_start(void)
{
    struct child *shell = child_start((const char *const[]){"bash", NULL}, NULL);
    assert_string_equal(child_ask(shell, "echo here"), "here");
    return shell;
}

/* Seconds by which a new program that the shell starts is off, once it is skewed. */
static long program_of(struct child *shell)
{
    pid_t pid = atoi(child_ask(shell, "bash -c 'echo $$; read x; printf \"%(%s)T\\n\" -1'"));
    await_skewed(pid);
    long said = atol(child_ask(shell, "go"));
    return said - (long)time(NULL);
}

static void assert_offset(long seconds, long wanted)
{
    if (seconds < wanted - 2 || seconds > wanted)
        fail_msg("off by %ld s rather than %ld s", seconds, wanted);
}

static int times_compare(const void *one, const void *other)
{
    int64_t a = *(const int64_t *)one, b = *(const int64_t *)other;
    return (a > b) - (a < b);
}

/* Not asserted: the tests may share the machine. */
static void times_print(struct said *said)
{
    int count = said->injected;
    qsort(said->after_ns, (size_t)count, sizeof *said->after_ns, times_compare);
    int64_t median = said->after_ns[count / 2];
    printf("from exec to skewed, %s: median %.2f ms, longest of %d %.2f ms\n",
           polling ? "by polling" : "by the connector", (double)median / 1e6, count,
           (double)said->after_ns[count - 1] / 1e6);
}

static void a_shell_that_starts_programs(void **state)
{
    (void)state;
    enum { PROGRAMS = 20 };
    struct child *shell = shell_start();
    int64_t group = group_make(shell->pid, harness_format("tree:%d", shell->pid));
    struct following following = follow(group);
    for (int i = 0; i < PROGRAMS; i++)
        assert_offset(program_of(shell), -3600);
    assert_string_equal(child_ask(shell, "echo still here"), "still here");
    assert_int_equal(following.said->refused, 0);
    /* One that exits right after it was skewed may not be told of. */
    assert_true(following.said->injected > PROGRAMS / 2 && following.said->injected < 256);
    times_print(following.said);
    /* With its last member the group ends. */
    child_kill(shell);
    assert_int_equal(following_wait(&following), SKEW_FOLLOW_ALONE * 10);
    assert_int_equal(group_now(group).phase, JOURNAL_GROUP_ENDED);
    assert_int_equal(group_now(group).follower.pid, 0);
}

static void forked_children_inherit(void **state)
{
    (void)state;
    struct child *server = victim_start("idle", NULL);
    int64_t group = group_make(server->pid, harness_format("tree:%d", server->pid));
    struct following following = follow(group);
    for (int i = 0; i < 10; i++) {
        pid_t worker = (pid_t)atoi(child_ask(server, "spawn") + 3);
        assert_true(is_skewed(worker));
        kill(worker, SIGKILL);
    }
    /* None of them was injected; a child of vfork(2) is once it execs. */
    assert_int_equal(following.said->injected, 0);
    pid_t program = (pid_t)atoi(child_ask(server, "vfork") + 3);
    await_skewed(program);
    assert_string_equal(child_ask(server, "exec"), "ready");
    await_skewed(server->pid);
    assert_int_equal(following.said->refused, 0);
    assert_int_equal(following_end(&following, SIGTERM), SKEW_FOLLOW_SIGNAL * 10);
    /* It stays as it is, followed by nobody. */
    assert_true(is_skewed(program) && is_skewed(server->pid));
    assert_int_equal(group_now(group).phase, JOURNAL_GROUP_ACTIVE);
    assert_int_equal(group_now(group).follower.pid, 0);
}

static void taken_over_after_its_death(void **state)
{
    (void)state;
    struct child *shell = shell_start();
    int64_t group = group_make(shell->pid, harness_format("tree:%d", shell->pid));
    struct following following = follow(group);
    assert_offset(program_of(shell), -3600);
    assert_int_equal(following_end(&following, SIGKILL), -SIGKILL);
    pid_t meanwhile = atoi(child_ask(shell, "sleep 1000 & echo $!"));
    harness_sleep_ms(20);
    assert_false(is_skewed(meanwhile));
    struct following next = follow(group);
    await_skewed(meanwhile);
    assert_offset(program_of(shell), -3600);
    assert_int_equal(following_end(&next, SIGINT), SKEW_FOLLOW_SIGNAL * 10);
    kill(meanwhile, SIGKILL);
}

static void another_changes_the_skew(void **state)
{
    (void)state;
    struct child *shell = shell_start();
    int64_t group = group_make(shell->pid, harness_format("tree:%d", shell->pid));
    struct following following = follow(group);
    struct journal *journal = journal_start();
    struct journal_error error = {0};
    assert_offset(program_of(shell), -3600);
    assert_int_equal(journal_group_set_skew(journal, group,
                                            &(struct journal_skew){.offset_ns = 2 * HOUR,
                                                                   .clocks = skew_clocks_default()},
                                            &error),
                     JOURNAL_OK);
    assert_offset(program_of(shell), 7200);
    journal_close(journal);
    assert_int_equal(following_end(&following, SIGTERM), SKEW_FOLLOW_SIGNAL * 10);
}

/* Most are gone before anything can be done. */
static void a_storm_of_short_programs(void **state)
{
    (void)state;
    struct child *shell = shell_start();
    int64_t group = group_make(shell->pid, harness_format("tree:%d", shell->pid));
    struct following following = follow(group);
    assert_string_equal(child_ask(shell, "for i in {1..200}; do /bin/true; done; echo done"),
                        "done");
    assert_offset(program_of(shell), -3600);
    if (following.said->refused != 0)
        fail_msg("%s", following.said->refusal);
    observe_untraced(shell->pid);
    assert_int_equal(following_end(&following, SIGTERM), SKEW_FOLLOW_SIGNAL * 10);
}

/* As docker exec does: a process of the outside enters the pid namespace and execs. */
static void a_process_that_enters_a_namespace(void **state)
{
    (void)state;
    struct child *container =
        child_start((const char *const[]){"unshare", "--pid", "--fork", "--kill-child",
                                          "--mount-proc", "sh", "-c", "echo here; read x", NULL},
                    NULL);
    struct run run;
    assert_string_equal(child_line(container, HARNESS_DEADLINE_MS), "here");
    run = program_run(
        (const char *const[]){"pgrep", "-P", harness_format("%d", container->pid), NULL}, NULL,
        HARNESS_DEADLINE_MS);
    pid_t init = atoi(run.out);
    assert_true(init > 0);
    int64_t group = group_make(init, harness_format("pidns:%d", init));
    struct following following = follow(group);
    struct child *entered = child_start(
        (const char *const[]){"nsenter", "-t", harness_format("%d", init), "-p", "-m", "bash", "-c",
                              "echo here; read x; printf \"%(%s)T\\n\" -1; read x", NULL},
        NULL);
    assert_string_equal(child_line(entered, HARNESS_DEADLINE_MS), "here");
    run =
        program_run((const char *const[]){"pgrep", "-P", harness_format("%d", entered->pid), NULL},
                    NULL, HARNESS_DEADLINE_MS);
    await_skewed(atoi(run.out));
    assert_offset(atol(child_ask(entered, "go")) - (long)time(NULL), -3600);
    /* nsenter itself stays outside. */
    assert_false(is_skewed(entered->pid));
    child_kill(container);
    child_kill(entered);
    assert_int_equal(following_wait(&following), SKEW_FOLLOW_ALONE * 10);
}

static void a_process_that_is_moved_into_a_cgroup(void **state)
{
    (void)state;
    struct child *first = victim_start("idle", NULL), *second = victim_start("idle", NULL);
    const char *path = cgroup_place_make(first->pid);
    struct following following = follow(group_make(first->pid, harness_format("cgroup:%s", path)));
    harness_sleep_ms(20);
    assert_false(is_skewed(second->pid));
    /* Nothing tells of this: it is found. */
    assert_true(cgroup_place_enter(path, second->pid));
    await_skewed(second->pid);
    child_kill(first);
    child_kill(second);
    int status = following_wait(&following);
    cgroup_place_remove();
    assert_int_equal(status, SKEW_FOLLOW_ALONE * 10);
}

static int by_polling(void **state)
{
    (void)state;
    polling = true;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(a_shell_that_starts_programs),
        harness_test(forked_children_inherit),
        harness_test(taken_over_after_its_death),
        harness_test(another_changes_the_skew),
        harness_test(a_storm_of_short_programs),
        harness_test(a_process_that_enters_a_namespace),
        harness_test(a_process_that_is_moved_into_a_cgroup),
    };
    int failed = cmocka_run_group_tests_name("watch, told by the kernel", tests, NULL, NULL);
    return failed + cmocka_run_group_tests_name("watch, by polling", tests, by_polling, NULL);
}
