/*
 * skew_option.c - what skew is wanted; see skew_option.h.
 *
 * All times are counted from the same instant, when the command was begun, so that all targets of
 * a command have one offset, one deadline and one beginning of their shape.
 */
#include "cli/skew_option.h"

#include "cli/message.h"
#include "engine/duration.h"
#include "engine/shape_text.h"
#include "engine/timestamp.h"

_Static_assert((int)SKEW_OPTION_STEP == (int)SHAPE_STEP, "one option for each kind");

#define GIVEN(option) (1U << (option))
#define GIVEN_CLOCKS  (GIVEN(SKEW_OPTION_CLOCK) | GIVEN(SKEW_OPTION_FOR))

static enum skew_code offset_parse(const char *text, struct options *options)
{
    const char *problem;

    if (duration_parse(text, &options->offset_ns, &problem))
        return SKEW_OK;
    return message_usage("'%.80s' is no offset: %s; write it like -5m, +1h30m or 250ms, with w, d, "
                         "h, m, s, ms, us or ns",
                         text, problem);
}

static enum skew_code at_parse(const char *text, struct options *options)
{
    const char *problem;
    int64_t at;

    if (!timestamp_parse(text, &at, &problem))
        return message_usage("--at '%.80s' is no time: %s; write it like 2027-02-28T23:59:50Z, "
                             "2027-03-01T00:59:50+01:00 or @1999999999",
                             text, problem);
    if (__builtin_sub_overflow(at, options->begun_ns, &options->offset_ns))
        return message_usage("--at '%.80s' is no time to set a clock to: it is more than 292 years "
                             "away; give a later one",
                             text);
    return SKEW_OK;
}

static enum skew_code deadline_parse(const char *text, struct options *options)
{
    const char *problem;
    int64_t duration;
    bool read = duration_parse(text, &duration, &problem);

    if (!read || duration <= 0)
        return message_usage("'%.80s' is no time to skew for: %s; write it like 30s, 1h30m or "
                             "250ms, with w, d, h, m, s, ms, us or ns",
                             text, read ? "it is not above 0" : problem);
    if (__builtin_add_overflow(options->begun_ns, duration, &options->deadline_ns))
        return message_usage(
            "--for '%.80s' ends after the year 2262; leave it out, for a skew that "
            "does not end by itself",
            text);
    return SKEW_OK;
}

static enum skew_code clocks_parse(const char *text, struct options *options)
{
    struct skew_error error = {0};

    return skew_clocks_parse(text, &options->clocks, &error) == SKEW_OK ? SKEW_OK
                                                                        : message_error(&error, "");
}

static enum skew_code shape_part_parse(enum shape_kind kind, const char *text,
                                       struct options *options)
{
    const char *problem;

    if (!shape_value_parse(kind, text, &options->shape, &problem))
        return message_usage("--%s '%.80s' makes no sense: %s; see skewctl inject --help",
                             shape_kind_name(kind), text, problem);
    options->begin_ns = options->begun_ns;
    return SKEW_OK;
}

const char *skew_option_name(enum skew_option option)
{
    static const char *const names[] = {
        [SKEW_OPTION_OFFSET] = "offset",
        [SKEW_OPTION_AT] = "at",
        [SKEW_OPTION_CLOCK] = "clock",
        [SKEW_OPTION_FOR] = "for",
    };

    return option <= SKEW_OPTION_STEP ? shape_kind_name((enum shape_kind)option) : names[option];
}

static enum skew_code given_check(enum skew_option option, const struct options *options)
{
    bool lists = option == SKEW_OPTION_CLOCK || option == SKEW_OPTION_STEP;

    if (options->given & GIVEN(option))
        return message_usage("--%s is given twice; give it once%s", skew_option_name(option),
                             lists ? ", with commas" : "");
    if ((option == SKEW_OPTION_AT && options->given & GIVEN(SKEW_OPTION_OFFSET)) ||
        (option == SKEW_OPTION_OFFSET && options->given & GIVEN(SKEW_OPTION_AT)))
        return message_usage("--at and --offset exclude each other, since both say how far the "
                             "clock is moved; give one of them");
    return SKEW_OK;
}

enum skew_code skew_option_store(enum skew_option option, const char *value,
                                 struct options *options)
{
    enum skew_code code = given_check(option, options);

    if (code != SKEW_OK)
        return code;
    options->given |= GIVEN(option);
    if (option <= SKEW_OPTION_STEP)
        return shape_part_parse((enum shape_kind)option, value, options);
    if (option == SKEW_OPTION_OFFSET)
        return offset_parse(value, options);
    if (option == SKEW_OPTION_AT)
        return at_parse(value, options);
    return option == SKEW_OPTION_CLOCK ? clocks_parse(value, options)
                                       : deadline_parse(value, options);
}

bool skew_option_any(const struct options *options)
{
    return (options->given & ~GIVEN_CLOCKS) != 0;
}
