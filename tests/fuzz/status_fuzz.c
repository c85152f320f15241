/*
 * status_fuzz.c - any text as /proc/PID/status. A field that is found stands at
 * the beginning of a line; a line put before all others wins.
 */
#include "engine/target.h"

#include "tests/fuzz/fuzz.h"

static const struct {
    const char *name;
    int base;
} fields[] = {{"TracerPid", 10}, {"Seccomp", 10}, {"Threads", 10}, {"CapEff", 16}};

static bool line_begins(const char *text, const char *field)
{
    for (const char *found = text; (found = strstr(found, field)) != NULL; found++)
        if ((found == text || found[-1] == '\n') && found[strlen(field)] == ':')
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    char *text = fuzz_text(input, size);
    char *longer = malloc(size + 64);
    fuzz_check(longer != NULL);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        uint64_t value = 0;
        if (status_field_parse(text, fields[i].name, fields[i].base, &value))
            fuzz_check(line_begins(text, fields[i].name));
        sprintf(longer, "%s:\t17\n%s", fields[i].name, text);
        fuzz_check(status_field_parse(longer, fields[i].name, fields[i].base, &value));
        fuzz_check(value == (fields[i].base == 16 ? 0x17 : 17));
    }
    free(longer);
    free(text);
    return 0;
}
