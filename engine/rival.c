/*
 * rival.c - recognises and undoes what other injectors left in a vDSO.
 *
 * Undoing it, and what a death of skewctl leaves right after each step:
 *
 *   1 all stopped      nothing: they go on (stop.c). Nobody is between the two
 *                      instructions of a jump, and nobody will return there
 *                      (settle.c, scan.c).
 *   2 each entry       the kernel's own bytes at some entries, a jump to the
 *     restored         foreign image at the others: each works. One write each,
 *                      within a page, while no thread runs.
 *   3 all let go       done.
 *
 * No remote call is made and nothing of ours is ever in the target, so there is
 * nothing to journal: what was there is not wanted back.
 * If a thread is anywhere: one in the foreign image leaves it by its return to
 * the caller, and the image stays. If a signal arrives: see stop.c.
 */
#include "engine/rival.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/error.h"
#include "engine/memory.h"
#include "engine/scope.h"
#include "engine/settle.h"

/* Images of rivals are smaller than this; the first page is enough to know them. */
#define IMAGE_LOOKED_AT 1024
#define PAGE            0x1000

static bool image_makes_syscall(const struct look *look, uint64_t address)
{
    const struct mapping *row = maps_find(&look->maps, address);
    uint8_t code[IMAGE_LOOKED_AT];
    if (row == NULL || row->inode != 0 || row->permissions[2] != 'x') {
        return false;
    }
    size_t size = row->end - address < sizeof code ? (size_t)(row->end - address) : sizeof code;
    return memory_read(look->memory, address, code, size) && arch_makes_syscall(code, size);
}

bool rival_find(const struct vdso *vdso, const struct look *look, struct rival *rival)
{
    uint8_t rest[VDSO_SIZE_MAX];
    bool any = false;
    *rival = (struct rival){0};
    memcpy(rest, look->live, vdso->size);
    for (int f = 0; f < ARCH_FUNCTION_COUNT; f++) {
        size_t entry = vdso->functions[f].offset;
        if (vdso->functions[f].size < ARCH_RIVAL_JUMP_SIZE ||
            entry % PAGE > PAGE - ARCH_RIVAL_JUMP_SIZE ||
            !arch_rival_jump_parse(look->live + entry, &rival->images[f]) ||
            !image_makes_syscall(look, rival->images[f])) {
            continue;
        }
        rival->jumps[f] = true;
        any = true;
        memcpy(rest + entry, vdso->bytes + entry, ARCH_RIVAL_JUMP_SIZE);
    }
    return any && memcmp(rest, vdso->bytes, vdso->size) == 0;
}

void rival_functions_format(const struct rival *rival, char *text, size_t size)
{
    size_t length = 0;
    text[0] = '\0';
    for (int f = 0; f < ARCH_FUNCTION_COUNT; f++) {
        if (rival->jumps[f] && length < size) {
            length +=
                (size_t)snprintf(text + length, size - length, "%s%s", length == 0 ? "" : " and ",
                                 arch_function_symbol((enum arch_function)f) + strlen("__vdso_"));
        }
    }
}

struct undoing {
    const struct vdso *vdso;
    const struct look *look;
    const struct rival *rival;
    uint8_t *scan_buffer;
};

/* stop window begins */

static enum skew_code entries_undo(const struct undoing *undoing, const struct tracer *tracer,
                                   struct skew_error *error)
{
    for (int f = 0; f < ARCH_FUNCTION_COUNT; f++) {
        size_t entry = undoing->vdso->functions[f].offset;
        uint64_t address = undoing->look->vdso_address + entry;
        if (undoing->rival->jumps[f] &&
            (!memory_equals(tracer->memory, address, undoing->look->live + entry,
                            ARCH_RIVAL_JUMP_SIZE) ||
             !memory_write(tracer, address, undoing->vdso->bytes + entry, ARCH_RIVAL_JUMP_SIZE))) {
            return error_set_plain(error, SKEW_FAILED, tracer->target->pid, 0, errno, "repair",
                                   "cannot write into the vDSO");
        }
    }
    return SKEW_OK;
}

static enum skew_code undoing_run(struct tracer *tracer, void *context, struct skew_error *error)
{
    struct undoing *undoing = context;
    struct scanner scanner = {
        .tracer = tracer, .maps = &undoing->look->maps, .buffer = undoing->scan_buffer};
    for (int f = 0; f < ARCH_FUNCTION_COUNT; f++) {
        uint64_t entry = undoing->look->vdso_address + undoing->vdso->functions[f].offset;
        if (undoing->rival->jumps[f]) {
            scanner.ranges[scanner.range_count++] =
                (struct scan_range){entry + 1, entry + ARCH_RIVAL_JUMP_SIZE};
        }
    }
    settle_prepare(&scanner);
    struct tracee *caller;
    bool busy;
    enum skew_code code = caller_seize(tracer, &caller, &busy, error);
    if (code == SKEW_OK && !look_holds(undoing->look, undoing->vdso, tracer->memory)) {
        code = error_set_plain(error, SKEW_FAILED, tracer->target->pid, 0, 0, "look again",
                               "the program was replaced or changed while it was looked at; "
                               "nothing was changed, try again");
    }
    if (code == SKEW_OK) {
        code = settle_empty(&scanner, error);
    }
    return code == SKEW_OK ? entries_undo(undoing, tracer, error) : code;
}

/* stop window ends */

enum skew_code rival_undo(const struct vdso *vdso, struct look *look, const struct rival *rival,
                          int64_t *pause_ns, unsigned *interrupted, struct skew_error *error)
{
    scoped_memory uint8_t *scan_buffer = malloc(SCAN_BUFFER_SIZE);
    if (scan_buffer == NULL) {
        return error_set(error, SKEW_FAILED, look->target.pid, 0, "repair", "out of memory");
    }
    struct undoing undoing = {
        .vdso = vdso, .look = look, .rival = rival, .scan_buffer = scan_buffer};
    enum skew_code code;
    int tries = 0;
    *pause_ns = 0;
    *interrupted = 0;
    do {
        int64_t once_ns = 0;
        unsigned exposed = 0;
        code = tracer_run(&look->target, undoing_run, &undoing, &once_ns, &exposed, error);
        *pause_ns = once_ns > *pause_ns ? once_ns : *pause_ns;
        *interrupted += exposed;
    } while (code == SKEW_DRAINING && settle_again(&tries, error));
    return code == SKEW_DRAINING ? error->code : code;
}
