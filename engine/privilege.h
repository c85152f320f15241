/*
 * privilege.h - what the capabilities of this process allow.
 */
#ifndef SKEWCTL_ENGINE_PRIVILEGE_H
#define SKEWCTL_ENGINE_PRIVILEGE_H

#include <stdbool.h>

/* CAP_SYS_PTRACE: processes of other users, and past Yama's restricted scope. */
bool privilege_may_trace_others(void);

#endif
