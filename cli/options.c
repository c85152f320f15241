/*
 * options.c - the command line as getopt_long(3) reads it; see options.h.
 */
#include "cli/options.h"

#include "cli/message.h"
#include "cli/plot_option.h"
#include "cli/profile.h"
#include "cli/skew_option.h"
#include "cli/target_option.h"
#include "engine/duration.h"
#include "engine/shape_text.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const char *const commands[] = {
    [COMMAND_INJECT] = "inject", [COMMAND_RUN] = "run",         [COMMAND_RECOVER] = "recover",
    [COMMAND_LIST] = "list",     [COMMAND_SCAN] = "scan",       [COMMAND_DOCTOR] = "doctor",
    [COMMAND_FOLLOW] = "follow", [COMMAND_INSPECT] = "inspect", [COMMAND_PLOT] = "plot",
    [COMMAND_WATCH] = "watch",
};
#define COMMANDS_COUNT (sizeof commands / sizeof *commands)

const char *command_name(enum command command)
{
    return commands[command];
}

bool command_find(const char *name, enum command *command)
{
    for (size_t i = 0; i < COMMANDS_COUNT; i++)
        if (strcmp(commands[i], name) == 0) {
            *command = (enum command)i;
            return true;
        }
    return false;
}

/* Options with a letter are known by it, the others by these. */
enum {
    /* From here on those of enum skew_option. */
    OPTION_SKEW = 256,
    OPTION_PROFILE = OPTION_SKEW + SKEW_OPTION_COUNT,
    OPTION_SLEW,
    OPTION_FORCE,
    OPTION_DRY_RUN,
    OPTION_SUSPEND_SECCOMP,
    OPTION_TREE,
    OPTION_CGROUP,
    OPTION_CONTAINER,
    OPTION_PIDNS,
    OPTION_PARTIAL,
    OPTION_FOLLOW,
    OPTION_DETACH,
    OPTION_ID,
    OPTION_ALL,
    OPTION_REPAIR,
    OPTION_CRASHED,
    OPTION_INTERVAL,
    OPTION_COUNT,
    OPTION_SPAN,
    OPTION_SIZE,
    OPTION_DIFFERENCE,
    OPTION_JOURNAL
};

