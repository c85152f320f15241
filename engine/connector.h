/*
 * connector.h - the kernel's own notices of processes; see notice.h.
 */
#ifndef SKEWCTL_ENGINE_CONNECTOR_H
#define SKEWCTL_ENGINE_CONNECTOR_H

#include "engine/notice.h"

/* A socket that notices come from, or -1 where they are not to be had by this process. */
int connector_open(void);
void connector_close(int socket);

/* As noticer_read. */
size_t connector_read(int socket, struct notice *notices, size_t capacity);

#endif
