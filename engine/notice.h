/*
 * notice.h - noticing from outside, tracing nobody, that processes are born, run
 * another program or exit.
 *
 * A notice is a hint to look at a process, never proof: by the time it is read the
 * process may have done more, or its number be used again. Whoever reads notices
 * looks at what is there now, and looks at all processes once after opening, after
 * NOTICE_MISSED, and now and then.
 */
#ifndef SKEWCTL_ENGINE_NOTICE_H
#define SKEWCTL_ENGINE_NOTICE_H

#include "engine/skewctl.h"

enum notice_kind {
    NOTICE_BORN,   /* by fork(2) and the like; threads are not told of */
    NOTICE_EXECED, /* runs another program */
    NOTICE_EXITED, /* its first thread has; others may live on */
    NOTICE_MISSED, /* of no process: some notices were lost, look at all */
};

struct notice {
    enum notice_kind kind;
    pid_t pid;
    pid_t parent;  /* of NOTICE_BORN: who forked it; 0 where that is not known */
    int64_t at_ns; /* CLOCK_MONOTONIC, when it happened or, when polling, was found */
};

enum notice_way {
    NOTICE_BY_CONNECTOR, /* the kernel tells: see connector.c for what that takes */
    NOTICE_BY_POLLING,   /* /proc is looked at every few milliseconds: polling.c */
};

struct noticer;

/*
 * Opens by the connector, or where that is not to be had by polling; or by polling
 * alone. SKEW_FAILED without memory or descriptors. From then on notices are kept,
 * so what is looked at afterwards changes no more without one.
 */
enum skew_code noticer_open(bool polling, struct noticer **noticer, struct skew_error *error);
void noticer_close(struct noticer *noticer); /* NULL does nothing */
enum notice_way noticer_way(const struct noticer *noticer);

/* For poll(2): readable when noticer_read has something to do. Belongs to the noticer. */
int noticer_descriptor(const struct noticer *noticer);

/*
 * The notices that have come since, at most `capacity`, which is not 0; never waits.
 * As many as that: there may be more.
 */
size_t noticer_read(struct noticer *noticer, struct notice *notices, size_t capacity);

/*
 * Tells the noticer that NOTICE_EXECED of this process matters; polling tells of no
 * other. From then until it exits; watch first, then look at the process. False where
 * it may not be opened, or is no more.
 */
bool noticer_watch(struct noticer *noticer, pid_t pid);

#endif
