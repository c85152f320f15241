/*
 * inherited_test.c - forked children carry their parent's skew: list shows them,
 * update and recover reach them, also when the parent is dead, also when they were
 * forked in the middle of it.
 */
#include "command.h"
#include "family.h"
#include "observe.h"
#include "traced.h"
#include "victim.h"

#include <string.h>
#include <unistd.h>

#define MINUTE  INT64_C(60000000000)
#define EARLIER (-5 * MINUTE)
#define LATER   (90 * MINUTE)

/* At which of the ptrace(2) calls of a skewctl a child is forked: every so many. */
#define STRIDE 5

/* That child, from 0, which is forked where it is not there yet, and has read its clock. */
static pid_t child_of(const struct family *family, int number)
{
    if (atomic_load(&family->board->wanted) <= number)
        atomic_store(&family->board->wanted, number + 1);
    family_await(&family->board->children[number].pid, 1);
    return atomic_load(&family->board->children[number].pid);
}

/* Its next read but one shows that. */
static void child_expect(const struct family *family, int number, int64_t offset_ns)
{
    const struct forks_child *child = &family->board->children[number];
    int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    int64_t due = atomic_load(&child->reads) + 2;
    while (atomic_load(&child->reads) < due) {
        if (harness_monotonic_ns() > end)
            fail_msg("child %d does not get on", child->pid);
        harness_sleep_ms(1);
    }
    assert_int_equal(atomic_load(&child->offset_ns), offset_ns);
}

/* Whatever was ever mapped into it or written to its vDSO is gone. */
static void child_expect_clean(const struct family *family, int number)
{
    struct vdso pristine = observe_vdso_own();
    observe_put_back(atomic_load(&family->board->children[number].pid), family->maps, &pristine);
    child_expect(family, number, 0);
}

static void errors_expect_none(const struct family *family)
{
    assert_int_equal(atomic_load(&family->board->errors), 0);
}

static const char *list(const char *filter)
{
    struct run run = skewctl_run("list", "-o", "json", NULL);
    run_expect(&run, 0);
    return json_query(run.out, filter);
}

static void recover(const char *option, const char *value, int code)
{
    struct run run = skewctl_run("recover", "-o", "json", option, value, NULL);
    run_expect(&run, code);
}

static const char *number(pid_t pid)
{
    return harness_format("%d", pid);
}

static void listed_under_the_parent(void **state)
{
    (void)state;
    struct family family = family_start();
    struct child *idle = victim_start("idle", NULL);
    child_of(&family, 0);
    skewctl_inject(family.pid, "-5m");
    skewctl_inject(idle->pid, "-5m");
    pid_t one = child_of(&family, 1), other = child_of(&family, 2);
    child_expect(&family, 0, 0);
    child_expect(&family, 1, EARLIER);
    assert_string_equal(list("[.injections[].pid] | join(\" \")"),
                        harness_format("%d %d %d %d", family.pid, one, other, idle->pid));
    assert_string_equal(list("[.injections[] | .inherited] | join(\" \")"),
                        "false true true false");
    assert_string_equal(list(".injections[0].id == .injections[1].parent"), "true");
    assert_string_equal(list("[.injections[1] | .id, .skew, .state, .command] | @csv"),
                        ",\"-5m\",\"active\",\"forks\"");
    assert_string_equal(list(".injections[0].parent"), "null");

    struct run table = skewctl_run("list", NULL);
    run_expect(&table, 0);
    assert_non_null(strstr(table.out, "inherited"));
    errors_expect_none(&family);
    skewctl_recover(idle->pid);
    recover("-p", number(family.pid), 0);
    family_end(&family);
}

static void recovered_with_the_parent(void **state)
{
    (void)state;
    struct family family = family_start();
    skewctl_inject(family.pid, "-5m");
    pid_t one = child_of(&family, 0);
    child_expect(&family, 0, EARLIER);
    struct run run = skewctl_run("recover", "-p", number(family.pid), "-o", "json", NULL);
    run_expect(&run, 0);
    assert_string_equal(json_query(run.out, "[.injections[].pid] | join(\" \")"),
                        harness_format("%d %d", family.pid, one));
    assert_string_equal(json_query(run.out, "[.injections[].state] | unique[]"), "recovered");
    child_expect_clean(&family, 0);
    assert_string_equal(list(".injections | length"), "0");
    /* Those forked from now on have nothing to be rid of. */
    child_of(&family, 1);
    child_expect_clean(&family, 1);
    recover("--all", NULL, 0);
    family_end(&family);
}

