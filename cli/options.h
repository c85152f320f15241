/*
 * options.h - what the user asked for: a command and its options, checked.
 */
#ifndef SKEWCTL_CLI_OPTIONS_H
#define SKEWCTL_CLI_OPTIONS_H

#include "engine/skewctl.h"

enum command {
    COMMAND_INJECT,
    COMMAND_RUN,
    COMMAND_FOLLOW,
    COMMAND_RECOVER,
    COMMAND_LIST,
    COMMAND_SCAN,
    COMMAND_DOCTOR,
    COMMAND_PLOT,
    COMMAND_INSPECT,
    COMMAND_WATCH
};

/* Whom to work on, besides single processes. Names belong to the command line. */
struct selector_list {
    struct skew_selector *selectors;
    size_t count;
};

/* Numbers in the order they were named, each once. */
struct number_list {
    int64_t *numbers;
    size_t count;
};

struct options {
    bool help;    /* nothing else was looked at */
    bool json;    /* -o json rather than a table */
    bool all;     /* list: history too; recover: every injection */
    bool crashed; /* recover: only what was interrupted */
    bool force;
    bool dry_run;
    bool repair;  /* scan */
    bool partial; /* inject: without those that cannot be */
    bool detach;  /* in the background */
    bool suspend_seccomp;
    enum skew_follow_mode follow; /* inject: and what comes later; run: and what is executed */
    const char *journal;          /* NULL: the default place */
    int64_t begun_ns;             /* CLOCK_REALTIME, when the command was begun */
    unsigned given;               /* which of enum skew_option, 1 << it each */
    char profile[64];             /* the name of the one that was given; empty for none */
    int64_t offset_ns;
    struct shape shape;  /* besides the offset */
    int64_t begin_ns;    /* CLOCK_REALTIME, when the shape begins; 0 where there is none */
    uint64_t slew_pace;  /* in 2^-64, 0: jump */
    uint64_t clocks;     /* 0: the default set */
    int64_t deadline_ns; /* CLOCK_REALTIME, when the skew ends by itself; 0: never */
    int64_t interval_ns; /* watch: between two samples */
    int64_t samples;     /* watch: after which it ends; 0: never */
    struct number_list pids;
    struct number_list ids;    /* of injections, */
    struct number_list groups; /* and of groups */
    struct selector_list selectors;
    const char *file;  /* plot: where the picture goes */
    int width, height; /* plot: of the picture; 0: the usual */
    int64_t span_ns;   /* plot: how long a time it shows; 0: what suits the shape */
    bool difference;   /* plot: nothing but that */
    char **arguments;  /* run: of the command, which is the first; ends with NULL */
};

/* The command's name on the command line. */
const char *command_name(enum command command);

/* False if there is no command of that name. */
bool command_find(const char *name, enum command *command);

/*
 * Reads the options of a command; argv[0] is its name. Prints the line that
 * says what is wrong and returns SKEW_USAGE, or SKEW_FAILED without memory.
 * Either way the caller owns *options and frees it with options_free().
 */
enum skew_code options_parse(enum command command, int argc, char **argv, struct options *options);
void options_free(struct options *options);

#endif
