/*
 * inject.c - skews a process that has no image yet.
 *
 * The order, and what a death of skewctl leaves behind right after each step.
 * "Recovers" means that recover.c, given the process, brings it back.
 *
 *   1 row PLANNED        nothing.
 *   2 thread T stopped   nothing: it goes on (stop.c).
 *   3 registers saved,   a stub in the slack that nobody enters, or that T runs
 *     stub written       through by itself (remote.c). Recovers.
 *   4 data mapped        an untouched anonymous mapping at the row's address.
 *                        Recovers: recognised by address, size and emptiness.
 *   5 header written     a mapping with our header. Recovers.
 *   6 code mapped,       an image that nobody enters. Recovers.
 *     written, compared
 *   7 all stopped        as 6; nobody is inside the bytes to be patched, and
 *                        nobody will return into them (settle.c, scan.c).
 *   8 each entry patched some entries lead into a whole image, the others are
 *                        as before: both work, though they may disagree by the
 *                        skew. One write each, five bytes within a page, while
 *                        no thread runs. Recovers.
 *   9 others let go      T alone is held, for the readback. Recovers.
 *  10 T let go, row      done.
 *     ACTIVE
 *
 * Where no thread waits, all are stopped before 3 and let go after 9 (caller.c).
 * If there is but one and it runs, it is let go after 5, 6 and 8, and stopped
 * again: a thread that runs loses nothing by being stopped several times, and
 * so is held for less at a time. What it then meets is what a skewctl that died
 * there would have left; a child that is forked meanwhile keeps what there was.
 * So is every target in 7, if a signal handler must return first.
 *
 * If a thread is anywhere: before 8 nobody can reach the image; in 8 nobody
 * runs; a thread at an entry's first byte takes the jump.
 * If a signal arrives: only T runs anything of ours; see remote.c.
 * Steps 7 to 9 allocate nothing, print nothing and do not use SQLite. SQLite
 * is used in 3, when one thread is held, under a lock taken before the stop.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>

#include "engine/clock.h"
#include "engine/deadline.h"
#include "engine/error.h"
#include "engine/memory.h"
#include "engine/permit.h"
#include "engine/private.h"
#include "engine/remote.h"
#include "engine/scope.h"
#include "engine/settle.h"

#define DATA_PROTECTION (PROT_READ | PROT_WRITE)
#define CODE_PROTECTION (PROT_READ | PROT_EXEC)

/* What is done in one stop; a lone thread that runs gets a stop for each. */
enum stage {
    STAGE_DATA,  /* 3 to 5 */
    STAGE_CODE,  /* 6 */
    STAGE_PATCH, /* 7 and 8 */
    STAGE_READBACK,
    STAGES
};

struct injection {
    const struct vdso *vdso;
    const struct look *look;
    const struct image *image;
    struct save_context save;
    struct verification verification;
    uint8_t *scan_buffer;
    struct permit permit;
    size_t mapped; /* bytes of the image that are mapped, from its start */
    bool unsure;   /* whether a mapping was made: the call's result was not read */
    bool busy;     /* all threads are stopped before the first remote call, and until the last */
    bool alone;    /* and there is only one: it is let go between the stages */
    bool apart;    /* the program has run between two stages */
    enum stage stage;
    bool patched; /* or may be: an entry leads into the image */
    bool touched; /* the target may hold something of ours */
};

/*
 * Ranges in which no thread may be when the entries change: behind the first
 * byte of each patch. At the first byte a thread simply takes the jump.
 */
static void patch_ranges(const struct image_header *header, struct scanner *scanner)
{
    for (int f = 0; f < ARCH_FUNCTION_COUNT; f++) {
        scanner->ranges[scanner->range_count++] = (struct scan_range){
            header->patches[f].address + 1, header->patches[f].address + ARCH_PATCH_SIZE};
    }
}

/* stop window begins */

static void mapping_arguments(uint64_t address, size_t size, int protection, uint64_t arguments[6])
{
    const uint64_t values[6] = {address,
                                size,
                                (uint64_t)protection,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
                                (uint64_t)-1,
                                0};
    memcpy(arguments, values, sizeof values);
}

/* All calls that this injection makes, and the one that its recover will make. */
static enum skew_code calls_permit(const struct injection *injection, const struct remote *remote,
                                   struct skew_error *error)
{
    const struct image *image = injection->image;
    enum { MAPPING_CALLS = 3 };
    struct permit_call calls[MAPPING_CALLS + VERIFICATION_CALLS_MAX] = {
        {.number = SYS_mmap},
        {.number = SYS_mmap},
        {.number = SYS_munmap, .arguments = {image->address, image->size}},
    };
    size_t count = MAPPING_CALLS + verification_calls(injection->verification.clock,
                                                      injection->verification.reads_by_call,
                                                      calls + MAPPING_CALLS);
    mapping_arguments(image->address, image->data_size, DATA_PROTECTION, calls[0].arguments);
    mapping_arguments(image->address + image->data_size, image->size - image->data_size,
                      CODE_PROTECTION, calls[1].arguments);
    return permit_check(&injection->permit, remote->tracer, remote->tracee, remote->stub, calls,
                        count, error);
}

