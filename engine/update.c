/*
 * update.c - changes the skew of a process that has an image.
 *
 * One thread T is stopped, for the readback; all others run on and read the
 * clock meanwhile. The parameters change in four writes of which every prefix
 * leaves readers with a whole skew, the old or the new (asm/x86_64/layout.h).
 *
 * Death of skewctl: after row UPDATING nothing has changed; after any write
 * the old or the new skew is in force and list reads from the image which; in
 * the readback see remote.c. The next command takes it from there. A stub that
 * a failure leaves behind is cleared as recover.c clears it, with nobody inside.
 * If the readback shows a wrong time the old parameters are put back the same way.
 *
 * A process that the follower of its group is attached to is not stopped, and nothing is read
 * back through it: the same four writes, and what they wrote is read again. Death: as above.
 *
 * A slew (slew.h) is planned right before the writes, from the skew that is in force then, and
 * planned anew where they were not made in time. Death: the shim goes on slewing by itself, or
 * the old skew stands.
 */
#include <errno.h>
#include <string.h>

#include "engine/clock.h"
#include "engine/deadline.h"
#include "engine/error.h"
#include "engine/follower.h"
#include "engine/members.h"
#include "engine/memory.h"
#include "engine/permit.h"
#include "engine/private.h"
#include "engine/remote.h"
#include "engine/scan.h"
#include "engine/scope.h"
#include "engine/skew_row.h"
#include "engine/slew.h"

struct update {
    const struct vdso *vdso;
    const struct look *look;
    struct save_context save;
    struct image_skew before;
    struct verification verification;
    struct permit permit;
    uint64_t slew_pace; /* 0 to jump */
    struct clock_shift shift;
    bool late;      /* the slew was put in force later than it should have been */
    bool stub_left; /* a stub may lie in the slack */
};

static enum skew_code update_error(const struct tracer *tracer, int errnum, const char *message,
                                   struct skew_error *error)
{
    return error_set_plain(error, SKEW_FAILED, tracer->target->pid, 0, errnum, "update", message);
}

/* stop window begins */

/* All but the last write, which puts the skew in force. */
static enum skew_code parameters_prepare(const struct update *update, const struct tracer *tracer,
                                         uint64_t slew_pace, struct image_skew *skew,
                                         struct image_write *last, struct skew_error *error)
{
    uint64_t image = update->look->image_address;
    uint8_t parameters[IMAGE_PARAMETERS_SIZE];
    struct image_skew present;
    if (!look_parameters_read(tracer->memory, image, &present, parameters)) {
        return update_error(tracer, errno, "cannot read the parameters of the image", error);
    }
    if (slew_pace != 0 && !slew_plan(&present, slew_pace, update->shift, realtime_now(), skew)) {
        return update_error(tracer, 0, "the two skews are further apart than can be slewed", error);
    }
    struct image_write writes[IMAGE_UPDATE_WRITES];
    image_update_plan(parameters, skew, writes);
    for (int i = 0; i < IMAGE_UPDATE_WRITES - 1; i++) {
        if (!memory_write(tracer, image + writes[i].offset, writes[i].bytes, writes[i].size)) {
            return update_error(tracer, errno, "cannot write the parameters of the image", error);
        }
    }
    *last = writes[IMAGE_UPDATE_WRITES - 1];
    return SKEW_OK;
}

static enum skew_code parameters_write(struct update *update, const struct tracer *tracer,
                                       uint64_t slew_pace, struct image_skew *skew,
                                       struct skew_error *error)
{
    struct image_write last = {0};
    int64_t planned = 0;
    bool timely = false;
    for (int tries = 0; tries < SLEW_TRIES && !timely; tries++) {
        planned = monotonic_now();
        enum skew_code code = parameters_prepare(update, tracer, slew_pace, skew, &last, error);
        if (code != SKEW_OK) {
            return code;
        }
        timely = slew_pace == 0 || slew_timely_before(planned);
    }
    if (!timely) {
        return update_error(tracer, 0, "the machine is too busy to begin a slew in time", error);
    }
    if (!memory_write(tracer, update->look->image_address + last.offset, last.bytes, last.size)) {
        return update_error(tracer, errno, "cannot write the parameters of the image", error);
    }
    update->late = slew_pace != 0 && !slew_timely_after(planned);
    return SKEW_OK;
}

static enum skew_code update_under_stop(struct update *update, struct remote *remote,
                                        struct skew_error *error)
{
    struct tracer *tracer = remote->tracer;
    if (!look_holds(update->look, update->vdso, tracer->memory)) {
        return update_error(tracer, 0, "the program was replaced or changed while it was looked at",
                            error);
    }
    enum skew_code code =
        parameters_write(update, tracer, update->slew_pace, &update->verification.skew, error);
    if (code == SKEW_OK) {
        code = verification_run(&update->verification, remote, &update->look->header, update->vdso,
                                error);
    }
    if (code != SKEW_OK) {
        struct skew_error ignored;
        parameters_write(update, tracer, 0, &update->before, &ignored);
    }
    return code;
}

