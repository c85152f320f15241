/*
 * recover.c - puts a process back, from whatever state it is found in.
 *
 * What is there is read from the process, never taken from the journal alone.
 * The order, and what a death of skewctl leaves behind right after each step
 * (each is a state this file can start from again):
 *
 *   1 row RECOVERING      nothing new.
 *   2 all threads stopped nothing new: they go on (stop.c).
 *   3 all read again      every byte that differs is a jump into our image or a
 *                         stub, or nothing is written at all.
 *   4 each entry restored one write each while no thread runs: some entries lead
 *                         into a whole image, others are as before. Both work.
 *   5 all outside         from here on nobody enters the image; those that were
 *                         inside are let run until they have left it (settle.c).
 *                         Where a stub was left behind, all begins anew here: a
 *                         thread that left it may have made its mapping only now.
 *   6 registers saved,    the stub, or T in it, makes the munmap or does not;
 *     T unmaps            both are states before or after 7. T's stub goes over
 *                         one that was left, in one write, so that the address
 *                         noted behind it is there as long as the mapping is.
 *   7 T's registers back, as before, but for stubs.
 *     stubs zeroed
 *   8 T let go, row       done.
 *     RECOVERED
 *
 * If a thread is anywhere: the others are let go only after a stop in which all
 * were outside, so when T unmaps the image, and when stubs are zeroed, nobody
 * is in either. A thread whose signal handler interrupted a clock read stays
 * inside for as long as the handler likes: then the image stays mapped, the
 * row becomes DRAINING, and the same command finishes later.
 * If a signal arrives: only T runs anything of ours; see remote.c.
 * If a step fails after the first write: what is there now is one of the states
 * above, so everything is looked at anew and done once more. What failed may
 * have been one thread's end, or a call that another thread can make.
 */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "engine/error.h"
#include "engine/memory.h"
#include "engine/pagemap.h"
#include "engine/pending.h"
#include "engine/permit.h"
#include "engine/private.h"
#include "engine/remains.h"
#include "engine/remote.h"
#include "engine/scope.h"
#include "engine/settle.h"

/* Waits of 1, 2, 4, ... 256 ms between the tries. */
#define HANDLER_TRIES   10
#define HANDLER_WAIT_NS 1000000L
/* How often it is begun, with the one that lets threads out of stubs. */
#define RECOVER_TRIES 4

struct recovery {
    const struct vdso *vdso;
    const struct look *look;
    pid_t tid; /* of the thread chosen to unmap */
    struct save_context save;
    uint8_t *scan_buffer;
    struct permit permit;
    uint64_t image_address; /* 0 where nothing is mapped */
    uint64_t image_size;
    bool bare;     /* the image is a mapping that nobody has touched yet */
    bool drain;    /* nothing is unmapped or cleared, but all are let out */
    bool stay;     /* only stubs are cleared: entries and image stay */
    bool begun;    /* results: something may have been written, */
    bool changed;  /* or it was no longer what was looked at: a thread went on in a stub */
    bool restored; /* the clock is true again */
    bool unmapped;
    pid_t inside;         /* a thread that kept the image from being unmapped, */
    const char *obstacle; /* and why, as the user is told */
};

/* stop window begins */

/* Under the stop; each jump must still be the one that was looked at. */
static enum skew_code entries_restore(struct recovery *recovery, struct tracer *tracer,
                                      struct skew_error *error)
{
    const struct vdso *vdso = recovery->vdso;
    const struct look *look = recovery->look;
    recovery->begun = true;
    for (int f = 0; f < ARCH_FUNCTION_COUNT; f++) {
        size_t patch = vdso->functions[f].patch;
        uint64_t address = look->vdso_address + patch;
        if (look->difference.patched[f] &&
            (!memory_equals(tracer->memory, address, look->live + patch, ARCH_PATCH_SIZE) ||
             !memory_write(tracer, address, vdso->bytes + patch, ARCH_PATCH_SIZE))) {
            return error_set_plain(error, SKEW_FAILED, tracer->target->pid, 0, errno, "restore",
                                   "cannot write into the vDSO");
        }
    }
    recovery->restored = true;
    return SKEW_OK;
}

static void inside_ranges(const struct recovery *recovery, struct scanner *scanner)
{
    uint64_t slack = recovery->look->vdso_address + recovery->vdso->slack_offset;
    scanner->ranges[scanner->range_count++] =
        (struct scan_range){slack, slack + recovery->vdso->slack_size};
    if (recovery->image_address != 0 && !recovery->bare) {
        scanner->ranges[scanner->range_count++] =
            (struct scan_range){recovery->image_address + image_data_size(),
                                recovery->image_address + recovery->image_size};
    }
    /* On its stack a thread reads the time back, and will go on to the stub. */
    if (recovery->look->image_found) {
        scanner->scratch = (struct scan_range){recovery->look->image_address,
                                               recovery->look->image_address + image_data_size()};
    }
}

