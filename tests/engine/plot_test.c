/*
 * plot_test.c - skewctl plot: pictures that show what was asked for, or what is in force, and
 * files that are whole.
 */
#include "command.h"
#include "victim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Fails unless the red line of an SVG goes through points that are given as FRACTION:VALUE, the
 * fraction being that of the span; the first two, at its ends, say where values are.
 */
static const char line_check[] =
    "import re, sys, xml.etree.ElementTree as tree\n"
    "paths = {'red': [], 'black': []}\n"
    "for element in tree.parse(sys.argv[1]).iter('{http://www.w3.org/2000/svg}path'):\n"
    "    style = ''.join(element.attrib.values()).replace(' ', '')\n"
    "    points = re.findall(r'[ML] ([-\\d.]+) ([-\\d.]+)', element.get('d'))\n"
    "    points = [(float(x), float(y)) for x, y in points]\n"
    "    for name, colour in ('red', 'rgb(80%,20%,10%)'), ('black', 'rgb(0%,0%,0%)'):\n"
    "        if 'stroke:' + colour in style or 'stroke=' + colour in style:\n"
    "            paths[name].append(points)\n"
    "line = max(paths['red'], key=len)\n"
    "frame = [x for x, y in max(paths['black'], key=len)]\n"
    "left, width = min(frame), max(frame) - min(frame)\n"
    "wanted = [tuple(map(float, text.split(':'))) for text in sys.argv[2:]]\n"
    "(_, first), (_, last) = wanted[:2]\n"
    "scale = (line[-1][1] - line[0][1]) / (last - first)\n"
    "assert abs(line[0][0] - left) < 0.1 and abs(line[-1][0] - left - width) < 0.1, line\n"
    "for fraction, value in wanted:\n"
    "    x = left + fraction * width\n"
    "    for (x0, y0), (x1, y1) in zip(line, line[1:]):\n"
    "        if x0 < x1 and x0 <= x <= x1 + 0.01:\n"
    "            y = y0 + (y1 - y0) * (x - x0) / (x1 - x0)\n"
    "            if abs(y - line[0][1] - (value - first) * scale) < 0.2:\n"
    "                break\n"
    "    else:\n"
    "        sys.exit(f'the line misses {value} at {fraction}')\n";

static const char *picture(const char *name)
{
    return harness_format("%s/%s", harness_home(), name);
}

static void plot(const char *option, const char *value, const char *span, const char *file)
{
    struct run run =
        skewctl_run("plot", option, value, "--difference", "-o", file, "--span", span, NULL);
    run_expect(&run, 0);
    assert_string_equal(run.out, "");
}

static struct run line_read(const char *file, const char *const points[4])
{
    return program_run((const char *const[]){"python3", "-c", line_check, file, points[0],
                                             points[1], points[2], points[3], NULL},
                       NULL, HARNESS_DEADLINE_MS);
}

static void the_line_goes_where_it_should(void **state)
{
    (void)state;
    static const struct {
        const char *option, *value, *span;
        const char *points[4];
    } lines[] = {
        {"--step", "10s:1s", "20s", {"0:0", "1:1", "0.499:0", "0.501:1"}},
        {"--ramp", "-500ms/10m", "20m", {"0:0", "1:-500", "0.25:-250", "0.5:-500"}},
        {"--rate", "+200ppm", "1h", {"0:0", "1:10", "0.1:1", "0.77:7.7"}},
        {"--sine", "1s/40s", "10s", {"0:0", "1:1", "0.333333:0.5", "0.5:0.70711"}},
        {"--smear", "1s", "1d", {"0:0", "1:-24", "0.25:-6", "0.75:-18"}},
    };
    const char *file = picture("a.svg");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        plot(lines[i].option, lines[i].value, lines[i].span, file);
        struct run run = line_read(file, lines[i].points);
        run_expect(&run, 0);
    }
    /* What is checked by can fail. */
    plot("--step", "11s:1s", "20s", file);
    struct run run = line_read(file, lines[0].points);
    run_expect(&run, 1);
}

