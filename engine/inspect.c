/*
 * inspect.c - skew_inspect: what of a process a skew will move, and what not.
 *
 * Promise: the process is read through /proc and nothing more: no thread of it stops, and
 * no byte of it changes. What could not be seen is told as unknown.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/clock.h"
#include "engine/deadline.h"
#include "engine/error.h"
#include "engine/inspect.h"
#include "engine/private.h"

/* What a glance looks at: some milliseconds of work. */
#define GLANCE_THREADS     256
#define GLANCE_DESCRIPTORS 4096

void findings_add(struct findings *findings, const struct skew_finding *finding, const char *format,
                  ...)
{
    if (findings->count == findings->capacity) {
        size_t capacity = findings->capacity * 2 + 16;
        struct skew_finding *grown = reallocarray(findings->rows, capacity, sizeof *grown);
        if (grown == NULL) {
            findings->lost = true;
            return;
        }
        findings->rows = grown;
        findings->capacity = capacity;
    }
    struct skew_finding *row = &findings->rows[findings->count++];
    *row = *finding;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(row->found, sizeof row->found, format, arguments);
    va_end(arguments);
}

const char *inspect_plural(size_t count)
{
    return count == 1 ? "" : "s";
}

const char *inspect_clock_name(clockid_t clock)
{
    static const char *const names[] = {
        [CLOCK_REALTIME] = "realtime",
        [CLOCK_MONOTONIC] = "monotonic",
        [CLOCK_PROCESS_CPUTIME_ID] = "process_cputime_id",
        [CLOCK_THREAD_CPUTIME_ID] = "thread_cputime_id",
        [CLOCK_MONOTONIC_RAW] = "monotonic_raw",
        [CLOCK_REALTIME_COARSE] = "realtime_coarse",
        [CLOCK_MONOTONIC_COARSE] = "monotonic_coarse",
        [CLOCK_BOOTTIME] = "boottime",
        [CLOCK_REALTIME_ALARM] = "realtime_alarm",
        [CLOCK_BOOTTIME_ALARM] = "boottime_alarm",
        [CLOCK_TAI] = "tai",
    };
    bool named = clock >= 0 && (size_t)clock < sizeof names / sizeof *names;
    return named && names[clock] != NULL ? names[clock] : "";
}

/* An alarm differs only in that it wakes the machine (timerfd_create(2)). */
static clockid_t clock_without_alarm(clockid_t clock)
{
    return clock == CLOCK_REALTIME_ALARM   ? CLOCK_REALTIME
           : clock == CLOCK_BOOTTIME_ALARM ? CLOCK_BOOTTIME
                                           : clock;
}

static bool clock_among(clockid_t clock, uint64_t clocks)
{
    clock = clock_without_alarm(clock);
    return clock >= 0 && clock < 64 && (clocks & SKEW_CLOCK_BIT(clock)) != 0;
}

const char *inspect_meaning(clockid_t clock, const char *ordinary)
{
    return clock_among(clock, skew_clocks_default())
               ? ordinary
               : "ends at a true time: only --clock skews that clock, and then the next, if "
                 "reckoned "
                 "from it, is late by the skew, or over at once where that goes back";
}

const char *skew_finding_clock(const struct skew_finding *finding)
{
    return finding->clocked ? inspect_clock_name(finding->clock) : "";
}

bool skew_finding_concerns(const struct skew_finding *finding, uint64_t clocks)
{
    return finding->clocked && finding->follows != SKEW_FOLLOWS_UNCONCERNED &&
           clock_among(finding->clock, clocks != 0 ? clocks : skew_clocks_default());
}

static void vdso_inspect(const struct look *look, struct findings *findings)
{
    static const struct {
        enum skew_follows follows;
        const char *found, *meaning;
    } states[] = {
        [SITUATION_CLEAN] = {SKEW_FOLLOWS_YES, "the kernel's own",
                             "clock reads through it will be skewed, whoever makes them"},
        [SITUATION_INJECTED] = {SKEW_FOLLOWS_YES, "skewed by skewctl: ",
                                "reads of these clocks through it are skewed; inject changes the "
                                "skew"},
        [SITUATION_PARTIAL] = {SKEW_FOLLOWS_UNKNOWN, "with what an interrupted skewctl left",
                               "inject and recover put that right first"},
        [SITUATION_FOREIGN] = {SKEW_FOLLOWS_UNKNOWN, "changed by something other than skewctl",
                               "inject refuses; skewctl scan tells what it is"},
    };
    const struct skew_finding finding = {.subject = "vdso",
                                         .follows = states[look->situation].follows,
                                         .meaning = states[look->situation].meaning};
    if (look->situation == SITUATION_INJECTED &&
        deadline_passed(image_skew_deadline(&look->skew))) {
        findings_add(findings,
                     &(struct skew_finding){
                         .subject = "vdso",
                         .follows = SKEW_FOLLOWS_NO,
                         .meaning = "clock reads through it are true again; skewctl list or "
                                    "recover puts it back"},
                     "with a skew of skewctl, which has ended by itself");
        return;
    }
    char clocks[256] = "";
    if (look->situation == SITUATION_INJECTED) {
        skew_clocks_format(look->skew.clocks, clocks, sizeof clocks);
    }
    findings_add(findings, &finding, "%s%s", states[look->situation].found, clocks);
}

