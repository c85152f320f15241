/* See state.h. */
#include "state.h"

#include "family.h"
#include "program.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MINUTE           INT64_C(60000000000)
#define PROGRAMS_STAYING 2

static const struct {
    unsigned skew;
    int64_t offset_ns;
} offsets[] = {{SKEW_NONE, 0}, {SKEW_OLD, -5 * MINUTE}, {SKEW_NEW, 90 * MINUTE}};
#define OFFSETS (sizeof offsets / sizeof *offsets)

static int64_t offset_of(unsigned skew)
{
    size_t i = 0;
    while (offsets[i].skew != skew)
        i++;
    return offsets[i].offset_ns;
}

static void target_is(struct target *target, struct child *victim)
{
    target->victim = victim;
    target->pid = target->live = victim->pid;
}

/* The program and what it is given, with spaces between; a victim by its name. */
static struct child *start_words(const char *words)
{
    const char **argv = harness_memory(16 * sizeof *argv);
    char *rest = harness_format("%s", words), *place;
    size_t count = 0;
    for (char *word = strtok_r(rest, " ", &place); word; word = strtok_r(NULL, " ", &place)) {
        const char *victim = victim_path(word);
        argv[count++] = victim ? victim : word;
    }
    struct child *child = child_start(argv, NULL);
    assert_string_equal(child_line(child, HARNESS_DEADLINE_MS), "ready");
    return child;
}

static void victim_begin(struct target *target)
{
    target_is(target, start_words(target->state->argument));
}

/* clock_reader judges each value that it reads by what it was told. */
static void reader_allow(struct target *target, unsigned skews)
{
    for (size_t i = 0; i < OFFSETS; i++)
        if (offsets[i].skew & skews & ~target->told)
            clock_reader_allow(target->victim, "realtime", offsets[i].offset_ns);
    if (skews & ~target->told & SKEW_BETWEEN)
        clock_reader_between(target->victim, offset_of(SKEW_OLD), offset_of(SKEW_NEW));
    for (size_t i = 0; i < OFFSETS; i++)
        if (offsets[i].skew & ~skews & target->told)
            clock_reader_forbid(target->victim, "realtime", offsets[i].offset_ns);
    if (target->told & ~skews & SKEW_BETWEEN)
        clock_reader_between(target->victim, INT64_MAX, INT64_MIN);
}

static void expect_answer(struct target *target, const char *question)
{
    victim_check(target->victim);
    const char *answer = child_ask(target->victim, question);
    if (strcmp(answer, "ok") != 0)
        fail_msg("the target does not get on: %s", answer);
    victim_check(target->victim);
}

static void reader_expect(struct target *target)
{
    expect_answer(target, "advance 64");
}

static void blocked_expect(struct target *target)
{
    expect_answer(target, "wake");
}

static void progress_expect(struct target *target)
{
    victim_check_progress(target->victim, 10);
}

/* Whatever the program's clock shows must be one of the skews that are right. */
static void expect_allowed(const struct target *target, struct skew_range range)
{
    for (size_t i = 0; i < OFFSETS; i++)
        if (offsets[i].skew & target->allowed && offsets[i].offset_ns >= range.low_ns &&
            offsets[i].offset_ns <= range.high_ns)
            return;
    if (target->allowed & SKEW_BETWEEN && range.high_ns >= offset_of(SKEW_OLD) &&
        range.low_ns <= offset_of(SKEW_NEW))
        return;
    fail_msg("the clock is off by %.3f..%.3f s, which is not allowed", (double)range.low_ns / 1e9,
             (double)range.high_ns / 1e9);
}

static void leaderless_begin(struct target *target)
{
    victim_begin(target);
    if (sscanf(child_ask(target->victim, "tid"), "ok %d", &target->live) != 1)
        fail_msg("no thread is left");
}

static void churn_expect(struct target *target)
{
    expect_allowed(target, ticker_measure(target->victim));
    progress_expect(target);
}

static const char *filter_missing(const struct state *state)
{
    (void)state;
    return geteuid() == 0 ? NULL : "only root can read the filters of a process";
}

static const char *namespaces_missing(const struct state *state)
{
    (void)state;
    return geteuid() == 0 ? NULL : "only root can make namespaces";
}

