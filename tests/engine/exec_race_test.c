/*
 * exec_race_test.c - the program or the whole process is another one by the time
 * that skewctl takes its next step: nothing is written into what was not looked at.
 */
#include "command.h"
#include "observe.h"
#include "traced.h"
#include "victim.h"

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* At which of the calls of a skewctl it happens: every so many. */
#define STRIDE 3

static void exec_now(void *context)
{
    struct child *victim = context;
    child_send(victim, "exec");
    /* Done at once where it can: but a thread that is held does not get there yet. */
    harness_sleep_ms(20);
}

/* Put back or never touched: the new program's own bytes, and nobody traces it. */
static void expect_clean(struct child *victim)
{
    struct vdso pristine = observe_vdso_own(), now = observe_vdso(victim->pid);
    assert_memory_equal(now.bytes, pristine.bytes, pristine.size);
    assert_int_equal(observe_code_mappings(victim->pid), 0);
    observe_untraced(victim->pid);
    victim_check(victim);
}

static void exec_in_the_midst(const char *command)
{
    struct keep *mark = harness_mark();
    int meddled = 0;
    for (long call = 1;; call += STRIDE) {
        struct child *victim = victim_start("idle", NULL);
        const char *pid = harness_format("%d", victim->pid);
        bool recover = strcmp(command, "recover") == 0;
        if (recover)
            skewctl_inject(victim->pid, "-5m");
        const char *const *argv =
            recover ? skewctl_arguments("recover", "-p", pid, NULL)
                    : skewctl_arguments("inject", "-p", pid, "--offset", "-5m", NULL);
        struct traced run = meddled_run(argv, call, exec_now, victim);
        if (run.code != 0 && run.code != 1 && run.code != 3 && run.code != 4)
            fail_msg("exec at call %ld: code %d, %s", call, run.code, run.err);
        meddled += run.meddled;
        if (run.meddled)
            assert_string_equal(child_line(victim, HARNESS_DEADLINE_MS), "ready");
        struct run last = skewctl_run("recover", "-p", pid, NULL);
        if (last.code != 0 && last.code != 4)
            run_expect(&last, 4);
        expect_clean(victim);
        child_kill(victim);
        harness_release(mark);
        if (!run.meddled)
            break;
    }
    assert_true(meddled > 2);
}

static void exec_during_inject(void **state)
{
    (void)state;
    exec_in_the_midst("inject");
}

static void exec_during_recover(void **state)
{
    (void)state;
    exec_in_the_midst("recover");
}

/* exec at each read of skewctl in turn: of an injected target, where `injected`. */
static void exec_at_reads(const char *target, bool injected)
{
    struct keep *mark = harness_mark();
    int meddled = 0;
    for (long call = 1;; call++) {
        struct child *victim = victim_start("idle", NULL);
        if (injected)
            skewctl_inject(victim->pid, "-5m");
        const char *pid = harness_format("%d", victim->pid);
        struct traced run =
            meddled_run_at(skewctl_arguments("inject", target, pid, "--offset", "+1h", NULL),
                           SYS_pread64, call, exec_now, victim);
        if (run.meddled && run.code != 0 &&
            (strcmp(target, "--tree") == 0 || (run.code != 1 && run.code != 4)))
            fail_msg("exec at read %ld: code %d, %s", call, run.code, run.err);
        meddled += run.meddled;
        if (run.meddled)
            assert_string_equal(child_line(victim, HARNESS_DEADLINE_MS), "ready");
        struct run last = skewctl_run("recover", "-p", pid, NULL);
        if (last.code != 0 && last.code != 4)
            run_expect(&last, 4);
        expect_clean(victim);
        child_kill(victim);
        harness_release(mark);
        if (!run.meddled)
            break;
    }
    assert_true(meddled > 2);
}

/*
 * Between two reads of an injected program, of which the second is of the new one, or of none:
 * that is no change by somebody else.
 */
static void exec_during_look(void **state)
{
    (void)state;
    exec_at_reads("-p", true);
}

/* Also between the neutral inject of a member and its switch: the new program is a member, too. */
static void exec_of_a_member(void **state)
{
    (void)state;
    exec_at_reads("--tree", false);
}

/* Not waited for: a tracer that holds it has to learn of its end first. */
static void kill_now(void *context)
{
    const struct child *victim = context;
    kill(victim->pid, SIGKILL);
}