static enum skew_code mapping_make(struct injection *injection, struct remote *remote,
                                   uint64_t address, size_t size, int protection,
                                   struct skew_error *error)
{
    uint64_t arguments[6];
    mapping_arguments(address, size, protection, arguments);
    long result;
    injection->unsure = true;
    enum skew_code code = remote_syscall(remote, SYS_mmap, arguments, &result, error);
    if (code != SKEW_OK) {
        return code;
    }
    injection->unsure = false;
    if ((uint64_t)result == address) {
        return SKEW_OK;
    }
    pid_t pid = remote->tracer->target->pid;
    if (result < 0 && result > -4096) {
        return error_set_plain(error, SKEW_REFUSED, pid, remote->tracee->tid, (int)-result,
                               "remote mmap", "the kernel does not let it map the memory needed");
    }
    /* Kernels before 4.17 take the address as a hint. */
    const uint64_t undo[6] = {(uint64_t)result, size};
    code = remote_syscall(remote, SYS_munmap, undo, &result, error);
    return code != SKEW_OK ? code
                           : error_set_plain(error, SKEW_FAILED, pid, remote->tracee->tid, EEXIST,
                                             "remote mmap",
                                             "the address chosen was taken meanwhile; try again");
}

/* Maps one part of the image and fills it. */
static enum skew_code part_place(struct injection *injection, struct remote *remote, size_t offset,
                                 size_t size, int protection, const uint8_t *bytes, size_t used,
                                 struct skew_error *error)
{
    uint64_t address = injection->image->address + offset;
    enum skew_code code = mapping_make(injection, remote, address, size, protection, error);
    if (code != SKEW_OK) {
        return code;
    }
    injection->mapped = offset + size;
    if (!memory_write(remote->tracer, address, bytes, used)) {
        return error_set_plain(error, SKEW_FAILED, remote->tracer->target->pid, 0, errno,
                               "write image", "cannot write the image");
    }
    return SKEW_OK;
}

static enum skew_code data_place(struct injection *injection, struct remote *remote,
                                 struct skew_error *error)
{
    const struct image *image = injection->image;
    return part_place(injection, remote, 0, image->data_size, DATA_PROTECTION, image->data,
                      IMAGE_DATA_USED, error);
}

static enum skew_code code_place(struct injection *injection, struct remote *remote,
                                 struct skew_error *error)
{
    const struct image *image = injection->image;
    size_t size = image->size - image->data_size;
    return part_place(injection, remote, image->data_size, size, CODE_PROTECTION, image->code, size,
                      error);
}

/*
 * Under the stop: nothing may lead into an image that is not there. The program has run
 * since it was made, and may unmap or overwrite what it does not know. What lies there
 * then may be the program's, so it is left to recover, which looks.
 */
static enum skew_code image_confirm(struct injection *injection, const struct tracer *tracer,
                                    struct skew_error *error)
{
    const struct image *image = injection->image;
    if (memory_equals(tracer->memory, image->address, image->data, IMAGE_DATA_USED) &&
        memory_equals(tracer->memory, image->address + image->data_size, image->code,
                      image->size - image->data_size)) {
        return SKEW_OK;
    }
    injection->unsure = true;
    return error_set_plain(error, SKEW_FAILED, tracer->target->pid, 0, 0, "look again",
                           "the program changed the mappings of the image");
}

/* All or none, as long as skewctl lives: what was patched before a failure is put back. */
static enum skew_code entries_patch(const struct injection *injection, const struct tracer *tracer,
                                    struct skew_error *error)
{
    for (int f = 0; f < ARCH_FUNCTION_COUNT; f++) {
        const struct image_patch *patch = &injection->image->header.patches[f];
        if (memory_equals(tracer->memory, patch->address, patch->original, ARCH_PATCH_SIZE) &&
            memory_write(tracer, patch->address, patch->patched, ARCH_PATCH_SIZE)) {
            continue;
        }
        int errnum = errno;
        while (f-- > 0) {
            patch = &injection->image->header.patches[f];
            memory_write(tracer, patch->address, patch->original, ARCH_PATCH_SIZE);
        }
        return error_set_plain(error, SKEW_FAILED, tracer->target->pid, 0, errnum, "patch",
                               "cannot write into the vDSO");
    }
    return SKEW_OK;
}

