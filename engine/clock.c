/*
 * clock.c - the clocks that can be skewed: their names, sets of them as text,
 * and how far each may be shifted.
 *
 * The names are those of clock_gettime(2) in lower case without CLOCK_.
 */
#include "engine/clock.h"

#include "engine/error.h"
#include "engine/target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* By ascending clockid_t, which is the order in which sets are written. */
static const struct clock_name {
    clockid_t id;
    const char *name;
} names_skewable[] = {
    {CLOCK_REALTIME, "realtime"},
    {CLOCK_MONOTONIC, "monotonic"},
    {CLOCK_MONOTONIC_RAW, "monotonic_raw"},
    {CLOCK_REALTIME_COARSE, "realtime_coarse"},
    {CLOCK_MONOTONIC_COARSE, "monotonic_coarse"},
    {CLOCK_BOOTTIME, "boottime"},
    {CLOCK_REALTIME_ALARM, "realtime_alarm"},
    {CLOCK_BOOTTIME_ALARM, "boottime_alarm"},
    {CLOCK_TAI, "tai"},
};
#define NAMES_COUNT (sizeof names_skewable / sizeof *names_skewable)

static const char *const names_of_work[] = {"process_cputime_id", "thread_cputime_id"};

/* Clocks run on while they are skewed: what they may still gain before 2262. */
#define HEADROOM_NS (INT64_C(365) * 86400 * INT64_C(1000000000))

uint64_t skew_clocks_default(void)
{
    return SKEW_CLOCK_BIT(CLOCK_REALTIME) | SKEW_CLOCK_BIT(CLOCK_REALTIME_COARSE) |
           SKEW_CLOCK_BIT(CLOCK_TAI);
}

static uint64_t clocks_all(void)
{
    uint64_t clocks = 0;
    for (size_t i = 0; i < NAMES_COUNT; i++)
        clocks |= SKEW_CLOCK_BIT(names_skewable[i].id);
    return clocks;
}

static bool name_equals(const char *expected, const char *name, size_t length)
{
    return strlen(expected) == length && memcmp(expected, name, length) == 0;
}

static enum skew_code clock_unknown(const char *name, size_t length, struct skew_error *error)
{
    /* Longer than any name, short enough to leave room for the list. */
    int shown = length > 32 ? 32 : (int)length;
    char valid[160];

    for (size_t i = 0; i < sizeof names_of_work / sizeof *names_of_work; i++)
        if (name_equals(names_of_work[i], name, length))
            return error_set(error, SKEW_USAGE, 0, 0, "parse clocks",
                             "clock '%s' measures work, not time, and cannot be skewed",
                             names_of_work[i]);
    skew_clocks_format(clocks_all(), valid, sizeof valid);
    if (length == 0)
        error_set(error, SKEW_USAGE, 0, 0, "parse clocks", "the name of a clock is empty");
    else
        error_set(error, SKEW_USAGE, 0, 0, "parse clocks", "there is no clock '%.*s'", shown, name);
    error_advise(error, "choose from %s", valid);
    return SKEW_USAGE;
}

enum skew_code skew_clocks_parse(const char *names, uint64_t *clocks, struct skew_error *error)
{
    uint64_t set = 0;

    for (const char *name = names;; name++) {
        size_t length = strcspn(name, ",");
        uint64_t bit = 0;

        for (size_t i = 0; i < NAMES_COUNT; i++)
            if (name_equals(names_skewable[i].name, name, length))
                bit = SKEW_CLOCK_BIT(names_skewable[i].id);
        if (!bit)
            return clock_unknown(name, length, error);
        set |= bit;
        name += length;
        if (*name == '\0')
            break;
    }
    *clocks = set;
    return SKEW_OK;
}

