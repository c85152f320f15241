/*
 * skewctl.h - the public interface of the engine: shift the clock that one
 * running process sees, and put everything back.
 *
 * The engine never prints, never exits and keeps no global state. Every
 * fallible function returns an enum skew_code and, where that is not SKEW_OK,
 * fills the struct skew_error it was given. The command line is one user of
 * this header; any other program may be another.
 *
 * A struct skew_engine may be used by one thread at a time. Different engines
 * may be used at once, also on one process: they take turns. The engine attaches
 * with ptrace(2) from a thread of its own that ends with each operation, so a
 * caller's own tracees are not disturbed. While an operation runs, no other
 * thread of the program may wait for just any child (waitpid(2) with -1): it
 * would take the engine's stops away.
 */
#ifndef SKEWCTL_H
#define SKEWCTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine/shape.h"

/* What an operation came to. The values are the exit codes of the command. */
enum skew_code {
    SKEW_OK = 0,
    SKEW_FAILED = 1,        /* tried and undone, or state unknown: the error says which */
    SKEW_USAGE = 2,         /* the request makes no sense for any target */
    SKEW_REFUSED = 3,       /* refused before anything was touched */
    SKEW_NOT_FOUND = 4,     /* no such process or injection */
    SKEW_NOT_PERMITTED = 5, /* the caller may not do this to that process or file */
    SKEW_PARTIAL = 6,       /* some targets done, some not (set by callers that loop) */
    SKEW_DRAINING = 7,      /* clocks restored, image kept for now; recover again later */
};

/*
 * An error as a value. `operation` is a string literal that names what was
 * attempted; `errnum` is 0 where no system call failed. `message` is one line
 * for a person: what and why. `advice` says what to do, and may be empty.
 */
struct skew_error {
    enum skew_code code;
    pid_t pid;
    pid_t tid;
    int errnum;
    const char *operation;
    bool journal; /* it is the journal that failed, not the target */
    char message[320];
    char advice[200];
};

/* States of an injection as a person understands them. */
enum skew_state {
    SKEW_STATE_PLANNED,   /* journalled; not, or only partly, in place */
    SKEW_STATE_ACTIVE,    /* the target sees the skewed clock */
    SKEW_STATE_EXPIRED,   /* its deadline has passed: the clock is true again, all else in place */
    SKEW_STATE_DRAINING,  /* the clock is true again, the image is still mapped */
    SKEW_STATE_RECOVERED, /* put back, byte for byte */
    SKEW_STATE_GONE,      /* the process exited or was replaced by exec */
    SKEW_STATE_FAILED,    /* the injection was undone */
};

/* The clocks: a set of bits, one per clockid_t of clock_gettime(2). */
#define SKEW_CLOCK_BIT(id) (UINT64_C(1) << (id))

/* REALTIME, REALTIME_COARSE and TAI; gettimeofday and time follow REALTIME. */
uint64_t skew_clocks_default(void);

/*
 * Parses "realtime,monotonic_coarse" into a set. SKEW_USAGE where a name is
 * unknown or names a clock that measures work rather than time.
 */
enum skew_code skew_clocks_parse(const char *names, uint64_t *clocks, struct skew_error *error);

/* Writes the names of a set, comma separated; always terminated. Returns buffer. */
const char *skew_clocks_format(uint64_t clocks, char *buffer, size_t size);

/* Which processes are meant. */
enum skew_select_kind {
    SKEW_SELECT_PID,
    SKEW_SELECT_TREE,      /* a process and its descendants */
    SKEW_SELECT_CGROUP,    /* all of a cgroup and of those below it */
    SKEW_SELECT_CONTAINER, /* by id, or the beginning of one */
    SKEW_SELECT_PIDNS,     /* all in the pid namespace of a process, or in one made within it */
};
struct skew_selector {
    enum skew_select_kind kind;
    pid_t pid;        /* of SKEW_SELECT_PID, _TREE and _PIDNS */
    const char *name; /* of the others: a path of cgroups(7), an id */
};

/*
 * The union of what the selectors name, parents before their children. *pids is
 * an array for free(3). SKEW_NOT_FOUND where one of them names nobody;
 * SKEW_USAGE where an id is ambiguous; without `force`, SKEW_REFUSED for the
 * pid namespace of the caller, which is the whole system.
 */
