/*
 * profile_test.c - --profile: those of docs/profiles do what their options do, and what is no
 * profile is refused.
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define HOUR INT64_C(3600000000000)

static const char *pid_text(const struct child *child)
{
    return harness_format("%d", child->pid);
}

static const char *profile_write(const char *name, const char *text, size_t size)
{
    const char *path = harness_format("%s/%s", harness_home(), name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    return path;
}

/* What inject with the options says that a profile's keys are. */
static const char *inject_as_options(const struct child *child, const char *path)
{
    const char *words = json_query(harness_file_read(path, NULL),
                                   "del(.name, .description) | to_entries | map(\"--\" + .key, "
                                   ".value) | join(\" \")");
    const char *argv[32] = {skewctl_path(), "inject", "-p",        pid_text(child),
                            "-o",           "json",   "--journal", skewctl_journal()};
    size_t count = 8;
    for (char *word = strtok(harness_format("%s", words), " "); word; word = strtok(NULL, " ")) {
        assert_true(count < 31);
        argv[count++] = word;
    }
    struct run run = program_run(argv, NULL, HARNESS_DEADLINE_MS);
    run_expect(&run, 0);
    return run.out;
}

static int64_t number(const char *json, const char *filter)
{
    return strtoll(json_query(json, filter), NULL, 10);
}

