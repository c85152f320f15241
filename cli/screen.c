/*
 * screen.c - see screen.h.
 */
#include "cli/screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

/* The alternate screen, and no cursor. */
#define SHOW "\033[?1049h\033[?25l"
#define HIDE "\033[?25h\033[?1049l"
#define HOME "\033[H"
#define NEXT "\r\n"
/* Before the text of a line: behind one that fills the window, some clear its last column. */
#define LINE "\033[K"
#define REST "\033[J"

static struct termios before;
static bool before_known;
static bool shown;

bool screen_possible(void)
{
    const char *kind = getenv("TERM");

    return isatty(STDOUT_FILENO) && kind && *kind && strcmp(kind, "dumb") != 0;
}

static sigset_t signals_of_screen(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGWINCH);
    sigaddset(&set, SIGCONT);
    sigaddset(&set, SIGQUIT);
    return set;
}

/* Interrupted by nothing but the stop, after which it is tried again. */
static void mode_set(const struct termios *mode)
{
    while (before_known && tcsetattr(STDOUT_FILENO, TCSANOW, mode) != 0 && errno == EINTR)
        continue;
}

void screen_enter(void)
{
    struct termios mode;
    sigset_t output, held;

    sigemptyset(&output);
    sigaddset(&output, SIGTTOU);
    /* Only where this signal is not held does the terminal stop who is in the background. */
    sigprocmask(SIG_UNBLOCK, &output, &held);
    if (!shown)
        before_known = tcgetattr(STDOUT_FILENO, &before) == 0;
    mode = before;
    mode.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    mode.c_cc[VMIN] = 1;
    mode.c_cc[VTIME] = 0;
    mode_set(&mode);
    sigprocmask(SIG_SETMASK, &held, NULL);

    sigset_t set = signals_of_screen();
    sigprocmask(SIG_BLOCK, &set, NULL);
    fputs(SHOW, stdout);
    fflush(stdout);
    shown = true;
}

void screen_leave(void)
{
    sigset_t set = signals_of_screen();

    if (!shown)
        return;
    shown = false;
    fputs(HIDE, stdout);
    fflush(stdout);
    mode_set(&before);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

int screen_descriptor(void)
{
    sigset_t set = signals_of_screen();

    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

void screen_attend(void)
{
    static const struct timespec at_once = {0};
    sigset_t set = signals_of_screen();
    sigset_t pending;

    sigpending(&pending);
    if (sigismember(&pending, SIGQUIT))
        screen_leave(); /* and ends there */
    for (int signal; (signal = sigtimedwait(&set, NULL, &at_once)) > 0;)
        if (signal == SIGCONT)
            screen_enter();
}

bool screen_key(char key, bool *open)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    char keys[64];

    while (*open && poll(&input, 1, 0) > 0) {
        ssize_t count = read(STDIN_FILENO, keys, sizeof keys);
        if (count == 0 || (count < 0 && errno != EINTR))
            *open = false;
        if (count > 0 && memchr(keys, key, (size_t)count))
            return true;
    }
    return false;
}

/* How many bytes of a line fit into so many columns. */
static size_t fitting(const char *line, size_t columns)
{
    size_t used = 0, length = strlen(line);
    mbstate_t state = {0};

    while (used < length) {
        wchar_t wide;
        size_t bytes = mbrtowc(&wide, line + used, length - used, &state);
        if (bytes == 0 || bytes > length - used)
            break;
        int width = wcwidth(wide);
        if (width < 0 || (size_t)width > columns)
            break;
        columns -= (size_t)width;
        used += bytes;
    }
    return used;
}

bool screen_draw(char *const *lines, size_t count)
{
    struct winsize size = {0};

    /* A terminal that does not know its size, as over a serial line, has this one. */
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0)
        size = (struct winsize){.ws_row = 24, .ws_col = 80};
    fputs(HOME, stdout);
    for (size_t i = 0; i < count && i < size.ws_row; i++) {
        fputs(i > 0 ? NEXT LINE : LINE, stdout);
        fwrite(lines[i], 1, fitting(lines[i], size.ws_col), stdout);
    }
    if (count < size.ws_row)
        fputs(NEXT REST, stdout);
    return fflush(stdout) == 0;
}
