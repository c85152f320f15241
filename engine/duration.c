/*
 * duration.c - reading and writing spans of time; see duration.h.
 */
#include "engine/duration.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/*
 * The most decimals a number may have: the finest binary fraction of any unit
 * that is a whole number of nanoseconds is 2^-16 of a week, which has 16.
 */
#define DECIMALS_MAX 16

static const struct unit {
    const char *name;
    int64_t nanoseconds;
} units[] = {
    /* Where one name begins another, the longer stands first. */
    {"ms", 1000000},
    {"us", 1000},
    {"\u00b5s", 1000}, /* micro sign */
    {"\u03bcs", 1000}, /* Greek letter mu */
    {"ns", 1},
    {"s", DURATION_SECOND_NS},
    {"m", 60 * DURATION_SECOND_NS},
    {"h", 3600 * DURATION_SECOND_NS},
    {"d", 86400 * DURATION_SECOND_NS},
    {"w", INT64_C(7) * 86400 * DURATION_SECOND_NS},
};

static const struct unit *unit_match(const char *text)
{
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strncmp(text, units[i].name, strlen(units[i].name)) == 0)
            return &units[i];
    return NULL;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *const out_of_range =
    "it is beyond the 292 years that 64 bits of nanoseconds hold";

/* One "1.5h". Advances *cursor and adds to *total, or returns the problem. */
static const char *term_parse(const char **cursor, uint64_t *total)
{
    const char *text = *cursor;
    uint64_t whole = 0;
    uint64_t fraction = 0;
    uint64_t scale = 1; /* the fraction is fraction / scale */
    bool digits = false;
    bool overflow = false;

    for (; is_digit(*text); text++) {
        digits = true;
        overflow |= __builtin_mul_overflow(whole, 10, &whole);
        overflow |= __builtin_add_overflow(whole, (uint64_t)(*text - '0'), &whole);
    }
    if (*text == '.') {
        const char *first = ++text;
        const char *last;

        while (is_digit(*text))
            text++;
        digits |= text != first;
        for (last = text; last != first && last[-1] == '0'; last--)
            continue;
        if (last - first > DECIMALS_MAX)
            return "it is finer than a nanosecond";
        for (; first != last; first++) {
            fraction = fraction * 10 + (uint64_t)(*first - '0');
            scale *= 10;
        }
    }
    if (!digits)
        return "a number is missing";

    const struct unit *unit = unit_match(text);
    if (!unit)
        return *text == '\0' || is_digit(*text) || *text == '.' || *text == '+' || *text == '-'
                   ? "a number lacks its unit"
                   : "there is no such unit";
    text += strlen(unit->name);

    unsigned __int128 part = (unsigned __int128)fraction * (uint64_t)unit->nanoseconds;
    if (part % scale != 0)
        return "it is finer than a nanosecond";
    overflow |= __builtin_mul_overflow(whole, (uint64_t)unit->nanoseconds, &whole);
    overflow |= __builtin_add_overflow(whole, (uint64_t)(part / scale), &whole);
    overflow |= __builtin_add_overflow(*total, whole, total);
    if (overflow)
        return out_of_range;
    *cursor = text;
    return NULL;
}

bool duration_parse(const char *text, int64_t *nanoseconds, const char **problem)
{
    bool negative = *text == '-';
    uint64_t total = 0;

    if (*text == '-' || *text == '+')
        text++;
    if (*text == '\0') {
        *problem = "a number is missing";
        return false;
    }
    if (strcmp(text, "0") == 0) {
        *nanoseconds = 0;
        return true;
    }
    while (*text) {
        *problem = term_parse(&text, &total);
        if (*problem)
            return false;
    }
    /* INT64_MIN is one further from 0 than INT64_MAX. */
    if (total > (uint64_t)INT64_MAX + negative) {
        *problem = out_of_range;
        return false;
    }
    *nanoseconds = negative ? (int64_t)-total : (int64_t)total;
    return true;
}

/* Appends "1.5ms": value / unit with the decimals it needs, trailing zeros cut. */
static char *decimal_append(char *end, uint64_t value, uint64_t unit, int decimals,
                            const char *name)
{
    end += sprintf(end, "%" PRIu64, value / unit);
    if (value % unit) {
        end += sprintf(end, ".%0*" PRIu64, decimals, value % unit);
        while (end[-1] == '0')
            end--;
    }
    return stpcpy(end, name);
}

const char *duration_format(int64_t nanoseconds, char buffer[static DURATION_TEXT_MAX])
{
    static const uint64_t second = DURATION_SECOND_NS;
    static const struct {
        uint64_t seconds;
        char name;
    } coarse[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}};
    uint64_t rest = nanoseconds < 0 ? -(uint64_t)nanoseconds : (uint64_t)nanoseconds;
    char *end = buffer;

    if (nanoseconds == 0)
        return memcpy(buffer, "0s", sizeof "0s");
    if (nanoseconds < 0)
        *end++ = '-';
    for (size_t i = 0; i < sizeof coarse / sizeof *coarse; i++) {
        uint64_t unit = coarse[i].seconds * second;
        if (rest >= unit)
            end += sprintf(end, "%" PRIu64 "%c", rest / unit, coarse[i].name);
        rest %= unit;
    }
    if (rest >= second)
        end = decimal_append(end, rest, second, 9, "s");
    else if (rest >= 1000000)
        end = decimal_append(end, rest, 1000000, 6, "ms");
    else if (rest >= 1000)
        end = decimal_append(end, rest, 1000, 3, "us");
    else if (rest)
        end = decimal_append(end, rest, 1, 0, "ns");
    *end = '\0';
    return buffer;
}
