/*
 * look.c - step 1 of every operation: what is this process, what has been done
 * to it, and may it be touched?
 *
 * Promise: nothing is stopped or written. What is found here is looked at once
 * more under the stop, before each write.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <unistd.h>

#include "engine/error.h"
#include "engine/memory.h"
#include "engine/namespace.h"
#include "engine/pagemap.h"
#include "engine/private.h"
#include "engine/privilege.h"
#include "engine/scope.h"

#define LOOK_TRIES         5
#define CAPABILITY(number) (UINT64_C(1) << (number))

static bool image_try(int memory, const struct vdso *vdso, struct look *look, uint64_t address)
{
    struct image_header header;
    if (address == 0 || address % 0x1000 != 0 ||
        /* A read would touch a page that nobody has, and recover goes by that. */
        pagemap_untouched(&look->target, address, sizeof header) ||
        !memory_read(memory, address, &header, sizeof header) ||
        !image_header_valid(&header, vdso, look->vdso_address, address) ||
        !maps_anonymous(&look->maps, address, address + image_data_size(), "rw-p")) {
        return false;
    }
    look->image_found = true;
    look->image_address = address;
    look->header = header;
    return true;
}

/* Where the entries lead, else where the journal says, else any place that looks like one. */
static void image_find(int memory, const struct vdso *vdso, struct look *look, uint64_t hint)
{
    for (int f = 0; f < ARCH_FUNCTION_COUNT; f++) {
        if (look->difference.patched[f] &&
            image_try(memory, vdso, look,
                      image_address_of_entry(look->difference.target[f], (enum arch_function)f))) {
            return;
        }
    }
    if (image_try(memory, vdso, look, hint) ||
        image_try(memory, vdso, look, look->difference.note)) {
        return;
    }
    for (size_t i = 0; i < look->maps.count; i++) {
        const struct mapping *row = &look->maps.rows[i];
        bool code = strcmp(row->permissions, "r-xp") == 0;
        bool data =
            strcmp(row->permissions, "rw-p") == 0 && row->end - row->start == image_data_size();
        if (row->inode == 0 && row->name[0] == '\0' && (code || data) &&
            image_try(memory, vdso, look, code ? row->start - image_data_size() : row->start)) {
            return;
        }
    }
}

/* A jump that leads to no image of ours is somebody else's change. */
static enum situation jump_is_foreign(struct look *look, const struct vdso *vdso, int function)
{
    look->difference.foreign = true;
    look->difference.foreign_offset = vdso->functions[function].patch;
    return SITUATION_FOREIGN;
}

static enum situation situation_judge(struct look *look, const struct vdso *vdso)
{
    if (look->difference.foreign) {
        return SITUATION_FOREIGN;
    }
    int patched = 0;
    for (int f = 0; f < ARCH_FUNCTION_COUNT; f++) {
        if (!look->difference.patched[f]) {
            continue;
        }
        patched++;
        if (!look->image_found ||
            image_address_of_entry(look->difference.target[f], (enum arch_function)f) !=
                look->image_address) {
            return jump_is_foreign(look, vdso, f);
        }
    }
    if (patched == 0 && !look->image_found && look->difference.pristine) {
        return SITUATION_CLEAN;
    }
    look->skewed = patched == ARCH_FUNCTION_COUNT;
    bool whole = look->skewed && !look->difference.stubs &&
                 maps_anonymous(&look->maps, look->image_address + image_data_size(),
                                look->image_address + image_size_for(vdso), "r-xp");
    return whole ? SITUATION_INJECTED : SITUATION_PARTIAL;
}

bool look_parameters_read(int memory, uint64_t image, struct image_skew *skew,
                          uint8_t parameters[IMAGE_PARAMETERS_SIZE])
{
    uint8_t again[IMAGE_PARAMETERS_SIZE];
    uint64_t address = image + image_parameters_offset();
    for (int tries = 0; tries < LOOK_TRIES; tries++) {
        /*
         * A read that updates went on in is of no skew: generations only grow. One that
         * failed says nothing yet: a skew taken for broken would be put back.
         */
        if (memory_read(memory, address, parameters, IMAGE_PARAMETERS_SIZE) &&
            memory_read(memory, address, again, sizeof again) &&
            memcmp(parameters, again, sizeof again) == 0) {
            return image_parameters_parse(parameters, skew);
        }
    }
    return false;
}

