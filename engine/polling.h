/*
 * polling.h - noticing processes by looking at /proc again and again; see notice.h.
 */
#ifndef SKEWCTL_ENGINE_POLLING_H
#define SKEWCTL_ENGINE_POLLING_H

#include "engine/notice.h"

struct polling;

enum skew_code polling_open(struct polling **polling, struct skew_error *error);
void polling_close(struct polling *polling);
/* A timer: timerfd_create(2). */
int polling_descriptor(const struct polling *polling);
/* As noticer_read and noticer_watch. */
size_t polling_read(struct polling *polling, struct notice *notices, size_t capacity);
bool polling_watch(struct polling *polling, pid_t pid);

#endif
