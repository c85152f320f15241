/*
 * profile.c - reading profiles; see profile.h.
 */
#include "cli/profile.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/message.h"

/* Writes the problem. Returns false. */
__attribute__((format(printf, 2, 3))) static bool refuse(char *problem, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    vsnprintf(problem, PROFILE_PROBLEM_SIZE, format, values);
    va_end(values);
    return false;
}

static enum skew_option option_find(const char *key)
{
    int option = 0;

    while (option < SKEW_OPTION_COUNT &&
           strcmp(skew_option_name((enum skew_option)option), key) != 0)
        option++;
    return (enum skew_option)option;
}

static bool entry_take(const char *key, const json_t *value, struct profile *profile, char *problem)
{
    enum skew_option option = option_find(key);
    const char *text = json_string_value(value);
    bool name = strcmp(key, "name") == 0;

    if (option == SKEW_OPTION_COUNT && !name && strcmp(key, "description") != 0)
        return refuse(problem,
                      "there is no key \"%.80s\"; they are name, description, and offset, at, rate "
                      "and so on as the options are called",
                      key);
    if (text == NULL)
        return refuse(problem, "\"%s\" is no string; put its value in quotes%s", key,
                      option < SKEW_OPTION_COUNT ? ", as the option takes it" : "");
    if (option < SKEW_OPTION_COUNT)
        profile->values[option] = text;
    else if (name)
        profile->name = text;
    return true;
}

static bool document_take(struct profile *profile, char *problem)
{
    const char *key;
    json_t *value;

    if (!json_is_object(profile->document))
        return refuse(problem, "it is no JSON object; put what it says between { and }");
    json_object_foreach(profile->document, key, value)
    {
        if (!entry_take(key, value, profile, problem))
            return false;
    }
    return true;
}

bool profile_parse(const char *text, size_t size, struct profile *profile,
                   char problem[static PROFILE_PROBLEM_SIZE])
{
    json_error_t error;

    *profile = (struct profile){.document = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error)};
    if (profile->document == NULL)
        return refuse(problem, "line %d: %s", error.line, error.text);
    if (document_take(profile, problem))
        return true;
    profile_free(profile);
    return false;
}

void profile_free(struct profile *profile)
{
    json_decref(profile->document);
    *profile = (struct profile){0};
}

/* All of a file, for free(3); NULL, with the line printed, where it cannot be had. */
static char *file_read(const char *path, size_t *size)
{
    struct stat status;
    /* Not to wait for a writer of a fifo, which is refused. */
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (file < 0 || fstat(file, &status) != 0) {
        message_print("profile %.200s cannot be opened: %s", path, strerror(errno));
        if (file >= 0)
            close(file);
        return NULL;
    }
    char *text = S_ISREG(status.st_mode) ? malloc(PROFILE_SIZE_MAX + 1) : NULL;
    ssize_t got = 1;
    *size = 0;
    while (text != NULL && got > 0 && *size <= PROFILE_SIZE_MAX) {
        got = read(file, text + *size, PROFILE_SIZE_MAX + 1 - *size);
        *size += got > 0 ? (size_t)got : 0;
    }
    if (!S_ISREG(status.st_mode))
        message_print("profile %.200s is no regular file; put it into one", path);
    else if (text == NULL || got < 0)
        message_print("profile %.200s cannot be read: %s", path, strerror(errno));
    else if (*size > PROFILE_SIZE_MAX)
        message_print("profile %.200s has more than 64 KiB; what says so much is no profile", path);
    close(file);
    if (got >= 0 && *size <= PROFILE_SIZE_MAX)
        return text;
    free(text);
    return NULL;
}

/* "drift" of "/etc/skewctl/drift.json". */
static enum skew_code name_store(const char *path, const char *given, struct options *options)
{
    const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    const char *name = given ? given : base;
    size_t length = strlen(name);

    if (given == NULL && length > strlen(".json") &&
        strcmp(name + length - strlen(".json"), ".json") == 0)
        length -= strlen(".json");
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)name[i] < ' ' || name[i] == '\177')
            return message_usage("its name has a control character; give it a \"name\" without");
    if (length == 0 || length >= sizeof options->profile)
        return message_usage("its name '%.80s' is not of 1 to %zu bytes; give it another \"name\"",
                             name, sizeof options->profile - 1);
    memcpy(options->profile, name, length);
    options->profile[length] = '\0';
    return SKEW_OK;
}

static enum skew_code profile_take(const char *path, const struct profile *profile,
                                   struct options *options)
{
    enum skew_code code = name_store(path, profile->name, options);

    for (int option = 0; option < SKEW_OPTION_COUNT && code == SKEW_OK; option++)
        if (profile->values[option] != NULL)
            code = skew_option_store((enum skew_option)option, profile->values[option], options);
    return code;
}

enum skew_code profile_store(const char *path, struct options *options)
{
    char problem[PROFILE_PROBLEM_SIZE];
    char about[256];
    struct profile profile;
    enum skew_code code;
    size_t size;

    if (options->profile[0] != '\0')
        return message_usage("--profile is given twice; give it once, and options besides");
    char *text = file_read(path, &size);
    if (text == NULL)
        return SKEW_USAGE;
    snprintf(about, sizeof about, "profile %.200s: ", path);
    message_about(about);
    if (profile_parse(text, size, &profile, problem)) {
        code = profile_take(path, &profile, options);
        profile_free(&profile);
    } else {
        code = message_usage("%s", problem);
    }
    message_about("");
    free(text);
    return code;
}