static const char short_options[] = ":p:o:h";
/* Stops at the first argument that is no option: the rest is a command's. */
static const char short_options_run[] = "+:p:o:h";
static const struct option long_options[] = {
    {"pid", required_argument, NULL, 'p'},
    {"offset", required_argument, NULL, OPTION_SKEW + SKEW_OPTION_OFFSET},
    {"at", required_argument, NULL, OPTION_SKEW + SKEW_OPTION_AT},
    {"clock", required_argument, NULL, OPTION_SKEW + SKEW_OPTION_CLOCK},
    {"for", required_argument, NULL, OPTION_SKEW + SKEW_OPTION_FOR},
    {"rate", required_argument, NULL, OPTION_SKEW + SKEW_OPTION_RATE},
    {"ramp", required_argument, NULL, OPTION_SKEW + SKEW_OPTION_RAMP},
    {"smear", required_argument, NULL, OPTION_SKEW + SKEW_OPTION_SMEAR},
    {"strobe", required_argument, NULL, OPTION_SKEW + SKEW_OPTION_STROBE},
    {"sine", required_argument, NULL, OPTION_SKEW + SKEW_OPTION_SINE},
    {"jitter", required_argument, NULL, OPTION_SKEW + SKEW_OPTION_JITTER},
    {"step", required_argument, NULL, OPTION_SKEW + SKEW_OPTION_STEP},
    {"profile", required_argument, NULL, OPTION_PROFILE},
    {"slew", required_argument, NULL, OPTION_SLEW},
    {"force", no_argument, NULL, OPTION_FORCE},
    {"dry-run", no_argument, NULL, OPTION_DRY_RUN},
    {"suspend-seccomp", no_argument, NULL, OPTION_SUSPEND_SECCOMP},
    {"tree", required_argument, NULL, OPTION_TREE},
    {"cgroup", required_argument, NULL, OPTION_CGROUP},
    {"container", required_argument, NULL, OPTION_CONTAINER},
    {"pidns", required_argument, NULL, OPTION_PIDNS},
    {"partial", no_argument, NULL, OPTION_PARTIAL},
    {"follow", optional_argument, NULL, OPTION_FOLLOW},
    {"detach", no_argument, NULL, OPTION_DETACH},
    {"id", required_argument, NULL, OPTION_ID},
    {"all", no_argument, NULL, OPTION_ALL},
    {"repair", no_argument, NULL, OPTION_REPAIR},
    {"crashed", no_argument, NULL, OPTION_CRASHED},
    {"interval", required_argument, NULL, OPTION_INTERVAL},
    {"count", required_argument, NULL, OPTION_COUNT},
    {"span", required_argument, NULL, OPTION_SPAN},
    {"size", required_argument, NULL, OPTION_SIZE},
    {"difference", no_argument, NULL, OPTION_DIFFERENCE},
    {"journal", required_argument, NULL, OPTION_JOURNAL},
    {"output", required_argument, NULL, 'o'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

#define FOR(command) (1u << (command))

#define INTERVAL_MIN_NS   INT64_C(1000000)
#define INTERVAL_USUAL_NS INT64_C(100000000)

static bool is_skew_option(int option)
{
    return option >= OPTION_SKEW && option < OPTION_SKEW + SKEW_OPTION_COUNT;
}

/* Which commands take an option; all of them take those not named here. */
static unsigned option_commands(int option)
{
    if (option == OPTION_SKEW + SKEW_OPTION_CLOCK)
        return FOR(COMMAND_INJECT) | FOR(COMMAND_RUN) | FOR(COMMAND_WATCH);
    if (is_skew_option(option) || option == OPTION_PROFILE)
        return FOR(COMMAND_INJECT) | FOR(COMMAND_RUN) | FOR(COMMAND_PLOT);
    switch (option) {
    case 'p':
        return FOR(COMMAND_INJECT) | FOR(COMMAND_RECOVER) | FOR(COMMAND_SCAN) |
               FOR(COMMAND_DOCTOR) | FOR(COMMAND_INSPECT) | FOR(COMMAND_PLOT) | FOR(COMMAND_WATCH);
    case OPTION_INTERVAL:
    case OPTION_COUNT:
        return FOR(COMMAND_WATCH);
    case OPTION_FORCE:
        return FOR(COMMAND_INJECT) | FOR(COMMAND_RUN) | FOR(COMMAND_FOLLOW);
    case OPTION_PARTIAL:
        return FOR(COMMAND_INJECT);
    case OPTION_DRY_RUN:
    case OPTION_SLEW:
        return FOR(COMMAND_INJECT) | FOR(COMMAND_RECOVER);
    case OPTION_FOLLOW:
        return FOR(COMMAND_INJECT) | FOR(COMMAND_RUN);
    case OPTION_DETACH:
        return FOR(COMMAND_INJECT) | FOR(COMMAND_FOLLOW);
    case OPTION_SUSPEND_SECCOMP:
    case OPTION_TREE:
    case OPTION_CGROUP:
    case OPTION_CONTAINER:
    case OPTION_PIDNS:
        return FOR(COMMAND_INJECT) | FOR(COMMAND_RECOVER);
    case OPTION_ID:
        return FOR(COMMAND_INJECT) | FOR(COMMAND_RECOVER) | FOR(COMMAND_FOLLOW) | FOR(COMMAND_PLOT);
    case OPTION_CRASHED:
        return FOR(COMMAND_RECOVER);
    case OPTION_ALL:
        return FOR(COMMAND_RECOVER) | FOR(COMMAND_LIST);
    case OPTION_REPAIR:
        return FOR(COMMAND_SCAN);
    case OPTION_SPAN:
    case OPTION_SIZE:
    case OPTION_DIFFERENCE:
        return FOR(COMMAND_PLOT);
    case 'o':
        return ~(FOR(COMMAND_RUN) | FOR(COMMAND_FOLLOW));
    default:
        return ~0U;
    }
}

static const char *option_name(int option)
{
    for (const struct option *known = long_options; known->name; known++)
        if (known->val == option)
            return known->name;
    return "";
}

static enum skew_code interval_parse(const char *text, int64_t *interval_ns)
{
    const char *problem;
    int64_t interval;
    bool read = duration_parse(text, &interval, &problem);

    if (!read || interval < INTERVAL_MIN_NS)
        return message_usage("'%.80s' is no time between two samples: %s; write it like 100ms "
                             "or 2s",
                             text, read ? "it is below 1ms" : problem);
    *interval_ns = interval;
    return SKEW_OK;
}

static enum skew_code slew_parse(const char *text, uint64_t *pace)
{
    const char *problem;

    if (*pace != 0)
        return message_usage("--slew is given twice; give it once");
    return shape_pace_parse(text, pace, &problem)
               ? SKEW_OK
               : message_usage("'%.80s' is no pace: %s; write it like 500ppm, 5%% or 0.05", text,
                               problem);
}

static enum skew_code samples_parse(const char *text, int64_t *samples)
{
    size_t length = strspn(text, "0123456789");

    errno = 0;
    long long count = strtoll(text, NULL, 10);
    if (length == 0 || text[length] != '\0' || errno == ERANGE || count < 1)
        return message_usage("'%.80s' is no count of samples: it is not a decimal number from 1 "
                             "to %lld",
                             text, LLONG_MAX);
    *samples = count;
    return SKEW_OK;
}

/* NULL for the command's usual way. */
static enum skew_code follow_parse(const char *text, enum command command,
                                   enum skew_follow_mode *mode)
{
    const char *way = text ? text : command == COMMAND_RUN ? "exact" : "watch";

    if (*mode != SKEW_FOLLOW_NONE)
        return message_usage("--follow is given twice; give it once");
    *mode = strcmp(way, "exact") == 0   ? SKEW_FOLLOW_EXACT
            : strcmp(way, "watch") == 0 ? SKEW_FOLLOW_WATCH
                                        : SKEW_FOLLOW_NONE;
    return *mode != SKEW_FOLLOW_NONE
               ? SKEW_OK
               : message_usage("'%.80s' is no way to follow; choose watch or exact", text);
}

static enum skew_code option_store(int option, char *value, enum command command,
                                   struct options *options)
{
    if (is_skew_option(option))
        return skew_option_store((enum skew_option)(option - OPTION_SKEW), value, options);
    switch (option) {
    case 'p':
        return target_pids_store(value, options);
    case OPTION_ID:
        return target_ids_store(value, options);
    case OPTION_TREE:
        return target_processes_store(SKEW_SELECT_TREE, value, options);
    case OPTION_PIDNS:
        return target_processes_store(SKEW_SELECT_PIDNS, value, options);
    case OPTION_CGROUP:
        return target_name_store(SKEW_SELECT_CGROUP, "cgroup", value, options);
    case OPTION_CONTAINER:
        return target_name_store(SKEW_SELECT_CONTAINER, "container", value, options);
    case OPTION_PARTIAL:
        options->partial = true;
        return SKEW_OK;
    case OPTION_FOLLOW:
        return follow_parse(value, command, &options->follow);
    case OPTION_DETACH:
        options->detach = true;
        return SKEW_OK;
    case OPTION_PROFILE:
        return profile_store(value, options);
    case OPTION_SLEW:
        return slew_parse(value, &options->slew_pace);
    case OPTION_FORCE:
        options->force = true;
        return SKEW_OK;
    case OPTION_DRY_RUN:
        options->dry_run = true;
        return SKEW_OK;
    case OPTION_SUSPEND_SECCOMP:
        options->suspend_seccomp = true;
        return SKEW_OK;
    case OPTION_ALL:
        options->all = true;
        return SKEW_OK;
    case OPTION_REPAIR:
        options->repair = true;
        return SKEW_OK;
    case OPTION_CRASHED:
        options->crashed = true;
        return SKEW_OK;
    case OPTION_INTERVAL:
        return interval_parse(value, &options->interval_ns);
    case OPTION_COUNT:
        return samples_parse(value, &options->samples);
    case OPTION_SPAN:
        return plot_span_store(value, options);
    case OPTION_SIZE:
        return plot_size_store(value, options);
    case OPTION_DIFFERENCE:
        options->difference = true;
        return SKEW_OK;
    case OPTION_JOURNAL:
        if (*value == '\0')
            return message_usage("--journal names no file: its value is empty; give a path");
        options->journal = value;
        return SKEW_OK;
    default: /* 'o' */
        if (command == COMMAND_PLOT)
            return plot_file_store(value, options);
        options->json = strcmp(value, "json") == 0;
        if (!options->json && strcmp(value, "table") != 0)
            return message_usage("'%.80s' is no output format; choose table or json", value);
        return SKEW_OK;
    }
}

/* By the call itself: its reading through the vDSO may be skewed, as that of any process. */
static int64_t realtime_now(void)
{
    struct timespec now = {0};

    syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
    return now.tv_sec * DURATION_SECOND_NS + now.tv_nsec;
}

/* getopt_long() returned ':' or '?': says why. */
static enum skew_code option_refuse(int result, enum command command, char **argv)
{
    const char *last = argv[optind - 1];
    const char *name = commands[command];

    if (result == ':')
        return message_usage("%.80s needs a value; see skewctl %s --help", last, name);
    if (optopt >= OPTION_SKEW || (optopt && strncmp(last, "--", 2) == 0))
        return message_usage("--%s takes no value; see skewctl %s --help", option_name(optopt),
                             name);
    if (optopt)
        return message_usage("there is no option -%c; see skewctl %s --help", optopt, name);
    return message_usage(
        "there is no option %.80s, or it stands for several; see skewctl %s --help", last, name);
}

static enum skew_code options_check(enum command command, const struct options *options)
{
    bool processes = options->pids.count != 0 || options->selectors.count != 0;
    bool ids = options->ids.count != 0 || options->groups.count != 0;
    unsigned ways = processes + ids + options->all + options->crashed;

    switch (command) {
    case COMMAND_INJECT:
        if (options->ids.count != 0)
            return message_usage("inject takes groups by their ids, like --id g3, as list shows "
                                 "them; name a process with -p PID");
        if (ids && (processes || options->follow || options->partial || options->dry_run))
            return message_usage("--id changes the skew of a group as it is; processes, --follow, "
                                 "--partial and --dry-run do not go with it");
        if (!processes && !ids)
            return message_usage("inject has no process to work on; name one with -p PID, or "
                                 "several with --tree, --cgroup, --container or --pidns");
        if (options->partial && options->selectors.count == 0 && !options->follow)
            return message_usage("--partial is for groups; processes named with -p alone are "
                                 "skewed one by one");
        if (options->detach && !options->follow)
            return message_usage("--detach is for --follow, which is what would go on");
        if (options->follow && options->dry_run)
            return message_usage("--dry-run changes nothing that --follow could go on with");
        if (!skew_option_any(options))
            return message_usage("inject has no skew to make; give one, like --offset -5m, or an "
                                 "--at, a --rate or the like");
        return SKEW_OK;
    case COMMAND_RUN:
        if (!options->arguments)
            return message_usage("run has no command to execute; give one behind --");
        if (!skew_option_any(options))
            return message_usage("run has no skew to make; give one, like --offset -5m, or an "
                                 "--at, a --rate or the like");
        return SKEW_OK;
    case COMMAND_RECOVER:
        if (ways == 0)
            return message_usage("recover has nothing to work on; give -p PID, --tree PID or the "
                                 "like, --id ID, --all or --crashed");
        if (ways > 1)
            return message_usage("processes, --id, --all and --crashed exclude each other; give "
                                 "one of them");
        return SKEW_OK;
    case COMMAND_FOLLOW:
        if (options->ids.count != 0 || options->groups.count > 1)
            return message_usage("follow takes one group by its id, like --id g3, as list shows "
                                 "it, or without --id those that have lost their followers");
        return SKEW_OK;
    case COMMAND_INSPECT:
    case COMMAND_WATCH:
        if (!options->pids.count)
            return message_usage("%s has no process to look at; give one with -p PID",
                                 commands[command]);
        __attribute__((fallthrough));
    case COMMAND_DOCTOR:
    case COMMAND_SCAN:
        if (options->pids.count > 1)
            return message_usage("%s looks at one process at a time; give one PID",
                                 commands[command]);
        return SKEW_OK;
    case COMMAND_PLOT:
        if (options->pids.count + options->ids.count + options->groups.count +
                skew_option_any(options) !=
            1)
            return message_usage("plot draws one thing: give -p PID, --id ID, or a skew, like "
                                 "--profile FILE or --rate 2");
        if (!options->file)
            return message_usage("plot has no file to write; give one, like -o skew.svg");
        return SKEW_OK;
    case COMMAND_LIST:
        return SKEW_OK;
    }
    return SKEW_OK;
}

static enum skew_code slew_check(enum command command, const struct options *options)
{
    if (options->slew_pace != 0 && options->crashed)
        return message_usage("--crashed finishes what was interrupted, which is not slewed; "
                             "leave --slew out");
    if (command == COMMAND_RECOVER && options->slew_pace == 0 && options->dry_run)
        return message_usage("--dry-run of recover tells how long --slew takes; give one, like "
                             "--slew 500ppm");
    return SKEW_OK;
}

enum skew_code options_parse(enum command command, int argc, char **argv, struct options *options)
{
    enum skew_code code = SKEW_OK;
    int option;

    *options = (struct options){.begun_ns = realtime_now(), .interval_ns = INTERVAL_USUAL_NS};
    opterr = 0;
    const char *letters = command == COMMAND_RUN ? short_options_run : short_options;
    while ((option = getopt_long(argc, argv, letters, long_options, NULL)) != -1) {
        if (option == 'h') {
            options->help = true;
            return SKEW_OK;
        }
        if (option == ':' || option == '?')
            return option_refuse(option, command, argv);
        if (!(option_commands(option) & FOR(command)))
            return message_usage("%s takes no --%s; see skewctl %s --help", commands[command],
                                 option_name(option), commands[command]);
        code = option_store(option, optarg, command, options);
        if (code != SKEW_OK)
            return code;
    }
    if (command == COMMAND_RUN && optind < argc)
        options->arguments = argv + optind;
    else if (optind < argc)
        return message_usage("'%.80s' stands alone, without an option; see skewctl %s --help",
                             argv[optind], commands[command]);
    code = slew_check(command, options);
    return code == SKEW_OK ? options_check(command, options) : code;
}

void options_free(struct options *options)
{
    free(options->pids.numbers);
    free(options->ids.numbers);
    free(options->groups.numbers);
    free(options->selectors.selectors);
    *options = (struct options){0};
}