static bool caller_able(const struct tracee *tracee)
{
    return tracee->state == TRACEE_STOPPED && arch_is_native(&tracee->registers) &&
           !arch_is_kernels(&tracee->registers) && !tracee_dispatches_syscalls(tracee) &&
           tracee_rseq_safe(tracee);
}

/* A thread that may not be let run, and so may not unmap; 0 if there is none. */
static pid_t pending_find(const struct tracer *tracer)
{
    for (size_t i = 0; i < tracer->count; i++) {
        const struct tracee *tracee = &tracer->tracees[i];
        if (tracee->state == TRACEE_STOPPED && pending_held(tracer, tracee)) {
            return tracee->tid;
        }
    }
    return 0;
}

/* The thread that unmaps: the one chosen for it, else any that can. */
static struct tracee *caller_find(const struct recovery *recovery, struct tracer *tracer)
{
    struct tracee *chosen = tracer_find(tracer, recovery->tid, 0);
    if (chosen != NULL && caller_able(chosen)) {
        return chosen;
    }
    for (size_t i = 0; i < tracer->count; i++) {
        if (caller_able(&tracer->tracees[i])) {
            return &tracer->tracees[i];
        }
    }
    return NULL;
}

/*
 * Where no thread may be asked for fear of cutting a restartable sequence short (Linux before
 * 5.13), the chosen one is let run until it may.
 */
static enum skew_code caller_fit_await(struct recovery *recovery, struct scanner *scanner,
                                       struct skew_error *error)
{
    struct tracee *chosen = tracer_find(scanner->tracer, recovery->tid, 0);
    if (recovery->inside != 0 || caller_find(recovery, scanner->tracer) != NULL || chosen == NULL ||
        tracee_rseq_safe(chosen)) {
        return SKEW_OK;
    }
    enum skew_code code = caller_stop(scanner, chosen, error);
    return code == SKEW_OK        ? settle_outside(scanner, &recovery->inside, error)
           : code == SKEW_REFUSED ? SKEW_OK
                                  : code;
}

/*
 * Until nobody is inside, for a few tries: most handlers return soon. Between
 * the tries all threads are let go, so that signals reach them. On SKEW_OK all
 * threads are stopped; recovery->inside says whether one stays.
 */
static enum skew_code leave_await(struct recovery *recovery, struct scanner *scanner,
                                  struct skew_error *error)
{
    struct tracer *tracer = scanner->tracer;
    for (int tries = 1;; tries++) {
        enum skew_code code = settle_outside(scanner, &recovery->inside, error);
        if (code == SKEW_OK) {
            code = caller_fit_await(recovery, scanner, error);
        }
        recovery->obstacle = "may be in a signal handler that interrupted a clock read";
        if (code == SKEW_OK && recovery->inside == 0 && caller_find(recovery, tracer) == NULL) {
            /* None can unmap now, but one will. */
            recovery->inside = tracer->tracees[0].tid;
            recovery->obstacle = "and all others run 32-bit code, or maybe restartable sequences, "
                                 "and cannot unmap it";
        }
        pid_t held = pending_find(tracer);
        if (code == SKEW_OK && held != 0) {
            recovery->inside = held;
            recovery->obstacle = "is stopped, with signals waiting that unmapping would give it "
                                 "too early";
            return code;
        }
        if (code != SKEW_OK || recovery->inside == 0 || tries == HANDLER_TRIES) {
            return code;
        }
        tracer_release_others(tracer, NULL);
        nanosleep(&(struct timespec){.tv_nsec = HANDLER_WAIT_NS << (tries - 1)}, NULL);
        struct tracee *caller;
        bool busy;
        code = caller_seize(tracer, &caller, &busy, error);
        if (code != SKEW_OK) {
            return code;
        }
        if (!look_same_program(recovery->look, recovery->vdso, tracer->memory)) {
            return error_set_plain(error, SKEW_NOT_FOUND, tracer->target->pid, 0, 0, "look again",
                                   "exec replaced the program");
        }
        recovery->tid = caller->tid;
    }
}

