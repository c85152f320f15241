/*
 * privilege_test.c - with which rights skewctl does what: as root, as an
 * ordinary user, with single capabilities, and as a program with more rights
 * than its caller (setuid, file capabilities), which must not help the caller.
 */
#include "command.h"
#include "held.h"
#include "observe.h"
#include "victim.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define CALLER 4321
#define OTHER  1234
#define BIT(n) (UINT64_C(1) << (n))

static void need_root(void)
{
    if (geteuid() != 0)
        harness_skip("only root can become another user");
}

/* A copy of a program in a folder of that user, who may then run it. */
static const char *copy_for(uid_t user, const char *program)
{
    const char *copy = harness_format("%s/%s", harness_directory(user), strrchr(program, '/') + 1);
    struct run run =
        program_run((const char *const[]){"cp", program, copy, NULL}, NULL, HARNESS_DEADLINE_MS);
    run_expect(&run, 0);
    assert_int_equal(chown(copy, user, user), 0);
    return copy;
}

static struct child *victim_of(uid_t user)
{
    struct child *victim = child_start(
        (const char *const[]){copy_for(user, victim_path("clock_reader")), "1", "200", NULL},
        &(struct start){.user = user});
    assert_string_equal(child_line(victim, HARNESS_DEADLINE_MS), "ready");
    clock_reader_allow(victim, "realtime", INT64_C(-300000000000));
    return victim;
}

/* How skewctl is run: by whom, with which capabilities, with which program and journal. */
struct caller {
    uid_t user;
    const char *capabilities; /* of setpriv(1): "+sys_ptrace", or NULL */
    const char *program;
    const char *journal;            /* NULL: none is named */
    const char *const *environment; /* of env(1), ends with NULL; or NULL */
};

static struct run run_as(const struct caller *caller, const char *verb, const char *selector,
                         const char *argument, const char *offset)
{
    const char *argv[40];
    size_t count = 0;
    argv[count++] = "env";
    for (size_t i = 0; caller->environment && caller->environment[i]; i++)
        argv[count++] = caller->environment[i];
    const char *user = harness_format("%d", (int)caller->user);
    const char *const become[] = {"setpriv", "--reuid", user, "--regid", user, "--clear-groups"};
    memcpy(argv + count, become, sizeof become);
    count += sizeof become / sizeof *become;
    if (caller->capabilities) {
        argv[count++] = harness_format("--inh-caps=%s", caller->capabilities);
        argv[count++] = harness_format("--ambient-caps=%s", caller->capabilities);
    }
    argv[count++] = caller->program;
    argv[count++] = verb;
    if (selector)
        argv[count++] = selector;
    if (argument)
        argv[count++] = argument;
    if (offset) {
        argv[count++] = "--offset";
        argv[count++] = offset;
    }
    if (caller->journal) {
        argv[count++] = "--journal";
        argv[count++] = caller->journal;
    }
    argv[count] = NULL;
    return program_run(argv, NULL, HARNESS_DEADLINE_MS);
}

static struct caller caller_of(uid_t user, const char *capabilities)
{
    return (struct caller){
        .user = user,
        .capabilities = capabilities,
        .program = copy_for(user, skewctl_path()),
        .journal = harness_format("%s/journal.db", harness_directory(user)),
    };
}

static const char *pid_of(const struct child *victim)
{
    return harness_format("%d", victim->pid);
}

/* Inject, update and recover work, and leave nothing. */
static void expect_works(const struct caller *caller, struct child *victim)
{
    struct snapshot before = snapshot_take(victim->pid);
    struct run run = run_as(caller, "inject", "-p", pid_of(victim), "-4m");
    clock_reader_allow(victim, "realtime", INT64_C(-240000000000));
    run_expect(&run, 0);
    run = run_as(caller, "inject", "-p", pid_of(victim), "-5m");
    run_expect(&run, 0);
    clock_reader_expect(victim, "clock_gettime 0", INT64_C(-300000000000));
    run = run_as(caller, "recover", "-p", pid_of(victim), NULL);
    run_expect(&run, 0);
    clock_reader_expect(victim, "clock_gettime 0", 0);
    snapshot_expect(&before, victim->pid);
}

static void expect_not_permitted(const struct caller *caller, struct child *victim)
{
    struct snapshot before = snapshot_take(victim->pid);
    struct run run = run_as(caller, "inject", "-p", pid_of(victim), "-5m");
    run_expect_error(&run, 5);
    run = run_as(caller, "recover", "-p", pid_of(victim), NULL);
    run_expect_error(&run, 5);
    run = run_as(caller, "doctor", "-p", pid_of(victim), NULL);
    assert_int_equal(run.code, 5);
    snapshot_expect(&before, victim->pid);
    victim_check(victim);
}

