/*
 * clock_watch_test.c - skewctl watch, and the samples it is made of: what they say is what the
 * process itself reads, whatever its skew; every way in which a watch ends; the terminal.
 */
#include "command.h"
#include "observe.h"
#include "program.h"
#include "victim.h"

#include "engine/skewctl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)
#define HOUR   (3600 * SECOND)
#define SHOW   "\033[?1049h"
#define HIDE   "\033[?1049l"

static const char *pid_text(const struct child *child)
{
    return harness_format("%d", child->pid);
}

static void inject(const struct child *child, const char *option, const char *value,
                   const char *second_option, const char *second_value)
{
    struct run run = skewctl_run("inject", "-p", pid_text(child), option, value, second_option,
                                 second_value, NULL);
    run_expect(&run, 0);
}

static struct skew_sampler *sampler_open(const struct child *child)
{
    struct skew_sampler *sampler;
    struct skew_error error = {0};
    if (skew_sampler_open(child->pid, &sampler, &error) != SKEW_OK)
        fail_msg("open: %s", error.message);
    return sampler;
}

static struct skew_sample sample_take(struct skew_sampler *sampler, uint64_t clocks)
{
    struct skew_sample sample;
    struct skew_error error = {0};
    if (skew_sampler_take(sampler, clocks, &sample, &error) != SKEW_OK)
        fail_msg("take: %s", error.message);
    return sample;
}

static struct skew_reading reading_of(struct skew_sampler *sampler, clockid_t clock)
{
    struct skew_sample sample = sample_take(sampler, SKEW_CLOCK_BIT(clock));
    assert_int_equal(sample.count, 1);
    assert_int_equal(sample.readings[0].clock, clock);
    assert_true(sample.readings[0].known && sample.spread_ns >= 0);
    return sample.readings[0];
}

/* What the program reads lies between what two samples around it say, the skew being steady. */
static void between_expect(struct skew_sampler *sampler, struct child *child, clockid_t clock)
{
    for (int round = 0; round < 20; round++) {
        struct skew_reading before = reading_of(sampler, clock);
        int64_t seen = strtoll(child_ask(child, "now"), NULL, 10);
        struct skew_reading after = reading_of(sampler, clock);
        if (seen < before.shown_ns || seen > after.shown_ns)
            fail_msg("it reads %" PRId64 ", not from %" PRId64 " to %" PRId64, seen,
                     before.shown_ns, after.shown_ns);
        /* And there is no room for a sample that is wrong by more than it took. */
        if (after.true_ns - before.true_ns > 20 * SECOND)
            fail_msg("two samples took %" PRId64 " ns", after.true_ns - before.true_ns);
    }
}

static void a_sample_is_what_the_program_reads(void **state)
{
    (void)state;
    static const struct {
        const char *option, *value, *second_option, *second_value;
        int64_t least, most; /* of the difference */
    } skews[] = {
        {"--offset", "-1h", NULL, NULL, -HOUR, -HOUR},
        {"--offset", "1h1ns", NULL, NULL, HOUR + 1, HOUR + 1},
        {"--offset", "30m", "--slew", "0.5", HOUR / 2 + 1, HOUR + 1},
        {"--rate", "40", NULL, NULL, 1, INT64_C(3900) * SECOND},
        {"--rate", "0", "--offset", "-1h", -HOUR - 100 * SECOND, -HOUR - 1},
        {"--offset", "-1h", "--ramp", "1h/1us", 0, 0},
        {"--strobe", "-1h/1d", "--step", "1us:30m", -HOUR / 2, -HOUR / 2},
        {"--sine", "1h/1d", NULL, NULL, 1, HOUR},
        {"--offset", "-1h", "--for", "1d", -HOUR, -HOUR},
    };
    /* Whose leader has exited. */
    struct child *victim = victim_start("churn", "leaderless", NULL);
    struct skew_sampler *sampler = NULL;
    for (size_t i = 0; i < sizeof skews / sizeof *skews; i++) {
        inject(victim, skews[i].option, skews[i].value, skews[i].second_option,
               skews[i].second_value);
        sampler = sampler ? sampler : sampler_open(victim);
        between_expect(sampler, victim, CLOCK_REALTIME);
        struct skew_sample sample = sample_take(sampler, 0);
        assert_int_equal(sample.count, 3);
        assert_int_equal(sample.report.state, SKEW_STATE_ACTIVE);
        assert_int_equal(sample.report.pid, victim->pid);
        for (size_t r = 0; r < sample.count; r++) {
            int64_t off = sample.readings[r].shown_ns - sample.readings[r].true_ns;
            assert_true(sample.readings[r].skewed);
            if (off < skews[i].least || off > skews[i].most)
                fail_msg("%s %s: off by %" PRId64, skews[i].option, skews[i].value, off);
        }
    }
    struct skew_reading monotonic = reading_of(sampler, CLOCK_MONOTONIC);
    assert_true(!monotonic.skewed && monotonic.shown_ns == monotonic.true_ns);
    skew_sampler_close(sampler);
}

