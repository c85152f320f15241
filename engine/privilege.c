/*
 * privilege.c - which capabilities (capabilities(7)) the engine needs, and
 * giving up the rest.
 *
 * CAP_SYS_PTRACE lets it look into and attach to processes of others,
 * CAP_SYS_ADMIN read a target's seccomp filter, and that is all: files are
 * opened as their owner, and no signal is ever sent.
 */
#include <errno.h>
#include <sys/capability.h>

#include "engine/error.h"
#include "engine/privilege.h"

static const cap_value_t needed[] = {CAP_SYS_PTRACE, CAP_SYS_ADMIN};
#define NEEDED_COUNT ((int)(sizeof needed / sizeof *needed))

static void capabilities_free(cap_t *capabilities)
{
    if (*capabilities != NULL) {
        cap_free(*capabilities);
    }
}

#define scoped_capabilities __attribute__((cleanup(capabilities_free))) cap_t

static bool has(cap_t capabilities, cap_value_t value, cap_flag_t set)
{
    cap_flag_value_t flag = CAP_CLEAR;
    return cap_get_flag(capabilities, value, set, &flag) == 0 && flag == CAP_SET;
}

bool privilege_may_trace_others(void)
{
    scoped_capabilities present = cap_get_proc();
    return present != NULL && has(present, CAP_SYS_PTRACE, CAP_EFFECTIVE);
}

enum skew_code skew_privileges_drop(struct skew_error *error)
{
    scoped_capabilities present = cap_get_proc();
    scoped_capabilities kept = cap_init();
    if (present == NULL || kept == NULL) {
        return error_set(error, SKEW_FAILED, 0, errno, "drop capabilities",
                         "cannot read the capabilities of this process");
    }
    for (int i = 0; i < NEEDED_COUNT; i++) {
        if (has(present, needed[i], CAP_PERMITTED)) {
            cap_set_flag(kept, CAP_PERMITTED, 1, &needed[i], CAP_SET);
            cap_set_flag(kept, CAP_EFFECTIVE, 1, &needed[i], CAP_SET);
        }
    }
    if (cap_set_proc(kept) < 0) {
        return error_set(error, SKEW_FAILED, 0, errno, "drop capabilities",
                         "cannot give up the capabilities that are not needed");
    }
    return SKEW_OK;
}
