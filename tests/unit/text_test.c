/*
 * text_test.c - escaping of names of commands, which may hold any bytes.
 */
#include "cli/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void assert_escapes(const char *text, bool controls, const char *expected)
{
    char escaped[128];

    assert_string_equal(text_escape(text, controls, escaped, sizeof escaped), expected);
}

static void test_plain(void **state)
{
    (void)state;
    assert_escapes("", true, "");
    assert_escapes("redis-server *:6379 \"\\x41\"", true, "redis-server *:6379 \"\\x41\"");
    assert_escapes("\u00e9\u65e5\U0001f552\U0010ffff", true, "\u00e9\u65e5\U0001f552\U0010ffff");
}

static void test_controls(void **state)
{
    (void)state;
    assert_escapes("a\nb\033[31m\x7f", true, "a\\x0ab\\x1b[31m\\x7f");
    assert_escapes("a\nb\033[31m\x7f", false, "a\nb\033[31m\x7f");
    /* C1 CSI, line separator, right-to-left override and isolate. */
    assert_escapes("\xc2\x9b"
                   "m",
                   true, "\\xc2\\x9bm");
    assert_escapes("\u2028\u202e\u2067", true, "\\xe2\\x80\\xa8\\xe2\\x80\\xae\\xe2\\x81\\xa7");
}

static void test_invalid(void **state)
{
    static const struct {
        const char *text;
        const char *escaped;
    } cases[] = {
        {"\x80", "\\x80"},
        {"\xff\xfe", "\\xff\\xfe"},
        {"a\xc3", "a\\xc3"},                          /* cut off */
        {"\xe6\x97", "\\xe6\\x97"},                   /* cut off */
        {"\xc0\xaf", "\\xc0\\xaf"},                   /* overlong */
        {"\xe0\x80\xaf", "\\xe0\\x80\\xaf"},          /* overlong */
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"},          /* a surrogate */
        {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"}, /* beyond U+10FFFF */
        {"\xf8\x88\x80\x80\x80", "\\xf8\\x88\\x80\\x80\\x80"},
        {"\xc3\x28", "\\xc3("},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_escapes(cases[i].text, false, cases[i].escaped);
        assert_escapes(cases[i].text, true, cases[i].escaped);
    }
}

/* What does not fit is left out whole, and never written beyond the end. */
static void test_small(void **state)
{
    static const char text[] = "a\n\u00e9b";
    static const char *const expected[] = {
        "", "a", "a", "a", "a", "a\\x0a", "a\\x0a", "a\\x0a\u00e9", "a\\x0a\u00e9b"};
    char escaped[16];

    (void)state;
    for (size_t size = 1; size <= sizeof expected / sizeof *expected; size++) {
        memset(escaped, '?', sizeof escaped);
        assert_string_equal(text_escape(text, true, escaped, size), expected[size - 1]);
        assert_int_equal(escaped[size], '?');
    }
}

/* TEXT_ESCAPED_SIZE() is enough for the worst. */
static void test_size(void **state)
{
    char text[64];
    char escaped[TEXT_ESCAPED_SIZE(sizeof text - 1)];

    (void)state;
    memset(text, 0xff, sizeof text - 1);
    text[sizeof text - 1] = '\0';
    text_escape(text, true, escaped, sizeof escaped);
    assert_int_equal(strlen(escaped), sizeof escaped - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),   cmocka_unit_test(test_controls),
        cmocka_unit_test(test_invalid), cmocka_unit_test(test_small),
        cmocka_unit_test(test_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