/* In the child, before exec, which takes it into the namespace. Async-signal-safe. */
static void enter_time_namespace(void *unused)
{
    static const char shifts[] = "monotonic 864000 500000000\nboottime 1728000 0\n";
    (void)unused;
    int file =
        unshare(CLONE_NEWTIME) == 0 ? open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC) : -1;
    if (file < 0 || write(file, shifts, sizeof shifts - 1) != (ssize_t)sizeof shifts - 1)
        _exit(125);
    close(file);
}

static void a_sample_is_of_its_time_namespace(void **state)
{
    (void)state;
    static const char script[] = "import sys, time\n"
                                 "print('ready', flush=True)\n"
                                 "for line in sys.stdin: print(time.monotonic_ns(), flush=True)\n";
    const char *missing = program_missing("python");
    if (missing)
        harness_skip("%s", missing);
    struct child *child = child_start((const char *const[]){"python3", "-c", script, NULL},
                                      &(struct start){.before_exec = enter_time_namespace});
    for (int tries = 0; tries < 20 && child_alive(child); tries++)
        harness_sleep_ms(5);
    if (!child_alive(child))
        harness_skip("no time namespace can be made here");
    assert_string_equal(child_line(child, HARNESS_DEADLINE_MS), "ready");
    inject(child, "--offset", "1h", "--clock", "monotonic");
    struct skew_sampler *sampler = sampler_open(child);
    between_expect(sampler, child, CLOCK_MONOTONIC);
    struct skew_sample sample = sample_take(sampler, 0);
    assert_int_equal(sample.count, 2);
    assert_true(!sample.readings[0].skewed && sample.readings[1].skewed);
    /* A shape begins at the clock's reading there; what has passed since shows if it did not. */
    inject(child, "--rate", "3", "--clock", "monotonic,boottime");
    between_expect(sampler, child, CLOCK_MONOTONIC);
    sample = sample_take(sampler, SKEW_CLOCK_BIT(CLOCK_MONOTONIC));
    int64_t off = sample.readings[0].shown_ns - sample.readings[0].true_ns;
    assert_true(off > 0 && off < 600 * SECOND);
    skew_sampler_close(sampler);
}

/* The value of a JSON line. */
static const char *next_json(struct child *watch, const char *filter)
{
    return json_query(child_line(watch, HARNESS_DEADLINE_MS), filter);
}

/* Reads on until a line has that text in it; then it has that value as well. */
static void await_json(struct child *watch, const char *text, const char *filter, const char *value)
{
    int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    const char *line = child_line(watch, HARNESS_DEADLINE_MS);
    while (strstr(line, text) == NULL) {
        if (harness_monotonic_ns() > end)
            fail_msg("%s did not come: %s", text, line);
        line = child_line(watch, HARNESS_DEADLINE_MS);
    }
    assert_string_equal(json_query(line, filter), value);
}