const char *skew_clocks_format(uint64_t clocks, char *buffer, size_t size)
{
    size_t used = 0;

    if (size)
        *buffer = '\0';
    for (size_t i = 0; i < NAMES_COUNT; i++) {
        const char *separator = used ? "," : "";
        size_t needed = strlen(separator) + strlen(names_skewable[i].name);

        if (!(clocks & SKEW_CLOCK_BIT(names_skewable[i].id)))
            continue;
        /* A name that is cut short would be another name: stop before it. */
        if (needed >= size - used)
            break;
        used +=
            (size_t)snprintf(buffer + used, size - used, "%s%s", separator, names_skewable[i].name);
    }
    return buffer;
}

/* Offsets of a time namespace to the first one; false where they cannot be read. */
static bool offsets_read(int process, struct clock_shift *offsets)
{
    char text[256];
    long long seconds[2], nanoseconds[2];

    if (proc_file_read(process, "timens_offsets", text, sizeof text) <= 0 ||
        sscanf(text, "monotonic %lld %lld boottime %lld %lld", &seconds[0], &nanoseconds[0],
               &seconds[1], &nanoseconds[1]) != 4)
        return false;
    offsets->monotonic_ns = seconds[0] * 1000000000 + nanoseconds[0];
    offsets->boottime_ns = seconds[1] * 1000000000 + nanoseconds[1];
    return true;
}

static uint64_t namespace_of(int process, const char *name)
{
    struct stat status;

    return fstatat(process, name, &status, 0) == 0 ? status.st_ino : 0;
}

/* timens_offsets is about the namespace that children will be in. */
static bool offsets_of(int process, struct clock_shift *offsets)
{
    uint64_t own = namespace_of(process, "ns/time");

    return own != 0 && own == namespace_of(process, "ns/time_for_children") &&
           offsets_read(process, offsets);
}

struct clock_shift clock_shift_read(const struct target *target)
{
    struct clock_shift theirs, ours;
    char live[TASK_PATH_SIZE + sizeof "task/"];
    int self = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* A leader that has exited is in no namespace any more. */
    snprintf(live, sizeof live, "task/%d/ns/time", (int)target->live_tid);
    uint64_t own = self >= 0 ? namespace_of(self, "ns/time") : 0;
    bool same = self >= 0 && own == namespace_of(target->directory, live);
    bool read =
        self >= 0 && !same && offsets_of(self, &ours) && offsets_of(target->directory, &theirs);

    if (self >= 0)
        close(self);
    if (!read)
        return (struct clock_shift){.known = same};
    return (struct clock_shift){theirs.monotonic_ns - ours.monotonic_ns,
                                theirs.boottime_ns - ours.boottime_ns, true};
}

int64_t clock_shift_of(clockid_t clock, struct clock_shift shift)
{
    switch (clock) {
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_MONOTONIC_COARSE:
        return shift.monotonic_ns;
    case CLOCK_BOOTTIME:
    case CLOCK_BOOTTIME_ALARM:
        return shift.boottime_ns;
    default:
        return 0;
    }
}

/* The clock sources with a mode of arch/x86/include/asm/vdso/clocksource.h in the kernel. */
bool clock_reads_by_call(void)
{
    static const char *const readable[] = {"tsc", "kvm-clock", "hyperv_clocksource_tsc_page"};
    char source[64];

    if (proc_file_read(AT_FDCWD, "/sys/devices/system/clocksource/clocksource0/current_clocksource",
                       source, sizeof source) <= 0)
        return true;
    source[strcspn(source, "\n")] = '\0';
    for (size_t i = 0; i < sizeof readable / sizeof *readable; i++)
        if (strcmp(source, readable[i]) == 0)
            return false;
    return true;
}

