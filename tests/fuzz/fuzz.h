/*
 * fuzz.h - what all fuzz targets share. Each NAME_fuzz.c gives libFuzzer
 * (https://llvm.org/docs/LibFuzzer.html) its one entry point, and says at its
 * top what must hold of every input. A failed check aborts, which libFuzzer
 * takes for a crash: it keeps the input.
 */
#ifndef SKEWCTL_TESTS_FUZZ_H
#define SKEWCTL_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Called with each input; returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

#define fuzz_check(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);         \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* The input as text: exactly as much memory as it needs, so that ASan sees each step beyond it. */
static inline char *fuzz_text(const uint8_t *input, size_t size)
{
    char *text = malloc(size + 1);
    fuzz_check(text != NULL);
    memcpy(text, input, size);
    text[size] = '\0';
    return text;
}

#endif