/*
 * Nothing leads into the image yet, so nobody can be inside: T takes away again
 * what it has mapped. Where a mapping failed, something else may lie there, and
 * where one may have been made, recover looks what it is.
 */
static void image_remove(struct injection *injection, struct remote *remote)
{
    struct skew_error ignored;
    const uint64_t arguments[6] = {injection->image->address, injection->mapped};
    long result = 0;
    bool possible = remote->tracee->signal == 0 && !remote->adrift && !injection->unsure;
    if ((injection->mapped == 0 && !injection->unsure) ||
        (possible && remote_syscall(remote, SYS_munmap, arguments, &result, &ignored) == SKEW_OK &&
         result == 0)) {
        injection->touched = false;
    }
}

/* Does the stage at hand, and goes on to the next. */
static enum skew_code stage_run(struct injection *injection, struct scanner *scanner,
                                struct remote *remote, struct skew_error *error)
{
    enum skew_code code = SKEW_OK;
    switch (injection->stage) {
    case STAGE_DATA:
        code = data_place(injection, remote, error);
        break;
    case STAGE_CODE:
        code = code_place(injection, remote, error);
        break;
    case STAGE_PATCH:
        code = settle_empty(scanner, error);
        if (code == SKEW_OK) {
            code = image_confirm(injection, remote->tracer, error);
        }
        if (code == SKEW_OK) {
            code = entries_patch(injection, remote->tracer, error);
            injection->patched = true;
        }
        if (code == SKEW_OK && !injection->busy) {
            remote->tracee = tracer_release_others(remote->tracer, remote->tracee);
        }
        break;
    case STAGE_READBACK:
        code = verification_run(&injection->verification, remote, &injection->image->header,
                                injection->vdso, error);
        break;
    case STAGES:
        break;
    }
    if (code == SKEW_OK) {
        injection->stage++;
    } else if (!injection->patched && code != SKEW_DRAINING) {
        /* The program has run since: recover looks what lies there. */
        injection->unsure = injection->unsure || injection->apart;
        image_remove(injection, remote);
    }
    return code;
}

static struct remote remote_for(struct injection *injection, struct tracer *tracer,
                                struct tracee *tracee)
{
    return (struct remote){.tracer = tracer,
                           .tracee = tracee,
                           .stub =
                               injection->look->vdso_address + vdso_stub_offset(injection->vdso, 0),
                           .image = injection->image->address,
                           .save = save_registers,
                           .save_context = &injection->save};
}

/* Still the program that was looked at, and changed by nobody but this injection. */
static bool look_still_holds(const struct injection *injection, const struct tracer *tracer)
{
    return injection->patched ? look_same_program(injection->look, injection->vdso, tracer->memory)
                              : look_holds(injection->look, injection->vdso, tracer->memory);
}

/* One stop: all stages that are left, or only the next. */
static enum skew_code injection_run(struct tracer *tracer, void *context, struct skew_error *error)
{
    struct injection *injection = context;
    struct scanner scanner = {
        .tracer = tracer, .maps = &injection->look->maps, .buffer = injection->scan_buffer};
    if (!injection->patched) {
        patch_ranges(&injection->image->header, &scanner);
        settle_prepare(&scanner);
    }

    struct tracee *tracee;
    enum skew_code code = caller_seize(tracer, &tracee, &injection->busy, error);
    if (code == SKEW_OK && !look_still_holds(injection, tracer)) {
        code = error_set_plain(error, SKEW_FAILED, tracer->target->pid, 0, 0, "look again",
                               "the program was replaced or changed while it was looked at; "
                               "try again");
    }
    if (code == SKEW_OK) {
        code = caller_stop(&scanner, tracee, error);
    }
    if (code != SKEW_OK) {
        return code;
    }
    struct remote remote = remote_for(injection, tracer, tracee);
    code = calls_permit(injection, &remote, error);
    if (code != SKEW_OK) {
        return code;
    }
    /* Not where a wait would see each of the stops, nor where it may not be fit for calls again. */
    injection->alone = injection->busy && tracer->target->threads == 1 && !tracee->exposed &&
                       tracee_rseq_known(tracee) && !tracer->lent;
    if (injection->busy && !injection->alone) {
        code = tracer_stop_all(tracer, error);
        if (code != SKEW_OK) {
            return code;
        }
    }
    injection->touched = true;
    do {
        code = stage_run(injection, &scanner, &remote, error);
    } while (code == SKEW_OK && injection->stage < STAGES && !injection->alone);
    code = remote_conclude(&remote, code, error);
    injection->touched = injection->touched || remote.taken;
    return code;
}

/* stop window ends */

