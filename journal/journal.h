/*
 * journal.h - the write-ahead journal: what was, or may have been, changed in
 * which process, and how to undo it.
 *
 * A row is committed before the act it describes (promise P2). The journal is
 * a hint and never proof: whoever reads it checks the process before writing a
 * byte (P3). This folder knows SQLite and files; it knows nothing of ptrace,
 * of ELF or of what a phase does to a process.
 *
 * Every fallible function returns an enum journal_code and fills the error.
 * Strings and blobs handed in are copied; those handed out belong to the caller.
 */
#ifndef SKEWCTL_JOURNAL_H
#define SKEWCTL_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum journal_code {
    JOURNAL_OK = 0,
    JOURNAL_NOT_FOUND,     /* no such row */
    JOURNAL_CONFLICT,      /* the process already has a live injection */
    JOURNAL_ILLEGAL,       /* that phase may not follow the present one */
    JOURNAL_NOT_PERMITTED, /* owner, mode or access of the file or its folder */
    JOURNAL_REFUSED,       /* a directory, a symlink, corrupt, of a newer version */
    JOURNAL_BUSY,          /* another process held the lock past the deadline */
    JOURNAL_FAILED,        /* anything else: I/O, memory */
};

struct journal_error {
    enum journal_code code;
    int errnum;            /* errno where a system call failed, else 0 */
    const char *operation; /* string literal: "open", "plan", ... */
    char message[280];     /* one line: what and why, with the path */
    char advice[160];      /* what to do about it, or empty */
};

/*
 * The phases of an injection. Which may follow which is one table in phase.c;
 * an illegal step is refused. Live are all before RECOVERED: the database
 * allows one live injection per process.
 */
enum journal_phase {
    JOURNAL_PLANNED,       /* written down; nothing touched */
    JOURNAL_INJECTING,     /* registers saved; remote calls and patching under way */
    JOURNAL_ACTIVE,        /* patched and verified */
    JOURNAL_UPDATING,      /* active, parameters being changed in place */
    JOURNAL_RECOVERING,    /* registers saved; entries being restored, image being unmapped */
    JOURNAL_DRAINING,      /* entries restored; image left mapped for whoever is inside */
    JOURNAL_RECOVERED,     /* as before */
    JOURNAL_GONE,          /* the process exited, or exec replaced it */
    JOURNAL_FAILED_UNDONE, /* the injection did not succeed and was undone */
};
#define JOURNAL_PHASE_COUNT 9

const char *journal_phase_name(enum journal_phase phase);
bool journal_phase_live(enum journal_phase phase);
bool journal_phase_may_follow(enum journal_phase from, enum journal_phase to);

/* Which process: a pid alone is reused, so all four together. */
struct journal_key {
    char boot_id[40];       /* /proc/sys/kernel/random/boot_id, without newline */
    uint64_t pid_namespace; /* inode of /proc/self/ns/pid of the one who counts the pid */
    pid_t pid;
    uint64_t start_time; /* field 22 of /proc/PID/stat, clock ticks since boot */
};

/* An entry point whose first bytes are, or will be, overwritten. */
#define JOURNAL_PATCH_BYTES 16
struct journal_patch {
    char symbol[64];
    uint64_t address;                      /* of the first overwritten byte */
    uint8_t length;                        /* how many are overwritten */
    uint8_t original[JOURNAL_PATCH_BYTES]; /* what stood there */
};
#define JOURNAL_PATCHES_MAX 8

/* What a process, or all members of a group, are to see. */
struct journal_skew {
    int64_t offset_ns;
    uint64_t clocks;
    int64_t deadline_ns; /* CLOCK_REALTIME, when the skew ends by itself; 0 never */
    int64_t begin_ns;    /* CLOCK_REALTIME, when its shape began; 0 where there is none */
    char shape[1280];    /* as engine/shape_text.h writes it; empty for none */
    char profile[64];    /* the name of the profile that says all that; empty for none */
    uint64_t slew_pace;  /* 2^-64 nanoseconds a true one, at which it is got to; 0 at once */
};

struct journal_injection {
    int64_t id; /* set by journal_plan */
    struct journal_key key;
    char command[64];
    uint64_t executable_device; /* of /proc/PID/exe, stat(2) */
    uint64_t executable_inode;
    uint8_t image_id[16]; /* random; the image's header carries the same */
    uint64_t vdso_address;
    uint64_t vdso_size;
    uint64_t stub_address; /* the zero bytes that remote calls borrow */
    uint64_t stub_size;
    uint64_t image_address;
    uint64_t image_size;
    struct journal_skew skew;
    enum journal_phase phase;
    int64_t created_ns; /* CLOCK_REALTIME; set by the journal */
    int64_t changed_ns; /* of the last phase change; set by the journal */
    char detail[200];   /* of the last phase change */
    int64_t group;      /* groups.h; 0 for one that is of none */
    bool inherited;     /* came with a fork: no inject of its own */
    size_t patch_count;
    struct journal_patch patches[JOURNAL_PATCHES_MAX];
};

