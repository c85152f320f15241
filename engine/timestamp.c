/*
 * timestamp.c - reading instants; see timestamp.h.
 */
#include "engine/timestamp.h"

#include <stddef.h>

#include "engine/duration.h"

static const char *const out_of_range =
    "it is beyond the years 1677 to 2262, which 64 bits of nanoseconds hold";
static const char *const wrong_form = "it is not of the form 2027-02-28T23:59:50Z or @1999999999";

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Exactly that many digits. Advances *cursor behind them. */
static bool digits_parse(const char **cursor, int count, int *value)
{
    int read = 0;
    for (; count > 0; count--, (*cursor)++) {
        if (!is_digit(**cursor)) {
            return false;
        }
        read = read * 10 + (**cursor - '0');
    }
    *value = read;
    return true;
}

static bool character_parse(const char **cursor, char wanted)
{
    bool there = **cursor == wanted;
    *cursor += there;
    return there;
}

/* ".25", or nothing. Advances *cursor behind it. */
static const char *fraction_parse(const char **cursor, int64_t *nanoseconds)
{
    int64_t unit = DURATION_SECOND_NS;
    *nanoseconds = 0;
    if (!character_parse(cursor, '.')) {
        return NULL;
    }
    if (!is_digit(**cursor)) {
        return "a number is missing behind its point";
    }
    for (; is_digit(**cursor); (*cursor)++) {
        /* 0 once it is finer than that: no more but zeros then. */
        unit /= 10;
        if (unit == 0 && **cursor != '0') {
            return "it is finer than a nanosecond";
        }
        *nanoseconds += unit * (**cursor - '0');
    }
    return NULL;
}

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int month_days(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap(year));
}

/* From 1970-01-01 to that day. */
static int64_t days_since_epoch(int year, int month, int day)
{
    /* How many leap years there are from the year 1 on before that one. */
    int before = year - 1;
    int64_t days = INT64_C(365) * (year - 1970) + before / 4 - before / 100 + before / 400 -
                   (1969 / 4 - 1969 / 100 + 1969 / 400);
    for (int earlier = 1; earlier < month; earlier++) {
        days += month_days(year, earlier);
    }
    return days + day - 1;
}

/* "Z" or "+01:00", to the end of the text. */
static const char *zone_parse(const char *text, int *seconds_east)
{
    static const char *const unclear = "its zone is neither Z nor of the form +01:00";
    int sign = *text == '-' ? -1 : 1;
    int hours, minutes;
    if (*text == '\0') {
        return "it lacks its zone: put Z behind it for UTC, or +01:00 or the like";
    }
    *seconds_east = 0;
    if ((*text == 'Z' || *text == 'z') && text[1] == '\0') {
        return NULL;
    }
    if (*text != '+' && *text != '-') {
        return unclear;
    }
    text++;
    if (!digits_parse(&text, 2, &hours) || !character_parse(&text, ':') ||
        !digits_parse(&text, 2, &minutes) || *text != '\0') {
        return unclear;
    }
    if (hours > 23 || minutes > 59) {
        return "its zone is a day or more, or has 60 minutes or more, away from UTC";
    }
    *seconds_east = sign * (hours * 3600 + minutes * 60);
    return NULL;
}

static const char *calendar_parse(const char *text, int64_t *seconds, int64_t *fraction)
{
    int year, month, day, hour, minute, second, seconds_east = 0;
    if (!digits_parse(&text, 4, &year) || !character_parse(&text, '-') ||
        !digits_parse(&text, 2, &month) || !character_parse(&text, '-') ||
        !digits_parse(&text, 2, &day)) {
        return wrong_form;
    }
    if (*text != 'T' && *text != 't' && *text != ' ') {
        return *text == '\0' ? "it is a day without a time" : wrong_form;
    }
    text++;
    if (!digits_parse(&text, 2, &hour) || !character_parse(&text, ':') ||
        !digits_parse(&text, 2, &minute) || !character_parse(&text, ':') ||
        !digits_parse(&text, 2, &second)) {
        return wrong_form;
    }
    const char *problem = fraction_parse(&text, fraction);
    if (problem != NULL) {
        return problem;
    }
    problem = zone_parse(text, &seconds_east);
    if (problem != NULL) {
        return problem;
    }
    if (month < 1 || month > 12) {
        return "there is no such month";
    }
    if (day < 1 || day > month_days(year, month)) {
        return "that month has no such day";
    }
    if (second == 60) {
        return "POSIX time has no leap seconds: give the second before or behind";
    }
    if (hour > 23 || minute > 59 || second > 59) {
        return "a day has no such time: the last is 23:59:59";
    }
    int of_day = hour * 3600 + minute * 60 + second - seconds_east;
    *seconds = days_since_epoch(year, month, day) * 86400 + of_day;
    return NULL;
}

/* What is behind the @. A fraction goes away from 1970 as the seconds do. */
static const char *seconds_parse(const char *text, int64_t *seconds, int64_t *fraction)
{
    bool negative = *text == '-';
    text += negative || *text == '+';
    if (!is_digit(*text)) {
        return "a number is missing behind its @";
    }
    *seconds = 0;
    for (; is_digit(*text); text++) {
        if (__builtin_mul_overflow(*seconds, 10, seconds) ||
            __builtin_add_overflow(*seconds, *text - '0', seconds)) {
            return out_of_range;
        }
    }
    const char *problem = fraction_parse(&text, fraction);
    if (problem != NULL) {
        return problem;
    }
    if (*text != '\0') {
        return "behind an @ stand seconds since 1970, and nothing else";
    }
    if (negative) {
        *seconds = -*seconds;
        *fraction = -*fraction;
    }
    return NULL;
}

bool timestamp_parse(const char *text, int64_t *nanoseconds, const char **problem)
{
    int64_t seconds, fraction;
    *problem = *text == '@' ? seconds_parse(text + 1, &seconds, &fraction)
                            : calendar_parse(text, &seconds, &fraction);
    if (*problem != NULL) {
        return false;
    }
    /* The ends are within a second that is not. */
    __int128 total = (__int128)seconds * DURATION_SECOND_NS + fraction;
    if (total != (int64_t)total) {
        *problem = out_of_range;
        return false;
    }
    *nanoseconds = (int64_t)total;
    return true;
}
