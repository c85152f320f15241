/*
 * follower_test.c - who follows a group: one at a time, a dead one's place is taken, and
 * whoever recovers gets it back.
 */
#include "engine/follower.h"

#include "victim.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *journal_path_here(void)
{
    return harness_format("%s/follower.db", harness_home());
}

static struct skew_engine *engine_start(const char *path)
{
    struct skew_engine_options options = {.journal_path = path};
    struct skew_engine *engine;
    struct skew_error error = {0};
    if (skew_engine_open(&options, &engine, &error) != SKEW_OK)
        fail_msg("%s", error.message);
    return engine;
}

static int64_t group_make(struct skew_engine *engine)
{
    struct journal_group group = {.selectors = "tree:1", .skew = {.clocks = 1, .offset_ns = 1}};
    struct journal_error error = {0};
    struct skew_error world = {0};
    assert_int_equal(target_world_read(group.boot_id, &group.pid_namespace, &world), SKEW_OK);
    if (journal_group_plan(engine->journal, &group, &error) != JOURNAL_OK ||
        journal_group_advance(engine->journal, group.id, JOURNAL_GROUP_ACTIVE, &error) !=
            JOURNAL_OK)
        fail_msg("%s", error.message);
    return group.id;
}

static struct journal_group group_now(struct skew_engine *engine, int64_t id)
{
    struct journal_group group;
    struct journal_error error = {0};
    assert_int_equal(journal_group_get(engine->journal, id, &group, &error), JOURNAL_OK);
    return group;
}

/*
 * Another process that claims the group, says "c" or "r" for refused, and follows until told
 * to end; its status is then 0, or 100 plus the signal that came.
 */
struct other {
    pid_t pid;
    int said;
};

static _Noreturn void follow_as_other(const char *path, int64_t group, int say)
{
    struct skew_engine_options options = {.journal_path = path};
    struct skew_engine *engine;
    struct skew_error error = {0};
    struct follower follower;
    struct journal_group now;
    enum skew_code code;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (skew_engine_open(&options, &engine, &error) != SKEW_OK)
        _exit(1);
    code = follower_claim(engine, group, &follower, &error);
    dprintf(say, code == SKEW_OK ? "c" : code == SKEW_REFUSED ? "r" : "f");
    if (code != SKEW_OK)
        _exit(2);
    while (follower_check(engine, &follower, &now, &code, &error)) {
        struct pollfd signals = {.fd = follower.signals, .events = POLLIN};
        if (poll(&signals, 1, HARNESS_DEADLINE_MS) <= 0)
            _exit(3);
    }
    follower_release(engine, &follower);
    /* One more, late: it must not matter. */
    raise(SIGUSR1);
    _exit(code != SKEW_OK ? 4 : follower.signal ? 100 + follower.signal : 0);
}

static struct other other_start(const char *path, int64_t group, char expected)
{
    int ends[2];
    char said = '?';
    assert_int_equal(pipe(ends), 0);
    struct other other = {.pid = fork()};
    if (other.pid == 0)
        follow_as_other(path, group, ends[1]);
    close(ends[1]);
    struct pollfd readable = {.fd = ends[0], .events = POLLIN};
    assert_int_equal(poll(&readable, 1, HARNESS_DEADLINE_MS), 1);
    assert_int_equal(read(ends[0], &said, 1), 1);
    close(ends[0]);
    assert_int_equal(said, expected);
    return other;
}

static int other_wait(struct other other)
{
    int status = 0;
    for (int waited = 0; waited < HARNESS_DEADLINE_MS; waited += 10) {
        if (waitpid(other.pid, &status, WNOHANG) == other.pid)
            return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
        harness_sleep_ms(10);
    }
    kill(other.pid, SIGKILL);
    waitpid(other.pid, NULL, 0);
    fail_msg("the follower does not end");
    return -1;
}

