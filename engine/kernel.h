/*
 * kernel.h - which Linux this is, for what cannot be found out by trying.
 */
#ifndef SKEWCTL_ENGINE_KERNEL_H
#define SKEWCTL_ENGINE_KERNEL_H

#include <stdbool.h>

/* True if the running kernel is that release or a later one (uname(2)). */
bool kernel_is_from(unsigned major, unsigned minor);

#endif