static enum skew_code refuse(const struct look *look, struct skew_error *error, const char *reason,
                             const char *advice)
{
    error_set(error, SKEW_REFUSED, look->target.pid, 0, "look", "%s", reason);
    error_advise(error, "%s", advice);
    return SKEW_REFUSED;
}

static enum skew_code vdso_find(const struct vdso *vdso, struct look *look,
                                struct skew_error *error)
{
    const struct mapping *row = maps_find_special(&look->maps, "[vdso]");
    if (look->maps.count == 0) {
        return error_set(error, SKEW_NOT_FOUND, look->target.pid, 0, "look", "it is exiting");
    }
    if (row == NULL) {
        return refuse(look, error, "it has no vDSO, so its clock reads are system calls",
                      "nothing to skew there");
    }
    if (row->end - row->start != vdso->size) {
        return refuse(look, error, "its vDSO is not the one this kernel gives 64-bit programs",
                      "skewctl supports 64-bit programs that run natively on this kernel");
    }
    look->vdso_address = row->start;
    return SKEW_OK;
}

static enum skew_code memory_look(const struct vdso *vdso, struct look *look, uint64_t hint,
                                  struct skew_error *error)
{
    int memory = memory_open(look->target.directory, look->target.live_tid, false);
    look->memory = memory;
    if (memory < 0 || !memory_read(memory, look->vdso_address, look->live, vdso->size)) {
        error_set(error, error_code_for(errno), look->target.pid, errno, "read vDSO",
                  "cannot read its vDSO");
        if (error->code == SKEW_NOT_PERMITTED) {
            privilege_advise(error);
        }
        return error->code;
    }
    vdso_compare(vdso, look->live, look->vdso_address, &look->difference);
    image_find(memory, vdso, look, hint);
    look->situation = situation_judge(look, vdso);
    uint8_t parameters[IMAGE_PARAMETERS_SIZE];
    if (look->skewed &&
        !look_parameters_read(memory, look->image_address, &look->skew, parameters)) {
        look->situation = SITUATION_PARTIAL;
        look->skewed = false;
    }
    return SKEW_OK;
}

/*
 * Whether exec has replaced the program since its memory was opened, or it has exited: what was
 * read then may be of two programs, or of none.
 */
static bool look_stale(const struct look *look)
{
    uint8_t byte;
    return look->memory >= 0 && !memory_read(look->memory, look->vdso_address, &byte, sizeof byte);
}

static enum skew_code look_once(const struct vdso *vdso, pid_t pid, uint64_t hint,
                                struct look *look, bool *stale, struct skew_error *error)
{
    *look = (struct look){.memory = -1};
    *stale = false;
    enum skew_code code = target_open(pid, &look->target, error);
    if (code != SKEW_OK) {
        return code;
    }
    if (look->target.kernel_thread) {
        code = target_kernel_thread_refuse(pid, error);
    } else if (look->target.executable_known && !look->target.executable_64bit) {
        code = refuse(look, error, "it runs a 32-bit program",
                      "skewctl supports 64-bit programs only");
    }
    if (code == SKEW_OK) {
        code = maps_read(&look->target, &look->maps, error);
    }
    if (code == SKEW_OK) {
        code = vdso_find(vdso, look, error);
    }
    if (code == SKEW_OK) {
        code = memory_look(vdso, look, hint, error);
        *stale = look_stale(look);
    }
    if (code == SKEW_OK && *stale) {
        code = error_set(error, SKEW_FAILED, pid, 0, "look again",
                         "the program was replaced while it was looked at");
    }
    if (code != SKEW_OK) {
        look_close(look);
    }
    return code;
}

