/*
 * screen.h - the terminal on standard output, drawn on in place, and put back as it was.
 *
 * While the screen is shown the terminal echoes nothing and gives keys at once, and
 * SIGWINCH, SIGCONT and SIGQUIT are held. Everything that can be written with
 * ECMA-48 and the alternate screen of xterm, which terminals have had for decades.
 */
#ifndef SKEWCTL_CLI_SCREEN_H
#define SKEWCTL_CLI_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

/* Standard output is a terminal that knows more than to print lines. */
bool screen_possible(void);

/*
 * Shows it. Stops here, as by SIGTTOU, while skewctl is in the background. May be called again,
 * after a stop that came unannounced.
 */
void screen_enter(void);
/* The terminal as it was before, with what it showed; does nothing where it is that already. */
void screen_leave(void);

/* For poll(2): readable when there is something for screen_attend(). -1 with errno. */
int screen_descriptor(void);
/* Does what these signals ask for. */
void screen_attend(void);

/* True if the key was pressed since; `*open` is false once there is nothing to read from. */
bool screen_key(char key, bool *open);

/* Draws these lines, cut to the window, in place of what is there. False with errno. */
bool screen_draw(char *const *lines, size_t count);

#endif
