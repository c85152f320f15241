/*
 * doctor.c - what this kernel, these privileges and a target allow.
 *
 * Promise: the target is looked at and nothing more. What can only be known by
 * trying is tried on a child made for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "engine/error.h"
#include "engine/memory.h"
#include "engine/private.h"
#include "engine/privilege.h"

#define CHECKS_MAX 32

struct findings {
    struct skew_check *checks;
    size_t count;
};

static void finding_add(struct findings *findings, const char *subject, enum skew_verdict verdict,
                        const char *format, ...) __attribute__((format(printf, 4, 5)));

static void finding_add(struct findings *findings, const char *subject, enum skew_verdict verdict,
                        const char *format, ...)
{
    if (findings->count == CHECKS_MAX) {
        return;
    }
    struct skew_check *check = &findings->checks[findings->count++];
    check->verdict = verdict;
    snprintf(check->subject, sizeof check->subject, "%s", subject);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(check->detail, sizeof check->detail, format, arguments);
    va_end(arguments);
}

static void finding_add_error(struct findings *findings, const char *subject,
                              const struct skew_error *error)
{
    finding_add(findings, subject, SKEW_VERDICT_REFUSED, "%s%s%s", error->message,
                error->advice[0] != '\0' ? "; " : "", error->advice);
}

static void vdso_examine(struct findings *findings, const struct vdso *vdso)
{
    struct image image;
    struct skew_error error = {0};
    const uint8_t id[IMAGE_ID_SIZE] = {0};
    const struct image_skew skew = {0};
    /* Any two addresses at this distance do: only the distance matters. */
    const uint64_t address = UINT64_C(0x7fff00000000);
    if (image_build(vdso, address, address + 0x100000, id, &skew, 0, &image, &error) != SKEW_OK) {
        finding_add_error(findings, "vdso", &error);
        return;
    }
    finding_add(findings, "vdso", SKEW_VERDICT_OK,
                "%zu bytes, %zu of text that can be copied, room for %zu remote calls", vdso->size,
                vdso->text_size, vdso_stub_slots(vdso));
    image_release(&image);
}

static void privileges_examine(struct findings *findings)
{
    if (privilege_may_trace_others() && privilege_may_open_others()) {
        finding_add(findings, "privileges", SKEW_VERDICT_OK,
                    "CAP_SYS_PTRACE and CAP_DAC_OVERRIDE: processes of every user");
    } else if (privilege_may_trace_others()) {
        finding_add(findings, "privileges", SKEW_VERDICT_WARNING,
                    "CAP_SYS_PTRACE but no CAP_DAC_OVERRIDE: only processes of user %u; for others "
                    "add CAP_DAC_OVERRIDE, or run skewctl as their user",
                    (unsigned)geteuid());
    } else {
        finding_add(findings, "privileges", SKEW_VERDICT_WARNING,
                    "no CAP_SYS_PTRACE: only processes of user %u that have no privileges",
                    (unsigned)geteuid());
    }
    const char *obstacle = privilege_filters_obstacle();
    if (obstacle != NULL) {
        finding_add(
            findings, "filters", SKEW_VERDICT_WARNING,
            "%s: a process with a seccomp filter is refused unless forced, which is fine "
            "where that allows mmap and munmap; reading it takes CAP_SYS_ADMIN and no filter "
            "on skewctl, as in a privileged container",
            obstacle);
    }
    char scope = privilege_yama_scope();
    if (scope == '\0') {
        finding_add(findings, "yama", SKEW_VERDICT_OK, "not in this kernel");
    } else if (scope == '3') {
        finding_add(findings, "yama", SKEW_VERDICT_REFUSED,
                    "ptrace_scope is 3: nobody may attach until the next boot");
    } else if (scope != '0' && !privilege_may_trace_others()) {
        finding_add(findings, "yama", SKEW_VERDICT_REFUSED,
                    "ptrace_scope is %c: only CAP_SYS_PTRACE may attach", scope);
    } else {
        finding_add(findings, "yama", SKEW_VERDICT_OK, "ptrace_scope is %c", scope);
    }
}

struct write_trial {
    uint64_t address;
    bool poked; /* /proc/PID/mem did not do */
};

/* Writes zeroes over zeroes behind the vDSO of the child. */
static enum skew_code write_try(struct tracer *tracer, void *context, struct skew_error *error)
{
    struct write_trial *trial = context;
    static const uint8_t zeroes[ARCH_STUB_SIZE];
    struct tracee *tracee = tracer_seize(tracer, tracer->target->pid, error);
    if (tracee == NULL) {
        return error->code;
    }
    enum skew_code code = tracer_memory_open(tracer, tracee, error);
    if (code != SKEW_OK || memory_force(tracer->memory, trial->address, zeroes, sizeof zeroes)) {
        return code;
    }
    trial->poked = true;
    code = tracer_stop(tracer, tracee, error);
    if (code == SKEW_OK && !memory_write(tracer, trial->address, zeroes, sizeof zeroes)) {
        code = error_set_plain(error, SKEW_REFUSED, tracer->target->pid, 0, errno, "write",
                               "this kernel forbids writing into the vDSO of another process");
    }
    return code;
}