static enum skew_code update_run(struct tracer *tracer, void *context, struct skew_error *error)
{
    struct update *update = context;
    struct tracee *tracee;
    bool busy;
    enum skew_code code = caller_seize(tracer, &tracee, &busy, error);
    struct scanner scanner = {.tracer = tracer, .maps = &update->look->maps};
    if (code == SKEW_OK) {
        code = caller_stop(&scanner, tracee, error);
    }
    if (code != SKEW_OK) {
        return code;
    }
    struct remote remote = {.tracer = tracer,
                            .tracee = tracee,
                            .stub = update->look->vdso_address + vdso_stub_offset(update->vdso, 0),
                            .image = update->look->image_address,
                            .save = save_registers,
                            .save_context = &update->save};
    struct permit_call calls[VERIFICATION_CALLS_MAX];
    size_t count =
        verification_calls(update->verification.clock, update->verification.reads_by_call, calls);
    code = permit_check(&update->permit, tracer, tracee, remote.stub, calls, count, error);
    if (code != SKEW_OK) {
        return code;
    }
    code = update_under_stop(update, &remote, error);
    code = remote_conclude(&remote, code, error);
    update->stub_left = remote.taken;
    return code;
}

/* stop window ends */

enum skew_code row_in_place(struct skew_engine *engine, const struct look *look,
                            struct journal_injection *row, struct skew_error *error)
{
    struct journal_error journal_error = {0};
    enum journal_code code = JOURNAL_OK;
    if (row->id == 0) {
        enum skew_code adopted = row_adopt(engine, look, row, error);
        if (adopted != SKEW_OK) {
            return adopted;
        }
    }
    /* Killed between the last step of an inject and its row, or just adopted. */
    if (row->phase == JOURNAL_PLANNED) {
        code = journal_advance(engine->journal, row->id, JOURNAL_INJECTING, "found in place",
                               &journal_error);
    }
    if (code == JOURNAL_OK && (row->phase == JOURNAL_PLANNED || row->phase == JOURNAL_INJECTING)) {
        code = journal_advance(engine->journal, row->id, JOURNAL_ACTIVE, "found in place",
                               &journal_error);
    }
    return code == JOURNAL_OK ? SKEW_OK
                              : error_from_journal(error, look->target.pid, &journal_error);
}

static enum skew_code row_ready(struct skew_engine *engine, const struct look *look,
                                struct journal_injection *row, const struct skew_request *request,
                                struct skew_error *error)
{
    struct journal_error journal_error = {0};
    enum skew_code placed = row_in_place(engine, look, row, error);
    if (placed != SKEW_OK) {
        return placed;
    }
    enum journal_code code =
        journal_advance(engine->journal, row->id, JOURNAL_UPDATING, NULL, &journal_error);
    if (code == JOURNAL_OK) {
        struct journal_skew skew;
        skew_to_row(request, &skew);
        code = journal_set_skew(engine->journal, row->id, &skew, &journal_error);
    }
    return code == JOURNAL_OK ? SKEW_OK
                              : error_from_journal(error, look->target.pid, &journal_error);
}

/* The row says what is in force, the new skew or, after a failure, the old one. */
static enum skew_code row_settle(struct skew_engine *engine, const struct look *look,
                                 const struct journal_injection *row, bool updated,
                                 struct skew_error *error)
{
    struct journal_error journal_error = {0};
    enum journal_code code = JOURNAL_OK;
    if (!target_alive(&look->target)) {
        code = journal_advance(engine->journal, row->id, JOURNAL_GONE, NULL, &journal_error);
        return code == JOURNAL_OK ? SKEW_OK
                                  : error_from_journal(error, look->target.pid, &journal_error);
    }
    if (!updated) {
        const struct skew_request before = request_from_image(&look->skew);
        struct journal_skew skew;
        skew_to_row(&before, &skew);
        memcpy(skew.profile, row->skew.profile, sizeof skew.profile);
        code = journal_set_skew(engine->journal, row->id, &skew, &journal_error);
    }
    if (code == JOURNAL_OK) {
        code = journal_advance(engine->journal, row->id, JOURNAL_ACTIVE,
                               updated ? NULL : "update undone", &journal_error);
    }
    return code == JOURNAL_OK ? SKEW_OK
                              : error_from_journal(error, look->target.pid, &journal_error);
}

/*
 * One that the follower of its group is attached to cannot be stopped by another, nor need it be:
 * it is given the parameters that members.c switches to. Nothing is measured in it.
 */
