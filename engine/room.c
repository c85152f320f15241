/*
 * room.c - would the kernel let the target map the image?
 *
 * Promise: computes from /proc alone. What only the kernel knows (whether the
 * target called mlockall(2) with MCL_FUTURE, what a security module says) is left
 * to the call itself, which then fails and changes nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/error.h"
#include "engine/private.h"
#include "engine/scope.h"

#define MAPPINGS_OF_IMAGE 2
#define STATUS_SIZE       (1 << 20)

/* The soft limit of a row of /proc/PID/limits, in bytes; UINT64_MAX for none. */
static uint64_t limit_read(const char *limits, const char *name)
{
    const char *row = strstr(limits, name);
    uint64_t limit;
    return row != NULL && sscanf(row + strlen(name), "%" SCNu64, &limit) == 1 ? limit : UINT64_MAX;
}

/* A size of /proc/PID/status, in bytes. */
static uint64_t size_read(const char *status, const char *field)
{
    uint64_t kilobytes;
    return status_field_parse(status, field, 10, &kilobytes) ? kilobytes * 1024 : 0;
}

static bool exceeds(uint64_t used, uint64_t more, uint64_t limit)
{
    return limit < more || used > limit - more;
}

static enum skew_code refuse_limit(const struct target *target, const char *name, size_t size,
                                   struct skew_error *error)
{
    error_set(error, SKEW_REFUSED, target->pid, 0, "place image",
              "its limit %s does not let it map the %zu bytes of the image", name, size);
    error_advise(error, "raise that limit with prlimit(1)");
    return SKEW_REFUSED;
}

/* vm.max_map_count; the kernel's gate page has a row in maps, but is not counted. */
static enum skew_code mappings_check(const struct look *look, struct skew_error *error)
{
    char text[32];
    if (proc_file_read(AT_FDCWD, "/proc/sys/vm/max_map_count", text, sizeof text) <= 0) {
        return SKEW_OK;
    }
    uint64_t limit = strtoull(text, NULL, 10);
    uint64_t count = look->maps.count;
    count -= maps_find_special(&look->maps, "[vsyscall]") != NULL;
    /* mm/mmap.c, do_mmap: a mapping is made as long as there are no more than the limit. */
    if (count + MAPPINGS_OF_IMAGE - 1 <= limit) {
        return SKEW_OK;
    }
    error_set(error, SKEW_REFUSED, look->target.pid, 0, "place image",
              "it has %" PRIu64 " mappings, and vm.max_map_count allows %" PRIu64, count, limit);
    error_advise(error, "raise vm.max_map_count with sysctl(8)");
    return SKEW_REFUSED;
}

enum skew_code room_check(const struct look *look, size_t size, size_t data_size,
                          struct skew_error *error)
{
    char limits[4096];
    scoped_memory char *status = malloc(STATUS_SIZE);
    if (status == NULL ||
        proc_file_read(look->target.directory, "status", status, STATUS_SIZE) <= 0 ||
        proc_file_read(look->target.directory, "limits", limits, sizeof limits) <= 0) {
        return SKEW_OK;
    }
    if (exceeds(size_read(status, "VmSize"), size, limit_read(limits, "Max address space"))) {
        return refuse_limit(&look->target, "RLIMIT_AS", size, error);
    }
    /* mm/mmap.c, may_expand_vm: 0 stands for the hard limit. */
    uint64_t data_limit = limit_read(limits, "Max data size");
    if (data_limit != 0 && exceeds(size_read(status, "VmData"), data_size, data_limit)) {
        return refuse_limit(&look->target, "RLIMIT_DATA", data_size, error);
    }
    return mappings_check(look, error);
}

bool room_doubtful(const struct look *look, size_t size)
{
    char limits[4096];
    scoped_memory char *status = malloc(STATUS_SIZE);
    if ((look->target.capabilities & (UINT64_C(1) << CAP_IPC_LOCK)) != 0 || status == NULL ||
        proc_file_read(look->target.directory, "status", status, STATUS_SIZE) <= 0 ||
        proc_file_read(look->target.directory, "limits", limits, sizeof limits) <= 0) {
        return false;
    }
    uint64_t locked = size_read(status, "VmLck");
    return locked != 0 && exceeds(locked, size, limit_read(limits, "Max locked memory"));
}
