/*
 * doctored_journal_test.c - a journal in which somebody has changed what it says
 * of a live injection: which process, which addresses, which bytes, how far it
 * had come. Whatever is asked for then, no byte of a process that is not skewed
 * changes, nor any memory of the skewed one that is not skewctl's; and the
 * skewed one can still be put back.
 */
#include "command.h"
#include "observe.h"
#include "victim.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RANGES_MAX 64
#define CHUNK      65536

/* What every mapping of a process held, but for those that the kernel changes or skewctl patches.
 */
struct contents {
    size_t count;
    struct {
        uint64_t start, end, sum;
    } range[RANGES_MAX];
};

static uint64_t range_sum(int memory, uint64_t start, uint64_t end)
{
    static uint8_t chunk[CHUNK];
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    for (uint64_t at = start; at < end;) {
        size_t size = end - at < CHUNK ? (size_t)(end - at) : CHUNK;
        if (pread(memory, chunk, size, (off_t)at) != (ssize_t)size)
            fail_msg("nothing can be read at %" PRIx64, at);
        for (size_t i = 0; i < size; i++)
            sum = (sum ^ chunk[i]) * UINT64_C(0x100000001b3);
        at += size;
    }
    return sum;
}

static int memory_of(pid_t pid)
{
    int memory = open(harness_format("/proc/%d/mem", pid), O_RDONLY | O_CLOEXEC);
    assert_true(memory >= 0);
    return memory;
}

static struct contents contents_take(pid_t pid)
{
    struct contents contents = {0};
    int memory = memory_of(pid);
    FILE *maps = fopen(harness_format("/proc/%d/maps", pid), "re");
    char line[512], permissions[8];
    uint64_t start, end;
    while (maps && fgets(line, sizeof line, maps)) {
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s", &start, &end, permissions) != 3)
            fail_msg("a row of maps: %s", line);
        if (permissions[0] != 'r' || strstr(line, "[v"))
            continue;
        assert_true(contents.count < RANGES_MAX);
        contents.range[contents.count].start = start;
        contents.range[contents.count].end = end;
        contents.range[contents.count++].sum = range_sum(memory, start, end);
    }
    assert_true(maps && fclose(maps) == 0 && close(memory) == 0);
    return contents;
}

static void contents_expect(const struct contents *before, pid_t pid, const char *after)
{
    int memory = memory_of(pid);
    for (size_t i = 0; i < before->count; i++)
        if (range_sum(memory, before->range[i].start, before->range[i].end) != before->range[i].sum)
            fail_msg("%s: process %d has changed between %" PRIx64 " and %" PRIx64, after, pid,
                     before->range[i].start, before->range[i].end);
    close(memory);
}

/* One that has said that it is ready, and now sleeps until it is asked. */
static struct child *victim_asleep(void)
{
    struct child *victim = victim_start("idle", NULL);
    for (int tries = 0; strncmp(observe_status(victim->pid, victim->pid, "State"), "S", 1);
         tries++) {
        assert_true(tries < 10000);
        harness_sleep_ms(1);
    }
    return victim;
}

static void journal_change(const char *sql)
{
    sqlite3 *database;
    char *message = NULL;
    if (sqlite3_open(skewctl_journal(), &database) != SQLITE_OK ||
        sqlite3_exec(database, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message ? message : sqlite3_errmsg(database));
    assert_int_equal(sqlite3_close(database), SQLITE_OK);
}

static void journal_delete(void)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < 3; i++)
        unlink(harness_format("%s%s", skewctl_journal(), suffixes[i]));
}

/* Everything that goes by the journal; whatever it comes to, within the codes there are. */
static void ask_for(const char *what, pid_t pid)
{
    const char *number = harness_format("%d", pid);
    struct run run = strcmp(what, "recover") == 0 ? skewctl_run(what, "-p", number, NULL)
                     : strcmp(what, "update") == 0
                         ? skewctl_run("inject", "-p", number, "--offset", "+1h", NULL)
                     : strcmp(what, "list") == 0 ? skewctl_run(what, "--all", NULL)
                                                 : skewctl_run("recover", what, NULL);
    if (run.code < 0 || run.code > 7 || run.code == 2)
        fail_msg("%s: code %d, signal %d: %s", what, run.code, run.signal, run.err);
}

/* PLANNED to DRAINING, of journal.h. */
#define PHASES_LIVE 6
static const char *const requests[] = {"list", "--crashed", "recover", "--all"};
#define REQUESTS (sizeof requests / sizeof *requests)