enum skew_code skew_select(const struct skew_selector *selectors, size_t selector_count, bool force,
                           pid_t **pids, size_t *count, struct skew_error *error);

struct skew_request {
    int64_t offset_ns; /* what is added to the true time, in nanoseconds */
    uint64_t clocks;   /* 0 stands for skew_clocks_default() */
    /*
     * When the skew ends by itself, in nanoseconds of the true CLOCK_REALTIME, also if
     * no skewctl is there to see it; 0 for never. What that is on the other clocks is
     * settled when it is set (engine/deadline.h).
     */
    int64_t deadline_ns;
    /*
     * What is added besides the offset (engine/shape.h), and when it began, in nanoseconds of
     * the true CLOCK_REALTIME, so that it is the same in all targets; 0 where there is none.
     */
    struct shape shape;
    int64_t begin_ns;
    char profile[64]; /* what list is to call all that; empty for nothing */
    /*
     * How much of the difference to the skew so far goes in a true nanosecond, in 2^-64; 0 for
     * all of it at once. Then 0 for `clocks` stands for those that are skewed already, if any.
     */
    uint64_t slew_pace;
    bool fresh_at_once; /* whose clocks nobody has read yet, a new program, is not slewed */
    bool may_go_back;   /* a clock that never does otherwise; `force` allows it, too */
    bool force;         /* go on where only a safety catch (pid 1, CAP_SYS_TIME) refuses */
    bool dry_run;       /* look and decide, change nothing, journal nothing */
};

/*
 * The clocks of the request that go back with it, though they never do otherwise: the monotonic
 * and boot time ones. With a negative offset they do once, when it comes into force.
 */
uint64_t skew_clocks_set_back(const struct skew_request *request);
/* Those of them that are ahead when the skew ends by itself, and go back then. */
uint64_t skew_clocks_ending_ahead(const struct skew_request *request);

/* An offset measured in the target: skewed minus true, true within +-uncertainty. */
struct skew_measurement {
    bool valid;
    int64_t offset_ns;
    int64_t uncertainty_ns;
};

/* What is mapped into the process, and into each child that it forks; all zero where unknown. */
struct skew_image {
    uint8_t id[16];
    uint64_t address;
    uint64_t vdso_address; /* of all that have it */
};

/* One injection, as list shows it and as inject and recover report it. */
struct skew_report {
    int64_t id; /* the journal's number; 0 where there is no row */
    pid_t pid;
    bool inherited; /* the process has its image from a fork, and no inject of its own */
    int64_t parent; /* then the injection that the image belongs to; 0 where unknown */
    struct skew_image image;
    int64_t group;      /* the group it is a member of; 0 for none */
    pid_t follower;     /* list: the skewctl that follows that group; 0 for none */
    bool follower_lost; /* list: the group was to be followed, and is no more */
    char command[64];
    uint64_t clocks;
    int64_t offset_ns;
    struct shape shape;   /* besides the offset */
    int64_t begin_ns;     /* CLOCK_REALTIME, when the shape began; 0 where there is none */
    char profile[64];     /* as the request had it */
    int64_t slew_left_ns; /* true time until all clocks show that; 0: they do */
    int64_t slew_rest_ns; /* and how much further the last of them is now */
    /* The slew of the clock that takes longest, also when it is over; the pace is 0 for none. */
    uint64_t slew_pace;      /* as in the request */
    int64_t slew_amount_ns;  /* how much further the clock was until it began, */
    int64_t slew_sliding_ns; /* at which CLOCK_REALTIME, to slide to nothing */
    int64_t deadline_ns;     /* CLOCK_REALTIME, when it ends, or ended, by itself; 0 for never */
    enum skew_state state;
    int64_t created_ns; /* CLOCK_REALTIME; 0 where unknown */
    int64_t changed_ns;
    bool unfinished;      /* list: some skewctl was interrupted here, or is at work right now */
    bool updated;         /* inject found the process injected and changed the skew in place */
    bool dry_run;         /* nothing was done: this is what would be */
    unsigned threads;     /* threads of the target when it was looked at */
    int64_t pause_ns;     /* longest time for which any thread was held; 0 if none was */
    int64_t switch_ns;    /* in which all members of the group got their skew; 0 if it is of none */
    unsigned interrupted; /* finite waits that may have seen EINTR because of the stop */
    struct skew_measurement clock_gettime;
    struct skew_measurement gettimeofday;
    struct skew_measurement time;
    char note[200]; /* a sentence for the user, or empty */
};

