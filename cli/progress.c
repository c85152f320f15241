/*
 * progress.c - see progress.h.
 */
#include "cli/progress.h"

#include "cli/interrupt.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define REFRESH_NS INT64_C(100000000)

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

void progress_begin(struct progress *progress, const char *what)
{
    struct winsize size;

    *progress = (struct progress){.what = what};
    if (isatty(STDERR_FILENO) && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0)
        progress->rows = size.ws_row;
    interrupt_hold();
}

bool progress_step(void *context, size_t done, size_t count)
{
    struct progress *progress = context;

    if (progress->signal == 0)
        progress->signal = interrupt_take();
    if (progress->rows != 0 && count > progress->rows && now_ns() >= progress->next_ns) {
        /* Back to the line's beginning, and the rest of it cleared: ECMA-48. */
        fprintf(stderr, "\r\033[K%zu of %zu processes %s", done, count, progress->what);
        fflush(stderr);
        progress->shown = true;
        progress->next_ns = now_ns() + REFRESH_NS;
    }
    return progress->signal == 0;
}

void progress_end(struct progress *progress)
{
    if (progress->shown)
        fputs("\r\033[K", stderr);
    progress->shown = false;
    interrupt_release();
}