/* The row says that the injection was made in a process that was never touched. */
static void another_process(void **state)
{
    (void)state;
    struct child *victim = victim_asleep(), *bystander = victim_asleep();
    struct snapshot victim_before = snapshot_take(victim->pid);
    struct snapshot before = snapshot_take(bystander->pid);
    struct contents contents = contents_take(bystander->pid);
    struct keep *mark = harness_mark();
    for (int phase = 0; phase < PHASES_LIVE; phase++) {
        for (size_t i = 0; i < REQUESTS; i++) {
            skewctl_inject(victim->pid, "-5m");
            size_t size;
            const char *stat =
                harness_file_read(harness_format("/proc/%d/stat", bystander->pid), &size);
            uint64_t start;
            /* Field 22, counted from the third, which follows the last parenthesis: proc(5). */
            const char *at = strrchr(stat, ')') + 1;
            for (int field = 3; field <= 22; field++)
                at = strchr(at + 1, ' ');
            while (*--at != ' ') {
            }
            assert_int_equal(sscanf(at, "%" SCNu64, &start), 1);
            journal_change(harness_format("UPDATE injections SET pid = %d, start_time = %" PRIu64
                                          ", phase = %d WHERE phase < 6",
                                          bystander->pid, start, phase));
            const char *what = harness_format("phase %d, %s", phase, requests[i]);
            ask_for(requests[i], bystander->pid);
            contents_expect(&contents, bystander->pid, what);
            snapshot_expect(&before, bystander->pid);
            journal_delete();
            /* Unless it was found to carry the image of that row, and put back. */
            ask_for("recover", victim->pid);
            snapshot_expect(&victim_before, victim->pid);
            harness_release(mark);
        }
    }
}

/* Of the skewed process, at those addresses and with those bytes. */
static void other_places(void **state)
{
    (void)state;
    struct child *victim = victim_asleep();
    struct snapshot before = snapshot_take(victim->pid);
    struct contents contents = contents_take(victim->pid);
    /* The program's own text, and its last readable mapping: the stack. */
    uint64_t text = contents.range[1].start, stack = contents.range[contents.count - 1].start;
    static const char *const columns[] = {"image_address", "image_size",   "vdso_address",
                                          "vdso_size",     "stub_address", "stub_size"};
    struct keep *mark = harness_mark();
    for (size_t c = 0; c < sizeof columns / sizeof *columns; c++) {
        for (int phase = 1; phase < PHASES_LIVE; phase++) {
            const char *request = phase % 2 ? "recover" : "--all";
            uint64_t value = phase % 3 == 0 ? 0 : phase % 3 == 1 ? text : stack;
            skewctl_inject(victim->pid, "-5m");
            journal_change(harness_format("UPDATE injections SET %s = %" PRIu64
                                          ", phase = %d WHERE phase < 6",
                                          columns[c], value, phase));
            const char *what =
                harness_format("%s = %" PRIx64 ", phase %d, %s", columns[c], value, phase, request);
            ask_for("update", victim->pid);
            contents_expect(&contents, victim->pid, what);
            ask_for(request, victim->pid);
            contents_expect(&contents, victim->pid, what);
            journal_delete();
            ask_for("recover", victim->pid);
            contents_expect(&contents, victim->pid, what);
            snapshot_expect(&before, victim->pid);
            harness_release(mark);
        }
    }
}

static void other_bytes(void **state)
{
    (void)state;
    struct child *victim = victim_asleep();
    struct snapshot before = snapshot_take(victim->pid);
    struct contents contents = contents_take(victim->pid);
    const char *const changes[] = {
        harness_format("UPDATE patches SET address = %" PRIu64, contents.range[1].start),
        "UPDATE patches SET original = zeroblob(16)",
        "UPDATE patches SET length = 16",
        "DELETE FROM patches",
        "UPDATE registers SET content = zeroblob(216)",
        "UPDATE injections SET image_id = zeroblob(16)",
        "UPDATE vdso SET content = zeroblob(length(content))",
        "UPDATE injections SET offset_ns = 9223372036854775807, clocks = -1",
    };
    struct keep *mark = harness_mark();
    for (size_t c = 0; c < sizeof changes / sizeof *changes; c++) {
        for (int phase = 1; phase < PHASES_LIVE; phase++) {
            skewctl_inject(victim->pid, "-5m");
            journal_change(harness_format("%s; UPDATE injections SET phase = %d WHERE phase < 6",
                                          changes[c], phase));
            const char *what = harness_format("%s, phase %d", changes[c], phase);
            ask_for(phase % 2 ? "recover" : "--all", victim->pid);
            contents_expect(&contents, victim->pid, what);
            journal_delete();
            ask_for("recover", victim->pid);
            snapshot_expect(&before, victim->pid);
            harness_release(mark);
        }
    }
}

/* The kernel keeps the number of a thread's processor in its memory: struct rseq, rseq(2). */
static bool share_one_processor(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(sched_getcpu(), &set);
    return sched_setaffinity(0, sizeof set, &set) == 0;
}

int main(void)
{
    if (!share_one_processor())
        return 1;
    const struct CMUnitTest tests[] = {
        harness_test(another_process),
        harness_test(other_places),
        harness_test(other_bytes),
    };
    return cmocka_run_group_tests_name("doctored journal", tests, NULL, NULL);
}