/* The row of the parent ends, once because it is seen to be gone and once by the recover itself. */
static void recovered_without_the_parent(void **state)
{
    (void)state;
    static const char *const manners[] = {"-p", "--id", "--all", "-p unseen"};
    for (size_t i = 0; i < sizeof manners / sizeof *manners; i++) {
        struct family family = family_start();
        const char *id = json_query(skewctl_inject(family.pid, "-5m"), ".injections[0].id");
        pid_t child = child_of(&family, 0);
        child_kill(family.parent);
        bool unseen = strcmp(manners[i], "-p unseen") == 0;
        if (!unseen) {
            assert_string_equal(list("[.injections[] | .pid, .inherited, .parent] | @csv"),
                                harness_format("%d,true,%s", child, id));
        }
        child_expect(&family, 0, EARLIER);
        if (strcmp(manners[i], "--all") == 0)
            recover("--all", NULL, 0);
        else
            recover(unseen ? "-p" : manners[i],
                    strcmp(manners[i], "--id") ? number(family.pid) : id, 0);
        child_expect_clean(&family, 0);
        assert_string_equal(list(".injections | length"), "0");
        recover("--id", id, 4);
        errors_expect_none(&family);
        family_end(&family);
    }
}

/* As above: the number of the process stays, and what it was is gone. */
static void recovered_after_the_parent_executed_another_program(void **state)
{
    (void)state;
    struct family family = family_start();
    skewctl_inject(family.pid, "-5m");
    child_of(&family, 0);
    assert_string_equal(child_ask(family.parent, "exec"), "ready");
    assert_string_equal(list("[.injections[].inherited] | join(\" \")"), "true");
    recover("-p", number(family.pid), 0);
    child_expect_clean(&family, 0);
    recover("-p", number(family.pid), 4);
    family_end(&family);
}

static void updated_with_the_parent(void **state)
{
    (void)state;
    struct family family = family_start();
    skewctl_inject(family.pid, "-5m");
    pid_t one = child_of(&family, 0);
    skewctl_inject(family.pid, "+1h30m");
    child_expect(&family, 0, LATER);
    assert_string_equal(list("[.injections[].skew] | unique[]"), "1h30m");
    /* It has a row now, and belongs to its parent all the same. */
    assert_string_equal(list("[.injections[] | .pid, .inherited] | @csv"),
                        harness_format("%d,false,%d,true", family.pid, one));
    assert_string_equal(list(".injections[0].id == .injections[1].parent"), "true");
    child_of(&family, 1);
    skewctl_inject(family.pid, "-5m");
    child_expect(&family, 0, EARLIER);
    child_expect(&family, 1, EARLIER);
    recover("-p", number(family.pid), 0);
    child_expect_clean(&family, 0);
    child_expect_clean(&family, 1);
    assert_string_equal(list(".injections | length"), "0");
    errors_expect_none(&family);
    family_end(&family);
}

/* A child can be named like any other process; its sisters stay with the parent. */
static void a_child_alone(void **state)
{
    (void)state;
    struct family family = family_start();
    skewctl_inject(family.pid, "-5m");
    pid_t one = child_of(&family, 0), other = child_of(&family, 1);
    child_of(&family, 2);
    skewctl_recover(one);
    child_expect_clean(&family, 0);
    child_expect(&family, 1, EARLIER);
    skewctl_inject(other, "+1h30m");
    child_expect(&family, 1, LATER);
    child_expect(&family, 2, EARLIER);
    /* An inject of its own makes it independent. */
    skewctl_inject(family.pid, "-5m");
    child_expect(&family, 1, LATER);
    recover("-p", number(family.pid), 0);
    child_expect(&family, 1, LATER);
    child_expect_clean(&family, 2);
    skewctl_recover(other);
    child_expect_clean(&family, 1);
    assert_string_equal(list(".injections | length"), "0");
    errors_expect_none(&family);
    family_end(&family);
}

