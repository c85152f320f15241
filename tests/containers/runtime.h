/*
 * runtime.h - container runtimes as their users call them, and containers
 * without an image from anywhere: busybox and one victim in a read-only root,
 * no capabilities or those that are the default, no network, a pid namespace of their own.
 *
 * For programs in a world (world.h). Memory and failures are as in harness.h.
 */
#ifndef TESTS_RUNTIME_H
#define TESTS_RUNTIME_H

#include "harness.h"

struct runtime {
    const char *name;
    const char *const *programs; /* without them there is no such runtime */
    const char *const *daemon;   /* to be running; NULL where none is needed */
    const char *const *ask;      /* succeeds as soon as the daemon answers */
    /* What to say to it; to run and execute, the command follows. See runtime.c. */
    const char *const *import;
    const char *const *run;
    const char *const *execute;
    const char *const *remove;
    const char *const *debug;   /* another container beside it; NULL where that is not known */
    const char *const *list;    /* prints ids and nothing else, as users see them */
    const char *const *inspect; /* prints JSON */
    const char *pid_filter;     /* of jq, on that JSON: the first process */
    const char *id_filter;      /* and the id in full; NULL where the name is the id */
    const char *const *finish;  /* ends what it leaves running for an ordinary user; or NULL */
    bool bundle;                /* takes a folder with a config.json rather than options */
    bool rootless;              /* works for ordinary users too */
    bool seccomp;               /* has a seccomp profile by default */
    const char
        *capabilities;   /* that it gives by default, as in CapEff; NULL: only none are tried */
    bool always_capable; /* it is not told to give none */
};

/* By its name, which must be known. */
const struct runtime *runtime_find(const char *name);

/* The program it takes that is not there; NULL if all are. */
const char *runtime_missing(const struct runtime *runtime);

/* What all of them need; once, before the first container, as root. */
void runtimes_prepare(void);

/* Its daemon, if it has one, ready to answer; and the image. NULL where there is no daemon. */
struct child *runtime_start(const struct runtime *runtime, uid_t user);
/* Lets all of it end in order. */
void runtime_stop(const struct runtime *runtime, uid_t user, struct child *daemon);

struct container {
    const struct runtime *runtime;
    uid_t user;   /* of the host, who runs it; 0 root */
    uid_t inside; /* its processes' user, by the number that it has within */
    bool capable; /* they have the capabilities that the runtime gives by default */
    const char *name;
    struct child *first; /* the runtime's client, connected to the container's first process */
    const char *id;      /* in full; NULL where no cgroup shows it */
    const char *listed;  /* as the runtime lists it; NULL likewise */
    pid_t pid;           /* of that process */
};

/* The first process is a clock_reader (victim.h) with two threads. */
struct container *container_start(const struct runtime *runtime, uid_t user, uid_t inside,
                                  bool capable, const char *name);

/*
 * Another process in there, in the way of `docker exec`: busybox awk, a clock that
 * answers each line with the time in seconds, and at "end" ends.
 */
struct child *container_execute(const struct container *container);

/*
 * A shell of busybox in another container that shares the pid namespace, as
 * `kubectl debug --target` has it: skewctl is /skewctl, and of folders only CONTAINER_OWN, which
 * is private, can be written to.
 */
struct debug {
    uid_t user;
    const char *const *capabilities; /* ends with NULL: what it has, for podman as "SYS_PTRACE" */
    bool unconfined;                 /* has no seccomp filter, where the default profile is one */
};
#define CONTAINER_OWN "/run/own"
struct child *container_debug(const struct container *container, const struct debug *debug);

/* Ends the first process, which must succeed, and removes the container. */
void container_stop(struct container *container);

#endif
