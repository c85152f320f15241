/* target_option.c - see target_option.h. */
#include "cli/target_option.h"

#include "cli/message.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static enum skew_code number_add(struct number_list *list, int64_t number)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->numbers[i] == number)
            return SKEW_OK;

    int64_t *grown = reallocarray(list->numbers, list->count + 1, sizeof *grown);
    if (!grown) {
        message_print("the list of targets does not fit into memory; name fewer");
        return SKEW_FAILED;
    }
    grown[list->count++] = number;
    list->numbers = grown;
    return SKEW_OK;
}

/* "1,2,3", each from 1 to maximum; `noun` is what a number stands for. */
static enum skew_code numbers_parse(const char *text, const char *noun, int64_t maximum,
                                    struct number_list *list)
{
    for (const char *cursor = text;; cursor++) {
        size_t length = strspn(cursor, "0123456789");
        bool ends = cursor[length] == '\0' || cursor[length] == ',';

        errno = 0;
        long long number = strtoll(cursor, NULL, 10);
        if (length == 0 || !ends || errno == ERANGE || number < 1 || number > maximum)
            return message_usage(
                "'%.80s' is no %s: it is not a decimal number from 1 to %lld; give "
                "one, or several with commas and no spaces",
                text, noun, (long long)maximum);

        enum skew_code code = number_add(list, number);
        if (code != SKEW_OK)
            return code;
        cursor += length;
        if (*cursor == '\0')
            return SKEW_OK;
    }
}

enum skew_code target_ids_store(char *text, struct options *options)
{
    char *place = NULL;

    for (char *part = text; part != NULL; part = place) {
        place = strchr(part, ',');
        if (place)
            *place = '\0';
        bool group = part[0] == 'g';
        enum skew_code code =
            group ? numbers_parse(part + 1, "id of a group", INT64_MAX, &options->groups)
                  : numbers_parse(part, "id of an injection or, with a g, of a group", INT64_MAX,
                                  &options->ids);
        if (place)
            *place++ = ',';
        if (code != SKEW_OK)
            return code;
    }
    return SKEW_OK;
}

static enum skew_code selector_add(enum skew_select_kind kind, pid_t pid, const char *name,
                                   struct selector_list *list)
{
    struct skew_selector *grown =
        reallocarray(list->selectors, list->count + 1, sizeof *list->selectors);

    if (!grown) {
        message_print("the list of targets does not fit into memory; name fewer");
        return SKEW_FAILED;
    }
    grown[list->count++] = (struct skew_selector){.kind = kind, .pid = pid, .name = name};
    list->selectors = grown;
    return SKEW_OK;
}

enum skew_code target_pids_store(const char *text, struct options *options)
{
    return numbers_parse(text, "process id", INT_MAX, &options->pids);
}

enum skew_code target_processes_store(enum skew_select_kind kind, const char *text,
                                      struct options *options)
{
    struct number_list pids = {0};
    enum skew_code code = numbers_parse(text, "process id", INT_MAX, &pids);

    for (size_t i = 0; i < pids.count && code == SKEW_OK; i++)
        code = selector_add(kind, (pid_t)pids.numbers[i], NULL, &options->selectors);
    free(pids.numbers);
    return code;
}

enum skew_code target_name_store(enum skew_select_kind kind, const char *option, const char *text,
                                 struct options *options)
{
    if (*text == '\0')
        return message_usage("--%s names nothing: its value is empty", option);
    return selector_add(kind, 0, text, &options->selectors);
}
