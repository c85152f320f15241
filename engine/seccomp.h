/*
 * seccomp.h - what a seccomp filter (seccomp(2), classic BPF) will say to a
 * system call, known without making the call.
 *
 * A call that a filter forbids may kill the process that makes it, so the
 * answer has to come first. A program is judged by the rules of the running
 * kernel's checker; one that those rules refuse gets no answer at all.
 */
#ifndef SKEWCTL_ENGINE_SECCOMP_H
#define SKEWCTL_ENGINE_SECCOMP_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A 64-bit system call of x86-64, as struct seccomp_data of seccomp(2) describes it. */
struct seccomp_call {
    long number;                  /* the kernel shows a filter the low 32 bits */
    uint64_t instruction_pointer; /* of the instruction after the syscall instruction */
    uint64_t arguments[6];
};

/*
 * Runs one filter of `length` instructions on the call; `action` is what the
 * filter returns, SECCOMP_RET_DATA included. False, and `action` untouched, if
 * the program is none that seccomp(2) installs. The program stays the caller's.
 * Neither allocates nor makes a system call; at most 4096 instructions run, as
 * all jumps are forward. Needs 8 KiB of stack. May be used during a stop.
 */
bool seccomp_evaluate(const struct sock_filter *program, size_t length,
                      const struct seccomp_call *call, uint32_t *action);

/*
 * Which of two filters' results the kernel obeys: the more restrictive one;
 * `first` where both name the same action. The kernel asks the newest filter
 * first and begins with SECCOMP_RET_ALLOW.
 */
uint32_t seccomp_action_combine(uint32_t first, uint32_t second);

/*
 * True if the call is made, its result is the call's own, and nobody is asked:
 * SECCOMP_RET_ALLOW and SECCOMP_RET_LOG.
 */
bool seccomp_action_allows(uint32_t action);

/*
 * As /proc/sys/kernel/seccomp/actions_avail spells it: "kill_process",
 * "kill_thread", "trap", "errno", "user_notif", "trace", "log", "allow"; else
 * "unknown", which the kernel takes for kill_process.
 */
const char *seccomp_action_name(uint32_t action);

#endif
