/*
 * privilege.c - which capabilities (capabilities(7)) the engine needs, and
 * giving up the rest.
 *
 * CAP_SYS_PTRACE lets it attach to processes of others, CAP_DAC_OVERRIDE open
 * their /proc/PID/mem, and CAP_SYS_ADMIN read a target's seccomp filter. CAP_NET_ADMIN lets a
 * follower be told of processes (connector.c), and is given up once that is arranged, before
 * anything is traced. That is all: the journal is opened as its owner, and no signal is sent that
 * takes a right of its own.
 *
 * CAP_SYS_PTRACE alone is not enough, for the file is judged twice: as any file of its
 * owner with mode 0600 (fs/proc/base.c, proc_pid_make_inode), and then as
 * ptrace(2) would be (mm_access). Being attached does not change the first, nor does a
 * path by way of a thread (measured). What there is without it, process_vm_readv(2) and
 * ptrace's words, goes by a number rather than by a descriptor that an exec makes dead
 * (memory.h), so nothing could be looked at or updated in safety without a stop.
 *
 * Rights that come from the program's file (a set-user-ID or set-group-ID mode,
 * file capabilities) are the file owner's and not the caller's. They are given
 * up entirely, so that for the kernel skewctl is its caller: what the caller
 * could not trace or open, skewctl cannot either, without a rule of our own that
 * could differ from the kernel's or be outrun. What the caller had beyond an
 * ordinary user cannot be known after such an execve(2), and is given up too.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/securebits.h>
#include <sys/auxv.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "engine/error.h"
#include "engine/namespace.h"
#include "engine/privilege.h"
#include "engine/target.h"

static const cap_value_t needed[] = {CAP_SYS_PTRACE, CAP_DAC_OVERRIDE, CAP_SYS_ADMIN,
                                     CAP_NET_ADMIN};
#define NEEDED_COUNT  ((int)(sizeof needed / sizeof *needed))
#define NEEDED_ALWAYS (NEEDED_COUNT - 1)

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

static bool effective(cap_value_t value)
{
    scoped_capabilities present = cap_get_proc();
    return present != NULL && has(present, value, CAP_EFFECTIVE);
}

bool privilege_may_trace_others(void)
{
    return effective(CAP_SYS_PTRACE);
}

bool privilege_may_open_others(void)
{
    return effective(CAP_DAC_OVERRIDE);
}

/* kernel/seccomp.c, seccomp_get_filter: capable(), which means the first user namespace. */
const char *privilege_filters_obstacle(void)
{
    if (!effective(CAP_SYS_ADMIN)) {
        return "no CAP_SYS_ADMIN";
    }
    if (!namespace_user_is_first()) {
        return "CAP_SYS_ADMIN only within a user namespace";
    }
    return prctl(PR_GET_SECCOMP) != 0 ? "skewctl is under a seccomp filter itself" : NULL;
}

void privilege_advise(struct skew_error *error)
{
    bool trace = privilege_may_trace_others(), open = privilege_may_open_others();
    if (privilege_yama_scope() == '3') {
        error_advise(error, "kernel.yama.ptrace_scope is 3: nobody may attach until the next boot");
    } else if (trace && open) {
        error_advise(error, namespace_user_is_first()
                                ? "a security module may forbid it"
                                : "its user is none of this user namespace: run skewctl outside");
    } else {
        error_advise(error,
                     "a process of another user takes CAP_SYS_PTRACE and CAP_DAC_OVERRIDE (%s); "
                     "or run skewctl as the user that the process belongs to",
                     trace  ? "the second is missing"
                     : open ? "the first is missing"
                            : "both are missing");
    }
}

void privilege_listening_end(void)
{
    static const cap_value_t listening = CAP_NET_ADMIN;
    scoped_capabilities present = cap_get_proc();
    if (present != NULL) {
        cap_set_flag(present, CAP_EFFECTIVE, 1, &listening, CAP_CLEAR);
        cap_set_flag(present, CAP_PERMITTED, 1, &listening, CAP_CLEAR);
        cap_set_proc(present);
    }
}

char privilege_yama_scope(void)
{
    char scope[16];
    ssize_t size =
        proc_file_read(AT_FDCWD, "/proc/sys/kernel/yama/ptrace_scope", scope, sizeof scope);
    return (char)(size > 0 ? scope[0] : '\0');
}

/*
 * Whether execve(2) lent rights of the file's (AT_SECURE of getauxval(3)). A
 * security module may set that too; real root has all rights by itself, unless
 * told not to have them.
 */
static bool rights_are_lent(void)
{
    int bits = prctl(PR_GET_SECUREBITS);
    bool root = getuid() == 0 && bits >= 0 && (bits & SECBIT_NOROOT) == 0;
    return getauxval(AT_SECURE) != 0 && !root;
}

static enum skew_code become_caller(struct skew_error *error)
{
    uid_t user = getuid();
    gid_t group = getgid();
    scoped_capabilities none = cap_init();
    /* The group first: it may take the user's rights to change it. */
    if (none == NULL || setresgid(group, group, group) < 0 || setresuid(user, user, user) < 0 ||
        cap_set_proc(none) < 0) {
        return error_set(error, SKEW_FAILED, 0, errno, "drop privileges",
                         "cannot give up the rights of the program's file");
    }
    /* As after an ordinary execve(2): else doctor could not trace a child of its own. */
    prctl(PR_SET_DUMPABLE, 1);
    return SKEW_OK;
}

enum skew_code skew_privileges_return(struct skew_error *error)
{
    return rights_are_lent() ? become_caller(error) : SKEW_OK;
}

enum skew_code skew_privileges_drop(bool follows, struct skew_error *error)
{
    if (rights_are_lent()) {
        return become_caller(error);
    }
    scoped_capabilities present = cap_get_proc();
    scoped_capabilities kept = cap_init();
    if (present == NULL || kept == NULL) {
        return error_set(error, SKEW_FAILED, 0, errno, "drop capabilities",
                         "cannot read the capabilities of this process");
    }
    for (int i = 0; i < (follows ? NEEDED_COUNT : NEEDED_ALWAYS); i++) {
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