static void changes_show_at_once(void **state)
{
    (void)state;
    struct child *idle = victim_start("idle", NULL);
    inject(idle, "--offset", "-1h", NULL, NULL);
    struct snapshot before = snapshot_take(idle->pid);
    struct child *watch = child_start(
        skewctl_arguments("watch", "-p", pid_text(idle), "-o", "json", "--interval", "10ms", NULL),
        NULL);
    assert_string_equal(next_json(watch, "[.state, .skew, .readings[0].difference_ns] | @text"),
                        "[\"active\",\"-1h\",-3600000000000]");
    assert_string_equal(next_json(watch, "[.readings[].clock] | join(\",\")"),
                        "realtime,realtime_coarse,tai");
    snapshot_expect(&before, idle->pid);
    inject(idle, "--step", "1us:2h", "--clock", "realtime,monotonic");
    await_json(watch, "step=1us:2h", "[.clocks, .readings[1].difference_ns] | @text",
               "[\"realtime,monotonic\",7200000000000]");
    inject(idle, "--offset", "-1s", "--for", "300ms");
    await_json(watch, "expired",
               "[.left_ns, .readings[0].skewed, .readings[0].difference_ns] | @text",
               "[0,false,0]");
    skewctl_recover(idle->pid);
    await_json(watch, "recovered", ".readings | length", "0");
    assert_int_equal(child_wait(watch, HARNESS_DEADLINE_MS), 0);
}

static void it_ends_by_itself(void **state)
{
    (void)state;
    struct child *idle = victim_start("idle", NULL);
    inject(idle, "--offset", "-1h", NULL, NULL);
    struct run run =
        skewctl_run("watch", "-p", pid_text(idle), "--count", "3", "--interval", "2ms", NULL);
    run_expect(&run, 0);
    size_t lines = 0;
    for (const char *c = run.out; *c; c++)
        lines += *c == '\n';
    assert_int_equal(lines, 3);
    assert_non_null(strstr(run.out, "Z active  realtime "));
    assert_non_null(strstr(run.out, "Z -1h  realtime_coarse "));

    /* An exit is seen at once, however long the interval. */
    struct child *watch = child_start(
        skewctl_arguments("watch", "-p", pid_text(idle), "-o", "json", "--interval", "1d", NULL),
        NULL);
    assert_string_equal(next_json(watch, ".state"), "active");
    child_kill(idle);
    assert_string_equal(next_json(watch, "[.state, .note] | @text"),
                        "[\"gone\",\"it has exited\"]");
    assert_int_equal(child_wait(watch, HARNESS_DEADLINE_MS), 0);

    /* So is a signal; that of ^C is how a person ends it. */
    static const int signals[][2] = {{SIGINT, 0}, {SIGTERM, 128 + SIGTERM}, {SIGHUP, 128 + SIGHUP}};
    idle = victim_start("idle", NULL);
    inject(idle, "--offset", "-1h", NULL, NULL);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        watch = child_start(skewctl_arguments("watch", "-p", pid_text(idle), "-o", "json",
                                              "--interval", "1d", NULL),
                            NULL);
        assert_string_equal(next_json(watch, ".state"), "active");
        kill(watch->pid, signals[i][0]);
        int status = child_wait(watch, HARNESS_DEADLINE_MS);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), signals[i][1]);
    }
}

static void what_cannot_be_watched_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *option, *value;
    } wrong[] = {{"--count", "0"},
                 {"--count", "x"},
                 {"--interval", "0"},
                 {"--interval", "999us"},
                 {"--interval", "-1s"},
                 {"--interval", "fast"},
                 {"--clock", "realtime,x"},
                 {"--offset", "1s"},
                 {"-o", "xml"},
                 {"-p", "2"}};
    struct child *idle = victim_start("idle", NULL);
    const char *pid = pid_text(idle);
    struct run run = skewctl_run("watch", "-p", pid, NULL);
    run_expect_error(&run, 4);
    inject(idle, "--offset", "-1h", NULL, NULL);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        run = skewctl_run("watch", "-p", pid, wrong[i].option, wrong[i].value, NULL);
        run_expect_error(&run, 2);
        assert_null(strstr(run.err, "(null)"));
    }
    run = skewctl_run("inject", "-p", pid, "--offset", "1s", "--for", "0s", NULL);
    run_expect_error(&run, 2);
    assert_non_null(strstr(run.err, "not above 0"));
    run = skewctl_run("watch", NULL);
    run_expect_error(&run, 2);
    run = skewctl_run_as(65534, "watch", "-p", pid, NULL);
    run_expect_error(&run, 5);
    skewctl_recover(idle->pid);
    run = skewctl_run("watch", "-p", pid, NULL);
    run_expect_error(&run, 4);
    child_kill(idle);
    run = skewctl_run("watch", "-p", pid, NULL);
    run_expect_error(&run, 4);
}