enum skew_code clock_range_check(uint64_t clocks, int64_t offset_ns, struct clock_shift shift,
                                 struct skew_error *error)
{
    for (size_t i = 0; i < NAMES_COUNT; i++) {
        const struct clock_name *clock = &names_skewable[i];
        struct timespec now;

        if (!(clocks & SKEW_CLOCK_BIT(clock->id)))
            continue;
        if (clock_gettime(clock->id, &now) != 0) {
            error_set(error, SKEW_REFUSED, 0, errno, "read clock",
                      "clock %s cannot be read on this system", clock->name);
            error_advise(error, "leave it out of the clocks");
            return SKEW_REFUSED;
        }
        __int128 present =
            (__int128)now.tv_sec * 1000000000 + now.tv_nsec + clock_shift_of(clock->id, shift);
        __int128 skewed = present + offset_ns;
        long long stands = (long long)(present / 1000000000);
        if (skewed < 0) {
            error_set(error, SKEW_USAGE, 0, 0, "check range",
                      "the offset would set clock %s below 0: it stands at %lld seconds",
                      clock->name, stands);
            error_advise(error, "go back by less than that");
            return SKEW_USAGE;
        }
        if (skewed > INT64_MAX - HEADROOM_NS) {
            error_set(error, SKEW_USAGE, 0, 0, "check range",
                      "the offset would set clock %s beyond its limit of %lld seconds: it stands "
                      "at %lld",
                      clock->name, (long long)((INT64_MAX - HEADROOM_NS) / 1000000000), stands);
            error_advise(error, "go forward by less than what is left");
            return SKEW_USAGE;
        }
    }
    return SKEW_OK;
}

/* Those that programs may rely on never to go back: the wall clock may be set. */
static const uint64_t steady =
    SKEW_CLOCK_BIT(CLOCK_MONOTONIC) | SKEW_CLOCK_BIT(CLOCK_MONOTONIC_RAW) |
    SKEW_CLOCK_BIT(CLOCK_MONOTONIC_COARSE) | SKEW_CLOCK_BIT(CLOCK_BOOTTIME) |
    SKEW_CLOCK_BIT(CLOCK_BOOTTIME_ALARM);

/* In 128 bits, since nobody has checked yet that it is in range. */
static bool ends_ahead(const struct skew_request *request)
{
    bool shaped = request->shape.count != 0;
    int64_t elapsed = shaped ? request->deadline_ns - request->begin_ns : 0;

    return request->deadline_ns != 0 &&
           (__int128)request->offset_ns + shape_difference(&request->shape, elapsed) > 0;
}

uint64_t skew_clocks_ending_ahead(const struct skew_request *request)
{
    return ends_ahead(request) ? request->clocks & steady : 0;
}

uint64_t skew_clocks_set_back(const struct skew_request *request)
{
    bool back = request->offset_ns < 0 || shape_goes_back(&request->shape);

    return back ? request->clocks & steady : 0;
}

enum skew_code clock_shape_check(uint64_t clocks, int64_t offset_ns, const struct shape *shape,
                                 struct clock_shift shift, bool force, struct skew_error *error)
{
    struct shape_extent extent = shape_extent(shape, 0, HEADROOM_NS);

    for (size_t i = 0; i < NAMES_COUNT; i++) {
        const struct clock_name *clock = &names_skewable[i];
        struct timespec now;

        if (!(clocks & SKEW_CLOCK_BIT(clock->id)) || clock_gettime(clock->id, &now) != 0)
            continue;
        __int128 present = (__int128)now.tv_sec * 1000000000 + now.tv_nsec +
                           clock_shift_of(clock->id, shift) + offset_ns;
        bool below = present + extent.lowest < 0;
        if (below || present + extent.highest > INT64_MAX) {
            error_set(error, SKEW_USAGE, 0, 0, "check range",
                      "within a year the skew would take clock %s %s", clock->name,
                      below ? "below 0" : "beyond the year 2262");
            error_advise(error, "take smaller offsets or a slower rate");
            return SKEW_USAGE;
        }
        if (!force && (steady & SKEW_CLOCK_BIT(clock->id)) && shape_goes_back(shape)) {
            error_set(error, SKEW_REFUSED, 0, 0, "check shape",
                      "the skew would make clock %s go back, which programs rely on it never to do",
                      clock->name);
            error_advise(error, "leave it out of the clocks, or use --force");
            return SKEW_REFUSED;
        }
    }
    return SKEW_OK;
}