enum skew_code look_open(const struct vdso *vdso, pid_t pid, uint64_t hint, struct look *look,
                         struct skew_error *error)
{
    enum skew_code code;
    bool stale;
    int tries = 0;
    do {
        code = look_once(vdso, pid, hint, look, &stale, error);
    } while (stale && ++tries < LOOK_TRIES);
    return code;
}

bool look_same_program(const struct look *look, const struct vdso *vdso, int memory)
{
    uint8_t then[VDSO_SIZE_MAX], now[VDSO_SIZE_MAX];
    struct image_header header;
    /* The descriptor of the look is dead once exec has replaced the program. */
    return memory_read(look->memory, look->vdso_address, then, vdso->size) &&
           memory_read(memory, look->vdso_address, now, vdso->size) &&
           memcmp(then, now, vdso->size) == 0 &&
           (!look->image_found ||
            (memory_read(memory, look->image_address, &header, sizeof header) &&
             /* Every byte as it lies in the target, padding too. */
             /* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison) */
             memcmp(&header, &look->header, sizeof header) == 0));
}

bool look_holds(const struct look *look, const struct vdso *vdso, int memory)
{
    return look_same_program(look, vdso, memory) &&
           memory_equals(memory, look->vdso_address, look->live, vdso->size);
}

void look_close(struct look *look)
{
    descriptor_close(&look->memory);
    maps_release(&look->maps);
    target_close(&look->target);
}

enum skew_code look_stoppable(const struct look *look, bool calls, struct skew_error *error)
{
    const struct target *target = &look->target;
    if (target->pid == getpid()) {
        return refuse(look, error, "it is skewctl itself", "give the pid of another program");
    }
    return stoppable_check(target, look->census, calls, error);
}

enum skew_code look_touchable(const struct look *look, struct skew_error *error)
{
    enum skew_code code = look_stoppable(look, true, error);
    if (code == SKEW_OK && look->situation == SITUATION_FOREIGN) {
        code = error_set(error, SKEW_REFUSED, look->target.pid, 0, "look",
                         "something other than skewctl has changed its vDSO (first at offset "
                         "0x%zx)",
                         look->difference.foreign_offset);
        error_advise(error, "undo that first: skewctl scan tells what it is");
    }
    return code;
}

enum skew_code look_init(pid_t pid, bool force, struct skew_error *error)
{
    /* That of a container is the service itself, or holds the pod's namespaces. */
    if (pid != 1 || force || !namespace_pid_is_first()) {
        return SKEW_OK;
    }
    error_set(error, SKEW_REFUSED, pid, 0, "look",
              "it is the machine's init process, and the whole system depends on it");
    error_advise(error, "use --force if that is what you want");
    return SKEW_REFUSED;
}

/*
 * Root's programs have CAP_SYS_TIME by default; one that may have it without
 * CAP_SYS_ADMIN was given it on purpose. What is permitted counts: a daemon may
 * raise it only when it is about to set the clock (capabilities(7)). The daemons
 * are known by name as well, for as root they have all.
 */
static bool sets_the_clock(const struct target *target)
{
    static const char *const daemons[] = {"chronyd", "ntpd",           "ntpsec", "openntpd",
                                          "ntpdate", "sntp",           "ptp4l",  "phc2sys",
                                          "ts2phc",  "systemd-timesyn"};
    for (size_t i = 0; i < sizeof daemons / sizeof *daemons; i++) {
        if (strcmp(target->command, daemons[i]) == 0) {
            return true;
        }
    }
    return (target->capabilities & CAPABILITY(CAP_SYS_TIME)) != 0 &&
           (target->capabilities & CAPABILITY(CAP_SYS_ADMIN)) == 0;
}

enum skew_code look_skewable(const struct look *look, bool force, struct skew_error *error)
{
    const struct target *target = &look->target;
    enum skew_code code = look_init(target->pid, force, error);
    if (code != SKEW_OK) {
        return code;
    }
    if (sets_the_clock(target) && !force) {
        return refuse(look, error, "it may set the real clock, and would correct it by the skew",
                      "use --force if it never does");
    }
    return SKEW_OK;
}