/* Waited for where nobody holds it, so that its number is free. */
static void exit_now(void *context)
{
    struct child *victim = context;
    const char *tracer = observe_status(victim->pid, victim->pid, "TracerPid");
    if (tracer && strcmp(tracer, "0") == 0)
        child_kill(victim);
    else
        kill_now(victim);
}

static void exit_during_inject(void **state)
{
    (void)state;
    struct keep *mark = harness_mark();
    for (long call = 1;; call += STRIDE) {
        struct child *victim = victim_start("idle", NULL);
        struct traced run =
            meddled_run(skewctl_arguments("inject", "-p", harness_format("%d", victim->pid),
                                          "--offset", "-5m", NULL),
                        call, kill_now, victim);
        /* Found to be failing where it is not gone yet, and done where only DETACH was left. */
        if (run.meddled && run.code != 4 && run.code != 1 && run.code != 0)
            fail_msg("exit at call %ld: code %d, %s", call, run.code, run.err);
        child_kill(victim);
        struct run list = skewctl_run("list", "-o", "json", NULL);
        run_expect(&list, 0);
        assert_string_equal(json_query(list.out, "[.injections[] | select(.state == \"active\")]"
                                                 " | length"),
                            "0");
        harness_release(mark);
        if (!run.meddled)
            return;
    }
}

/* The same program again under the same number, at the same addresses. */
static struct {
    struct child *victim;
    pid_t pid, impostor;
    int error;
} reuse;

/* Whenever it exits, there is nothing left to put back, which is what was asked for. */
static void exit_during_recover(void **state)
{
    (void)state;
    int meddled = 0;
    for (long call = 1;; call += STRIDE) {
        struct keep *mark = harness_mark();
        struct child *victim = victim_start("idle", NULL);
        skewctl_inject(victim->pid, "-5m");
        struct traced run = meddled_run_at(skewctl_arguments("recover", "--all", NULL), SYS_openat,
                                           call, exit_now, victim);
        if (run.code != 0)
            fail_msg("exit at call %ld: code %d, %s", call, run.code, run.err);
        child_kill(victim);
        harness_release(mark);
        meddled += run.meddled;
        if (!run.meddled)
            break;
    }
    assert_true(meddled > 20);
}

static void number_reused_now(void *unused)
{
    (void)unused;
    child_kill(reuse.victim);
    struct clone_args arguments = {
        .exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&reuse.pid, .set_tid_size = 1};
    pid_t parent = getpid();
    reuse.impostor = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
    reuse.error = errno;
    if (reuse.impostor == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent)
            execl("/bin/sleep", "sleep", "1000", (char *)NULL);
        _exit(127);
    }
    harness_sleep_ms(20);
}

/* Between the look and SEIZE: later the number is not free before skewctl lets go. */
static void number_used_again(void **state)
{
    (void)state;
    if (geteuid() != 0)
        harness_skip("only root can choose the number of a process");
    unsigned before = (unsigned)personality(0xffffffff);
    personality(before | ADDR_NO_RANDOMIZE);
    reuse.victim =
        child_start((const char *const[]){"sh", "-c", "echo; exec sleep 1000", NULL}, NULL);
    child_line(reuse.victim, HARNESS_DEADLINE_MS);
    reuse.pid = reuse.victim->pid;
    const char *pid = harness_format("%d", reuse.pid);
    struct traced run = meddled_run(skewctl_arguments("inject", "-p", pid, "--offset", "-5m", NULL),
                                    1, number_reused_now, NULL);
    personality(before);
    assert_true(run.meddled);
    if (reuse.impostor < 0)
        harness_skip("no process can be given a number: %s", strerror(reuse.error));
    struct vdso own = observe_vdso_own(), now = observe_vdso(reuse.impostor);
    size_t code = observe_code_mappings(reuse.impostor);
    const char *tracer = observe_status(reuse.impostor, reuse.impostor, "TracerPid");
    bool lives = waitpid(reuse.impostor, NULL, WNOHANG) == 0;
    kill(reuse.impostor, SIGKILL);
    waitpid(reuse.impostor, NULL, 0);
    assert_int_equal(run.code, 4);
    assert_memory_equal(now.bytes, own.bytes, own.size);
    assert_int_equal(code, 0);
    assert_string_equal(tracer, "0");
    assert_true(lives);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(exec_during_inject),  harness_test(exec_during_recover),
        harness_test(exec_during_look),    harness_test(exit_during_inject),
        harness_test(exit_during_recover), harness_test(exec_of_a_member),
        harness_test(number_used_again),
    };
    return cmocka_run_group_tests_name("exec race", tests, NULL, NULL);
}
