/*
 * namespace.c - see namespace.h. The first namespace of each kind has a fixed inode
 * number, the same on every machine since Linux 3.8 (include/linux/proc_ns.h; since 6.18
 * enum init_ns_ino of linux/nsfs.h).
 */
#include "engine/namespace.h"

#include <sys/stat.h>

#define FIRST_USER 0xEFFFFFFDU
#define FIRST_PID  0xEFFFFFFCU

static bool has_number(const char *path, ino_t number)
{
    struct stat status;
    return stat(path, &status) != 0 || status.st_ino == number;
}

bool namespace_pid_is_first(void)
{
    return has_number("/proc/self/ns/pid", FIRST_PID);
}

bool namespace_user_is_first(void)
{
    return has_number("/proc/self/ns/user", FIRST_USER);
}