static void pictures_are_whole(void **state)
{
    (void)state;
    static const char *const shapes[][2] = {
        {"--strobe", "200ms/10ms"}, {"--jitter", "5ms/1ms"}, {"--sine", "1s/1us"}};
    const char *svg = picture("a.svg"), *png = picture("a.png");
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct run run = skewctl_run("plot", shapes[i][0], shapes[i][1], "--rate", "1.5",
                                     "--offset", "-1h", "-o", svg, NULL);
        run_expect(&run, 0);
        run = program_run((const char *const[]){"python3", "-c",
                                                "import sys, xml.dom.minidom as dom\n"
                                                "top = dom.parse(sys.argv[1]).documentElement\n"
                                                "assert top.tagName == 'svg'\n"
                                                "assert top.getAttribute('width')[:3] == '960'\n",
                                                svg, NULL},
                          NULL, HARNESS_DEADLINE_MS);
        run_expect(&run, 0);
        run = skewctl_run("plot", shapes[i][0], shapes[i][1], "--size", "500x300", "-o", png, NULL);
        run_expect(&run, 0);
        size_t size;
        const unsigned char *bytes = (const unsigned char *)harness_file_read(png, &size);
        assert_non_null(bytes);
        assert_true(size > 1000);
        /* https://www.w3.org/TR/png: the signature, IHDR, its width and height; IEND. */
        assert_memory_equal(bytes, "\211PNG\r\n\032\n\0\0\0\rIHDR\0\0\001\364\0\0\001\054", 24);
        assert_memory_equal(bytes + size - 8, "IEND", 4);
    }
    struct stat status;
    assert_int_equal(stat(svg, &status), 0);
    mode_t mask = umask(0);
    umask(mask);
    assert_int_equal(status.st_mode & 0777, 0666 & ~mask);
}

static void what_is_in_force(void **state)
{
    (void)state;
    struct child *idle = victim_start("idle", NULL);
    const char *pid = harness_format("%d", idle->pid), *file = picture("a.svg");
    struct run run = skewctl_run("plot", "-p", pid, "-o", file, NULL);
    run_expect_error(&run, 4);
    assert_non_null(strstr(run.err, pid));
    run = skewctl_run("inject", "-p", pid, "--ramp", "-500ms/10m", NULL);
    run_expect(&run, 0);
    plot("-p", pid, "20m", file);
    static const char *const points[4] = {"0:0", "1:-500", "0.25:-250", "0.5:-500"};
    run = line_read(file, points);
    run_expect(&run, 0);
    plot("--id", "1", "20m", file);
    run = line_read(file, points);
    run_expect(&run, 0);
    run = skewctl_run("recover", "-p", pid, NULL);
    run_expect(&run, 0);
    run = skewctl_run("plot", "--id", "1", "-o", file, NULL);
    run_expect_error(&run, 4);
    assert_non_null(strstr(run.err, "injection 1 "));
    run = skewctl_run("plot", "--id", "g1", "-o", file, NULL);
    run_expect_error(&run, 4);
    assert_non_null(strstr(run.err, "group g1 "));
}

/* A second between the change and the slide is not to be seen in forty hours. */
static void a_slew_is_drawn(void **state)
{
    (void)state;
    struct child *idle = victim_start("idle", NULL);
    const char *pid = harness_format("%d", idle->pid), *file = picture("a.svg");
    struct run run = skewctl_run("inject", "-p", pid, "--offset", "10h", NULL);
    run_expect(&run, 0);
    run = skewctl_run("inject", "-p", pid, "--offset", "2h", "--slew", "0.5", NULL);
    run_expect(&run, 0);
    plot("-p", pid, "40h", file);
    static const char *const points[4] = {"0:10", "1:2", "0.2:6", "0.6:2"};
    run = line_read(file, points);
    run_expect(&run, 0);
    run = skewctl_run("recover", "-p", pid, NULL);
    run_expect(&run, 0);
}

