/*
 * private.h - what the operations of the engine share: the engine itself and
 * the look at a target that comes before every touch.
 */
#ifndef SKEWCTL_ENGINE_PRIVATE_H
#define SKEWCTL_ENGINE_PRIVATE_H

#include "engine/image.h"
#include "engine/maps.h"
#include "engine/permit.h"
#include "engine/skewctl.h"
#include "engine/stop.h"
#include "engine/target.h"
#include "engine/vdso.h"
#include "journal/journal.h"

struct census;

struct skew_engine {
    struct journal *journal;
    struct skew_error unusable; /* code not SKEW_OK: why `journal` is one in memory alone */
    struct vdso vdso;           /* pristine */
    bool suspend_seccomp;
    int64_t group;                   /* of which new injections are; 0 for none */
    const struct skew_request *back; /* what skew_slew_back() asks for, while it runs */
    struct census *census;           /* census.h, while many are worked on; else NULL */
};

/*
 * For an undo that the journal would prevent: a journal in memory takes its place
 * until the end. The process and its image say all that is needed (P3), and that
 * every instant is safe to die in rests on the stub alone (P1). Returns the one to
 * give back to the end, or NULL where that could not be done.
 */
struct journal *journal_spare_begin(struct skew_engine *engine);
void journal_spare_end(struct skew_engine *engine, struct journal *kept);

/* What a process turned out to be. */
enum situation {
    SITUATION_CLEAN,    /* no trace of skewctl */
    SITUATION_INJECTED, /* every entry leads to a whole image */
    SITUATION_PARTIAL,  /* traces of skewctl, but not all: something was interrupted */
    SITUATION_FOREIGN,  /* somebody else changed the vDSO */
};

/* A look at a process without stopping it. */
struct look {
    struct target target;
    struct census *census; /* that of the engine */
    struct maps maps;
    uint64_t vdso_address;
    uint8_t live[VDSO_SIZE_MAX]; /* its vDSO */
    int memory; /* read-only, of the program looked at: dead once exec replaced it */
    struct vdso_difference difference;
    enum situation situation;
    bool image_found; /* a header that passed every check */
    uint64_t image_address;
    struct image_header header;
    bool skewed;            /* every entry leads into the image, */
    struct image_skew skew; /* and this is in force */
};

/*
 * Looks. SKEW_REFUSED for a process that has no memory of its own or no vDSO
 * that could be skewed. `hint` is an image address from the journal, or 0.
 */
enum skew_code look_open(const struct vdso *vdso, pid_t pid, uint64_t hint, struct look *look,
                         struct skew_error *error);
void look_close(struct look *look);
/*
 * True if the process still runs the program looked at, with the same header in
 * its image, and `memory` is of that program. May be used during a stop.
 */
bool look_same_program(const struct look *look, const struct vdso *vdso, int memory);
/* The same, and not a byte of its vDSO has changed since. */
bool look_holds(const struct look *look, const struct vdso *vdso, int memory);

/* The parameters of an image, through a descriptor of memory.h. */
bool look_parameters_read(int memory, uint64_t image, struct image_skew *skew,
                          uint8_t parameters[IMAGE_PARAMETERS_SIZE]);

/*
 * Reasons not to touch a process, whatever is asked: it is being traced, is
 * this program, is not 64-bit, ... (step 1 of an inject). SKEW_OK if none.
 */
enum skew_code look_touchable(const struct look *look, struct skew_error *error);
/* Those of them that stand in the way of stopping it. */
enum skew_code look_stoppable(const struct look *look, bool calls, struct skew_error *error);
/* The machine's own init process is refused unless forced, also where it may not be looked at. */
enum skew_code look_init(pid_t pid, bool force, struct skew_error *error);
/* Further reasons not to skew it; `force` takes away the safety catches. */
enum skew_code look_skewable(const struct look *look, bool force, struct skew_error *error);

/*
 * Attaches to the thread that shall make the remote calls, one that is held
 * most harmlessly, and opens the target's memory through it. It is not stopped.
 * Tries another where the thread exits first. *busy says that no thread waits:
 * a caller that has to share its processor with the others takes long over a
 * call, so these had better be stopped before it.
 */
enum skew_code caller_seize(struct tracer *tracer, struct tracee **caller, bool *busy,
                            struct skew_error *error);

