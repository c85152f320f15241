/*
 * postgresql.h - a postgresql server of a test's own and connections to it, each
 * of which has a backend, a process that is there for it alone.
 *
 * Memory and failures are as in harness.h.
 */
#ifndef TESTS_POSTGRESQL_H
#define TESTS_POSTGRESQL_H

#include "victim.h"

/* Whether this machine has the server. */
bool postgresql_installed(void);

/*
 * Makes a database in a folder, which is empty or not there, and starts its
 * server; both as that user, who is in passwd(5), or as the test's own where it
 * is 0. The server is reached through the folder alone.
 */
struct child *postgresql_start(const char *folder, uid_t user);
/* Ends it and waits until that is done; connections are cut. */
void postgresql_stop(struct child *server);

/* The client of a connection; what it is sent is SQL of which each line answers with one. */
struct child *postgresql_connect(const char *folder);
pid_t postgresql_backend(struct child *connection);
/* clock_timestamp() of the backend, down to the last microsecond, in nanoseconds. */
int64_t postgresql_now(struct child *connection);
void postgresql_disconnect(struct child *connection);

#endif