static enum skew_code image_unmap(struct recovery *recovery, struct remote *remote,
                                  struct skew_error *error)
{
    const uint64_t arguments[6] = {recovery->image_address, recovery->image_size};
    long result;
    enum skew_code code = remote_syscall(remote, SYS_munmap, arguments, &result, error);
    if (code == SKEW_OK && result != 0) {
        code = error_set_plain(error, SKEW_FAILED, remote->tracer->target->pid, remote->tracee->tid,
                               (int)-result, "remote munmap", "the image cannot be unmapped");
    }
    recovery->unmapped = code == SKEW_OK;
    return code;
}

/* All slots at once, in one write: nobody is in any of them. */
static enum skew_code stubs_clear(const struct recovery *recovery, const struct tracer *tracer,
                                  struct skew_error *error)
{
    static const uint8_t zeroes[VDSO_SIZE_MAX];
    if (!memory_write(tracer, recovery->look->vdso_address + recovery->vdso->slack_offset, zeroes,
                      vdso_stub_slots(recovery->vdso) * ARCH_STUB_SIZE)) {
        return error_set_plain(error, SKEW_FAILED, tracer->target->pid, 0, errno, "clear stubs",
                               "cannot clear the vDSO's slack");
    }
    return SKEW_OK;
}

static enum skew_code caller_unmaps(struct recovery *recovery, struct tracer *tracer,
                                    struct tracee *caller, struct skew_error *error)
{
    struct remote remote = {.tracer = tracer,
                            .tracee = caller,
                            .stub =
                                recovery->look->vdso_address + vdso_stub_offset(recovery->vdso, 0),
                            .image = recovery->image_address,
                            .save = save_registers,
                            .save_context = &recovery->save};
    const struct permit_call call = {.number = SYS_munmap,
                                     .arguments = {recovery->image_address, recovery->image_size}};
    if (caller->tid != recovery->tid) {
        caller->filtered = permit_filtered(tracer, caller->tid);
    }
    enum skew_code code =
        permit_check(&recovery->permit, tracer, caller, remote.stub, &call, 1, error);
    if (code != SKEW_OK) {
        return code;
    }
    remote.taken = recovery->look->difference.stubs;
    code = image_unmap(recovery, &remote, error);
    return remote_conclude(&remote, code, error);
}

static enum skew_code recovery_run(struct tracer *tracer, void *context, struct skew_error *error)
{
    struct recovery *recovery = context;
    struct scanner scanner = {
        .tracer = tracer, .maps = &recovery->look->maps, .buffer = recovery->scan_buffer};
    inside_ranges(recovery, &scanner);
    settle_prepare(&scanner);

    struct tracee *caller;
    bool busy;
    enum skew_code code = caller_seize(tracer, &caller, &busy, error);
    if (code == SKEW_OK) {
        recovery->tid = caller->tid;
        code = tracer_seize_all(tracer, error);
    }
    if (code == SKEW_OK && !look_holds(recovery->look, recovery->vdso, tracer->memory)) {
        recovery->changed = true;
        code = error_set_plain(error, SKEW_FAILED, tracer->target->pid, 0, 0, "look again",
                               "the program was replaced or changed while it was looked at; "
                               "try again");
    }
    if (code == SKEW_OK) {
        code = tracer_stop_all(tracer, error);
    }
    if (code == SKEW_OK && recovery->bare &&
        !pagemap_blank(tracer->target, tracer->memory, recovery->image_address,
                       recovery->image_size)) {
        code = error_set_plain(error, SKEW_FAILED, tracer->target->pid, 0, 0, "look again",
                               "the program began to use the mapping while it was looked at");
    }
    if (code == SKEW_OK && !recovery->stay) {
        code = entries_restore(recovery, tracer, error);
    }
    if (code == SKEW_OK) {
        code = leave_await(recovery, &scanner, error);
    }
    caller = caller_find(recovery, tracer);
    if (code != SKEW_OK || recovery->inside != 0 || recovery->drain || caller == NULL) {
        return code;
    }
    if (!busy) {
        caller = tracer_release_others(tracer, caller);
    }
    if (recovery->image_address != 0) {
        code = caller_unmaps(recovery, tracer, caller, error);
    }
    if (code == SKEW_OK && recovery->look->difference.stubs) {
        code = stubs_clear(recovery, tracer, error);
    }
    return code;
}

/* stop window ends */

static enum skew_code row_end(struct skew_engine *engine, const struct look *look,
                              const struct journal_injection *row, enum journal_phase phase,
                              const char *detail, struct skew_error *error)
{
    struct journal_error journal_error = {0};
    if (journal_advance(engine->journal, row->id, phase, detail, &journal_error) != JOURNAL_OK) {
        return error_from_journal(error, look->target.pid, &journal_error);
    }
    return SKEW_OK;
}

