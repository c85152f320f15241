/*
 * without.c - stands in for skewctl, and runs it as on a kernel that lacks
 * something:
 *
 *     WITHOUT        what the kernel lacks: one name of the table below
 *     SKEWCTL_REAL   the skewctl to run, with the arguments given
 *
 * Tests put it in front by SKEWCTL (tests/harness/command.h). A system call is
 * taken away by a seccomp filter that answers as a kernel without it does.
 * Forced writes through /proc/PID/mem are refused by a preloaded library, since
 * a filter cannot see to what memory an address belongs. As in a hardened
 * container, the filter also keeps skewctl from reading other programs' filters.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ANY_REQUEST (-1)
/* Linux 6.4. */
#define GET_SYSCALL_USER_DISPATCH_CONFIG 0x4211

static const struct feature {
    const char *name;
    long number, request; /* the call, and for ptrace(2) its first argument */
    int errnum;
} features[] = {
    {"pidfd_open", SYS_pidfd_open, ANY_REQUEST, ENOSYS},
    {"kcmp", SYS_kcmp, ANY_REQUEST, ENOSYS},
    {"process_vm_readv", SYS_process_vm_readv, ANY_REQUEST, ENOSYS},
    {"syscall_info", SYS_ptrace, PTRACE_GET_SYSCALL_INFO, EIO},
    {"rseq_configuration", SYS_ptrace, PTRACE_GET_RSEQ_CONFIGURATION, EIO},
    {"dispatch_configuration", SYS_ptrace, GET_SYSCALL_USER_DISPATCH_CONFIG, EIO},
    {"get_filter", SYS_ptrace, PTRACE_SECCOMP_GET_FILTER, EIO},
};

static int take_away(const struct feature *feature)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)feature->number, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)feature->request, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)feature->errnum),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    if (feature->request == ANY_REQUEST)
        filter[3] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JA, 0, 0, 0);
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                   prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0
               ? 0
               : -1;
}

int main(int count, char **arguments)
{
    const char *name = getenv("WITHOUT");
    const char *real = getenv("SKEWCTL_REAL");
    int result = -1;
    if (!name || !real || count < 1) {
        fprintf(stderr, "without: WITHOUT and SKEWCTL_REAL are to be set\n");
        return 126;
    }
    errno = EINVAL;
    for (size_t i = 0; i < sizeof features / sizeof *features; i++)
        if (strcmp(name, features[i].name) == 0)
            result = take_away(&features[i]);
    if (strcmp(name, "forced_writes") == 0)
        result = setenv("LD_PRELOAD", WITHOUT_FORCED_WRITES, 1);
    if (result == 0)
        execv(real, arguments);
    fprintf(stderr, "without %s: %s: %s\n", name, real, strerror(errno));
    return 126;
}