static void root_on_the_process_of_a_user(void **state)
{
    (void)state;
    need_root();
    struct caller root = caller_of(0, NULL);
    expect_works(&root, victim_of(OTHER));
}

static void capabilities_on_the_process_of_another(void **state)
{
    (void)state;
    need_root();
    struct caller caller = caller_of(CALLER, "+sys_ptrace,+dac_override");
    expect_works(&caller, victim_of(OTHER));
}

static void ptrace_capability_alone(void **state)
{
    (void)state;
    need_root();
    struct caller caller = caller_of(CALLER, "+sys_ptrace");
    expect_works(&caller, victim_of(CALLER));
    /* What is missing for those of others is named, by doctor too. */
    struct child *other = victim_of(OTHER);
    expect_not_permitted(&caller, other);
    struct run run = run_as(&caller, "inject", "-p", pid_of(other), "-5m");
    assert_non_null(strstr(run.err, "CAP_DAC_OVERRIDE"));
    run = run_as(&caller, "scan", NULL, NULL, NULL);
    run_expect(&run, 6);
    assert_non_null(strstr(run.err, "CAP_DAC_OVERRIDE"));
    run = run_as(&caller, "doctor", NULL, NULL, NULL);
    assert_non_null(strstr(run.out, "CAP_DAC_OVERRIDE"));
    assert_non_null(strstr(run.out, "CAP_SYS_ADMIN"));
}