/* The last word is the process's: whatever a recover believes it did, it is looked at again. */
static enum skew_code recovery_confirm(struct skew_engine *engine, const struct look *before,
                                       struct journal_injection *row, enum journal_phase end,
                                       struct skew_report *report, struct skew_error *error)
{
    struct look look;
    enum skew_code code =
        look_open(&engine->vdso, before->target.pid, row->image_address, &look, error);
    if (code != SKEW_OK) {
        return code;
    }
    bool same = look.target.start_time == before->target.start_time;
    if (same && look.situation != SITUATION_CLEAN) {
        code = error_set(error, SKEW_FAILED, before->target.pid, 0, "confirm",
                         "the process still carries traces of the injection");
        error_advise(error, "run skewctl recover -p %d again", (int)before->target.pid);
    } else {
        report->state = state_from_phase(end);
        code = row_end(engine, before, row, end, NULL, error);
    }
    look_close(&look);
    return code;
}

static enum skew_code recovery_conclude(struct skew_engine *engine, const struct look *look,
                                        struct journal_injection *row,
                                        const struct recovery *recovery, enum journal_phase end,
                                        enum skew_code code, struct skew_report *report,
                                        struct skew_error *error)
{
    struct skew_error ignored;
    if (!target_alive(&look->target)) {
        report->state = SKEW_STATE_GONE;
        return row_end(engine, look, row, JOURNAL_GONE, "exited during recover", error);
    }
    if (code == SKEW_OK && recovery->inside != 0) {
        report->state = SKEW_STATE_DRAINING;
        code = row_end(engine, look, row, JOURNAL_DRAINING, NULL, error);
        if (code != SKEW_OK) {
            return code;
        }
        error_set(error, SKEW_DRAINING, look->target.pid, 0, "recover",
                  "the clock is true again, but thread %d %s, so the image stays mapped",
                  (int)recovery->inside, recovery->obstacle);
        error_advise(error, "run skewctl recover -p %d again when that is over",
                     (int)look->target.pid);
        return SKEW_DRAINING;
    }
    if (code == SKEW_OK) {
        code = recovery_confirm(engine, look, row, end, report, error);
    }
    if (code == SKEW_OK || code == SKEW_DRAINING) {
        return code;
    }
    if (recovery->restored) {
        report->state = SKEW_STATE_DRAINING;
        row_end(engine, look, row, JOURNAL_DRAINING, error->message, &ignored);
        if (code == SKEW_REFUSED) {
            /* Too late for a refusal: the clock is true again, and only the image stays. */
            char reason[sizeof error->message];
            memcpy(reason, error->message, sizeof reason);
            code = error_set(error, SKEW_DRAINING, look->target.pid, 0, "recover",
                             "the clock is true again, but the image stays mapped: %.250s", reason);
        }
    } else {
        report->state = SKEW_STATE_ACTIVE;
        if (look->situation == SITUATION_INJECTED) {
            row_end(engine, look, row, JOURNAL_ACTIVE, error->message, &ignored);
        }
    }
    return code;
}

/* Nothing of ours is in the process: the row only has to be told. */
static enum skew_code row_end_clean(struct skew_engine *engine, const struct look *look,
                                    const struct journal_injection *row, enum journal_phase end,
                                    struct skew_report *report, struct skew_error *error)
{
    bool was_in_place = row->phase == JOURNAL_ACTIVE || row->phase == JOURNAL_UPDATING;
    end = was_in_place ? JOURNAL_GONE : end;
    report->state = state_from_phase(end);
    return row_end(engine, look, row, end,
                   was_in_place ? row_clean_reason(row, look) : "nothing was left to undo", error);
}