struct skew_engine_options {
    const char *journal_path; /* NULL: the default place, see journal.h */
    /*
     * Opens even where the journal cannot be used. Then skew_recover() goes by what the
     * process itself shows, skew_inject() returns what is wrong with the journal,
     * and nothing is listed or found by id.
     */
    bool journal_optional;
    /*
     * Where a seccomp filter of a target forbids a call that is needed, have the
     * kernel suspend the filter for it (PTRACE_O_SUSPEND_SECCOMP; takes
     * CAP_SYS_ADMIN) rather than refuse. Not safe against the death of the program
     * that uses the engine: if it dies while the call runs, the filter judges it.
     */
    bool suspend_seccomp;
};

struct skew_engine;

/* Opens the journal, creating it where needed. The engine is the caller's to close. */
enum skew_code skew_engine_open(const struct skew_engine_options *options,
                                struct skew_engine **engine, struct skew_error *error);
void skew_engine_close(struct skew_engine *engine);

/*
 * Skews the clocks of one process, or changes the skew of one that already is.
 * First finishes what an interrupted skewctl left behind in it. On any failure
 * the process is as it was before, unless the error says otherwise.
 */
enum skew_code skew_inject(struct skew_engine *engine, pid_t pid,
                           const struct skew_request *request, struct skew_report *report,
                           struct skew_error *error);

/*
 * Slews the clocks of an injected process to the true time at that pace (struct skew_request);
 * it goes on when this has returned. The report tells how long it takes: then
 * skew_recover() is no jump. A process that is injected only in part, or whose clocks
 * are true, is left to that. With `dry_run` nothing is done but to tell. SKEW_NOT_FOUND where it
 * is not injected.
 */
enum skew_code skew_slew_back(struct skew_engine *engine, pid_t pid, uint64_t pace, bool dry_run,
                              struct skew_report *report, struct skew_error *error);

/*
 * SKEW_REFUSED where what execvp(3) would execute for that name cannot be run skewed: a
 * 32-bit program, or one that gets rights from its file, which a traced process does not.
 */
enum skew_code skew_run_check(const char *command, struct skew_error *error);

/* How those are skewed who are born, execute another program or join later. */
enum skew_follow_mode {
    SKEW_FOLLOW_NONE,  /* or: as the group was followed before */
    SKEW_FOLLOW_WATCH, /* from outside, tracing nobody */
    SKEW_FOLLOW_EXACT, /* attached to all: what they execute is skewed before it begins */
};

/* A process that is about to execute a program, which is to be skewed from its beginning. */
struct skew_run {
    pid_t pid;
    const char *command; /* its name, for the group's row */
    struct skew_request request;
    enum skew_follow_mode follow; /* whether what it and its descendants execute is, too */
    /* Each may be NULL, and is called on a thread of the engine's own. */
    void (*attached)(void *context); /* now it may call execve(2) */
    void (*refused)(void *context, const struct skew_report *report,
                    const struct skew_error *error); /* a program could not be skewed */
    void *context;
};

/*
 * Attaches to the process, waits until it has executed a program, and skews that before
 * its first instruction. Then it lets it go, but with SKEW_FOLLOW_EXACT, and a program that
 * cannot be skewed is ended before it begins, with the code as its exit status.
 * SKEW_NOT_FOUND where the process ended without having executed anything. SIGCHLD must not
 * be ignored.
 *
 * With SKEW_FOLLOW_WATCH the program is the first member of a group, for skew_follow() to go
 * on with.
 *
 * With SKEW_FOLLOW_EXACT it makes a group of all programs that the process and its
 * descendants execute, which go on unskewed where they cannot be skewed, and stays attached
 * until nobody is left, the group is recovered, its deadline has passed, or SIGINT, SIGTERM
 * or SIGHUP comes: then they run on, skewed and not followed. With both, no other thread of
 * the program may take these signals, nor SIGUSR1.
 */
