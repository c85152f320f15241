/*
 * profile.h - a skew that is kept in a file: a JSON object (RFC 8259) whose keys are the names of
 * the options that say what skew is wanted, and whose values are the very texts that these take.
 *
 *   {
 *     "name": "cheap crystal",
 *     "description": "Runs fast by 200 millionths, and shivers.",
 *     "rate": "+200ppm",
 *     "jitter": "50us/10ms"
 *   }
 *
 * "name" is what list calls it, by default the name of the file without ".json"; "description" is
 * for its readers. Nothing else is allowed, and no key twice. JSON, since everything reads and
 * writes it; read by jansson, which tells the line of what is no JSON, and refuses duplicate keys.
 */
#ifndef SKEWCTL_CLI_PROFILE_H
#define SKEWCTL_CLI_PROFILE_H

#include "cli/skew_option.h"

#define PROFILE_SIZE_MAX 65536

struct profile {
    struct json_t *document;               /* which the texts belong to */
    const char *name;                      /* NULL where it has none */
    const char *values[SKEW_OPTION_COUNT]; /* NULL where there is none */
};

/*
 * Takes a text apart. False, with a line for a person in `problem`, where it is no profile; the
 * values themselves are not looked at. Otherwise the caller frees it with profile_free().
 */
#define PROFILE_PROBLEM_SIZE 320
bool profile_parse(const char *text, size_t size, struct profile *profile,
                   char problem[static PROFILE_PROBLEM_SIZE]);
void profile_free(struct profile *profile);

/*
 * Adds what the file says to *options, its name too. Prints the line that says what is
 * wrong, with the name of the file, and returns SKEW_USAGE, where it cannot be read, is no regular
 * file or larger than PROFILE_SIZE_MAX, is no profile, or repeats what was given before.
 */
enum skew_code profile_store(const char *path, struct options *options);

#endif
