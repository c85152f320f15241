/*
 * stop.h - attaching to threads, stopping them and letting them go: the only
 * user of ptrace(2) and waitid(2).
 */
#ifndef SKEWCTL_ENGINE_STOP_H
#define SKEWCTL_ENGINE_STOP_H

#include "asm/arch.h"
#include "engine/target.h"

enum tracee_state {
    TRACEE_SEIZED,  /* attached and running */
    TRACEE_STOPPED, /* at an event stop: registers may be read and set at will */
    TRACEE_SYSCALL, /* at a syscall stop inside a stub */
    TRACEE_GONE,    /* exited, or let go */
};

struct tracee {
    pid_t tid;
    enum tracee_state state;
    bool interrupted; /* an interrupt is on its way */
    bool in_stub;     /* let run through a stub, and no stop of it was seen yet */
    bool filtered;    /* it has, or may have, a seccomp filter; known of callers only */
    bool suspend;     /* its filters are to be suspended while it is in a stub */
    bool member;      /* seen in the target's list of threads */
    bool outside;     /* scan.h: found outside at this stop */
    bool exposed;     /* a wait with a time limit may have been cut short */
    bool job_stopped; /* the whole process was stopped, as by SIGSTOP, at this stop */
    bool altered;     /* the thread's registers are not, or not yet, `registers` */
    int signal;       /* taken at a signal-delivery stop and still to be delivered */
    int64_t held_since_ns;
    arch_registers registers; /* at the event stop, cured; what is put back at the end */
};

/*
 * The tracer of one operation. Lives on a thread of its own, whose end
 * detaches whatever is still attached: PTRACE_DETACH cannot let go of a thread
 * that never stopped, such as a vfork(2) parent.
 */
struct tracer {
    const struct target *target;
    struct tracee *tracees;
    size_t count;
    size_t capacity;
    pid_t highest;       /* of the tids known: a higher one is new */
    int tasks;           /* /proc/PID/task */
    uint32_t worker;     /* worker.h: the mark */
    bool workers;        /* the target has one */
    pid_t looked_at;     /* while it has none: the highest thread known not to be one */
    int memory;          /* /proc/TID/mem of the first tracee; -1 until tracer_memory_open */
    bool lent;           /* this thread traced the target before, and goes on doing so */
    int64_t deadline_ns; /* CLOCK_MONOTONIC: by then everything must have been let go */
    int64_t pause_ns;    /* the longest time a thread was held so far */
    unsigned exposed;    /* threads for which `exposed` was set */
    /* Called for each thread as it stops, while others may still run; or NULL. */
    void (*stopped)(void *context, struct tracee *tracee);
    void *stopped_context;
};

typedef enum skew_code tracer_function(struct tracer *tracer, void *context,
                                       struct skew_error *error);

/*
 * Runs `function` on a tracer thread and returns what it returns. Everything
 * it needs must be allocated before; all threads are let go when it returns.
 * A target that the calling thread traces itself, and that is stopped in front of its
 * next user instruction, is lent: `function` runs on the calling thread, and the
 * target stays attached and stopped, with its own registers.
 */
enum skew_code tracer_run(const struct target *target, tracer_function *function, void *context,
                          int64_t *pause_ns, unsigned *exposed, struct skew_error *error);

/* True if the calling thread traces that thread; `tasks` is a descriptor of /proc/PID/task. */
bool thread_traced_by_caller(int tasks, pid_t tid);

/* Waits for a child of the caller that has been killed. */
void child_reap(pid_t child);

/* CLOCK_MONOTONIC in nanoseconds. */
int64_t monotonic_now(void);

/*
 * Attaches to one thread without stopping it. Returns NULL with the error set;
 * SKEW_NOT_FOUND where the thread is gone.
 */
struct tracee *tracer_seize(struct tracer *tracer, pid_t tid, struct skew_error *error);
/* Opens the target's memory through a seized thread. */
enum skew_code tracer_memory_open(struct tracer *tracer, const struct tracee *tracee,
                                  struct skew_error *error);
/* The tracee of that tid, or NULL; `hint` is an index at which it may be. */
struct tracee *tracer_find(struct tracer *tracer, pid_t tid, size_t hint);
/* Asks a seized thread to stop, without waiting for it. */
enum skew_code tracer_interrupt(const struct tracer *tracer, struct tracee *tracee,
                                struct skew_error *error);