/* unshare(1) is our child, its first process in the new namespaces is the target. */
static void namespaces_begin(struct target *target)
{
    victim_begin(target);
    pid_t outer = target->victim->pid;
    const char *children =
        harness_file_read(harness_format("/proc/%d/task/%d/children", outer, outer), NULL);
    if (!children || sscanf(children, "%d", &target->pid) != 1)
        fail_msg("unshare has no child");
    target->live = target->pid;
}

/* The one of this process. */
static struct family family;

static void family_begin(struct target *target)
{
    if (family.parent)
        family_end(&family);
    family = family_start();
    target_is(target, family.parent);
    atomic_store(&family.board->storm, 3);
}

static void programs_begin(struct target *target)
{
    family_begin(target);
    atomic_store(&family.board->wanted, PROGRAMS_STAYING);
    family_await(&family.board->forked, PROGRAMS_STAYING);
    atomic_store(&family.board->programs, 1);
}

int64_t programs_skewed(void)
{
    return atomic_load(&family.board->skewed);
}

/* Two reads from now on: the first may have begun before. */
static void expect_staying(const struct target *target, const struct forks_child *child)
{
    int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    int64_t due = atomic_load(&child->reads) + 2;
    while (atomic_load(&child->reads) < due) {
        if (harness_monotonic_ns() > end)
            fail_msg("a child does not get on");
        harness_sleep_ms(1);
    }
    int64_t offset_ns = atomic_load(&child->offset_ns);
    expect_allowed(target, (struct skew_range){offset_ns, offset_ns});
}

/* Of its children those that stay have its skew; the others are seen to be put back. */
static void family_expect(struct target *target)
{
    family_await_passing(&family, atomic_load(&family.board->programs) ? 1 : 3);
    victim_check(target->victim);
    expect_allowed(target, ticker_measure(target->victim));
    for (int i = 0; i < atomic_load(&family.board->forked); i++)
        expect_staying(target, &family.board->children[i]);
    if (target->allowed == SKEW_NONE)
        family_expect_clean(&family);
}

static const char *musl_missing(const struct state *state)
{
    (void)state;
    return victim_path("clock_reader_musl") ? NULL : "there was no musl-gcc";
}

static const char *foreign_missing(const struct state *state)
{
    return program_missing(state->name);
}

static void foreign_begin(struct target *target)
{
    target_is(target, program_start(target->state->name));
}

static void foreign_expect(struct target *target)
{
    expect_allowed(target, program_measure(target->state->name, target->victim));
    program_check(target->state->name, target->victim, 1);
}

/* Between two points of the sweep the reader reads on; at a point it is held in its handler. */
static void handler_pose(struct target *target)
{
    const char *where = target->allowed & SKEW_NONE ? "park vdso" : "park elsewhere";
    const char *answer = child_ask(target->victim, where);
    if (strncmp(answer, "ok ", 3) != 0)
        fail_msg("no read could be interrupted there: %s", answer);
}

static void handler_relax(struct target *target)
{
    const char *answer = child_ask(target->victim, "release");
    if (strcmp(answer, "ok") != 0)
        fail_msg("the thread in the handler does not get on: %s", answer);
}

/* What the target's parent, which is this process, learns of stops; 0 where nothing. */
static int stop_event(const struct target *target, int options)
{
    siginfo_t info = {0};
    if (waitid(P_PID, (id_t)target->pid, &info, options) != 0)
        fail_msg("waitid: %s", strerror(errno));
    return info.si_pid ? info.si_code : 0;
}

static void expect_event(const struct target *target, int code)
{
    int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    int got;
    while (!(got = stop_event(target, WSTOPPED | WCONTINUED | WNOHANG))) {
        if (harness_monotonic_ns() > end)
            fail_msg("the target is not stopped, or not continued");
        harness_sleep_ms(1);
    }
    assert_int_equal(got, code);
}

static void stopped_pose(struct target *target)
{
    kill(target->pid, SIGSTOP);
    expect_event(target, CLD_STOPPED);
}

static void stopped_relax(struct target *target)
{
    int event = stop_event(target, WSTOPPED | WCONTINUED | WNOHANG);
    if (event)
        fail_msg("the target's parent saw it %s", event == CLD_STOPPED ? "stop" : "continue");
    kill(target->pid, SIGCONT);
    expect_event(target, CLD_CONTINUED);
}