static void kernel_examine(struct findings *findings, const struct vdso *vdso)
{
    struct utsname name;
    if (uname(&name) == 0) {
        finding_add(findings, "kernel", SKEW_VERDICT_OK, "Linux %s %s", name.release, name.machine);
    }
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        while (getppid() == parent) {
            pause();
        }
        _exit(0);
    }
    struct look look = {0};
    struct write_trial trial = {0};
    struct skew_error error = {0};
    enum skew_code code = child < 0 ? error_set(&error, SKEW_FAILED, 0, errno, "fork",
                                                "cannot make a child to try on")
                                    : look_open(vdso, child, 0, &look, &error);
    if (code == SKEW_OK) {
        trial.address = look.vdso_address + vdso_stub_offset(vdso, 0);
        int64_t pause_ns;
        unsigned exposed;
        code = tracer_run(&look.target, write_try, &trial, &pause_ns, &exposed, &error);
        look_close(&look);
    }
    if (code == SKEW_OK && trial.poked) {
        finding_add(findings, "attach and write", SKEW_VERDICT_OK,
                    "ptrace works, /proc/PID/mem does not write code (proc_mem.force_override): "
                    "ptrace writes it word by word (tried on a child)");
    } else if (code == SKEW_OK) {
        finding_add(findings, "attach and write", SKEW_VERDICT_OK,
                    "ptrace and /proc/PID/mem work (tried on a child)");
    } else {
        finding_add_error(findings, "attach and write", &error);
    }
    if (child > 0) {
        kill(child, SIGKILL);
        child_reap(child);
    }
}

static void injection_examine(struct findings *findings, const struct look *look)
{
    switch (look->situation) {
    case SITUATION_CLEAN:
        finding_add(findings, "state", SKEW_VERDICT_OK, "its vDSO is the kernel's own");
        break;
    case SITUATION_INJECTED:
        finding_add(findings, "state", SKEW_VERDICT_OK,
                    "injected already: inject changes the skew in place");
        break;
    case SITUATION_PARTIAL:
        finding_add(findings, "state", SKEW_VERDICT_WARNING,
                    "traces of an interrupted skewctl: the next command finishes that");
        break;
    case SITUATION_FOREIGN:
        break; /* look_touchable says so */
    }
}

static void limits_examine(struct findings *findings, const struct vdso *vdso,
                           const struct look *look)
{
    struct skew_error error = {0};
    if (room_check(look, image_size_for(vdso), image_data_size(), &error) != SKEW_OK) {
        finding_add_error(findings, "limits", &error);
    } else if (room_doubtful(look, image_size_for(vdso))) {
        finding_add(findings, "limits", SKEW_VERDICT_WARNING,
                    "it has locked memory up to RLIMIT_MEMLOCK: inject is refused if it called "
                    "mlockall with MCL_FUTURE");
    }
}

static void target_examine(struct findings *findings, const struct vdso *vdso,
                           const struct look *look)
{
    struct skew_error error = {0};
    finding_add(findings, "target", SKEW_VERDICT_OK, "%s, %u thread%s", look->target.command,
                look->target.threads, look->target.threads == 1 ? "" : "s");
    injection_examine(findings, look);
    if (look_touchable(look, &error) != SKEW_OK) {
        finding_add_error(findings, "attach", &error);
    }
    if (look_skewable(look, false, &error) != SKEW_OK) {
        finding_add_error(findings, "safety", &error);
    }
    if (look->situation == SITUATION_CLEAN) {
        uint64_t address =
            maps_gap_find(&look->maps, look->vdso_address, look->vdso_address + vdso->size,
                          image_size_for(vdso), IMAGE_REACH);
        finding_add(findings, "memory", address != 0 ? SKEW_VERDICT_OK : SKEW_VERDICT_REFUSED,
                    address != 0 ? "room for the image of %zu bytes near its vDSO"
                                 : "no gap of %zu bytes within 2 GiB of its vDSO",
                    image_size_for(vdso));
        limits_examine(findings, vdso, look);
    }
    if (look->target.seccomp == 2 && privilege_filters_obstacle() != NULL) {
        finding_add(
            findings, "seccomp", SKEW_VERDICT_WARNING,
            "it has a filter that cannot be read: inject takes --force, which is safe if the "
            "filter allows mmap and munmap, as the default profiles of containers do");
    } else if (look->target.seccomp == 2) {
        finding_add(findings, "seccomp", SKEW_VERDICT_WARNING,
                    "it has a filter: inject evaluates it first, and unless --suspend-seccomp is "
                    "given refuses if it forbids mmap or munmap");
    }
}

enum skew_code skew_doctor(pid_t pid, struct skew_check **checks, size_t *count,
                           struct skew_error *error)
{
    struct findings findings = {.checks = calloc(CHECKS_MAX, sizeof *findings.checks)};
    if (findings.checks == NULL) {
        return error_set(error, SKEW_FAILED, pid, 0, "examine", "out of memory");
    }
    struct vdso vdso = {0};
    struct skew_error vdso_error = {0};
    enum skew_code code = SKEW_OK;
    if (vdso_own(&vdso, &vdso_error) != SKEW_OK) {
        finding_add_error(&findings, "vdso", &vdso_error);
    } else {
        kernel_examine(&findings, &vdso);
        vdso_examine(&findings, &vdso);
    }
    privileges_examine(&findings);
    if (pid != 0 && vdso.bytes != NULL) {
        struct look look;
        code = look_open(&vdso, pid, 0, &look, error);
        if (code == SKEW_OK) {
            target_examine(&findings, &vdso, &look);
            look_close(&look);
        } else if (code == SKEW_REFUSED) {
            finding_add_error(&findings, "target", error);
            code = SKEW_OK;
        }
    }
    vdso_release(&vdso);
    if (code != SKEW_OK) {
        free(findings.checks);
        return code;
    }
    *checks = findings.checks;
    *count = findings.count;
    return SKEW_OK;
}
