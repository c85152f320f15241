/*
 * namespace.h - whether skewctl itself is in the machine's own namespaces, or in those
 * of a container.
 */
#ifndef SKEWCTL_ENGINE_NAMESPACE_H
#define SKEWCTL_ENGINE_NAMESPACE_H

#include <stdbool.h>

/*
 * The first one of the machine (pid_namespaces(7), user_namespaces(7)). True also where
 * /proc does not tell, so that what is refused there stays refused.
 */
bool namespace_pid_is_first(void);
bool namespace_user_is_first(void);

#endif
