/*
 * systemd_unit_test.c - skewctl-recover.service: installed with the command and
 * the manual page, right in systemd's eyes, and what it runs works.
 */
#include "command.h"
#include "victim.h"

#include <string.h>
#include <unistd.h>

/* What is installed, below a folder of this test. */
static const char *installed(void)
{
    const char *root = harness_directory(geteuid());
    struct run run =
        program_run((const char *const[]){"env", harness_format("DESTDIR=%s", root), "cmake",
                                          "--install", TESTS_BUILD, "--prefix", "/usr", NULL},
                    NULL, HARNESS_DEADLINE_MS);
    run_expect(&run, 0);
    return root;
}

static const char *unit_installed(void)
{
    return harness_format("%s/usr/lib/systemd/system/skewctl-recover.service", installed());
}

/* The command line of the unit's ExecStart=. */
static const char *command_line(const char *unit)
{
    const char *text = harness_file_read(unit, NULL);
    assert_non_null(text);
    const char *start = strstr(text, "\nExecStart=");
    assert_non_null(start);
    start += strlen("\nExecStart=");
    return harness_format("%.*s", (int)strcspn(start, "\n"), start);
}

static void installed_with_the_rest(void **state)
{
    (void)state;
    const char *root = installed();
    assert_int_equal(access(harness_format("%s/usr/sbin/skewctl", root), X_OK), 0);
    assert_int_equal(access(harness_format("%s/usr/share/man/man8/skewctl.8", root), R_OK), 0);
    const char *unit = harness_format("%s/usr/lib/systemd/system/skewctl-recover.service", root);
    assert_int_equal(access(unit, R_OK), 0);
    const char *command = command_line(unit);
    if (strncmp(command, "/usr/sbin/skewctl ", 18) != 0)
        fail_msg("it does not run what is installed: %s", command);
}

/* Runs as systemd would, but for the journal. */
static void runs_what_finishes(void **state)
{
    (void)state;
    const char *arguments = strchr(command_line(unit_installed()), ' ');
    assert_non_null(arguments);
    struct child *idle = victim_start("idle", NULL);
    skewctl_inject(idle->pid, "-5m");
    struct run run = program_run(
        (const char *const[]){"env", harness_format("SKEWCTL_JOURNAL=%s", skewctl_journal()), "sh",
                              "-c", harness_format("exec %s %s", skewctl_path(), arguments), NULL},
        NULL, HARNESS_DEADLINE_MS);
    run_expect(&run, 0);
    assert_string_equal(run.err, "");
    run = skewctl_run("list", "-o", "json", NULL);
    assert_string_equal(json_query(run.out, ".injections[0].state"), "active");
    skewctl_recover(idle->pid);
}

static void verified_by_systemd(void **state)
{
    (void)state;
    if (!harness_program("systemd-analyze"))
        harness_skip("there is no systemd-analyze to verify the unit");
    /* It wants to see the program, which is not installed here. */
    const char *copy = harness_format("%s/skewctl-recover.service", harness_directory(geteuid()));
    struct run run = program_run(
        (const char *const[]){"sh", "-c", "sed \"s|^ExecStart=[^ ]*|ExecStart=$1|\" \"$2\" >\"$3\"",
                              "sh", skewctl_path(), unit_installed(), copy, NULL},
        NULL, HARNESS_DEADLINE_MS);
    run_expect(&run, 0);
    run = program_run((const char *const[]){"systemd-analyze", "--man=no", "verify", copy, NULL},
                      NULL, HARNESS_DEADLINE_MS);
    /* What is wrong in it is a remark and no failure. */
    assert_string_equal(run.err, "");
    run_expect(&run, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(installed_with_the_rest),
        harness_test(runs_what_finishes),
        harness_test(verified_by_systemd),
    };
    return cmocka_run_group_tests_name("systemd unit", tests, NULL, NULL);
}