/* *drained: nobody is in a stub that was left. *again: it failed half way, or is half done. */
static enum skew_code recover_once(struct skew_engine *engine, const struct look *look,
                                   struct journal_injection *row, enum journal_phase end,
                                   bool *drained, bool *again, struct skew_report *report,
                                   struct skew_error *error)
{
    *again = false;
    enum skew_code code = look_touchable(look, error);
    if (code == SKEW_OK && row->id == 0) {
        code = row_adopt(engine, look, row, error);
    }
    if (code != SKEW_OK) {
        return code;
    }
    report_from_row(row, report);
    uint64_t address = look->image_address;
    size_t bare = remains_bare_find(look, row, &address);
    if (look->situation == SITUATION_CLEAN && bare == 0) {
        return row_end_clean(engine, look, row, end, report, error);
    }
    if (look->image_found && !remains_owned(look, &engine->vdso)) {
        return error_set(error, SKEW_REFUSED, look->target.pid, 0, "recover",
                         "the program has changed the mappings of the image");
    }
    code = row_end(engine, look, row, JOURNAL_RECOVERING, NULL, error);
    if (code != SKEW_OK) {
        return code;
    }
    row->phase = JOURNAL_RECOVERING;
    scoped_memory uint8_t *scan_buffer = malloc(SCAN_BUFFER_SIZE);
    scoped_memory struct sock_filter *filter = calloc(BPF_MAXINSNS, sizeof *filter);
    struct recovery recovery = {
        .vdso = &engine->vdso,
        .look = look,
        .save = {.journal = engine->journal, .id = row->id, .phase = JOURNAL_RECOVERING},
        .scan_buffer = scan_buffer,
        /* It let the mappings be made; keeping them for want of a look would help nobody. */
        .permit = {.buffer = filter, .unread_passes = true, .suspend = engine->suspend_seccomp},
        .image_address = look->image_found || bare != 0 ? address : 0,
        /* Never more than is ours: what is free now the program may map any moment. */
        .image_size = bare != 0                                ? bare
                      : remains_have_code(look, &engine->vdso) ? image_size_for(&engine->vdso)
                                                               : image_data_size(),
        .bare = bare != 0,
        .drain = look->difference.stubs && !*drained,
    };
    code = scan_buffer == NULL || filter == NULL
               ? error_set(error, SKEW_FAILED, look->target.pid, 0, "recover", "out of memory")
               : save_begin(&recovery.save, look->target.pid, error);
    if (code == SKEW_OK) {
        code = tracer_run(&look->target, recovery_run, &recovery, &report->pause_ns,
                          &report->interrupted, error);
        save_abort(&recovery.save);
    }
    if (code == SKEW_OK && recovery.drain && recovery.inside == 0) {
        *drained = *again = true;
        return SKEW_OK;
    }
    bool failed = code != SKEW_OK;
    code = recovery_conclude(engine, look, row, &recovery, end, code, report, error);
    /* Where that is no failure after all, the process has exited. */
    *again = failed && code != SKEW_OK && (recovery.begun || recovery.changed);
    return code;
}

/* Half done, and the process cannot be looked at any more. */
static enum skew_code recovery_cease(struct skew_engine *engine, const struct look *look,
                                     const struct journal_injection *row,
                                     const struct skew_error *look_error,
                                     struct skew_report *report, struct skew_error *error)
{
    if (!target_alive(&look->target)) {
        report->state = SKEW_STATE_GONE;
        return row_end(engine, look, row, JOURNAL_GONE, "exited during recover", error);
    }
    *error = *look_error;
    return error->code;
}

enum skew_code recover_look(struct skew_engine *engine, struct look *look,
                            struct journal_injection *row, enum journal_phase end,
                            struct skew_report *report, struct skew_error *error)
{
    bool again, drained = false;
    enum skew_code code = recover_once(engine, look, row, end, &drained, &again, report, error);
    for (int tries = 1; again && tries < RECOVER_TRIES; tries++) {
        struct look present;
        struct skew_error look_error = {0};
        enum skew_code looked =
            look_open(&engine->vdso, look->target.pid, row->image_address, &present, &look_error);
        if (looked != SKEW_OK) {
            return code == SKEW_OK ? recovery_cease(engine, look, row, &look_error, report, error)
                                   : code;
        }
        again = false;
        if (present.target.start_time == look->target.start_time) {
            code = recover_once(engine, &present, row, end, &drained, &again, report, error);
        } else if (code == SKEW_OK) {
            code = recovery_cease(engine, look, row, &look_error, report, error);
        }
        look_close(&present);
    }
    return code;
}

enum skew_code recover_stubs(struct skew_engine *engine, const struct look *before,
                             struct skew_error *error)
{
    struct look look;
    enum skew_code code = look_open(&engine->vdso, before->target.pid, 0, &look, error);
    if (code != SKEW_OK) {
        return code;
    }
    scoped_memory uint8_t *scan_buffer = malloc(SCAN_BUFFER_SIZE);
    struct recovery recovery = {
        .vdso = &engine->vdso, .look = &look, .scan_buffer = scan_buffer, .stay = true};
    int64_t pause_ns;
    unsigned exposed;
    if (look.target.start_time == before->target.start_time && look.difference.stubs) {
        code = scan_buffer == NULL
                   ? error_set(error, SKEW_FAILED, look.target.pid, 0, "recover", "out of memory")
                   : tracer_run(&look.target, recovery_run, &recovery, &pause_ns, &exposed, error);
        if (code == SKEW_OK && recovery.inside != 0) {
            code = error_set(error, SKEW_FAILED, look.target.pid, 0, "recover",
                             "thread %d may be in a stub", (int)recovery.inside);
        }
    }
    look_close(&look);
    return code;
}