/* A terminal with bash on it, as a person has it. */
struct terminal {
    int master;
    struct child *shell;
    struct termios mode; /* while a program is run that changes nothing */
    size_t length;
    char seen[65536]; /* since the last await */
};

static void shell_on_terminal(void *path)
{
    setsid();
    int slave = open(path, O_RDWR); /* and it is the controlling terminal */
    if (slave < 0 || dup2(slave, 0) < 0 || dup2(slave, 1) < 0 || dup2(slave, 2) < 0)
        _exit(126);
    setenv("TERM", "xterm", 1);
}

static void terminal_type(struct terminal *terminal, const char *text)
{
    assert_int_equal(write(terminal->master, text, strlen(text)), strlen(text));
}

/* Reads until that has been written to it; what came before is forgotten. */
static void terminal_await(struct terminal *terminal, const char *text)
{
    int64_t end = harness_monotonic_ns() + HARNESS_DEADLINE_MS * INT64_C(1000000);
    for (;;) {
        terminal->seen[terminal->length] = '\0';
        char *found = strstr(terminal->seen, text);
        if (found) {
            size_t behind = (size_t)(found - terminal->seen) + strlen(text);
            terminal->length -= behind;
            memmove(terminal->seen, terminal->seen + behind, terminal->length);
            return;
        }
        /* A picture that goes on and on is not what is waited for. */
        size_t room = sizeof terminal->seen - 1;
        if (terminal->length > room / 2) {
            memmove(terminal->seen, terminal->seen + terminal->length - room / 4, room / 4);
            terminal->length = room / 4;
        }
        struct pollfd input = {.fd = terminal->master, .events = POLLIN};
        if (harness_monotonic_ns() > end || poll(&input, 1, 1000) < 0)
            fail_msg("the terminal did not show '%s' but: %s", text, terminal->seen);
        if (input.revents == 0)
            continue;
        ssize_t count =
            read(terminal->master, terminal->seen + terminal->length, room - terminal->length);
        if (count <= 0)
            fail_msg("the terminal was closed; '%s' was awaited: %s", text, terminal->seen);
        terminal->length += (size_t)count;
    }
}

/* A command, and what it left of the terminal's modes. */
static void terminal_run(struct terminal *terminal, const char *command)
{
    terminal_type(terminal, harness_format("%s; echo en''d=$?\n", command));
}

static void terminal_end_expect(struct terminal *terminal, int status)
{
    struct termios mode;
    terminal_await(terminal, harness_format("end=%d", status));
    terminal_run(terminal, "sleep 0");
    terminal_await(terminal, "end=0");
    assert_int_equal(tcgetattr(terminal->master, &mode), 0);
    assert_int_equal(mode.c_lflag, terminal->mode.c_lflag);
    assert_int_equal(mode.c_iflag, terminal->mode.c_iflag);
    assert_int_equal(mode.c_oflag, terminal->mode.c_oflag);
    assert_memory_equal(mode.c_cc, terminal->mode.c_cc, sizeof mode.c_cc);
}

static struct terminal *terminal_open(void)
{
    struct terminal *terminal = harness_memory(sizeof *terminal);
    char path[64];
    terminal->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(terminal->master >= 0 && grantpt(terminal->master) == 0 &&
                unlockpt(terminal->master) == 0 &&
                ptsname_r(terminal->master, path, sizeof path) == 0);
    terminal->shell = child_start(
        (const char *const[]){"bash", "--norc", "--noprofile", "--noediting", "-i", NULL},
        &(struct start){.before_exec = shell_on_terminal, .argument = path});
    terminal_run(terminal, "stty -echo -ixon");
    terminal_await(terminal, "end=0");
    assert_int_equal(tcgetattr(terminal->master, &terminal->mode), 0);
    return terminal;
}