static enum skew_code image_prepare(struct skew_engine *engine, const struct look *look,
                                    const struct image_skew *skew, struct image *image,
                                    struct skew_error *error)
{
    uint64_t address =
        maps_gap_find(&look->maps, look->vdso_address, look->vdso_address + engine->vdso.size,
                      image_size_for(&engine->vdso), IMAGE_REACH);
    if (address == 0) {
        error_set(error, SKEW_REFUSED, look->target.pid, 0, "place image",
                  "no gap of %zu bytes is left within 2 GiB of its vDSO",
                  image_size_for(&engine->vdso));
        error_advise(error, "its address space is full there; it cannot be skewed");
        return SKEW_REFUSED;
    }
    enum skew_code code = room_check(look, image_size_for(&engine->vdso), image_data_size(), error);
    if (code != SKEW_OK) {
        return code;
    }
    uint8_t id[IMAGE_ID_SIZE];
    if (getrandom(id, sizeof id, 0) != sizeof id) {
        return error_set(error, SKEW_FAILED, look->target.pid, errno, "draw id",
                         "no random numbers are to be had");
    }
    return image_build(&engine->vdso, look->vdso_address, address, id, skew, realtime_now(), image,
                       error);
}

static enum skew_code stages_run(struct injection *injection, struct skew_report *report,
                                 struct skew_error *error)
{
    const struct target *target = &injection->look->target;
    enum skew_code code;
    int tries = 0;
    do {
        int64_t pause_ns = 0;
        unsigned exposed = 0;
        code = save_begin(&injection->save, target->pid, error);
        if (code == SKEW_OK) {
            code = tracer_run(target, injection_run, injection, &pause_ns, &exposed, error);
            save_abort(&injection->save);
        }
        report->pause_ns = pause_ns > report->pause_ns ? pause_ns : report->pause_ns;
        report->interrupted += exposed;
        injection->apart = true;
    } while ((code == SKEW_OK && injection->stage < STAGES) ||
             (code == SKEW_DRAINING && settle_again(&tries, error)));
    return code == SKEW_DRAINING ? error->code : code;
}

enum skew_code inject_fresh(struct skew_engine *engine, struct look *look,
                            const struct skew_request *request, struct skew_report *report,
                            struct skew_error *error)
{
    struct image image = {0};
    struct image_skew skew;
    enum skew_code code = skew_from_request(&look->target, request, &skew, error);
    if (code == SKEW_OK) {
        code = image_prepare(engine, look, &skew, &image, error);
    }
    if (code != SKEW_OK) {
        return code;
    }
    if (request->dry_run) {
        report->dry_run = true;
        report_skew(request, report);
        report->state = SKEW_STATE_PLANNED;
        image_release(&image);
        return SKEW_OK;
    }
    struct journal_injection row = {.group = engine->group};
    code = row_plan(engine, look, &image, request, &row, error);
    if (code != SKEW_OK) {
        image_release(&image);
        return code;
    }
    scoped_memory uint8_t *scan_buffer = malloc(SCAN_BUFFER_SIZE);
    scoped_memory struct sock_filter *filter = calloc(BPF_MAXINSNS, sizeof *filter);
    struct injection injection = {
        .vdso = &engine->vdso,
        .look = look,
        .image = &image,
        .save = {.journal = engine->journal, .id = row.id, .phase = JOURNAL_INJECTING},
        .verification = {.clock = verification_clock(request->clocks),
                         .reads_by_call = clock_reads_by_call(),
                         .skew = skew},
        .scan_buffer = scan_buffer,
        .permit = {.buffer = filter,
                   .unread_passes = request->force,
                   .suspend = engine->suspend_seccomp},
    };
    code = scan_buffer == NULL || filter == NULL
               ? error_set(error, SKEW_FAILED, look->target.pid, 0, "inject", "out of memory")
               : stages_run(&injection, report, error);
    struct journal_error journal_error = {0};
    if (code == SKEW_OK && journal_advance(engine->journal, row.id, JOURNAL_ACTIVE, NULL,
                                           &journal_error) != JOURNAL_OK) {
        code = error_from_journal(error, look->target.pid, &journal_error);
        /* Its advice would be the last word, and it is not. */
        error->advice[0] = '\0';
    }
    if (code != SKEW_OK) {
        code = injection_undo(engine, &look->target, injection.touched, &row, error);
    }
    report_from_row(&row, report);
    report->state = code == SKEW_OK ? SKEW_STATE_ACTIVE : SKEW_STATE_FAILED;
    report->clock_gettime = injection.verification.clock_gettime;
    report->gettimeofday = injection.verification.gettimeofday;
    report->time = injection.verification.time;
    image_release(&image);
    return code;
}
