/*
 * scan.c - finds threads that are inside a range of code, or will return into it.
 *
 * Promise: SCAN_OUTSIDE is said only of a thread that will not execute a byte
 * of the ranges unless it enters them anew.
 *
 * The argument. The shim and the copied text never call code outside the image
 * and never switch stacks, and neither do a vDSO function's first instructions
 * or a stub. So a thread is inside only if its program counter is (or will be,
 * when the kernel backs it up to restart a system call), or if a signal
 * interrupted it there: then the kernel put its registers into a signal frame,
 * and the handler has not returned. Return addresses on the stack need no
 * look: whenever one into the image is live, so is a program counter in it.
 * The one exception is the readback, which calls the vDSO's entries from the
 * image: a thread in it is known by its stack pointer, in the image's data.
 *
 * A frame lies on the stack that the handler runs on, between the present
 * stack pointer and the end of that stack, and is known by its segment word
 * (arch_frame_parse). If it was interrupted on another stack (sigaltstack(2)),
 * that stack is searched from the saved stack pointer on.
 *
 * The end of a stack is the end of its mapping. In a runtime that keeps stacks
 * in one large heap mapping (Go) this can be gigabytes away; then only the
 * nearest WINDOW bytes are searched. The rest, and stacks beyond the STACKS that
 * are followed from one to the next, is taken as free of frames only if the
 * thread blocks no signal for which the process has a handler: a handler blocks
 * its own signal while it runs. What this cannot see is a handler that was
 * installed with SA_NODEFER, or unblocked its signal, and that runs with more
 * than WINDOW bytes, or STACKS stacks, between it and the frame.
 * A frame that a program has copied elsewhere to resume it later (a scheduler
 * that preempts coroutines from a signal handler) is not seen either.
 */
#include "engine/scan.h"

#include <string.h>

#include "engine/memory.h"

#define STACK  UINT64_C(0x4000000) /* a stack of up to 64 MiB is searched to its end, */
#define SHARED UINT64_C(0x100000)  /* and 1 MiB of a mapping that may hold several */
#define WINDOW UINT64_C(0x40000)
/* 32 and 33 are glibc's own (nptl(7)); it blocks all signals while a thread is born. */
#define LIBRARY_SIGNALS UINT64_C(0x180000000)
/* Behind the segment word: err to cr2, fpstate, and eight words that the kernel leaves as they
 * were. */
#define SIGCONTEXT_REST 13
#define STACKS          4 /* nested alternate stacks that are followed */

/* stop window begins */

static bool address_inside(const struct scanner *scanner, uint64_t address)
{
    for (size_t i = 0; i < scanner->range_count; i++) {
        if (address >= scanner->ranges[i].start && address < scanner->ranges[i].end) {
            return true;
        }
    }
    return false;
}

/* On the readback's stack: it may be in the vDSO, called from the image. */
static bool on_scratch(const struct scanner *scanner, uint64_t stack_pointer)
{
    return stack_pointer > scanner->scratch.start && stack_pointer <= scanner->scratch.end;
}

/* No signal that has a handler is blocked, so no ordinary handler is running. */
static bool handlers_idle(const struct scanner *scanner, pid_t tid)
{
    char path[TASK_PATH_SIZE];
    char text[4096];
    uint64_t blocked, caught;
    task_path_format(tid, "status", path);
    return proc_file_read(scanner->tracer->tasks, path, text, sizeof text) > 0 &&
           status_field_parse(text, "SigBlk", 16, &blocked) &&
           status_field_parse(text, "SigCgt", 16, &caught) &&
           (blocked & caught & ~LIBRARY_SIGNALS) == 0;
}

struct stacks {
    uint64_t pointers[STACKS];
    size_t count;
    bool more; /* than are followed */
};

static void stacks_follow(struct stacks *stacks, uint64_t pointer, uint64_t start, uint64_t end)
{
    bool here = pointer >= start && pointer < end;
    if (here) {
        return;
    }
    if (stacks->count < STACKS) {
        stacks->pointers[stacks->count++] = pointer;
    } else {
        stacks->more = true;
    }
}

