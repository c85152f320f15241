/*
 * privilege.h - what the capabilities of this process allow.
 */
#ifndef SKEWCTL_ENGINE_PRIVILEGE_H
#define SKEWCTL_ENGINE_PRIVILEGE_H

#include <stdbool.h>

#include "engine/skewctl.h"

/* CAP_SYS_PTRACE: processes of other users, and past Yama's restricted scope. */
bool privilege_may_trace_others(void);
/* CAP_DAC_OVERRIDE: the /proc/PID/mem of other users' processes. */
bool privilege_may_open_others(void);
/*
 * What keeps skewctl from reading the seccomp filter of a process, a clause for a person;
 * NULL where nothing does.
 */
const char *privilege_filters_obstacle(void);
/* Says what to do about a process that may not be looked at. */
void privilege_advise(struct skew_error *error);
/* Gives up CAP_NET_ADMIN, by which the kernel tells of processes. */
void privilege_listening_end(void);
/*
 * kernel.yama.ptrace_scope (Documentation/admin-guide/LSM/Yama.rst), '0' to '3':
 * from '1' on only CAP_SYS_PTRACE may attach to what is not its descendant, at
 * '3' nobody may attach. 0 where the kernel has no Yama.
 */
char privilege_yama_scope(void);

#endif