/* SVG has a title as so many letters of a font, in one line. */
static void assert_title(const char *file, const char *title)
{
    const char *text = harness_file_read(file, NULL);
    size_t letters = 0;
    for (const char *use = text; (use = strstr(use, "<use ")) != NULL; use++) {
        const char *place = strstr(use, "y=\"26\""), *end = strchr(use, '>');
        letters += place != NULL && place < end;
    }
    if (letters != strlen(title))
        fail_msg("the title has %zu letters, '%s' has %zu", letters, title, strlen(title));
}

static void the_title_says_all(void **state)
{
    (void)state;
    struct child *idle = victim_start("idle", NULL);
    const char *pid = harness_format("%d", idle->pid), *file = picture("a.svg");
    plot("--offset", "5s", "1s", file);
    assert_title(file, "5s");
    struct run run = skewctl_run("plot", "--offset", "5s", "--for", "1m", "-o", file, NULL);
    run_expect(&run, 0);
    assert_title(file, "5s for 1m");
    run =
        skewctl_run("inject", "-p", pid, "--offset", "5s", "--slew", "500ppm", "--for", "1h", NULL);
    run_expect(&run, 0);
    plot("-p", pid, "1m", file);
    assert_title(file,
                 harness_format("process %s (idle): 5s until 2026-01-01T00:00:00.0Z, slewed to "
                                "at 500ppm",
                                pid));
    run = skewctl_run("inject", "-p", pid, "--offset", "6s", "--slew", "0.05", NULL);
    run_expect(&run, 0);
    plot("-p", pid, "1m", file);
    assert_title(file, harness_format("process %s (idle): 6s, slewed to at 5%%", pid));
    run = skewctl_run("recover", "-p", pid, NULL);
    run_expect(&run, 0);
}

static void refused(const char *const options[6], int code, const char *file)
{
    struct run run = skewctl_run("plot", "-o", file, options[0], options[1], options[2], options[3],
                                 options[4], options[5], NULL);
    run_expect_error(&run, code);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    static const char *const requests[][6] = {
        {"--span", "1s"},
        {"--rate", "2", "-p", "1"},
        {"-p", "1,2"},
        {"-p", "1", "--id", "1"},
        {"--rate", "2", "--span", "0"},
        {"--rate", "2", "--span", "-1s"},
        {"--rate", "2", "--size", "960"},
        {"--rate", "2", "--size", "10x10"},
        {"--rate", "2", "--size", "960x100000"},
        {"--rate", "2", "--size", "960x640x2"},
        {"--rate", "900", "--span", "365d"},
        {"--rate", "quick"},
        {"--rate", "2", "--tree", "1"},
    };
    const char *file = picture("a.svg");
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        refused(requests[i], 2, file);
        assert_int_equal(access(file, F_OK), -1);
    }
    static const char *const twice[6] = {"--rate", "2"};
    refused(twice, 2, picture("a.gif"));
    refused(twice, 1, "/nowhere/a.svg");
    struct run run = skewctl_run("plot", "--rate", "2", NULL);
    run_expect_error(&run, 2);

    /* Neither a link nor a folder is replaced; a file is. */
    assert_int_equal(symlink("/dev/null", file), 0);
    refused(twice, 2, file);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(mkdir(file, 0700), 0);
    refused(twice, 2, file);
    assert_int_equal(rmdir(file), 0);
    plot("--rate", "2", "1s", file);
    plot("--rate", "3", "1s", file);
    run = program_run((const char *const[]){"find", harness_home(), "-name", "*.svg*", NULL}, NULL,
                      HARNESS_DEADLINE_MS);
    run_expect(&run, 0);
    assert_string_equal(run.out, harness_format("%s\n", file));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(the_line_goes_where_it_should),
        harness_test(pictures_are_whole),
        harness_test(what_is_in_force),
        harness_test(a_slew_is_drawn),
        harness_test(the_title_says_all),
        harness_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests_name("pictures", tests, NULL, NULL);
}
