/*
 * help.c - the texts of --help; see help.h.
 */
#include "cli/help.h"

#include <stdio.h>

static const char exit_codes[] = "\n"
                                 "Exit codes:\n"
                                 "  0  done\n"
                                 "  1  failed\n"
                                 "  2  usage\n"
                                 "  3  refused before anything was touched\n"
                                 "  4  no such process or injection\n"
                                 "  5  not permitted\n"
                                 "  6  some targets done, some not\n"
                                 "  7  restored, image kept for now: recover again later\n"
                                 "  128+N  stopped by signal N between two targets\n";

static const char common_options[] =
    "      --journal FILE        journal to use, instead of $SKEWCTL_JOURNAL or the default\n"
    "  -h, --help                this text\n";
static const char output_option[] =
    "  -o, --output table|json   how to print the result; table by default\n";

#define TARGETS                                                                                    \
    "      --tree PID[,PID...]   a process and its descendants\n"                                  \
    "      --cgroup PATH         all in a cgroup and in those below it\n"                          \
    "      --container ID        all in a container; the beginning of its id will do\n"            \
    "      --pidns PID[,PID...]  all in the pid namespace of a process\n"                          \
    "                            what these name, with -p too, is one group; may be repeated\n"

#define SHAPES                                                                                     \
    "      --rate RATE           run faster or slower from now on: 1.0002, +200ppm, -1%; 0 "       \
    "freezes\n"                                                                                    \
    "      --ramp OFFSET/TIME    slide to an offset: -500ms/10m\n"                                 \
    "      --smear OFFSET[/TIME] the same for a leap second, over a day: 1s where one is "         \
    "inserted\n"                                                                                   \
    "      --strobe OFFSET/TIME  shifted and not shifted in turn: 200ms/10ms\n"                    \
    "      --sine OFFSET/PERIOD  a wave: 250ms/60s\n"                                              \
    "      --jitter OFFSET[/TIME][,seed=N]  noise, changing every 1ms: 5ms,seed=7\n"               \
    "      --step TIME:OFFSET[,...]  offsets from later on: 30s:+250ms,60s:-250ms\n"               \
    "                            these add up, from now on\n"

#define OFFSET                                                                                     \
    "      --offset DURATION     what to add to the time: -5m, +1h30m, 250ms, -10m100ns\n"         \
    "      --at TIME             the time to show now, instead: 2027-02-28T23:59:50Z, "            \
    "@1999999999\n"                                                                                \
    "      --profile FILE        these and the following as a JSON file says; "                    \
    "docs/profiles has some\n"

#define SUSPEND_SECCOMP                                                                            \
    "      --suspend-seccomp     suspend a seccomp filter that forbids the calls needed.\n"        \
    "                            NOT SAFE: if skewctl dies in such a call, the filter judges "     \
    "it,\n"                                                                                        \
    "                            and may kill the process\n"

