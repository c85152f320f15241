/*
 * rival.h - what other injectors leave in a vDSO.
 */
#ifndef SKEWCTL_ENGINE_RIVAL_H
#define SKEWCTL_ENGINE_RIVAL_H

#include "engine/private.h"

/* Functions of a vDSO that start with a jump of another injector. */
struct rival {
    bool jumps[ARCH_FUNCTION_COUNT];
    uint64_t images[ARCH_FUNCTION_COUNT]; /* where they lead */
};

/*
 * True if all in which the vDSO looked at differs from the kernel's are such
 * jumps, and each leads to anonymous code that makes a system call: then it is
 * known what was there before. Reads the target's memory, stops nothing.
 */
bool rival_find(const struct vdso *vdso, const struct look *look, struct rival *rival);

/* Writes "clock_gettime and time" for those with a jump. */
void rival_functions_format(const struct rival *rival, char *text, size_t size);

/*
 * Puts the kernel's own bytes back where the jumps are, with the whole target
 * stopped and no thread inside them. The foreign image stays mapped: nobody
 * here knows what else it is for. *pause_ns and *interrupted as in skew_report.
 */
enum skew_code rival_undo(const struct vdso *vdso, struct look *look, const struct rival *rival,
                          int64_t *pause_ns, unsigned *interrupted, struct skew_error *error);

#endif