/*
 * Brings a seized thread to an event stop. Signals met on the way are
 * delivered. Reads and cures its registers.
 */
enum skew_code tracer_stop(struct tracer *tracer, struct tracee *tracee, struct skew_error *error);
/*
 * Attaches to and stops every thread of the target; SKEW_OK only if there is
 * certainly no other (tracer.c).
 */
enum skew_code tracer_stop_all(struct tracer *tracer, struct skew_error *error);
/* Attaches to every thread that is there now, stopping none. */
enum skew_code tracer_seize_all(struct tracer *tracer, struct skew_error *error);
/* Lets a stopped thread run, still attached. */
enum skew_code tracer_continue(struct tracer *tracer, struct tracee *tracee,
                               struct skew_error *error);

/* Sets registers of a stopped thread, without changing tracee->registers. */
enum skew_code tracee_registers_set(struct tracee *tracee, const arch_registers *registers,
                                    struct skew_error *error);
enum skew_code tracee_registers_get(const struct tracee *tracee, arch_registers *registers,
                                    struct skew_error *error);

/*
 * Lets a stopped thread run to its next syscall-entry or syscall-exit stop. If
 * a signal comes first, returns with tracee->signal set and the thread in
 * front of its delivery.
 */
enum skew_code tracee_syscall_step(struct tracer *tracer, struct tracee *tracee,
                                   struct skew_error *error);
/*
 * Stops a thread that was let run through a stub and did not come to its end in
 * time. tracee->registers stay those of before the stub.
 */
enum skew_code tracee_halt(struct tracer *tracer, struct tracee *tracee, struct skew_error *error);
/*
 * For a thread with tracee->signal set: puts tracee->registers back, delivers
 * the signal and stops the thread again where its handler begins. Reads and
 * cures the new registers.
 */
enum skew_code tracee_signal_deliver(struct tracer *tracer, struct tracee *tracee,
                                     struct skew_error *error);

/*
 * True if tracee->signal is the SIGSYS with which a seccomp filter (SECCOMP_RET_TRAP)
 * or syscall user dispatch refused a system call that ended at `address`.
 */
bool tracee_signal_is_refusal(const struct tracee *tracee, uint64_t address);
/* True if prctl(PR_SET_SYSCALL_USER_DISPATCH) is on in a stopped thread. False before 6.4. */
bool tracee_dispatches_syscalls(const struct tracee *tracee);
/* Where a stopped thread's struct rseq lies (rseq(2)); 0 for none, and before Linux 5.13. */
uint64_t tracee_rseq_address(const struct tracee *tracee);
/* False where threads may use restartable sequences and the kernel, older than 5.13, does not
 * tell. */
bool tracee_rseq_known(const struct tracee *tracee);
/*
 * True if a stopped thread is in no restartable sequence, or it can be found out: on the way out
 * of a system call, which no sequence may make, there is no doubt.
 */
bool tracee_rseq_safe(const struct tracee *tracee);
/*
 * The index-th seccomp filter of a stopped thread, newest first: its length in
 * instructions, of which `filter` must hold BPF_MAXINSNS, or -errno (ENOENT behind the last).
 */
struct sock_filter;
long tracee_seccomp_filter(const struct tracee *tracee, unsigned index, struct sock_filter *filter);
/*
 * Suspends all filters of a stopped thread for as long as this tracer lives
 * (PTRACE_O_SUSPEND_SECCOMP), or puts them in force again. Returns 0 or an errno.
 */
int tracee_seccomp_suspend(const struct tracee *tracee, bool suspended);

/* Writes eight bytes within a page, also where the thread itself may not. False with errno. */
bool tracee_poke(const struct tracee *tracee, uint64_t address, uint64_t word);
/* Any thread that is stopped now, or NULL. */
const struct tracee *tracer_stopped(const struct tracer *tracer);

/* Puts tracee->registers in place and lets the thread go for good. */
void tracer_release(struct tracer *tracer, struct tracee *tracee);
/*
 * Lets every thread go but one, which may be NULL, and forgets them: they may be
 * attached to again. Other tracees become invalid; returns where the one is now.
 */
struct tracee *tracer_release_others(struct tracer *tracer, const struct tracee *kept);

#endif