static const struct {
    const char *synopsis;
    const char *purpose;
    const char *options;
} texts[] = {
    [COMMAND_INJECT] =
        {
            "-p PID[,PID...] | TARGETS | --id ID --offset DURATION [--clock NAME[,...]] "
            "[--for DURATION] [--dry-run]",
            "Shift the clocks that running processes see, or change the shift in place.",
            "  -p, --pid PID[,PID...]    processes to skew; may be repeated\n" TARGETS
            "      --id ID[,ID...]       groups whose shift is to be changed: g3\n"
            "      --partial             skew a group without those that cannot be\n"
            "      --follow[=WAY]        go on: skew also who is born, execs or joins later; "
            "watch,\n"
            "                            from outside, or exact, attached to all of them\n"
            "      --detach              with --follow: go on in the background\n" OFFSET SHAPES
            "      --clock NAME[,...]    clocks to skew; realtime,realtime_coarse,tai by default\n"
            "      --for DURATION        when the shift ends by itself, counted from now: 30s, "
            "1h30m\n"
            "      --slew PACE           get there at 1ppm to less than 1, like 500ppm, rather "
            "than jump;\n"
            "                            for -p alone\n"
            "      --dry-run             look and decide, change nothing\n"
            "      --force               go on where only a safety catch refuses, as for pid "
            "1\n" SUSPEND_SECCOMP,
        },
    [COMMAND_RUN] =
        {
            "--offset DURATION [--clock NAME[,...]] [--for DURATION] [--follow] [--] COMMAND "
            "[ARGUMENT...]",
            "Execute a command, skewed from its first instruction. Ends as the command does; 126 "
            "and\n"
            "127 where that cannot be executed or is not found.",
            OFFSET SHAPES
            "      --clock NAME[,...]    clocks to skew; realtime,realtime_coarse,tai by default\n"
            "      --for DURATION        when the shift ends by itself, counted from now: 30s, "
            "1h30m\n"
            "      --follow[=WAY]        and all that the command and its descendants execute; "
            "exact,\n"
            "                            before it begins, or watch, tracing nobody\n"
            "      --force               go on where only a safety catch refuses\n",
        },
    [COMMAND_FOLLOW] =
        {
            "[--id ID] [--detach]",
            "Keep a group complete, whose follower has ended: skew who is born, execs or joins.",
            "      --id ID               a group, as list shows it: g3; without it, all of them\n"
            "      --force               go on where only a safety catch refuses\n"
            "      --detach              in the background\n",
        },
    [COMMAND_RECOVER] =
        {
            "-p PID[,PID...] | TARGETS | --id ID[,ID...] | --all | --crashed",
            "Put processes back as they were, and finish what was interrupted.",
            "  -p, --pid PID[,PID...]    processes to put back, with the children that inherited\n"
            "                            the injection; may be repeated\n" TARGETS
            "      --id ID[,ID...]       injections and groups to end, as list numbers them\n"
            "      --all                 every injection of the journal\n"
            "      --slew PACE           first get to the true time at 1ppm to less than 1, like "
            "500ppm,\n"
            "                            and wait for that; with --dry-run, only tell how long\n"
            "      --crashed             only what was interrupted; leave what is whole "
            "alone\n" SUSPEND_SECCOMP,
        },
    [COMMAND_LIST] =
        {
            "[--all]",
            "Show the injections in place, checked against the live processes.",
            "      --all                 those that have ended, too\n",
        },
    [COMMAND_SCAN] =
        {
            "[-p PID] [--repair]",
            "Name the processes whose vDSO is not the kernel's own, and who changed it.",
            "  -p, --pid PID             look at this process alone\n"
            "      --repair              put the kernel's bytes back where a rival left its own\n"
            "                            or skewctl was interrupted; injections in force stay\n",
        },
    [COMMAND_INSPECT] =
        {
            "-p PID",
            "Tell what of a process a skew will move, and what not: waits and timers, code that\n"
            "reads time without the vDSO, what stands in the way. Stops and changes nothing.",
            "  -p, --pid PID             process to look at\n",
        },
    [COMMAND_WATCH] =
        {
            "-p PID [--clock NAME[,...]] [--interval DURATION] [--count N]",
            "Show what the clocks of a skewed process show, and the true time, as they go on, "
            "until\n"
            "q or ^C, or the process is recovered or exits. Stops and changes nothing.",
            "  -p, --pid PID             process to look at\n"
            "      --clock NAME[,...]    clocks to show; those that are skewed and realtime by "
            "default\n"
            "      --interval DURATION   time between two samples; 100ms by default\n"
            "      --count N             end after so many samples\n",
        },
    [COMMAND_PLOT] =
        {
            "--profile FILE | --offset DURATION | SHAPES | -p PID | --id ID -o FILE.svg|FILE.png",
            "Draw how far a skew takes a clock from the true one, as it was asked for or as it is "
            "in force.",
            "  -p, --pid PID             a process that is skewed\n"
            "      --id ID               an injection or a group: 7, g3\n" OFFSET SHAPES
            "      --for DURATION        when the shift ends by itself\n"
            "      --span DURATION       how much time to show, instead of what suits the skew\n"
            "      --size WxH            of the picture: 960x640\n"
            "      --difference          without the skewed time above the difference\n"
            "  -o, --output FILE         where to put it; .svg or .png\n",
        },
    [COMMAND_DOCTOR] =
        {
            "[-p PID]",
            "Tell what this kernel, these privileges and one process allow. Changes nothing.",
            "  -p, --pid PID             process to look at\n",
        },
};

void help_print(void)
{
    fputs("Shift the clock that a running process sees, and put everything back.\n\nUsage:\n",
          stdout);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        printf("  skewctl %-7s %s\n", command_name((enum command)i), texts[i].synopsis);
    printf("  skewctl --help | --version\n\n"
           "TARGETS are --tree PID, --cgroup PATH, --container ID, --pidns PID.\n"
           "Options stand after the command; skewctl COMMAND --help lists them.\n"
           "%s\n"
           "skewctl(8) says the rest.\n",
           exit_codes);
}

void help_print_command(enum command command)
{
    bool prints = command != COMMAND_RUN && command != COMMAND_FOLLOW && command != COMMAND_PLOT;

    printf("Usage: skewctl %s %s%s\n\n%s\n\n%s%s%s%s", command_name(command),
           texts[command].synopsis, prints ? " [-o table|json]" : "", texts[command].purpose,
           texts[command].options, prints ? output_option : "", common_options, exit_codes);
}
