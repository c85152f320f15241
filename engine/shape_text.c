/*
 * shape_text.c - reading and writing shapes; see shape_text.h.
 */
#include "engine/shape_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/duration.h"

typedef unsigned __int128 wide;

#define DECIMALS_MAX   18
#define FIELD_MAX      64
#define DAY_NS         (INT64_C(86400) * DURATION_SECOND_NS)
#define MILLISECOND_NS INT64_C(1000000)

static const char *const names[SHAPE_KIND_COUNT] = {
    [SHAPE_RATE] = "rate", [SHAPE_RAMP] = "ramp",     [SHAPE_SMEAR] = "smear",
    [SHAPE_SINE] = "sine", [SHAPE_STROBE] = "strobe", [SHAPE_JITTER] = "jitter",
    [SHAPE_STEP] = "step",
};

const char *shape_kind_name(enum shape_kind kind)
{
    return names[kind];
}

static wide power_of_ten(unsigned exponent)
{
    wide power = 1;
    while (exponent-- != 0) {
        power *= 10;
    }
    return power;
}

/* In 2^-64, to the nearest; numerator < 1000 * 10^decimals. */
static wide ratio(wide numerator, unsigned decimals)
{
    wide scale = power_of_ten(decimals);
    return (numerator / scale << 64) + ((numerator % scale << 64) + scale / 2) / scale;
}

/* Decimal digits with a point; advances *cursor. */
static const char *decimal_parse(const char **cursor, wide *numerator, unsigned *decimals)
{
    const char *text = *cursor;
    bool digits = false, point = false;
    unsigned behind = 0;
    *numerator = 0;
    *decimals = 0;
    for (; (*text >= '0' && *text <= '9') || (*text == '.' && !point); text++) {
        if (*text == '.') {
            point = true;
            continue;
        }
        digits = true;
        behind += point;
        /* Zeros at the end say nothing, however many they are. */
        if (point && *text == '0') {
            continue;
        }
        unsigned more = point ? behind - *decimals : 1;
        if (more > DECIMALS_MAX || *decimals + point * more > DECIMALS_MAX) {
            return "it has more than 18 decimals";
        }
        *numerator = *numerator * power_of_ten(more) + (unsigned)(*text - '0');
        *decimals += point * more;
        if (*numerator / power_of_ten(*decimals) >= UINT64_C(1000000000000)) {
            return "a rate is from 0 to less than 1000";
        }
    }
    *cursor = text;
    return digits ? NULL : "a number is missing";
}

static const char *rate_parse(const char *text, struct shape_part *part)
{
    static const struct {
        const char *name;
        unsigned decimals;
    } units[] = {{"%", 2}, {"ppm", 6}, {"ppb", 9}};
    wide numerator;
    unsigned decimals;
    bool down = *text == '-', sign = down || *text == '+';
    text += sign;
    const char *problem = decimal_parse(&text, &numerator, &decimals);
    bool relative = false;
    if (problem != NULL) {
        return problem;
    }
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(text, units[i].name) == 0) {
            relative = true;
            text += strlen(units[i].name);
            decimals += units[i].decimals;
        }
    }
    if (*text != '\0') {
        return "a rate is a number, or one with %, ppm or ppb";
    }
    /* "+200" is rather ppm forgotten than two hundred times as fast. */
    if (sign && !relative) {
        return "a rate with a sign is one with %, ppm or ppb";
    }
    while (decimals > DECIMALS_MAX && numerator % 10 == 0) {
        numerator /= 10;
        decimals--;
    }
    if (numerator == 0) {
        decimals = 0;
    }
    if (decimals > DECIMALS_MAX) {
        return "it has more than 18 decimals";
    }
    if (numerator / power_of_ten(decimals) >= SHAPE_RATE_MAX) {
        return "a rate is from 0 to less than 1000";
    }
    wide size = ratio(numerator, decimals);
    wide excess = down ? -size : size;
    excess -= relative ? 0 : (wide)1 << 64;
    part->amount = (int64_t)(excess >> 64);
    part->detail = (uint64_t)excess;
    return NULL;
}

bool shape_pace_parse(const char *text, uint64_t *pace, const char **problem)
{
    static const char range[] = "a pace is from 1ppm to less than 1, without a sign";
    struct shape_part part = {0};
    bool sign = *text == '-' || *text == '+';
    *problem = sign ? range : rate_parse(text, &part);
    if (*problem != NULL) {
        return false;
    }
    bool relative = text[strspn(text, "0123456789.")] != '\0';
    /* Of a plain number the excess over 1 was taken. */
    wide value = ((wide)part.amount << 64 | part.detail) + (relative ? 0 : (wide)1 << 64);
    if (value < ratio(1, 6) || value >> 64 != 0) {
        *problem = range;
        return false;
    }
    *pace = (uint64_t)value;
    return true;
}

/* One duration, up to a separator or the end. Advances *cursor to that. */
static const char *duration_field(const char **cursor, const char *separators, int64_t *duration)
{
    char field[FIELD_MAX];
    const char *problem = "it is too long";
    size_t length = strcspn(*cursor, separators);
    if (length >= sizeof field) {
        return problem;
    }
    memcpy(field, *cursor, length);
    field[length] = '\0';
    *cursor += length;
    return duration_parse(field, duration, &problem) ? NULL : problem;
}