struct skew_run_end {
    int64_t group; /* 0 where there is none */
    int signal;    /* that ended the following, or kept it from beginning; else 0 */
    bool over;     /* its deadline has passed; all were put back */
};
enum skew_code skew_run(struct skew_engine *engine, const struct skew_run *run,
                        struct skew_report *report, struct skew_run_end *end,
                        struct skew_error *error);

/*
 * Puts one process back, by pid or by the id of an injection. By pid that works
 * also where the journal fails: the image says all that is needed, and the note
 * of the report says that the journal does not know. SKEW_OK also for an injection
 * that has ended but left children: skew_recover_inherited() is for those.
 */
enum skew_code skew_recover(struct skew_engine *engine, pid_t pid, struct skew_report *report,
                            struct skew_error *error);
enum skew_code skew_recover_id(struct skew_engine *engine, int64_t id, struct skew_report *report,
                               struct skew_error *error);

/*
 * Recovery after a crash, of one injection by its id: where a skewctl was interrupted,
 * its inject is undone, its update completed with whichever skew is in force, and its
 * recover, or one that waited for a thread, completed. An injection that is
 * whole, or has ended meanwhile, is left alone, which is SKEW_OK too.
 */
enum skew_code skew_recover_crashed(struct skew_engine *engine, int64_t id,
                                    struct skew_report *report, struct skew_error *error);

/*
 * Recovers every injection whose deadline has passed. Calls `failed`, unless it is NULL,
 * for each that could not be, which stays as it is: its clock is true all the same.
 * Cheap where there is none. SKEW_FAILED and the like only where the journal fails.
 */
typedef void skew_expired_failed(void *context, const struct skew_report *report,
                                 const struct skew_error *error);
enum skew_code skew_recover_expired(struct skew_engine *engine, skew_expired_failed *failed,
                                    void *context, struct skew_error *error);

/*
 * Forked children. A child inherits the image of its parent, and reads the same skewed
 * clocks; skew_list() shows it. The functions above work on one process only. These
 * two work on those who inherited an image, also where the parent has exited or
 * the child was forked while an operation ran, and begin again until a look at
 * all processes finds no more. A child that got an inject of its own is left to
 * itself. *outcomes, one for each child, is an array for free(3). The code
 * returned is SKEW_OK where all was done, also if there was nothing to do, and else of
 * the outcomes as skewctl(8) says, or of what kept them from being looked for.
 */
struct skew_outcome {
    enum skew_code code;
    struct skew_report report;
    struct skew_error error; /* where the code is not SKEW_OK */
};
enum skew_inherited {
    SKEW_INHERITED_OF,      /* from the processes of the reports given, by skew_recover() and the
                               like; and where no other injection of that image is in place */
    SKEW_INHERITED_ALL,     /* of any image of this journal */
    SKEW_INHERITED_CRASHED, /* where a skewctl was interrupted, or was at work when they forked */
};
enum skew_code skew_recover_inherited(struct skew_engine *engine, enum skew_inherited which,
                                      const struct skew_report *parents, size_t parent_count,
                                      struct skew_outcome **outcomes, size_t *count,
                                      struct skew_error *error);
/* After skew_inject() changed the skew of these processes: their children get it as well. */
enum skew_code skew_update_inherited(struct skew_engine *engine, const struct skew_request *request,
                                     const struct skew_report *parents, size_t parent_count,
                                     struct skew_outcome **outcomes, size_t *count,
                                     struct skew_error *error);

/*
 * Groups: processes that are skewed, and put back, together. All members get an image that
 * changes nothing first; then one byte is written into each, so that their clocks
 * disagree for as long as that takes. A group can be recovered as a unit by its id, by
 * the same selectors, also if they name nobody any more, or each member by itself.
 *
 * Children that are forked between the preparation and the switch, or during a recover, are
 * up to the two functions above, with the reports of the members.
 * A program that uses groups needs three descriptors (RLIMIT_NOFILE) for each member.
 */
