/*
 * crew.c - see crew.h.
 *
 * Most of the time that an inject takes is waiting for one thread of its target. Each
 * helper has an engine of its own, with the same journal; the caller works as well, and
 * is the only one who tells about progress. Where no helper can be had the
 * caller does it all.
 */
#include "engine/crew.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#define HELPERS_MAX 7
/* For fewer a helper is not worth its engine. */
#define ACTS_PER_HELPER 4

struct crew {
    crew_act *act;
    void *context;
    size_t count;
    atomic_size_t next;
    atomic_size_t done;
    atomic_bool ended; /* asked to end */
};

struct helper {
    struct crew *crew;
    struct skew_engine *engine;
    pthread_t thread;
};

static bool crew_step(struct crew *crew, struct skew_engine *engine)
{
    size_t index = atomic_load(&crew->ended) ? crew->count : atomic_fetch_add(&crew->next, 1);
    if (index >= crew->count) {
        return false;
    }
    crew->act(engine, crew->context, index);
    atomic_fetch_add(&crew->done, 1);
    return true;
}

static void *helper_main(void *argument)
{
    struct helper *helper = argument;
    while (crew_step(helper->crew, helper->engine)) {
    }
    return NULL;
}

static bool helper_start(struct helper *helper, struct crew *crew, const struct skew_engine *engine)
{
    const struct skew_engine_options options = {.journal_path = journal_path(engine->journal),
                                                .suspend_seccomp = engine->suspend_seccomp};
    struct skew_error ignored;
    *helper = (struct helper){.crew = crew};
    if (skew_engine_open(&options, &helper->engine, &ignored) != SKEW_OK) {
        return false;
    }
    helper->engine->group = engine->group;
    helper->engine->census = engine->census;
    if (pthread_create(&helper->thread, NULL, helper_main, helper) != 0) {
        skew_engine_close(helper->engine);
        return false;
    }
    return true;
}

static size_t helpers_wanted(const struct skew_engine *engine, size_t count)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    /* The caller works too, and the targets have to run in order to stop. */
    size_t wanted = processors > 1 ? (size_t)processors - 1 : 1;
    wanted = wanted < HELPERS_MAX ? wanted : HELPERS_MAX;
    /* A journal in memory is one engine's alone. */
    return engine->unusable.code != SKEW_OK   ? 0
           : count / ACTS_PER_HELPER < wanted ? count / ACTS_PER_HELPER
                                              : wanted;
}

bool crew_run(struct skew_engine *engine, size_t count, crew_act *act, void *context,
              const struct skew_progress *progress)
{
    struct crew crew = {.act = act, .context = context, .count = count};
    struct helper helpers[HELPERS_MAX];
    size_t wanted = helpers_wanted(engine, count);
    size_t started = 0;
    while (started < wanted && helper_start(&helpers[started], &crew, engine)) {
        started++;
    }
    bool more = true;
    while (more) {
        more = crew_step(&crew, engine);
        if (progress != NULL &&
            !progress->step(progress->context, atomic_load(&crew.done), count)) {
            atomic_store(&crew.ended, true);
        }
    }
    for (size_t i = 0; i < started; i++) {
        pthread_join(helpers[i].thread, NULL);
        skew_engine_close(helpers[i].engine);
    }
    return !atomic_load(&crew.ended);
}