static const char *members_missing(const struct state *state)
{
    const char *missing = NULL;
    for (const char *name = state->members; *name && !missing; name += strspn(name, " ")) {
        size_t length = strcspn(name, " ");
        missing = state_missing(state_find(name, length));
        name += length;
    }
    return missing;
}

#define READER  .start = victim_begin, .allow = reader_allow, .expect = reader_expect
#define COUNTS  .start = victim_begin, .expect = progress_expect
#define PROGRAM .missing = foreign_missing, .start = foreign_begin, .expect = foreign_expect

const struct state states[STATES] = {
    /* Threads that read the clock all the time, with short sleeps. */
    [STATE_BUSY] = {.name = "busy", .argument = "clock_reader 4 20", READER},
    /* One thread in each kind of wait that the kernel restarts. */
    [STATE_BLOCKED] = {.name = "blocked",
                       .argument = "blocked restartable",
                       .start = victim_begin,
                       .expect = blocked_expect,
                       /* sigsuspend(2) has the thread's own mask until it waits again. */
                       .varies = VARIES_BRIEFLY},
    /* A single thread that never rests. */
    {.name = "lone", .argument = "clock_reader 1", READER},
    /* What is mapped is there at once. */
    {.name = "locked", .argument = "clock_reader 1 0 locked", READER},
    /* Most of them asleep, as in most programs. */
    {.name = "many", .argument = "clock_reader 64 100000", READER},
    {.name = "signals", .argument = "signals restarted", COUNTS, .varies = VARIES_MASKS},
    /* In a handler on a small alternate stack that interrupted a clock read. */
    {.name = "handler",
     .argument = "parked tight",
     COUNTS,
     .varies = VARIES_MASKS,
     .pose = handler_pose,
     .relax = handler_relax,
     .drains = true},
    {.name = "stopped",
     .argument = "clock_reader 3",
     READER,
     .pose = stopped_pose,
     .relax = stopped_relax,
     .silent = true},
    {.name = "churn",
     .argument = "churn",
     .start = victim_begin,
     .expect = churn_expect,
     .varies = VARIES_THREADS | VARIES_MAPPINGS},
    {.name = "leaderless",
     .argument = "churn leaderless",
     .start = leaderless_begin,
     .expect = churn_expect,
     .varies = VARIES_THREADS | VARIES_MAPPINGS},
    {.name = "filtered", .argument = "filtered list", COUNTS, .missing = filter_missing},
    {.name = "rseq", .argument = "rseq", COUNTS},
    {.name = "namespaces",
     .argument = "unshare --pid --fork --kill-child --time --monotonic 100000 clock_reader 3 20",
     .missing = namespaces_missing,
     .start = namespaces_begin,
     .allow = reader_allow,
     .expect = reader_expect},
    /* It forks all the time, and so do its children. */
    {.name = "forking",
     .start = family_begin,
     .expect = family_expect,
     .varies = VARIES_MASKS | VARIES_BRIEFLY},
    {.name = "musl", .argument = "clock_reader_musl 3 20", READER, .missing = musl_missing},
    {.name = "python", PROGRAM},
    {.name = "go",
     PROGRAM,
     .varies = VARIES_MASKS | VARIES_THREADS | VARIES_MAPPINGS | VARIES_BRIEFLY,
     .drains = true},
    {.name = "java",
     PROGRAM,
     .varies = VARIES_MASKS | VARIES_THREADS | VARIES_MAPPINGS | VARIES_BRIEFLY,
     .drains = true},
    {.name = "redis", PROGRAM, .varies = VARIES_BRIEFLY},
    /* As forking, with two children that stay; every other one executes a program. */
    {.name = "programs",
     .members = "programs",
     .execs = true,
     .start = programs_begin,
     .expect = family_expect,
     .varies = VARIES_MASKS | VARIES_BRIEFLY},
    /* With a helper (engine/crew.c), which fewer than four do without. */
    {.name = "mixed", .members = "busy churn python namespaces", .missing = members_missing},
};

const struct state *state_find(const char *name, size_t length)
{
    for (size_t i = 0; i < STATES; i++)
        if (strlen(states[i].name) == length && strncmp(states[i].name, name, length) == 0)
            return &states[i];
    return NULL;
}

const char *state_missing(const struct state *state)
{
    return state->missing ? state->missing(state) : NULL;
}