static void one_follows_at_a_time(void **state)
{
    (void)state;
    const char *path = journal_path_here();
    struct skew_engine *engine = engine_start(path);
    int64_t group = group_make(engine);
    struct other first = other_start(path, group, 'c');
    struct other second = other_start(path, group, 'r');
    assert_int_equal(other_wait(second), 2);
    bool alive;
    struct skew_error error = {0};
    struct journal_group now = group_now(engine, group);
    assert_int_equal(now.follower.pid, first.pid);
    assert_int_equal(follower_alive(&now, &alive, &error), SKEW_OK);
    assert_true(alive);
    kill(first.pid, SIGTERM);
    assert_int_equal(other_wait(first), 100 + SIGTERM);
    assert_int_equal(group_now(engine, group).follower.pid, 0);
    assert_int_equal(group_now(engine, group).phase, JOURNAL_GROUP_ACTIVE);
    skew_engine_close(engine);
}

static void a_dead_one_is_no_obstacle(void **state)
{
    (void)state;
    const char *path = journal_path_here();
    struct skew_engine *engine = engine_start(path);
    int64_t group = group_make(engine);
    struct other killed = other_start(path, group, 'c');
    kill(killed.pid, SIGKILL);
    /* Dead but not reaped: it follows no more. */
    struct pollfd none = {.fd = -1};
    poll(&none, 1, 50);
    struct other next = other_start(path, group, 'c');
    assert_int_equal(other_wait(killed), -SIGKILL);
    assert_int_equal(group_now(engine, group).follower.pid, next.pid);
    kill(next.pid, SIGKILL);
    assert_int_equal(other_wait(next), -SIGKILL);
    struct skew_error error = {0};
    assert_int_equal(follower_dismiss(engine, group, &error), SKEW_OK);
    assert_int_equal(group_now(engine, group).phase, JOURNAL_GROUP_RECOVERING);
    skew_engine_close(engine);
}

static void it_lets_go_for_a_recover(void **state)
{
    (void)state;
    const char *path = journal_path_here();
    struct skew_engine *engine = engine_start(path);
    int64_t group = group_make(engine);
    struct other follower = other_start(path, group, 'c');
    struct skew_error error = {0};
    int64_t before = harness_monotonic_ns();
    if (follower_dismiss(engine, group, &error) != SKEW_OK)
        fail_msg("%s", error.message);
    int64_t taken = harness_monotonic_ns() - before;
    struct journal_group now = group_now(engine, group);
    assert_int_equal(now.follower.pid, 0);
    assert_int_equal(now.phase, JOURNAL_GROUP_RECOVERING);
    assert_int_equal(other_wait(follower), 0);
    /* Woken, not found out by its own looking. */
    assert_true(taken < HARNESS_DEADLINE_MS * INT64_C(1000000) / 2);
    assert_int_equal(other_wait(other_start(path, group, 'r')), 2);
    assert_int_equal(follower_dismiss(engine, group, &error), SKEW_OK);
    skew_engine_close(engine);
}

/* The number of the follower that died belongs to another process now, which is left alone. */
static void a_stranger_with_its_number_is_left_alone(void **state)
{
    (void)state;
    const char *path = journal_path_here();
    struct skew_engine *engine = engine_start(path);
    int64_t group = group_make(engine);
    struct child *stranger = victim_start("idle", NULL);
    struct journal_follower nobody = {0}, dead = {.pid = stranger->pid, .start_time = 1};
    struct journal_error journal_error = {0};
    assert_int_equal(
        journal_group_set_follower(engine->journal, group, &nobody, &dead, &journal_error),
        JOURNAL_OK);
    struct other next = other_start(path, group, 'c');
    kill(next.pid, SIGKILL);
    assert_int_equal(other_wait(next), -SIGKILL);
    struct journal_follower last = group_now(engine, group).follower;
    assert_int_equal(
        journal_group_set_follower(engine->journal, group, &last, &dead, &journal_error),
        JOURNAL_OK);
    struct skew_error error = {0};
    assert_int_equal(follower_dismiss(engine, group, &error), SKEW_OK);
    victim_check(stranger);
    skew_engine_close(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(one_follows_at_a_time),
        harness_test(a_dead_one_is_no_obstacle),
        harness_test(it_lets_go_for_a_recover),
        harness_test(a_stranger_with_its_number_is_left_alone),
    };
    return cmocka_run_group_tests_name("follower", tests, NULL, NULL);
}