/* Recovering one by one, whoever comes last takes what is left along. */
static void the_last_injection_of_an_image(void **state)
{
    (void)state;
    struct family family = family_start();
    skewctl_inject(family.pid, "-5m");
    pid_t one = child_of(&family, 0);
    child_of(&family, 1);
    skewctl_inject(one, "+1h30m");
    child_kill(family.parent);
    child_expect(&family, 1, EARLIER);
    skewctl_recover(one);
    child_expect_clean(&family, 0);
    child_expect_clean(&family, 1);
    family_end(&family);
}

static void without_a_journal(void **state)
{
    (void)state;
    struct family family = family_start();
    skewctl_inject(family.pid, "-5m");
    child_of(&family, 0);
    const char *other = harness_format("%s/journal.db", harness_directory(geteuid()));
    struct run run =
        program_run((const char *const[]){skewctl_path(), "recover", "-p", number(family.pid),
                                          "--journal", other, NULL},
                    NULL, HARNESS_DEADLINE_MS);
    run_expect(&run, 0);
    child_expect_clean(&family, 0);
    recover("--all", NULL, 0);
    family_end(&family);
}

static void fork_now(void *context)
{
    const struct family *family = context;
    atomic_fetch_add(&family->board->wanted, 1);
    /* Done at once where it can: but a thread that is held does not get there yet. */
    harness_sleep_ms(10);
}

static void expect_whole_family_clean(const struct family *family)
{
    int forked = atomic_load(&family->board->wanted);
    for (int i = 0; i < forked; i++) {
        child_of(family, i);
        child_expect_clean(family, i);
    }
    struct vdso pristine = observe_vdso_own();
    observe_put_back(family->pid, family->maps, &pristine);
    errors_expect_none(family);
}

/* A child is forked in the middle of that; then the parent is recovered. */
static void forked_in_the_midst(const char *operation)
{
    struct keep *mark = harness_mark();
    int meddled = 0;
    for (long call = 1;; call += STRIDE) {
        struct family family = family_start();
        const char *pid = number(family.pid);
        bool inject = strcmp(operation, "inject") == 0;
        if (!inject)
            skewctl_inject(family.pid, "-5m");
        const char *const *argv = strcmp(operation, "recover") == 0
                                      ? skewctl_arguments("recover", "-p", pid, NULL)
                                      : skewctl_arguments("inject", "-p", pid, "--offset",
                                                          inject ? "-5m" : "+1h30m", NULL);
        struct traced run = meddled_run(argv, call, fork_now, &family);
        if (run.code != 0)
            fail_msg("fork at call %ld: code %d, %s", call, run.code, run.err);
        meddled += run.meddled;
        if (strcmp(operation, "recover") != 0) {
            if (strcmp(operation, "update") == 0 && run.meddled) {
                child_of(&family, 0);
                child_expect(&family, 0, LATER);
            }
            recover("-p", pid, 0);
        }
        expect_whole_family_clean(&family);
        assert_string_equal(list(".injections | length"), "0");
        family_end(&family);
        harness_release(mark);
        if (!run.meddled)
            break;
    }
    assert_true(meddled > 2);
}

static void forked_during_inject(void **state)
{
    (void)state;
    forked_in_the_midst("inject");
}

static void forked_during_update(void **state)
{
    (void)state;
    forked_in_the_midst("update");
}

static void forked_during_recover(void **state)
{
    (void)state;
    forked_in_the_midst("recover");
}