/*
 * Stops it in a place from which it can make calls: in 64-bit code, outside the
 * scanner's ranges, with no dispatcher for its own system calls.
 */
struct scanner;
enum skew_code caller_stop(struct scanner *scanner, struct tracee *caller,
                           struct skew_error *error);

/*
 * SKEW_REFUSED where not all that runs in the target's memory could be stopped, or,
 * where it is to make `calls`, no thread of it may. Takes at most 200 ms on an idle
 * machine.
 */
enum skew_code stoppable_check(const struct target *target, struct census *census, bool calls,
                               struct skew_error *error);

/*
 * A process that is no thread of the target but shares its memory (vfork(2), or
 * clone(2) with CLONE_VM), and so would run on while the target is stopped; or 0. The
 * census is asked first; it may be NULL.
 */
enum skew_code sharer_find(const struct target *target, struct census *census, pid_t *sharer,
                           struct skew_error *error);
/* True if the two share their memory; false also where the kernel does not tell. */
bool memory_shared(pid_t one, pid_t other);
/*
 * False for a kernel thread, and for a process that is exiting: memory_shared() takes all
 * that have no memory for the same.
 */
bool memory_present(pid_t pid);

/*
 * SKEW_REFUSED where a limit would keep the target from mapping an image of `size`
 * bytes, of which `data_size` are writable.
 */
enum skew_code room_check(const struct look *look, size_t size, size_t data_size,
                          struct skew_error *error);
/* True if whether it can is up to mlockall(2), of which nothing is to be seen. */
bool room_doubtful(const struct look *look, size_t size);

/* Saves registers in the journal for remote.h; context is a struct save_context. */
struct save_context {
    struct journal *journal;
    int64_t id;
    enum journal_phase phase;
    bool begun; /* journal_registers_begin was called and not yet used */
};
enum skew_code save_begin(struct save_context *save, pid_t pid, struct skew_error *error);
enum skew_code save_registers(void *context, pid_t tid, const arch_registers *registers,
                              struct skew_error *error);
void save_abort(struct save_context *save);

/*
 * The system calls that a read-back of that clock may make in the target, for
 * permit.h; returns how many. `reads_by_call` as of clock_reads_by_call().
 */
#define VERIFICATION_CALLS_MAX 4
size_t verification_calls(uint64_t clock, bool reads_by_call,
                          struct permit_call calls[VERIFICATION_CALLS_MAX]);

/* What a read-back through the three entry points should see, and saw. */
struct remote;
struct verification {
    uint64_t clock;
    bool reads_by_call;     /* as of clock_reads_by_call() */
    struct image_skew skew; /* what must be seen */
    struct skew_measurement clock_gettime;
    struct skew_measurement gettimeofday;
    struct skew_measurement time;
};
/* Reads back through the thread's remote calls; SKEW_FAILED where the skew is not seen. */
enum skew_code verification_run(struct verification *verification, struct remote *remote,
                                const struct image_header *header, const struct vdso *vdso,
                                struct skew_error *error);
/* The clock that a read-back of this set of clocks should ask for. */
uint64_t verification_clock(uint64_t clocks);

/* The operations behind skew_inject and skew_recover. */
enum skew_code inject_fresh(struct skew_engine *engine, struct look *look,
                            const struct skew_request *request, struct skew_report *report,
                            struct skew_error *error);
enum skew_code update_in_place(struct skew_engine *engine, struct look *look,
                               struct journal_injection *row, const struct skew_request *asked,
                               struct skew_report *report, struct skew_error *error);
/*
 * Puts a process back whatever state it is in and advances its row to `end`
 * (RECOVERED, or FAILED_UNDONE), to DRAINING (returns SKEW_DRAINING) or to
 * GONE. row->id is 0 where the journal has none: then one is made from the image.
 */
enum skew_code recover_look(struct skew_engine *engine, struct look *look,
                            struct journal_injection *row, enum journal_phase end,
                            struct skew_report *report, struct skew_error *error);

/* The process, for this engine alone until target_close. */
enum skew_code guard_open(pid_t pid, struct target *guard, struct skew_report *report,
                          struct skew_error *error);

/* An injection that is whole and whose row, if any, does not say otherwise. */
bool injected_whole(const struct look *look, const struct journal_injection *row);

