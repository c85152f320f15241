/*
 * notice.c - chooses how processes are noticed: by the kernel's notices where
 * these are to be had, else by polling.
 */
#include "engine/notice.h"

#include <stdlib.h>

#include "engine/connector.h"
#include "engine/error.h"
#include "engine/polling.h"
#include "engine/privilege.h"

struct noticer {
    int connector; /* -1: by polling */
    struct polling *polling;
};

enum skew_code noticer_open(bool polling, struct noticer **noticer, struct skew_error *error)
{
    struct noticer *opened = calloc(1, sizeof *opened);
    if (opened == NULL) {
        return error_set(error, SKEW_FAILED, 0, 0, "watch processes", "out of memory");
    }
    opened->connector = polling ? -1 : connector_open();
    enum skew_code code = opened->connector >= 0 ? SKEW_OK : polling_open(&opened->polling, error);
    if (code != SKEW_OK) {
        free(opened);
        return code;
    }
    *noticer = opened;
    return SKEW_OK;
}

void noticer_close(struct noticer *noticer)
{
    if (noticer == NULL) {
        return;
    }
    if (noticer->connector >= 0) {
        connector_close(noticer->connector);
    } else {
        polling_close(noticer->polling);
    }
    free(noticer);
}

enum notice_way noticer_way(const struct noticer *noticer)
{
    return noticer->connector >= 0 ? NOTICE_BY_CONNECTOR : NOTICE_BY_POLLING;
}

int noticer_descriptor(const struct noticer *noticer)
{
    return noticer->connector >= 0 ? noticer->connector : polling_descriptor(noticer->polling);
}

size_t noticer_read(struct noticer *noticer, struct notice *notices, size_t capacity)
{
    return noticer->connector >= 0 ? connector_read(noticer->connector, notices, capacity)
                                   : polling_read(noticer->polling, notices, capacity);
}

bool noticer_watch(struct noticer *noticer, pid_t pid)
{
    return noticer->connector >= 0 || polling_watch(noticer->polling, pid);
}

enum skew_code skew_notices_open(bool polling, struct noticer **notices, struct skew_error *error)
{
    enum skew_code code = noticer_open(polling, notices, error);
    privilege_listening_end();
    return code;
}

void skew_notices_close(struct noticer *notices)
{
    noticer_close(notices);
}