struct skew_progress {
    /* After each process, on the caller's thread. False asks to end: what was begun is undone. */
    bool (*step)(void *context, size_t done, size_t count);
    void *context;
};
struct skew_group_result {
    int64_t group; /* 0 where there is none */
    struct skew_outcome
        *outcomes; /* one for each process that did not exit meanwhile; for free(3) */
    size_t count;
    bool undone;      /* inject: nobody is skewed, since some could not be */
    bool interrupted; /* because the progress function said so */
};

/*
 * Skews all that the selectors name now: all, or with `partial` all but those that cannot be;
 * that is SKEW_PARTIAL. Where a live group was made with the same selectors it is this group
 * that gets the new skew, and the new members. A process that is a member of another
 * group or injected by itself becomes a member of this one.
 */
enum skew_code skew_group_inject(struct skew_engine *engine, const struct skew_selector *selectors,
                                 size_t selector_count, const struct skew_request *request,
                                 bool partial, const struct skew_progress *progress,
                                 struct skew_group_result *result, struct skew_error *error);

/*
 * Gives the members of a live group another skew, and those who join it later if it is followed;
 * nobody is added. request->dry_run is not for this.
 */
enum skew_code skew_group_update_id(struct skew_engine *engine, int64_t group,
                                    const struct skew_request *request,
                                    const struct skew_progress *progress,
                                    struct skew_group_result *result, struct skew_error *error);

/* Puts back all that the selectors name, and a group that was made with them. */
enum skew_code skew_group_recover(struct skew_engine *engine, const struct skew_selector *selectors,
                                  size_t selector_count, const struct skew_progress *progress,
                                  struct skew_group_result *result, struct skew_error *error);
enum skew_code skew_group_recover_id(struct skew_engine *engine, int64_t group,
                                     const struct skew_progress *progress,
                                     struct skew_group_result *result, struct skew_error *error);
/*
 * Recovery after a crash: a group whose inject was interrupted is put back, one whose switch or
 * update was gets its skew, and one whose recover was is recovered. One that is whole, has
 * ended or is being worked on is left alone; then there are no outcomes.
 */
enum skew_code skew_group_recover_crashed(struct skew_engine *engine, int64_t group,
                                          const struct skew_progress *progress,
                                          struct skew_group_result *result,
                                          struct skew_error *error);

/* The ids of the groups that were to be followed, and whose follower has died. */
enum skew_code skew_group_list_lost(struct skew_engine *engine, int64_t **ids, size_t *count,
                                    struct skew_error *error);

/* The ids of the groups that have not ended. *ids is an array for free(3). */
enum skew_code skew_group_list(struct skew_engine *engine, int64_t **ids, size_t *count,
                               struct skew_error *error);

/*
 * The injections, newest last, each with those who inherited its image behind it: those
 * not ended, or with `history` all. Each is checked against the live process.
 * *reports is an array for free(3).
 */
enum skew_code skew_list(struct skew_engine *engine, bool history, struct skew_report **reports,
                         size_t *count, struct skew_error *error);

/*
 * Watching: what the clocks of a skewed process show, without stopping it or writing into it;
 * needs no journal. A sample is what clock_gettime(2) in the process would return, from
 * the parameters in force there (engine/image.h) and this machine's clocks, in nanoseconds.
 */
struct skew_reading {
    clockid_t clock;
    bool known;  /* else this kernel has no such clock, or its time namespace is not to be seen */
    bool skewed; /* it is one of the skewed, and its skew has not ended */
    int64_t true_ns;  /* what it would show without the skew, in the process's time namespace */
    int64_t shown_ns; /* exactly what it shows where the true reading is that */
};
#define SKEW_READINGS_MAX 12
struct skew_sample {
    /* As from skew_list(), but for what the journal alone knows. Where the state is neither
       ACTIVE nor EXPIRED the watch is over, there are no readings, and the note says why; else what
       a slew does. */
    struct skew_report report;
    int64_t now_ns;    /* the true CLOCK_REALTIME */
    int64_t spread_ns; /* all was read within this; the same skew was in force throughout */
    size_t count;
    struct skew_reading readings[SKEW_READINGS_MAX]; /* by ascending clockid_t */
};
struct skew_sampler;

