/*
 * forks.h - what forks.c and a test share: a file that both have mapped, so that
 * the test sees what a child reads also when its parent is dead.
 */
#ifndef VICTIMS_FORKS_H
#define VICTIMS_FORKS_H

#include <stdatomic.h>
#include <stdint.h>

/* A child that stays. */
struct forks_child {
    _Atomic int pid;           /* 0 until it reads */
    _Atomic int64_t offset_ns; /* of its clock at its last read, to the millisecond */
    _Atomic int64_t reads;
};

#define FORKS_CHILDREN 64
struct forks_board {
    _Atomic int wanted;      /* children that stay: the program forks until there are so many, */
    _Atomic int forked;      /* and these it has forked */
    _Atomic int storm;       /* while not 0 it forks others all the time, that many at once */
    _Atomic int64_t passing; /* of those, who have ended */
    _Atomic int programs;    /* not 0: every other one of these execs itself, */
    _Atomic int64_t skewed;  /* and so many that did have seen a skew since */
    _Atomic int chain;       /* not 0: a chain of children is begun, once, and goes on, */
    _Atomic int hops;        /* of so many so far */
    _Atomic int errors;      /* reads that were none of the skews of the tests */
    struct forks_child children[FORKS_CHILDREN];
};

#endif
