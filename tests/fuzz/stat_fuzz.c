/*
 * stat_fuzz.c - any text as /proc/PID/stat. What is accepted does not depend on
 * the command: with another in its place the fields are the same.
 */
#include "engine/target.h"

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    static const char command[] = "1 (a) R (b) ";
    char *text = fuzz_text(input, size);
    struct proc_stat stat;
    if (proc_stat_parse(text, &stat)) {
        const char *fields = strrchr(text, ')');
        fuzz_check(fields != NULL && stat.state == fields[2]);
        char *other = malloc(sizeof command + strlen(fields));
        fuzz_check(other != NULL);
        strcat(strcpy(other, command), fields);
        struct proc_stat again;
        fuzz_check(proc_stat_parse(other, &again));
        fuzz_check(again.state == stat.state && again.flags == stat.flags &&
                   again.start_time == stat.start_time);
        free(other);
    }
    free(text);
    return 0;
}