struct journal;

/*
 * Opens or creates the journal. path NULL means $SKEWCTL_JOURNAL, else
 * /var/lib/skewctl/journal.db as root, else $XDG_STATE_HOME/skewctl/journal.db,
 * else $HOME/.local/state/skewctl/journal.db. Where the program's file lent it
 * rights (AT_SECURE of getauxval(3)) no variable is believed, and the home is
 * that of the user database. The folder is made 0700 and the file 0600 where
 * absent; both must belong to the effective user and be writable by no other
 * (so no journal in /tmp itself); neither may be a symlink.
 */
enum journal_code journal_open(const char *path, struct journal **journal,
                               struct journal_error *error);
/* One that lives in memory, empty and for this caller alone: for work that goes on without a file.
 */
enum journal_code journal_open_memory(struct journal **journal, struct journal_error *error);
void journal_close(struct journal *journal);
const char *journal_path(const struct journal *journal);
/*
 * How long to wait for another writer before JOURNAL_BUSY; negative restores the default, 10 s.
 * After a wait in vain half a second is the most, until something was written again.
 */
void journal_wait_limit(struct journal *journal, int milliseconds);

/*
 * Records an injection in phase PLANNED with its patches and the pristine vDSO
 * (stored once per content), in one transaction. Sets injection->id, phase and times.
 */
enum journal_code journal_plan(struct journal *journal, struct journal_injection *injection,
                               const void *vdso, size_t vdso_size, struct journal_error *error);

/* Moves to another phase and records when; detail may be NULL. */
enum journal_code journal_advance(struct journal *journal, int64_t id, enum journal_phase phase,
                                  const char *detail, struct journal_error *error);

/*
 * The process of a row that was read earlier carries it no more: GONE. JOURNAL_ILLEGAL
 * where the row has moved on since: somebody is at work on it and knows better.
 */
enum journal_code journal_gone(struct journal *journal, const struct journal_injection *seen,
                               const char *detail, struct journal_error *error);

/* Changes the skew of a live injection; deadline_ns as in struct journal_injection. */
enum journal_code journal_set_skew(struct journal *journal, int64_t id,
                                   const struct journal_skew *skew, struct journal_error *error);

/*
 * Saving registers while a thread is held must not wait or allocate: `begin`
 * takes the write lock, advances the phase and compiles the statement
 * beforehand; `commit` binds, steps and commits (no fsync, no checkpoint: see
 * journal.c). `abort` gives up what begin started and is harmless without it.
 * Between begin and commit no other journal function may be called.
 */
enum journal_code journal_registers_begin(struct journal *journal, int64_t id,
                                          enum journal_phase phase, struct journal_error *error);
enum journal_code journal_registers_commit(struct journal *journal, pid_t tid,
                                           const void *registers, size_t size,
                                           struct journal_error *error);
void journal_registers_abort(struct journal *journal);

/* The newest saved registers of an injection; *size is capacity in, length out. */
enum journal_code journal_registers_load(struct journal *journal, int64_t id, pid_t *tid,
                                         void *registers, size_t *size,
                                         struct journal_error *error);

enum journal_code journal_get(struct journal *journal, int64_t id,
                              struct journal_injection *injection, struct journal_error *error);
/* The live injection of a process, or JOURNAL_NOT_FOUND. */
enum journal_code journal_find_live(struct journal *journal, const struct journal_key *key,
                                    struct journal_injection *injection,
                                    struct journal_error *error);
/* Live ones, or all, by ascending id. *injections is for free(3). */
enum journal_code journal_list(struct journal *journal, bool all,
                               struct journal_injection **injections, size_t *count,
                               struct journal_error *error);
/* Likewise the live ones whose deadline has passed by `now_ns`. */
enum journal_code journal_list_expired(struct journal *journal, int64_t now_ns,
                                       struct journal_injection **injections, size_t *count,
                                       struct journal_error *error);

/* What tells a process that carries an injection's image, of an injection live or ended. */
struct journal_image {
    int64_t injection;
    int64_t group; /* 0 for none */
    bool inherited;
    enum journal_phase phase;
    pid_t pid;
    uint64_t start_time;
    uint64_t vdso_address;
    uint64_t image_address;
    uint8_t image_id[16];
};
/* All injections of one boot and pid namespace, by ascending id. *images is for free(3). */
enum journal_code journal_images(struct journal *journal, const char *boot_id,
                                 uint64_t pid_namespace, struct journal_image **images,
                                 size_t *count, struct journal_error *error);
/* An inherited injection got an inject of its own, and is no longer marked as inherited. */
enum journal_code journal_own(struct journal *journal, int64_t id, struct journal_error *error);

/* The pristine vDSO of an injection; *size is capacity in, length out. */
enum journal_code journal_vdso_load(struct journal *journal, int64_t id, void *vdso, size_t *size,
                                    struct journal_error *error);

#endif