/* Nearly all programs of root have it and never use it: inject tells them apart. */
static void rights_inspect(const struct look *look, struct findings *findings)
{
    bool may = (look->target.capabilities >> CAP_SYS_TIME & 1) != 0;
    struct skew_error error = {0};
    bool refused = look_skewable(look, false, &error) != SKEW_OK;
    const struct skew_finding finding = {
        .subject = "capability",
        .follows = may ? SKEW_FOLLOWS_NO : SKEW_FOLLOWS_UNCONCERNED,
        .meaning = may ? "may set the real clock, of the whole machine; if it does, by what it sees"
                       : "cannot set the real clock"};
    findings_add(findings, &finding, "%s CAP_SYS_TIME", may ? "has" : "has no");
    if (refused) {
        findings_add(findings,
                     &(struct skew_finding){.subject = "inject",
                                            .follows = SKEW_FOLLOWS_UNCONCERNED,
                                            .meaning = "inject refuses, unless forced"},
                     "%s", error.message);
    }
}

static void seccomp_inspect(const struct target *target, struct findings *findings)
{
    static const struct {
        enum skew_follows follows;
        const char *found, *meaning;
    } modes[] = {
        {SKEW_FOLLOWS_UNCONCERNED, "none", "does not stand in the way"},
        {SKEW_FOLLOWS_UNKNOWN, "strict", "inject refuses: the process may make no call for it"},
        {SKEW_FOLLOWS_UNCONCERNED, "filter",
         "inject evaluates it first, and refuses if it forbids the calls needed"},
        {SKEW_FOLLOWS_UNKNOWN, "a mode that skewctl does not know", "inject may refuse"},
    };
    size_t mode = target->seccomp < 3 ? target->seccomp : 3;
    const struct skew_finding finding = {
        .subject = "seccomp", .follows = modes[mode].follows, .meaning = modes[mode].meaning};
    findings_add(findings, &finding, "%s", modes[mode].found);
}

static void time_namespace_inspect(const struct target *target, struct findings *findings)
{
    struct clock_shift shift = clock_shift_read(target);
    bool shifted = shift.monotonic_ns != 0 || shift.boottime_ns != 0;
    const struct skew_finding finding = {
        .subject = "time ns",
        .follows = shift.known ? SKEW_FOLLOWS_UNCONCERNED : SKEW_FOLLOWS_UNKNOWN,
        .meaning = shifted ? "a skew adds to these offsets" : "has no part in clock realtime",
    };
    if (!shift.known) {
        findings_add(findings, &finding, "offsets that cannot be read");
    } else if (!shifted) {
        findings_add(findings, &finding, "the same clocks as skewctl's");
    } else {
        findings_add(findings, &finding,
                     "clock monotonic is %" PRId64 " ns and boottime %" PRId64
                     " ns ahead of skewctl's",
                     shift.monotonic_ns, shift.boottime_ns);
    }
}

static void process_inspect(const struct look *look, struct findings *findings)
{
    const struct target *target = &look->target;
    struct vdso vdso;
    struct skew_error ignored = {0};
    vdso_inspect(look, findings);
    inspect_waits(target, look->memory, SIZE_MAX, findings);
    inspect_timers(target, SIZE_MAX, findings);
    rights_inspect(look, findings);
    seccomp_inspect(target, findings);
    time_namespace_inspect(target, findings);
    bool image = look->image_found && vdso_own(&vdso, &ignored) == SKEW_OK;
    size_t image_size = image ? image_size_for(&vdso) : 0;
    if (image) {
        vdso_release(&vdso);
    }
    inspect_text(target, &look->maps, look->memory, image ? look->image_address : 0, image_size,
                 findings);
}

static enum skew_code findings_give(struct findings *from, pid_t pid,
                                    struct skew_finding **findings, size_t *count,
                                    struct skew_error *error)
{
    if (from->lost) {
        free(from->rows);
        return error_set(error, SKEW_FAILED, pid, 0, "inspect", "out of memory");
    }
    *findings = from->rows;
    *count = from->count;
    return SKEW_OK;
}

enum skew_code skew_inspect(pid_t pid, char command[64], struct skew_finding **findings,
                            size_t *count, struct skew_error *error)
{
    struct findings found = {0};
    struct vdso vdso;
    struct look look;
    enum skew_code code = vdso_own(&vdso, error);
    if (code != SKEW_OK) {
        return code;
    }
    code = look_open(&vdso, pid, 0, &look, error);
    vdso_release(&vdso);
    if (code != SKEW_OK) {
        error->pid = pid;
        return code;
    }
    memcpy(command, look.target.command, sizeof look.target.command);
    process_inspect(&look, &found);
    bool alive = target_alive(&look.target);
    look_close(&look);
    if (!alive) {
        free(found.rows);
        return error_set(error, SKEW_NOT_FOUND, pid, 0, "inspect", "it has exited meanwhile");
    }
    return findings_give(&found, pid, findings, count, error);
}

enum skew_code skew_glance(pid_t pid, struct skew_finding **findings, size_t *count,
                           struct skew_error *error)
{
    struct findings found = {0};
    struct target target;
    enum skew_code code = target_open(pid, &target, error);
    if (code != SKEW_OK) {
        return code;
    }
    inspect_waits(&target, -1, GLANCE_THREADS, &found);
    inspect_timers(&target, GLANCE_DESCRIPTORS, &found);
    target_close(&target);
    return findings_give(&found, pid, findings, count, error);
}
