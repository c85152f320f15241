/*
 * members.c - switches the skew of many processes at once, stopping none.
 *
 * A change of skew is four writes into the target's own data, of which only the last, one
 * byte, puts it in force (asm/x86_64/layout.h). The first three are made for
 * all processes beforehand, while nobody hurries; what is left is one pwrite(2) for each. Those
 * of a slew are made once more right before, since it holds from a moment on (slew.h): the same
 * for all, so that they agree while they slew, even if the last is reached later.
 *
 * Where a thread may be: anywhere. A reader sees the old skew or the new, never a mixture.
 * Death of skewctl: each process has the old skew or the new, whole. The journal names all
 * that are being changed, and the next command finds them (group.c, group_recover.c).
 * A signal that arrives in the target runs its handler, which may read the clock as well.
 * exec: the descriptor was opened for the program that was looked at, and writes into no
 * other. Another skewctl: kept away by the lock on /proc/PID until all are done.
 */
#include "engine/members.h"

#include <errno.h>
#include <sched.h>

#include "engine/error.h"
#include "engine/memory.h"
#include "engine/scope.h"
#include "engine/slew.h"

static enum skew_code member_look(struct skew_engine *engine, struct member *member,
                                  struct skew_error *error)
{
    struct look look;
    struct journal_injection row;
    enum skew_code code = look_with_row(engine, &member->guard, &look, &row, error);
    if (code != SKEW_OK) {
        return code;
    }
    if (!injected_whole(&look, &row) || (member->id != 0 && member->id != row.id)) {
        code = error_set(error, SKEW_FAILED, member->pid, 0, "look again",
                         "it is not, or no longer, injected as a whole");
    }
    if (code == SKEW_OK) {
        code = row_in_place(engine, &look, &row, error);
    }
    if (code == SKEW_OK) {
        member->memory = memory_open(member->guard.directory, member->guard.live_tid, true);
        if (member->memory < 0) {
            code = error_set(error, error_code_for(errno), member->pid, errno, "open memory",
                             "cannot open its memory");
        } else if (!look_holds(&look, &engine->vdso, member->memory)) {
            code = error_set(error, SKEW_FAILED, member->pid, 0, "look again",
                             "the program was replaced or changed while it was looked at");
        }
    }
    member->id = row.id;
    member->image_address = look.image_address;
    member->before = look.skew;
    report_from_row(&row, &member->outcome.report);
    look_close(&look);
    return code;
}

enum skew_code member_open(struct skew_engine *engine, struct member *member,
                           struct skew_error *error)
{
    struct skew_report ignored;
    member->memory = -1;
    member->filled = member->switched = false;
    enum skew_code code = guard_open(member->pid, &member->guard, &ignored, error);
    if (code != SKEW_OK) {
        return code;
    }
    member->open = true;
    code = member_look(engine, member, error);
    if (code != SKEW_OK) {
        code = error->code = target_alive(&member->guard) ? code : SKEW_NOT_FOUND;
        member_close(member);
    }
    return code;
}

void member_close(struct member *member)
{
    if (member->open) {
        descriptor_close(&member->memory);
        target_close(&member->guard);
        member->open = false;
    }
}

static enum skew_code member_error(const struct member *member, const char *message,
                                   struct skew_error *error)
{
    int errnum = errno;
    return target_alive(&member->guard)
               ? error_set(error, SKEW_FAILED, member->pid, errnum, "switch", "%s", message)
               : error_set(error, SKEW_NOT_FOUND, member->pid, 0, "switch", "the process exited");
}

enum skew_code member_fill(struct member *member, const struct image_skew *skew,
                           struct skew_error *error)
{
    uint8_t parameters[IMAGE_PARAMETERS_SIZE];
    struct image_skew present;
    struct image_write writes[IMAGE_UPDATE_WRITES];
    if (!look_parameters_read(member->memory, member->image_address, &present, parameters)) {
        return member_error(member, "cannot read the parameters of the image", error);
    }
    image_update_plan(parameters, skew, writes);
    for (int i = 0; i < IMAGE_UPDATE_WRITES - 1; i++) {
        if (!memory_force(member->memory, member->image_address + writes[i].offset, writes[i].bytes,
                          writes[i].size)) {
            return member_error(member, "cannot write the parameters of the image", error);
        }
    }
    member->skew = *skew;
    member->selector = writes[IMAGE_UPDATE_WRITES - 1];
    member->filled = true;
    return SKEW_OK;
}

static void selector_write(struct member *member)
{
    member->switched = memory_byte_put(
        member->memory, member->image_address + member->selector.offset, member->selector.bytes[0]);
}

/* The instant from which slews are planned. */
struct instant {
    int64_t monotonic_ns;
    int64_t true_ns;
};

static struct instant instant_now(void)
{
    return (struct instant){.monotonic_ns = monotonic_now(), .true_ns = realtime_now()};
}

/* False where the slew cannot be planned or written: the old skew stays in force. */
static bool member_plan(struct member *member, const struct instant *instant)
{
    struct skew_error ignored;
    struct image_skew skew = member->skew;
    return slew_plan(&member->before, member->slew_pace, member->shift, instant->true_ns, &skew) &&
           member_fill(member, &skew, &ignored) == SKEW_OK;
}

/* From the instant given, as long as that is not too long ago; else from another. */
static void member_slew(struct member *member, struct instant *instant)
{
    bool planned = false;
    for (int tries = 0; tries < SLEW_TRIES; tries++) {
        if (!slew_timely_before(instant->monotonic_ns)) {
            *instant = instant_now();
            planned = false;
        }
        if (planned) {
            selector_write(member);
            member->late = !slew_timely_after(instant->monotonic_ns);
            return;
        }
        if (!member_plan(member, instant)) {
            return;
        }
        planned = true;
    }
}

int64_t members_switch(struct member *members, size_t count)
{
    /* A time slice that has just begun is the least likely to end in the middle. */
    sched_yield();
    struct instant instant = instant_now();
    int64_t began = instant.monotonic_ns;
    for (size_t i = 0; i < count; i++) {
        struct member *member = &members[i];
        if (member->filled && member->slew_pace != 0) {
            member_slew(member, &instant);
        } else if (member->filled) {
            selector_write(member);
        }
    }
    return monotonic_now() - began;
}

enum skew_code member_confirm(const struct member *member, struct skew_error *error)
{
    uint8_t parameters[IMAGE_PARAMETERS_SIZE];
    struct image_skew present;
    if (!look_parameters_read(member->memory, member->image_address, &present, parameters)) {
        return error_set(error, SKEW_NOT_FOUND, member->pid, 0, "read back",
                         "the program is no more");
    }
    if (present.clocks != member->skew.clocks ||
        image_skew_offset(&present) != image_skew_offset(&member->skew) ||
        image_skew_deadline(&present) != image_skew_deadline(&member->skew) ||
        !shape_equal(&present.shape, &member->skew.shape)) {
        return error_set(error, SKEW_FAILED, member->pid, 0, "read back",
                         "the skew asked for is not in force");
    }
    return SKEW_OK;
}