static enum skew_code update_held(struct skew_engine *engine, const struct look *look,
                                  struct journal_injection *row, const struct skew_request *request,
                                  struct clock_shift shift, const struct image_skew *skew,
                                  struct skew_report *report, struct skew_error *error)
{
    scoped_descriptor memory = memory_open(look->target.directory, look->target.live_tid, true);
    struct member member = {.pid = look->target.pid,
                            .id = row->id,
                            .guard = look->target,
                            .memory = memory,
                            .image_address = look->image_address,
                            .before = look->skew,
                            .slew_pace = request->slew_pace,
                            .shift = shift};
    enum skew_code code = SKEW_OK;
    if (memory < 0) {
        code = error_set(error, error_code_for(errno), member.pid, errno, "open memory",
                         "cannot open its memory");
    } else if (!look_holds(look, &engine->vdso, memory)) {
        code = error_set(error, SKEW_FAILED, member.pid, 0, "look again",
                         "the program was replaced or changed while it was looked at");
    } else {
        code = member_fill(&member, skew, error);
    }
    if (code == SKEW_OK) {
        members_switch(&member, 1);
        code = member_confirm(&member, error);
    }
    struct skew_error ignored;
    enum skew_code settled = row_settle(engine, look, row, code == SKEW_OK, &ignored);
    if (code != SKEW_OK || settled != SKEW_OK) {
        *error = code != SKEW_OK ? *error : ignored;
        return code != SKEW_OK ? code : settled;
    }
    skew_to_row(request, &row->skew);
    report_from_row(row, report);
    report->state = SKEW_STATE_ACTIVE;
    slew_report(&member.skew, shift, report);
    if (member.late) {
        slew_report_late(report);
    }
    return SKEW_OK;
}

enum skew_code update_in_place(struct skew_engine *engine, struct look *look,
                               struct journal_injection *row, const struct skew_request *asked,
                               struct skew_report *report, struct skew_error *error)
{
    struct image_skew skew;
    struct skew_request wanted = *asked;
    const struct skew_request *request = &wanted;
    if (wanted.clocks == 0) {
        wanted.clocks = look->skew.clocks != 0 ? look->skew.clocks : skew_clocks_default();
    }
    const struct clock_shift shift =
        wanted.slew_pace != 0 ? clock_shift_read(&look->target) : (struct clock_shift){0};
    enum skew_code code = skew_from_request(&look->target, request, &skew, error);
    if (code == SKEW_OK && wanted.slew_pace != 0) {
        code = slew_check(&look->skew, request, shift, &skew, error);
    }
    if (code != SKEW_OK) {
        return code;
    }
    report->updated = true;
    if (request->dry_run) {
        report->dry_run = true;
        report->id = row->id;
        report_skew(request, report);
        report->state = SKEW_STATE_ACTIVE;
        slew_report(&skew, shift, report);
        return SKEW_OK;
    }
    slew_await_beginning(request);
    code = row_ready(engine, look, row, request, error);
    if (code != SKEW_OK) {
        return code;
    }
    if (follower_of(engine, look->target.pid) != 0) {
        return update_held(engine, look, row, request, shift, &skew, report, error);
    }
    scoped_memory struct sock_filter *filter = calloc(BPF_MAXINSNS, sizeof *filter);
    if (filter == NULL) {
        return error_set(error, SKEW_FAILED, look->target.pid, 0, "update", "out of memory");
    }
    struct update update = {
        .vdso = &engine->vdso,
        .look = look,
        .save = {.journal = engine->journal, .id = row->id, .phase = JOURNAL_UPDATING},
        .before = look->skew,
        .verification = {.clock = verification_clock(request->clocks),
                         .reads_by_call = clock_reads_by_call(),
                         .skew = skew},
        .permit = {.buffer = filter,
                   .unread_passes = request->force,
                   .suspend = engine->suspend_seccomp},
        .slew_pace = request->slew_pace,
        .shift = shift,
    };
    code = save_begin(&update.save, look->target.pid, error);
    if (code == SKEW_OK) {
        code = tracer_run(&look->target, update_run, &update, &report->pause_ns,
                          &report->interrupted, error);
        save_abort(&update.save);
    }
    struct skew_error settle_error = {0};
    if (update.stub_left && recover_stubs(engine, look, &settle_error) != SKEW_OK) {
        error_advise(error,
                     "what the update left could not be cleared away (%s): run skewctl "
                     "recover -p %d",
                     settle_error.message, (int)look->target.pid);
    }
    enum skew_code settled = row_settle(engine, look, row, code == SKEW_OK, &settle_error);
    if (code == SKEW_OK && settled != SKEW_OK) {
        *error = settle_error;
        code = settled;
    } else if (code != SKEW_OK && error->advice[0] == '\0') {
        error_advise(error, "the earlier skew stays in force; try again");
    }
    skew_to_row(request, &row->skew);
    report_from_row(row, report);
    report->state = SKEW_STATE_ACTIVE;
    if (code == SKEW_OK) {
        slew_report(&update.verification.skew, shift, report);
    }
    if (code == SKEW_OK && update.late) {
        slew_report_late(report);
    }
    report->clock_gettime = update.verification.clock_gettime;
    report->gettimeofday = update.verification.gettimeofday;
    report->time = update.verification.time;
    return code;
}