/* By the XDG Base Directory Specification. */
static void journal_of_a_user(void **state)
{
    (void)state;
    need_root();
    struct child *victim = victim_of(CALLER);
    const char *home = harness_directory(CALLER), *state_home = harness_directory(CALLER);
    struct caller caller = caller_of(CALLER, NULL);
    caller.journal = NULL;
    const char *const without_state[] = {
        "-u", "XDG_STATE_HOME", "-u", "SKEWCTL_JOURNAL", harness_format("HOME=%s", home), NULL};
    caller.environment = without_state;
    expect_works(&caller, victim);
    struct stat status;
    const char *file = harness_format("%s/.local/state/skewctl/journal.db", home);
    assert_int_equal(stat(file, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(status.st_uid, CALLER);
    const char *const with_state[] = {"-u", "SKEWCTL_JOURNAL",
                                      harness_format("XDG_STATE_HOME=%s", state_home),
                                      harness_format("HOME=%s", home), NULL};
    caller.environment = with_state;
    expect_works(&caller, victim);
    assert_int_equal(stat(harness_format("%s/skewctl/journal.db", state_home), &status), 0);
    assert_int_equal(status.st_uid, CALLER);
}

/* Programs that are given more rights than their caller has. */
enum lent { LENT_SETUID, LENT_SETGID, LENT_CAPABILITIES, LENTS };

static void lend(const char *program, enum lent lent)
{
    struct statvfs mounted;
    assert_int_equal(statvfs(program, &mounted), 0);
    if (mounted.f_flag & ST_NOSUID)
        harness_skip("%s is on a file system that lends no rights", program);
    assert_int_equal(chown(program, 0, 0), 0);
    /* Anybody may come to it. */
    const char *folder = harness_format("%.*s", (int)(strrchr(program, '/') - program), program);
    assert_int_equal(chown(folder, 0, 0), 0);
    assert_int_equal(chmod(folder, 0755), 0);
    assert_int_equal(chmod(program, lent == LENT_SETUID   ? 04755
                                    : lent == LENT_SETGID ? 02755
                                                          : 0755),
                     0);
    if (lent == LENT_CAPABILITIES) {
        cap_t capabilities = cap_from_text("cap_sys_ptrace,cap_dac_override,cap_sys_admin=ep");
        int result = cap_set_file(program, capabilities);
        int errnum = errno;
        cap_free(capabilities);
        if (result != 0)
            harness_skip("cap_set_file: %s", strerror(errnum));
    }
}

static void lent_rights_are_not_used(void **state)
{
    (void)state;
    need_root();
    struct child *own = victim_of(CALLER), *other = victim_of(OTHER);
    struct child *root = victim_start("idle", NULL);
    /* A program that its user may run and not read cannot be traced by that user. */
    const char *closed = copy_for(0, victim_path("clock_reader"));
    assert_int_equal(chmod(closed, 0711), 0);
    assert_int_equal(
        chmod(harness_format("%.*s", (int)(strrchr(closed, '/') - closed), closed), 0711), 0);
    struct child *hidden = child_start((const char *const[]){closed, "1", "200", NULL},
                                       &(struct start){.user = CALLER});
    assert_string_equal(child_line(hidden, HARNESS_DEADLINE_MS), "ready");

    for (enum lent lent = LENT_SETUID; lent < LENTS; lent++) {
        struct caller caller = caller_of(CALLER, NULL);
        lend(caller.program, lent);
        expect_works(&caller, own);
        expect_not_permitted(&caller, other);
        expect_not_permitted(&caller, root);
        expect_not_permitted(&caller, hidden);
    }
}

/* Neither the environment nor --journal lead it to files that the caller could not open. */
static void lent_rights_open_no_files(void **state)
{
    (void)state;
    need_root();
    struct child *own = victim_of(CALLER);
    const char *roots = harness_format("%s/journal.db", harness_directory(0));
    const char *others = harness_format("%s/journal.db", harness_directory(OTHER));
    const char *named = harness_directory(CALLER);
    const char *const environment[] = {harness_format("SKEWCTL_JOURNAL=%s/named.db", named),
                                       harness_format("XDG_STATE_HOME=%s", named),
                                       harness_format("HOME=%s", named), NULL};
    for (enum lent lent = LENT_SETUID; lent < LENTS; lent++) {
        struct caller caller = caller_of(CALLER, NULL);
        lend(caller.program, lent);
        const char *const journals[] = {roots, others};
        for (size_t i = 0; i < 2; i++) {
            caller.journal = journals[i];
            struct run run = run_as(&caller, "inject", "-p", pid_of(own), "-5m");
            run_expect_error(&run, 5);
            assert_int_equal(access(journals[i], F_OK), -1);
        }
        caller.journal = NULL;
        caller.environment = environment;
        /* This user has no home of record, so there is no place left. */
        struct run run = run_as(&caller, "inject", "-p", pid_of(own), "-5m");
        run_expect_error(&run, 3);
    }
    assert_int_equal(access(harness_format("%s/named.db", named), F_OK), -1);
    assert_int_equal(access(harness_format("%s/skewctl", named), F_OK), -1);
    assert_int_equal(access(harness_format("%s/.local", named), F_OK), -1);
    clock_reader_expect(own, "clock_gettime 0", 0);
}

static uint64_t capabilities_of(pid_t pid, pid_t tid, const char *set)
{
    return strtoull(observe_status(pid, tid, set), NULL, 16);
}

/* As seen in /proc at the moment it has attached: all that is left of root's. */
static void dropped_before_attaching(void **state)
{
    (void)state;
    need_root();
    struct child *victim = victim_of(OTHER);
    const char *pid = pid_of(victim);
    const char *const *const commands[] = {
        skewctl_arguments("inject", "-p", pid, "--offset", "-5m", NULL),
        skewctl_arguments("inject", "-p", pid, "--offset", "-4m", NULL),
        skewctl_arguments("recover", "-p", pid, NULL),
    };
    const uint64_t needed = BIT(CAP_SYS_PTRACE) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_SYS_ADMIN);
    clock_reader_allow(victim, "realtime", INT64_C(-240000000000));
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        struct held held = held_start(commands[i], victim->pid, 300);
        DIR *threads = opendir(harness_format("/proc/%d/task", held.skewctl));
        assert_non_null(threads);
        int seen = 0;
        for (struct dirent *entry; (entry = readdir(threads));) {
            pid_t tid = atoi(entry->d_name);
            if (tid == 0)
                continue;
            assert_int_equal(capabilities_of(held.skewctl, tid, "CapEff") & ~needed, 0);
            assert_int_equal(capabilities_of(held.skewctl, tid, "CapPrm") & ~needed, 0);
            assert_int_equal(capabilities_of(held.skewctl, tid, "CapInh"), 0);
            assert_int_equal(capabilities_of(held.skewctl, tid, "CapAmb"), 0);
            seen++;
        }
        closedir(threads);
        assert_int_equal(seen, 2);
        int status = child_wait(held.strace, HARNESS_DEADLINE_MS);
        assert_int_equal(status, 0);
    }
    victim_check(victim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(root_on_the_process_of_a_user),
        harness_test(capabilities_on_the_process_of_another),
        harness_test(ptrace_capability_alone),
        harness_test(journal_of_a_user),
        harness_test(lent_rights_are_not_used),
        harness_test(lent_rights_open_no_files),
        harness_test(dropped_before_attaching),
    };
    return cmocka_run_group_tests_name("privilege", tests, NULL, NULL);
}