/* What is to be done with a process that is injected already, as update_in_place(). */
typedef enum skew_code present_act(struct skew_engine *engine, struct look *look,
                                   struct journal_injection *row,
                                   const struct skew_request *request, struct skew_report *report,
                                   struct skew_error *error);
/*
 * Injects a process that `guard` holds and that was looked at, or calls `present`. What an
 * interrupted skewctl left in it is finished first.
 */
enum skew_code inject_looked(struct skew_engine *engine, const struct target *guard,
                             struct look *look, struct journal_injection *row,
                             const struct skew_request *request, present_act *present,
                             struct skew_report *report, struct skew_error *error);

/*
 * As skew_inject(), but no clock changes: the process gets an image with an offset of 0, or
 * if it is injected already keeps the skew it has, and a row where it has none; then
 * the report says `updated`.
 */
enum skew_code process_place(struct skew_engine *engine, pid_t pid,
                             const struct skew_request *request, struct skew_report *report,
                             struct skew_error *error);
/* As skew_recover(), but fails where the journal does. */
enum skew_code process_recover(struct skew_engine *engine, pid_t pid, struct skew_report *report,
                               struct skew_error *error);

/*
 * Recovers an injection if the deadline in force has passed; SKEW_OK also where it has
 * not, or the injection has ended.
 */
enum skew_code recover_expired_id(struct skew_engine *engine, int64_t id,
                                  struct skew_report *report, struct skew_error *error);

/* The live row of a process; row->id is 0 where there is none. */
enum skew_code row_find(struct skew_engine *engine, const struct target *target,
                        struct journal_injection *row, struct skew_error *error);
/*
 * Looks at the process that `guard` holds, and at its row. Where the leader has
 * exited, the thread that is looked through may do so as well in mid-look: as
 * long as the process lives, another one serves.
 */
enum skew_code look_with_row(struct skew_engine *engine, const struct target *guard,
                             struct look *look, struct journal_injection *row,
                             struct skew_error *error);

/* Clears what an update may have left in the slack of a process that stays injected. */
enum skew_code recover_stubs(struct skew_engine *engine, const struct look *before,
                             struct skew_error *error);

/*
 * After a failed inject: the process as before, and the row says so. `touched`: it may hold
 * something of ours. Returns the code of the failure, which is `error`'s; one that could not
 * be undone was no refusal.
 */
enum skew_code injection_undo(struct skew_engine *engine, const struct target *target, bool touched,
                              struct journal_injection *row, struct skew_error *error);

/* Writes the row of an injection with that image. row->inherited and row->group are taken over. */
enum skew_code row_plan(struct skew_engine *engine, const struct look *look,
                        const struct image *image, const struct skew_request *request,
                        struct journal_injection *row, struct skew_error *error);
/*
 * A row for a process whose image says that it is injected while the journal does not.
 * row->inherited and row->group are taken over.
 */
enum skew_code row_adopt(struct skew_engine *engine, const struct look *look,
                         struct journal_injection *row, struct skew_error *error);

/* Makes sure that the row of a whole injection is there and says that it is in place. */
enum skew_code row_in_place(struct skew_engine *engine, const struct look *look,
                            struct journal_injection *row, struct skew_error *error);

/* Whether the process of a row is still there. */
enum row_life {
    ROW_ALIVE,
    ROW_GONE,      /* exited, or its number used again */
    ROW_RESTARTED, /* it was of an earlier boot of the machine */
    ROW_ELSEWHERE, /* counted in another pid namespace: the error says so */
};
enum row_life row_life_look(const struct journal_injection *row, struct skew_error *error);
/* Why a process in which an injection was in place may show no trace of it: a literal. */
const char *row_clean_reason(const struct journal_injection *row, const struct look *look);
/* A row whose process is gone, as ROW_GONE or ROW_RESTARTED: the journal is told. */
enum journal_code row_gone(struct skew_engine *engine, const struct journal_injection *row,
                           enum row_life life, struct skew_report *report,
                           struct journal_error *error);

/* What is seen, or is to be. */
void report_skew(const struct skew_request *request, struct skew_report *report);
/* Report of a row as the journal has it. */
void report_from_row(const struct journal_injection *row, struct skew_report *report);
enum skew_state state_from_phase(enum journal_phase phase);

/* CLOCK_REALTIME in nanoseconds. */
int64_t realtime_now(void);

#endif