static void like_its_options(const char *path)
{
    struct child *one = victim_start("idle", NULL), *other = victim_start("idle", NULL);
    int64_t before = harness_realtime_ns();
    struct run run =
        skewctl_run("inject", "-p", pid_text(one), "--profile", path, "-o", "json", NULL);
    run_expect(&run, 0);
    const char *options = inject_as_options(other, path);
    int64_t passed = harness_realtime_ns() - before;
    static const char *const same[] = {".injections[0].clocks", ".injections[0].shape",
                                       ".injections[0].deadline == null"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        assert_string_equal(json_query(run.out, same[i]), json_query(options, same[i]));
    /* That of --at is less the later the command is given. */
    const char *base = strrchr(path, '/') + 1;
    assert_string_equal(json_query(run.out, ".injections[0].profile"),
                        harness_format("%.*s", (int)(strlen(base) - strlen(".json")), base));
    assert_string_equal(json_query(options, ".injections[0].profile"), "null");
    int64_t apart =
        number(run.out, ".injections[0].skew_ns") - number(options, ".injections[0].skew_ns");
    bool at = strcmp(json_query(harness_file_read(path, NULL), "has(\"at\")"), "true") == 0;
    assert_in_range(apart, 0, at ? passed : 0);
    run = skewctl_run("recover", "--all", NULL);
    run_expect(&run, 0);
    child_kill(one);
    child_kill(other);
}

static void the_examples(void **state)
{
    (void)state;
    glob_t found;
    assert_int_equal(glob(TESTS_PROFILES "/*.json", 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 5);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct keep *mark = harness_mark();
        like_its_options(found.gl_pathv[i]);
        harness_release(mark);
    }
    globfree(&found);
}

static const char hour_back[] =
    "{\"name\": \"back\", \"offset\": \"-1h\", \"clock\": \"realtime\"}";

static void options_add_to_it(void **state)
{
    (void)state;
    const char *path = profile_write("x.json", hour_back, strlen(hour_back));
    struct child *reader = victim_start("clock_reader", "1", NULL);
    struct run run = skewctl_run("inject", "-p", pid_text(reader), "--step", "0:30m", "--profile",
                                 path, "-o", "json", NULL);
    run_expect(&run, 0);
    assert_string_equal(json_query(run.out, ".injections[0].clocks"), "realtime");
    run = skewctl_run("list", "-o", "json", NULL);
    run_expect(&run, 0);
    assert_string_equal(json_query(run.out, ".injections[0].profile"), "back");
    assert_string_equal(json_query(run.out, ".injections[0].skew"), "-1h step=0s:30m");
    run = skewctl_run("list", NULL);
    run_expect(&run, 0);
    assert_non_null(strstr(run.out, " back: -1h step=0s:30m "));
    clock_reader_expect_all(reader, -HOUR / 2);
    run = skewctl_run("recover", "-p", pid_text(reader), NULL);
    run_expect(&run, 0);

    static const char *const repeated[][2] = {
        {"--offset", "1h"}, {"--at", "@1"}, {"--clock", "realtime"}};
    for (size_t i = 0; i < sizeof repeated / sizeof *repeated; i++) {
        const char *option = repeated[i][0], *value = repeated[i][1];
        run = skewctl_run("inject", "-p", pid_text(reader), option, value, "--profile", path, NULL);
        run_expect_error(&run, 2);
        assert_non_null(strstr(run.err, path));
        run = skewctl_run("inject", "-p", pid_text(reader), "--profile", path, option, value, NULL);
        run_expect_error(&run, 2);
    }
    run = skewctl_run("inject", "-p", pid_text(reader), "--profile", path, "--profile", path, NULL);
    run_expect_error(&run, 2);
    clock_reader_expect_all(reader, 0);
}

static void run_takes_it(void **state)
{
    (void)state;
    const char *path = profile_write("x", hour_back, strlen(hour_back));
    const char *const options[] = {"--profile", path, NULL};
    static const char *const date[] = {"date", "+%s", NULL};
    int64_t before = harness_realtime_ns() / 1000000000;
    struct run run = program_run(skewctl_run_arguments(options, date), NULL, HARNESS_DEADLINE_MS);
    run_expect(&run, 0);
    assert_in_range(strtoll(run.out, NULL, 10), before - 3600,
                    harness_realtime_ns() / 1000000000 - 3600);
}

static void what_is_none_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *said;
    } refusals[] = {
        {"", "line 1"},
        {"{\n\"rate\": \"2\",\n}", "line 3"},
        {"{\"rate\": \"2\"} x", "line 1"},
        {"[\"rate\", \"2\"]", "no JSON object"},
        {"{\"rate\": \"2\",\n \"rate\": \"2\"}", "line 2: duplicate object key near '\"rate\"'"},
        {"{\"rate\": 2}", "\"rate\" is no string"},
        {"{\"rate\": null}", "\"rate\" is no string"},
        {"{\"name\": [], \"rate\": \"2\"}", "\"name\" is no string"},
        {"{\"Rate\": \"2\"}", "no key \"Rate\""},
        {"{\"rate\": \"2\", \"force\": \"yes\"}", "no key \"force\""},
        {"{\"rate\": \"quick\"}", "--rate 'quick'"},
        {"{\"offset\": \"1\"}", "'1' is no offset"},
        {"{\"offset\": \"1h\\u0000\"}", "\\u0000"},
        {"{\"offset\": \"1h\", \"at\": \"@1\"}", "exclude"},
        {"{\"clock\": \"sundial\", \"rate\": \"2\"}", "sundial"},
        {"{\"name\": \"\", \"rate\": \"2\"}", "1 to 63"},
        {"{\"name\": \"a\\nb\", \"rate\": \"2\"}", "control"},
        {"{\"name\": \"0123456789012345678901234567890123456789012345678901234567890123\", "
         "\"rate\": \"2\"}",
         "1 to 63"},
    };
    const char *path = NULL;
    struct child *idle = victim_start("idle", NULL);
    struct run run;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        path = profile_write("x.json", refusals[i].text, strlen(refusals[i].text));
        run = skewctl_run("inject", "-p", pid_text(idle), "--profile", path, NULL);
        run_expect_error(&run, 2);
        if (!strstr(run.err, path) || !strstr(run.err, refusals[i].said))
            fail_msg("%s is refused with: %s", refusals[i].text, run.err);
    }
    /* What has no skew of its own takes one from elsewhere. */
    path = profile_write("x.json", "{\"for\": \"1h\"}", 13);
    run = skewctl_run("inject", "-p", pid_text(idle), "--profile", path, NULL);
    run_expect_error(&run, 2);
}

static void files_that_are_none(void **state)
{
    (void)state;
    struct child *idle = victim_start("idle", NULL);
    const char *large = harness_format("%-65537s", "{\"rate\":\"2\"}");
    const char *path = profile_write("x.json", large, 65536);
    struct run run = skewctl_run("inject", "-p", pid_text(idle), "--profile", path, NULL);
    run_expect(&run, 0);
    const char *fifo = harness_format("%s/fifo", harness_home());
    assert_int_equal(mkfifo(fifo, 0600), 0);
    const char *const paths[] = {profile_write("y.json", large, 65537),
                                 fifo,
                                 harness_home(),
                                 "/dev/zero",
                                 "/nowhere/x.json",
                                 ""};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        run = skewctl_run("inject", "-p", pid_text(idle), "--profile", paths[i], NULL);
        run_expect_error(&run, 2);
        assert_non_null(strstr(run.err, paths[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(the_examples),        harness_test(options_add_to_it),
        harness_test(run_takes_it),        harness_test(what_is_none_is_refused),
        harness_test(files_that_are_none),
    };
    return cmocka_run_group_tests_name("profiles", tests, NULL, NULL);
}
