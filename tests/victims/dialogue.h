/*
 * dialogue.h - the victim's side of the conversation that tests/harness/victim.h
 * describes: one line in, one line out. Needs nothing but stdio and poll, so
 * that it builds with every libc and for 32 bits.
 */
#ifndef VICTIMS_DIALOGUE_H
#define VICTIMS_DIALOGUE_H

#include <stddef.h>

/* Writes the answer to a line, without newline; "quit" never gets here. */
typedef void dialogue_answer(const char *line, char *answer, size_t size);

/* Says "ready". */
void dialogue_open(void);

/*
 * Answers a line if one comes within that many milliseconds (-1: for ever).
 * Exits with 0 on "quit" and at end of file.
 */
void dialogue_poll(int milliseconds, dialogue_answer *answer);

#endif
