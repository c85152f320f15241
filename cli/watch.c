/*
 * watch.c - skewctl watch: the clocks of a skewed process as they go on. Drawn in place on a
 * terminal; else, and with -o json, one line for each sample.
 *
 * q and SIGINT are how a person ends it, so that is success, as is that there is nothing
 * left to watch. The terminal is put back on every way out.
 */
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/message.h"
#include "cli/screen.h"
#include "cli/watch_show.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define MILLISECOND_NS INT64_C(1000000)
#define EXIT_SIGNAL    128

struct watch {
    const struct options *options;
    struct skew_sampler *sampler;
    bool screen;    /* drawn in place */
    bool keys;      /* there may be some to read */
    int interrupts; /* descriptors of signals */
    int attentions;
    int signal;      /* that ends it; else 0 */
    int64_t next_ns; /* CLOCK_MONOTONIC, of the next sample */
    struct watch_page page;
};

static int64_t monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* False where what was written did not arrive. */
static bool sample_show(struct watch *watch, const struct skew_sample *sample)
{
    if (watch->screen) {
        char *lines[WATCH_LINES_MAX];
        watch_page_fill(sample, &watch->page);
        for (size_t i = 0; i < watch->page.count; i++)
            lines[i] = watch->page.lines[i];
        return screen_draw(lines, watch->page.count);
    }
    if (watch->options->json)
        watch_print_json(sample);
    else
        watch_print_line(sample);
    return fflush(stdout) == 0;
}

static bool sample_over(const struct skew_sample *sample)
{
    return sample->report.state != SKEW_STATE_ACTIVE && sample->report.state != SKEW_STATE_EXPIRED;
}

static bool signals_take(struct watch *watch)
{
    bool stops = interrupt_stops();

    if (stops && watch->screen)
        screen_leave();
    watch->signal = interrupt_take();
    if (stops && watch->screen && watch->signal == 0) {
        screen_enter();
        watch->keys = isatty(STDIN_FILENO);
    }
    return watch->signal == 0;
}

/* Until the next sample is due, or the process has exited. False to end. */
static bool sample_await(struct watch *watch)
{
    struct pollfd files[] = {
        {.fd = watch->interrupts, .events = POLLIN},
        {.fd = watch->attentions, .events = POLLIN},
        {.fd = skew_sampler_descriptor(watch->sampler), .events = POLLIN},
        {.events = POLLIN},
    };

    for (;;) {
        int64_t left = (watch->next_ns - monotonic_ns() + MILLISECOND_NS - 1) / MILLISECOND_NS;
        files[3].fd = watch->keys ? STDIN_FILENO : -1;
        if (left <= 0)
            return true;
        if (poll(files, sizeof files / sizeof *files, left > INT_MAX ? INT_MAX : (int)left) <= 0)
            continue;
        if (files[0].revents != 0 && !signals_take(watch))
            return false;
        if (files[1].revents != 0) {
            screen_attend();
            watch->keys = isatty(STDIN_FILENO);
        }
        if (files[3].revents != 0 && screen_key('q', &watch->keys))
            return false;
        if (files[1].revents != 0 || files[2].revents != 0)
            return true;
    }
}

static enum skew_code samples_show(struct watch *watch, struct skew_sample *sample,
                                   struct skew_error *error)
{
    int64_t count = 0;

    watch->next_ns = monotonic_ns();
    for (;;) {
        enum skew_code code =
            skew_sampler_take(watch->sampler, watch->options->clocks, sample, error);
        if (code != SKEW_OK)
            return code;
        bool over = sample_over(sample);
        if (over && !watch->options->json)
            return SKEW_OK;
        /* Output that did not arrive is told at the end of all. */
        if (!sample_show(watch, sample) || over || ++count == watch->options->samples)
            return SKEW_OK;

        /* What is late is left out, rather than made up for. */
        int64_t now = monotonic_ns();
        if (__builtin_add_overflow(watch->next_ns, watch->options->interval_ns, &watch->next_ns))
            watch->next_ns = INT64_MAX;
        if (watch->next_ns < now)
            watch->next_ns = now;
        if (!sample_await(watch))
            return SKEW_OK;
    }
}

static enum skew_code watch_run(struct watch *watch)
{
    struct skew_error error = {0};
    struct skew_sample sample = {0};

    interrupt_hold();
    watch->interrupts = interrupt_descriptor();
    if (watch->screen) {
        screen_enter();
        watch->attentions = screen_descriptor();
    }
    enum skew_code code = samples_show(watch, &sample, &error);
    if (watch->screen)
        screen_leave();
    interrupt_release();
    if (watch->interrupts >= 0)
        close(watch->interrupts);
    if (watch->attentions >= 0)
        close(watch->attentions);
    if (code != SKEW_OK)
        return message_error(&error, sample.report.command);
    if (sample_over(&sample))
        message_print("pid %d (%s): %s", (int)sample.report.pid, sample.report.command,
                      sample.report.note);
    return SKEW_OK;
}

int command_watch(const struct options *options)
{
    struct skew_error error = {0};
    struct watch *watch = calloc(1, sizeof *watch);

    if (!watch) {
        message_print("there is no memory to watch with");
        return (int)SKEW_FAILED;
    }
    *watch = (struct watch){.options = options, .interrupts = -1, .attentions = -1};
    watch->screen = !options->json && screen_possible();
    watch->keys = watch->screen && isatty(STDIN_FILENO);
    int status = (int)skew_sampler_open((pid_t)options->pids.numbers[0], &watch->sampler, &error);
    if (status != SKEW_OK) {
        message_error(&error, "");
    } else {
        status = (int)watch_run(watch);
        skew_sampler_close(watch->sampler);
    }
    if (status == SKEW_OK && watch->signal != 0 && watch->signal != SIGINT)
        status = EXIT_SIGNAL + watch->signal;
    free(watch);
    return status;
}