/* SKEW_NOT_FOUND where there is no such process, or it is not skewed by skewctl. */
enum skew_code skew_sampler_open(pid_t pid, struct skew_sampler **sampler,
                                 struct skew_error *error);
/*
 * Reads these clocks; of 0, those that are skewed and CLOCK_REALTIME. If the process executes
 * another program and that is skewed, too, the next sample is of that one. SKEW_OK also for
 * the end of the watch; SKEW_FAILED where the process could not be looked at for now.
 */
enum skew_code skew_sampler_take(struct skew_sampler *sampler, uint64_t clocks,
                                 struct skew_sample *sample, struct skew_error *error);
/* For poll(2): readable once the process has exited. -1 before Linux 5.3. */
int skew_sampler_descriptor(const struct skew_sampler *sampler);
void skew_sampler_close(struct skew_sampler *sampler); /* NULL does nothing */

/*
 * Following a group: processes that come to belong to it, and those of it that execute
 * another program, get its skew. Runs until the group has no members any more, is recovered,
 * or SIGINT, SIGTERM or SIGHUP comes: then it stays skewed and can be followed again, as it
 * can if this program dies. Uses SIGUSR1 (engine/follower.h); no other thread of the program
 * may take these signals. SKEW_REFUSED where the group is followed already.
 */
struct noticer;
enum skew_follow_way { SKEW_FOLLOWS_TOLD, SKEW_FOLLOWS_POLLING, SKEW_FOLLOWS_ATTACHED };
struct skew_follow {
    enum skew_follow_mode mode;
    bool force;              /* as in struct skew_request, for those who come */
    struct noticer *notices; /* of skew_notices_open; SKEW_FOLLOW_EXACT needs none */
    /* Each may be NULL; called on one thread, the caller's or the engine's own. */
    void (*ready)(void *context, enum skew_follow_way way); /* from now on */
    void (*injected)(void *context, const struct skew_report *report, int64_t after_ns);
    void (*refused)(void *context, const struct skew_report *report,
                    const struct skew_error *error); /* it goes on unskewed */
    void *context;
};
enum skew_follow_end {
    SKEW_FOLLOW_ALONE,     /* there are no members any more; the group has ended */
    SKEW_FOLLOW_RECOVERED, /* by another, or another follows it */
    SKEW_FOLLOW_EXPIRED,   /* its deadline has passed; the members were put back */
    SKEW_FOLLOW_SIGNAL,    /* *signal */
};
enum skew_code skew_follow(struct skew_engine *engine, int64_t group,
                           const struct skew_follow *follow, enum skew_follow_end *end, int *signal,
                           struct skew_error *error);

/*
 * Notices of processes: opened before a group is injected, so that nobody who comes meanwhile
 * is missed. By the kernel, or where it does not tell this process, or with `polling`, by
 * looking at /proc. Gives up CAP_NET_ADMIN. May be used after fork(2), by one process.
 */
enum skew_code skew_notices_open(bool polling, struct noticer **notices, struct skew_error *error);
void skew_notices_close(struct noticer *notices); /* NULL does nothing */

/* Who changed a process's vDSO. */
enum skew_origin {
    SKEW_ORIGIN_SKEWCTL,
    SKEW_ORIGIN_CHAOS_MESH, /* Chaos Mesh, chaosd or watchmaker: they leave the same bytes */
    SKEW_ORIGIN_UNKNOWN,
};

/* A process whose vDSO is not as the kernel made it, or that still has an image of skewctl. */
struct skew_trace {
    pid_t pid;
    char command[64];
    enum skew_origin origin;
    int64_t id;    /* of the injection in this journal; 0 where there is none */
    bool in_force; /* a whole injection, of this journal or another */
    bool repaired; /* by skew_repair */
    char detail[160];
};

/*
 * Looks at one process, or with pid 0 at every process of the machine; stops
 * and changes none. *traces is an array for free(3). *unreadable tells of the
 * processes that the caller may not look at.
 */
struct skew_unreadable {
    size_t count;
    pid_t first;
    char advice[200]; /* what to do about that one, or empty */
};
enum skew_code skew_scan(struct skew_engine *engine, pid_t pid, struct skew_trace **traces,
                         size_t *count, struct skew_unreadable *unreadable,
                         struct skew_error *error);

