/*
 * text.c - escaping text of unknown origin; see text.h.
 */
#include "cli/text.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "engine/duration.h"

/*
 * The length of the UTF-8 sequence at text, and its code point; 0 if it is none
 * by RFC 3629: overlong, a surrogate, beyond U+10FFFF, or cut off.
 */
static size_t sequence_read(const unsigned char *text, uint32_t *point)
{
    static const struct {
        unsigned char mask, lead;
        uint32_t least;
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};

    for (size_t length = 1; length <= sizeof forms / sizeof *forms; length++) {
        if ((*text & forms[length - 1].mask) != forms[length - 1].lead)
            continue;
        *point = *text & (unsigned char)~forms[length - 1].mask;
        for (size_t i = 1; i < length; i++) {
            if ((text[i] & 0xc0) != 0x80)
                return 0;
            *point = *point << 6 | (text[i] & 0x3f);
        }
        if (*point < forms[length - 1].least || *point > 0x10ffff ||
            (*point >= 0xd800 && *point <= 0xdfff))
            return 0;
        return length;
    }
    return 0;
}

/* C0, DEL, C1, line separators, and what reverses the direction of writing. */
static bool point_is_control(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0) ||
           (point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
}

const char *text_escape(const char *text, bool controls, char *buffer, size_t size)
{
    const unsigned char *from = (const unsigned char *)text;
    char *to = buffer;
    char *end = buffer + size;

    while (*from) {
        uint32_t point;
        size_t length = sequence_read(from, &point);
        bool plain = length && !(controls && point_is_control(point));

        if (!length)
            length = 1;
        if ((size_t)(end - to) <= (plain ? length : 4 * length))
            break;
        if (plain) {
            memcpy(to, from, length);
            to += length;
        } else {
            for (size_t i = 0; i < length; i++)
                to += sprintf(to, "\\x%02x", from[i]);
        }
        from += length;
    }
    *to = '\0';
    return buffer;
}

const char *text_time(int64_t time_ns, int decimals, const char *zone,
                      char buffer[static TEXT_TIME_MAX])
{
    time_t seconds = time_ns / DURATION_SECOND_NS;
    int64_t rest = time_ns % DURATION_SECOND_NS;
    struct tm utc;
    char day[24], fraction[24];

    if (rest < 0) {
        seconds--;
        rest += DURATION_SECOND_NS;
    }
    gmtime_r(&seconds, &utc);
    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(fraction, sizeof fraction, "%09" PRId64, rest);
    snprintf(buffer, TEXT_TIME_MAX, "%s.%.*s%s", day, decimals, fraction, zone);
    return buffer;
}