static const char *seed_parse(const char *text, uint64_t *seed)
{
    static const char prefix[] = "seed=";
    if (strncmp(text, prefix, sizeof prefix - 1) != 0) {
        return "behind the comma is seed= and a number";
    }
    text += sizeof prefix - 1;
    size_t length = strspn(text, "0123456789");
    *seed = 0;
    for (size_t i = 0; i < length; i++) {
        if (__builtin_mul_overflow(*seed, 10, seed) ||
            __builtin_add_overflow(*seed, (uint64_t)(text[i] - '0'), seed)) {
            return "a seed is a number below 2^64";
        }
    }
    return length == 0 || text[length] != '\0' ? "a seed is a number below 2^64" : NULL;
}

/* "5ms/1ms,seed=7"; the time may be left out where part->span has one already. */
static const char *span_parse(const char *text, struct shape_part *part)
{
    bool noise = part->kind == SHAPE_JITTER;
    const char *problem = duration_field(&text, noise ? "/," : "/", &part->amount);
    if (problem == NULL && *text == '/') {
        text++;
        problem = duration_field(&text, noise ? "," : "", &part->span);
    } else if (problem == NULL && part->span == 0) {
        problem = "it lacks a / and a time";
    }
    if (problem == NULL && *text == ',') {
        problem = seed_parse(text + 1, &part->detail);
    }
    return problem;
}

static const char *steps_parse(const char *text, struct shape *shape)
{
    const char *problem = NULL;
    for (;; text++) {
        struct shape_part part = {.kind = SHAPE_STEP};
        problem = duration_field(&text, ":,", &part.span);
        if (problem == NULL && *text != ':') {
            problem = "a step lacks a : and an offset";
        }
        if (problem == NULL) {
            text++;
            problem = duration_field(&text, ",", &part.amount);
        }
        if (problem != NULL || !shape_add(shape, &part, &problem) || *text == '\0') {
            return problem;
        }
    }
}

bool shape_value_parse(enum shape_kind kind, const char *value, struct shape *shape,
                       const char **problem)
{
    struct shape_part part = {.kind = kind};
    struct shape wanted = *shape;
    if (kind == SHAPE_STEP) {
        *problem = steps_parse(value, &wanted);
    } else {
        part.span = kind == SHAPE_SMEAR ? DAY_NS : kind == SHAPE_JITTER ? MILLISECOND_NS : 0;
        *problem = kind == SHAPE_RATE ? rate_parse(value, &part) : span_parse(value, &part);
        if (*problem == NULL) {
            shape_add(&wanted, &part, problem);
        }
    }
    if (*problem != NULL) {
        return false;
    }
    *shape = wanted;
    return true;
}

/* The kind whose name stands in front of the sign of equality; SHAPE_KIND_COUNT for none. */
static enum shape_kind kind_find(const char *text, size_t length)
{
    int kind = 0;
    while (kind < SHAPE_KIND_COUNT &&
           (strlen(names[kind]) != length || memcmp(names[kind], text, length) != 0)) {
        kind++;
    }
    return (enum shape_kind)kind;
}

bool shape_parse(const char *text, struct shape *shape, const char **problem)
{
    struct shape wanted = {0};
    char value[SHAPE_TEXT_MAX];
    while (*text != '\0') {
        size_t length = strcspn(text, " "), name = strcspn(text, " =");
        enum shape_kind kind = kind_find(text, name);
        if (kind == SHAPE_KIND_COUNT || name == length) {
            *problem = "there is no such part";
            return false;
        }
        if (length - name > sizeof value) {
            *problem = "it is too long";
            return false;
        }
        memcpy(value, text + name + 1, length - name - 1);
        value[length - name - 1] = '\0';
        if (!shape_value_parse(kind, value, &wanted, problem)) {
            return false;
        }
        text += length;
        if (*text == ' ' && *++text == '\0') {
            *problem = "there is no such part";
            return false;
        }
    }
    *shape = wanted;
    return true;
}

/* Ratio 2^-64: as few decimals as read back the same. */
static char *rate_append(char *end, const struct shape_part *part)
{
    wide rate = (wide)shape_part_slope(part) + ((wide)1 << 64);
    unsigned decimals = 0;
    wide numerator;
    for (;; decimals++) {
        wide scale = power_of_ten(decimals);
        numerator = (rate >> 64) * scale + (((wide)(uint64_t)rate * scale + ((wide)1 << 63)) >> 64);
        if (decimals == DECIMALS_MAX || ratio(numerator, decimals) == rate) {
            break;
        }
    }
    wide scale = power_of_ten(decimals);
    end += sprintf(end, "%" PRIu64, (uint64_t)(numerator / scale));
    if (decimals != 0) {
        end += sprintf(end, ".%0*" PRIu64, (int)decimals, (uint64_t)(numerator % scale));
    }
    return end;
}

static char *duration_append(char *end, int64_t duration)
{
    char text[DURATION_TEXT_MAX];
    return stpcpy(end, duration_format(duration, text));
}

const char *shape_format(const struct shape *shape, char buffer[static SHAPE_TEXT_MAX])
{
    char *end = buffer;
    *end = '\0';
    for (size_t i = 0; i < shape->count; i++) {
        const struct shape_part *part = &shape->parts[i];
        bool more = part->kind == SHAPE_STEP && i > 0 && part[-1].kind == SHAPE_STEP;
        if (more) {
            *end++ = ',';
        } else {
            end += sprintf(end, "%s%s=", i > 0 ? " " : "", names[part->kind]);
        }
        if (part->kind == SHAPE_RATE) {
            end = rate_append(end, part);
            continue;
        }
        bool step = part->kind == SHAPE_STEP;
        end = duration_append(end, step ? part->span : part->amount);
        *end++ = step ? ':' : '/';
        end = duration_append(end, step ? part->amount : part->span);
        if (part->kind == SHAPE_JITTER) {
            end += sprintf(end, ",seed=%" PRIu64, part->detail);
        }
    }
    return buffer;
}