static const char *watch_command(const struct child *victim, const char *more)
{
    return harness_format("%s watch -p %d --interval 20ms %s", skewctl_path(), victim->pid, more);
}

static void a_terminal_is_put_back(void **state)
{
    (void)state;
    static const struct winsize sizes[] = {
        {.ws_row = 1, .ws_col = 1}, {.ws_row = 3, .ws_col = 20}, {.ws_row = 24, .ws_col = 80}};
    struct child *idle = victim_start("idle", NULL);
    struct terminal *terminal = terminal_open();
    inject(idle, "--offset", "-1h", NULL, NULL);
    terminal_run(terminal, watch_command(idle, ""));
    terminal_await(terminal, SHOW);
    terminal_await(terminal, "skew -1h");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_int_equal(ioctl(terminal->master, TIOCSWINSZ, &sizes[i]), 0);
        terminal_await(terminal, i == 0 ? "\033[H\033[Kp\033" : "\033[H\033[Kpid");
    }
    inject(idle, "--offset", "1h", NULL, NULL);
    terminal_await(terminal, "skew 1h");
    terminal_type(terminal, "xq");
    terminal_await(terminal, HIDE);
    terminal_end_expect(terminal, 0);

    /* ^C ends it as well; ^Z stops it, with the terminal as it was. */
    terminal_run(terminal, watch_command(idle, ""));
    terminal_await(terminal, SHOW);
    terminal_type(terminal, "\003");
    terminal_await(terminal, HIDE);
    terminal_end_expect(terminal, 0);
    terminal_run(terminal, watch_command(idle, ""));
    terminal_await(terminal, SHOW);
    terminal_type(terminal, "\032");
    terminal_await(terminal, HIDE);
    terminal_await(terminal, "Stopped");
    terminal_end_expect(terminal, 128 + SIGTSTP);
    /* In the background it stops again before it touches anything. */
    terminal_run(terminal, "bg; wait");
    terminal_await(terminal, "Stopped");
    terminal_run(terminal, "fg");
    terminal_await(terminal, SHOW);
    terminal_await(terminal, "DIFFERENCE");
    terminal_type(terminal, "q");
    terminal_await(terminal, HIDE);
    terminal_end_expect(terminal, 0);

    /* Signals from elsewhere, that of ^\ among them, which leaves no core here. */
    static const int signals[] = {SIGTERM, SIGHUP, SIGQUIT};
    const char *file = harness_format("%s/pid", harness_home());
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        terminal_run(terminal, harness_format("bash -c 'ulimit -c 0; echo $$ >%s; exec %s'", file,
                                              watch_command(idle, "")));
        terminal_await(terminal, SHOW);
        terminal_await(terminal, "DIFFERENCE");
        pid_t pid = (pid_t)strtol(harness_file_read(file, NULL), NULL, 10);
        assert_true(pid > 1);
        kill(pid, signals[i]);
        terminal_await(terminal, HIDE);
        terminal_end_expect(terminal, 128 + signals[i]);
    }

    /* With nobody at the keys; and the end of what it shows. */
    terminal_run(terminal, watch_command(idle, "--count 2 </dev/null"));
    terminal_await(terminal, SHOW);
    terminal_await(terminal, HIDE);
    terminal_end_expect(terminal, 0);
    terminal_run(terminal, watch_command(idle, ""));
    terminal_await(terminal, SHOW);
    skewctl_recover(idle->pid);
    terminal_await(terminal, HIDE);
    terminal_await(terminal, "it was recovered");
    terminal_end_expect(terminal, 0);
    close(terminal->master);
    child_kill(terminal->shell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(a_sample_is_what_the_program_reads),
        harness_test(a_sample_is_of_its_time_namespace),
        harness_test(changes_show_at_once),
        harness_test(it_ends_by_itself),
        harness_test(what_cannot_be_watched_is_refused),
        harness_test(a_terminal_is_put_back),
    };
    return cmocka_run_group_tests_name("watching clocks", tests, NULL, NULL);
}