/*
 * Puts the kernel's own bytes back into one process. SKEW_REFUSED for an
 * injection in force, which skew_recover ends, and for changes of unknown make.
 */
enum skew_code skew_repair(struct skew_engine *engine, pid_t pid, struct skew_trace *trace,
                           struct skew_error *error);

const char *skew_origin_name(enum skew_origin origin);

/* One finding of doctor. */
enum skew_verdict { SKEW_VERDICT_OK, SKEW_VERDICT_WARNING, SKEW_VERDICT_REFUSED };
struct skew_check {
    char subject[32]; /* "vdso", "privileges", "seccomp", ... */
    enum skew_verdict verdict;
    char detail[256];
};

/*
 * What this kernel and these privileges allow, and with pid != 0 what would
 * happen to that target. Stops nothing, writes nothing, needs no journal.
 * *checks is an array for free(3).
 */
enum skew_code skew_doctor(pid_t pid, struct skew_check **checks, size_t *count,
                           struct skew_error *error);

/* What a skew does to a thing found in a process. */
enum skew_follows {
    SKEW_FOLLOWS_YES,         /* it goes by the skewed clock */
    SKEW_FOLLOWS_NO,          /* it goes by the true one, whatever is injected */
    SKEW_FOLLOWS_UNCONCERNED, /* it is the same with a skew as without */
    SKEW_FOLLOWS_UNKNOWN,     /* not to be seen from outside, or not readable */
};

/* How a wait or a timer was given its end. */
enum skew_timer_mode {
    SKEW_TIMER_NONE,     /* it is no timer */
    SKEW_TIMER_ABSOLUTE, /* as a time of a clock */
    SKEW_TIMER_RELATIVE, /* as a length of time */
    SKEW_TIMER_UNKNOWN,  /* the kernel does not show it */
};

/* One finding of an inspection. */
struct skew_finding {
    const char *subject; /* a literal: "vdso", "wait", "timerfd", "timer", "counter", ... */
    bool clocked;        /* it goes by a clock, */
    clockid_t clock;     /* which is this */
    enum skew_timer_mode mode;
    enum skew_follows follows;
    size_t count;   /* of threads, timers, places; 0 where nothing is counted */
    bool due_known; /* it ends, or the first of them does, */
    int64_t due_ns; /* in so many nanoseconds; below 0 where it is about to */
    char found[320];
    const char *meaning; /* for a skew: a literal */
};

/*
 * What of a process a skew will move and what not, so far as it can be seen from outside:
 * its waits, its timers, how its code reads clocks, what stands in the way. Stops nothing,
 * writes nothing, needs no journal; takes some seconds at most. *findings is an array for
 * free(3). SKEW_NOT_PERMITTED where the caller may not look into the process; what
 * else cannot be seen is a finding that says so.
 */
enum skew_code skew_inspect(pid_t pid, char command[64], struct skew_finding **findings,
                            size_t *count, struct skew_error *error);
/* Only waits and timers, and of a large process only some of them: takes milliseconds. */
enum skew_code skew_glance(pid_t pid, struct skew_finding **findings, size_t *count,
                           struct skew_error *error);

/* The name of its clock; "" where it has none. */
const char *skew_finding_clock(const struct skew_finding *finding);
/*
 * True for a wait or timer that will not, or perhaps not, be moved by a skew of these clocks
 * although it goes by one of them. 0 stands for skew_clocks_default().
 */
bool skew_finding_concerns(const struct skew_finding *finding, uint64_t clocks);

/*
 * Drops every capability of the calling thread that no operation needs, so
 * call it before other threads exist (capabilities(7): they are per thread).
 * A program that was given more rights than its caller, by its file's mode or
 * capabilities, gives up all of them and goes on as its caller: call it then
 * before a file is opened, or a name taken from the environment. One that `follows`
 * keeps CAP_NET_ADMIN until skew_notices_open().
 */
enum skew_code skew_privileges_drop(bool follows, struct skew_error *error);
/* Only the second half of that, for a program that will execute another for its caller. */
enum skew_code skew_privileges_return(struct skew_error *error);

const char *skew_state_name(enum skew_state state);

#endif
