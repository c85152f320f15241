/*
 * commands.h - the subcommands, one file each. Each returns the exit status and
 * has said on standard error what went wrong.
 */
#ifndef SKEWCTL_CLI_COMMANDS_H
#define SKEWCTL_CLI_COMMANDS_H

#include "cli/options.h"

int command_inject(const struct options *options);
int command_follow(const struct options *options);
int command_recover(const struct options *options);
int command_run(const struct options *options);
int command_list(const struct options *options);
int command_scan(const struct options *options);
int command_doctor(const struct options *options);
int command_inspect(const struct options *options);
/* With the arguments of the program itself. */
int command_plot(const struct options *options, char **argv);
int command_watch(const struct options *options);

/* Says which clocks go back that never do otherwise, unless that is refused. */
void command_warn_back(const struct skew_request *request);

/* Prints, a line each, what of findings a skew of these clocks leaves as it is; a few at most. */
void command_warn(pid_t pid, const char *command, const struct skew_finding *findings, size_t count,
                  uint64_t clocks);

/* What inject asks of each process. */
struct skew_request request_from(const struct options *options);

/* Opens the engine on the journal that the user named, or the default one; optional: skewctl.h. */
enum skew_code command_open_engine(const struct options *options, bool journal_optional,
                                   struct skew_engine **engine);

/*
 * Puts back what has passed its deadline, and says so where that fails. It is not what the
 * user asked for, so the exit status does not tell. Fails only where the journal does, and
 * leaves it to the caller to say that.
 */
enum skew_code command_recover_expired(struct skew_engine *engine, struct skew_error *error);

#endif