/* A mapping that serves as one stack: the main thread's, or one with a guard below. */
static bool mapping_is_stack(const struct scanner *scanner, const struct mapping *row)
{
    const struct mapping *below = maps_find(scanner->maps, row->start - 1);
    return strcmp(row->name, "[stack]") == 0 ||
           (below != NULL && strcmp(below->permissions, "---p") == 0);
}

/* How far up from a stack pointer to look; *whole if that is to the end of the stack. */
static uint64_t stack_end(const struct scanner *scanner, uint64_t start, bool *whole)
{
    const struct mapping *row = maps_find(scanner->maps, start);
    if (row == NULL) {
        /* Mapped after the maps were read: a new thread's, or a heap that grew. */
        *whole = false;
        return start + WINDOW;
    }
    *whole = row->end - start <= (mapping_is_stack(scanner, row) ? STACK : SHARED);
    return *whole ? row->end : start + WINDOW;
}

/* Searches [start, end) for frames; false if one returns into the ranges. */
static bool stack_search(struct scanner *scanner, uint64_t start, uint64_t end,
                         struct stacks *stacks)
{
    uint64_t overlap = ARCH_FRAME_LOOKBACK * sizeof(uint64_t);
    for (uint64_t at = start; at < end;) {
        size_t size = end - at < SCAN_BUFFER_SIZE ? (size_t)(end - at) : SCAN_BUFFER_SIZE;
        if (!memory_read(scanner->tracer->memory, at, scanner->buffer, size)) {
            /* Nothing is mapped from there on: the stack ended earlier. */
            size_t page = 0x1000 - (at & 0xfff);
            size = size < page ? size : page;
            if (!memory_read(scanner->tracer->memory, at, scanner->buffer, size)) {
                return true;
            }
        }
        const uint64_t *words = (const uint64_t *)(const void *)scanner->buffer;
        size_t count = size / sizeof *words;
        for (size_t i = ARCH_FRAME_LOOKBACK; i < count; i++) {
            uint64_t program_counter, stack_pointer;
            if (!arch_frame_parse(words, i, &program_counter, &stack_pointer)) {
                continue;
            }
            if (address_inside(scanner, program_counter) || on_scratch(scanner, stack_pointer)) {
                return false;
            }
            stacks_follow(stacks, stack_pointer, start, end);
            i += SIGCONTEXT_REST;
        }
        at += size;
        if (at < end && size > overlap) {
            at -= overlap;
        }
    }
    return true;
}

enum scan_result scan_tracee(struct scanner *scanner, const struct tracee *tracee)
{
    const arch_registers *registers = &tracee->registers;
    if (arch_is_kernels(registers)) {
        return SCAN_OUTSIDE;
    }
    if (on_scratch(scanner, arch_stack_pointer(registers)) ||
        address_inside(scanner, arch_program_counter(registers)) ||
        address_inside(scanner, arch_resume_address(registers))) {
        return SCAN_INSIDE;
    }
    struct stacks stacks = {.pointers = {arch_stack_pointer(registers)}, .count = 1};
    bool complete = true;
    for (size_t i = 0; i < stacks.count; i++) {
        uint64_t start = stacks.pointers[i] & ~UINT64_C(7);
        uint64_t word;
        if (i > 0 && !memory_read(scanner->tracer->memory, start, &word, sizeof word)) {
            /* It only looked like a frame's: there is no such stack. */
            continue;
        }
        bool whole;
        uint64_t end = stack_end(scanner, start, &whole);
        complete = complete && whole;
        if (!stack_search(scanner, start, end, &stacks)) {
            return SCAN_INTERRUPTED;
        }
    }
    return (complete && !stacks.more) || handlers_idle(scanner, tracee->tid) ? SCAN_OUTSIDE
                                                                             : SCAN_UNKNOWN;
}

/* stop window ends */