/* skewctl dies, the program forks what it left: recover --crashed clears that away as well. */
static void forked_after_a_death(const char *operation)
{
    struct keep *mark = harness_mark();
    bool killed = true;
    bool inject = strcmp(operation, "inject") == 0;
    for (long point = inject ? 0 : 1; killed; point += inject ? 61 : 211) {
        struct family family = family_start();
        const char *pid = number(family.pid);
        if (!inject)
            skewctl_inject(family.pid, "-5m");
        child_of(&family, 0);
        struct traced run =
            traced_run(inject ? skewctl_arguments("inject", "-p", pid, "--offset", "-5m", NULL)
                              : skewctl_arguments("recover", "-p", pid, NULL),
                       point);
        killed = run.killed;
        child_of(&family, 1);
        recover("--crashed", NULL, 0);
        /* What that found whole it has left alone. */
        recover("--all", NULL, 0);
        expect_whole_family_clean(&family);
        assert_string_equal(list(".injections | length"), "0");
        family_end(&family);
        harness_release(mark);
    }
}

static void forked_after_a_killed_inject(void **state)
{
    (void)state;
    forked_after_a_death("inject");
}

static void forked_after_a_killed_recover(void **state)
{
    (void)state;
    forked_after_a_death("recover");
}

/* Dead between the parent and its children: these are unfinished business. */
static void a_recover_that_ended_early(void **state)
{
    (void)state;
    struct family family = family_start();
    skewctl_inject(family.pid, "-5m");
    child_of(&family, 0);
    long calls =
        traced_run(skewctl_arguments("recover", "-p", number(family.pid), NULL), POINT_NEVER).calls;
    expect_whole_family_clean(&family);
    int left = 0;
    for (long point = calls / 2; point < 2 * calls; point += calls / 10) {
        skewctl_inject(family.pid, "-5m");
        int newest = atomic_load(&family.board->wanted);
        child_of(&family, newest);
        struct traced run =
            traced_run(skewctl_arguments("recover", "-p", number(family.pid), NULL), point);
        assert_true(run.killed);
        left += strcmp(list("[.injections[].inherited] | join(\" \")"), "true") == 0;
        recover("--crashed", NULL, 0);
        recover("--all", NULL, 0);
        expect_whole_family_clean(&family);
    }
    assert_true(left > 0);
    family_end(&family);
}

static void forking_all_the_time(void **state)
{
    (void)state;
    struct family family = family_start();
    atomic_store(&family.board->storm, 6);
    family_await_passing(&family, 20);
    for (int round = 0; round < 8; round++) {
        skewctl_inject(family.pid, "-5m");
        family_await_passing(&family, 20);
        skewctl_inject(family.pid, "+1h30m");
        family_await_passing(&family, 20);
        recover(round % 2 ? "-p" : "--all", round % 2 ? number(family.pid) : NULL, 0);
        family_expect_clean(&family);
        assert_string_equal(list(".injections | length"), "0");
        family_await_passing(&family, 20);
        errors_expect_none(&family);
    }
    victim_check(family.parent);
    atomic_store(&family.board->storm, 0);
    family_end(&family);
}

/* Always another process, and each lives for a few milliseconds only. */
static void a_chain_of_children(void **state)
{
    (void)state;
    struct family family = family_start();
    skewctl_inject(family.pid, "-5m");
    atomic_store(&family.board->chain, 1);
    family_await(&family.board->hops, 5);
    recover("-p", number(family.pid), 0);
    /* It may be another one by the time that it is looked at: so again and again. */
    int hops = atomic_load(&family.board->hops);
    while (atomic_load(&family.board->hops) < hops + 50)
        family_expect_clean(&family);
    atomic_store(&family.board->chain, 0);
    errors_expect_none(&family);
    family_end(&family);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(listed_under_the_parent),
        harness_test(recovered_with_the_parent),
        harness_test(recovered_without_the_parent),
        harness_test(recovered_after_the_parent_executed_another_program),
        harness_test(updated_with_the_parent),
        harness_test(a_child_alone),
        harness_test(the_last_injection_of_an_image),
        harness_test(without_a_journal),
        harness_test(forked_during_inject),
        harness_test(forked_during_update),
        harness_test(forked_during_recover),
        harness_test(forked_after_a_killed_inject),
        harness_test(forked_after_a_killed_recover),
        harness_test(a_recover_that_ended_early),
        harness_test(forking_all_the_time),
        harness_test(a_chain_of_children),
    };
    return cmocka_run_group_tests_name("inherited", tests, NULL, NULL);
}
