/*
 * survey.c - skew_scan and skew_repair: whose vDSO, on the whole machine, is
 * not the kernel's, who changed it, and how to undo that.
 *
 * Promise: only what is recognised, byte for byte, is undone. A whole injection
 * is no leftover, whether this journal knows it or another: it is not touched.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/error.h"
#include "engine/private.h"
#include "engine/rival.h"

struct survey {
    struct skew_trace *traces;
    size_t count;
    size_t capacity;
};

const char *skew_origin_name(enum skew_origin origin)
{
    static const char *const names[] = {
        [SKEW_ORIGIN_SKEWCTL] = "skewctl",
        [SKEW_ORIGIN_CHAOS_MESH] = "chaos-mesh",
        [SKEW_ORIGIN_UNKNOWN] = "unknown",
    };
    return names[origin];
}

static void ours_describe(const struct look *look, const struct journal_injection *row,
                          struct skew_trace *trace)
{
    trace->origin = SKEW_ORIGIN_SKEWCTL;
    trace->id = row->id;
    trace->in_force = look->situation == SITUATION_INJECTED;
    const char *what = trace->in_force ? "an injection in force"
                       : row->id != 0 && row->phase == JOURNAL_DRAINING
                           ? "a recover that is to finish"
                           : "an interrupted operation";
    snprintf(trace->detail, sizeof trace->detail, "%s%s", what,
             row->id == 0 ? " that this journal does not know" : "");
}

static void foreign_describe(const struct vdso *vdso, const struct look *look,
                             struct skew_trace *trace)
{
    struct rival rival;
    char functions[64];
    if (rival_find(vdso, look, &rival)) {
        trace->origin = SKEW_ORIGIN_CHAOS_MESH;
        rival_functions_format(&rival, functions, sizeof functions);
        snprintf(trace->detail, sizeof trace->detail,
                 "as Chaos Mesh, chaosd and watchmaker leave it: %s made a system call", functions);
        return;
    }
    trace->origin = SKEW_ORIGIN_UNKNOWN;
    snprintf(trace->detail, sizeof trace->detail,
             "changed by something else, first at offset 0x%zx of the vDSO",
             look->difference.foreign_offset);
}

/* False for a process whose vDSO is the kernel's own and that has no image. */
static bool trace_describe(const struct vdso *vdso, const struct look *look,
                           const struct journal_injection *row, struct skew_trace *trace)
{
    *trace = (struct skew_trace){.pid = look->target.pid};
    memcpy(trace->command, look->target.command, sizeof trace->command);
    switch (look->situation) {
    case SITUATION_CLEAN:
        return false;
    case SITUATION_INJECTED:
    case SITUATION_PARTIAL:
        ours_describe(look, row, trace);
        return true;
    case SITUATION_FOREIGN:
        foreign_describe(vdso, look, trace);
        return true;
    }
    return false;
}

static enum skew_code trace_add(struct survey *survey, const struct skew_trace *trace,
                                struct skew_error *error)
{
    if (survey->count == survey->capacity) {
        size_t capacity = survey->capacity * 2 + 16;
        struct skew_trace *grown = reallocarray(survey->traces, capacity, sizeof *grown);
        if (grown == NULL) {
            return error_set(error, SKEW_FAILED, 0, 0, "scan", "out of memory");
        }
        survey->traces = grown;
        survey->capacity = capacity;
    }
    survey->traces[survey->count++] = *trace;
    return SKEW_OK;
}

static enum skew_code process_survey(struct skew_engine *engine, pid_t pid, struct survey *survey,
                                     struct skew_error *error)
{
    struct look look;
    enum skew_code code = look_open(&engine->vdso, pid, 0, &look, error);
    if (code != SKEW_OK) {
        return code;
    }
    struct journal_injection row;
    struct skew_trace trace;
    code = row_find(engine, &look.target, &row, error);
    if (code == SKEW_OK && trace_describe(&engine->vdso, &look, &row, &trace)) {
        code = trace_add(survey, &trace, error);
    }
    look_close(&look);
    return code;
}

static enum skew_code machine_survey(struct skew_engine *engine, struct survey *survey,
                                     struct skew_unreadable *unreadable, struct skew_error *error)
{
    DIR *processes = opendir("/proc");
    if (processes == NULL) {
        return error_set(error, SKEW_FAILED, 0, errno, "list processes",
                         "cannot list the processes");
    }
    for (struct dirent *entry; (entry = readdir(processes)) != NULL;) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        struct skew_error reason = {0};
        enum skew_code code = pid > 0 ? process_survey(engine, pid, survey, &reason) : SKEW_OK;
        if (code != SKEW_OK && reason.journal) {
            *error = reason;
            closedir(processes);
            return code;
        }
        /* Whoever is gone, has no vDSO or is a kernel thread has no traces. */
        if (code == SKEW_NOT_PERMITTED) {
            if (unreadable->count++ == 0) {
                unreadable->first = pid;
                memcpy(unreadable->advice, reason.advice, sizeof unreadable->advice);
            }
        }
    }
    closedir(processes);
    return SKEW_OK;
}

enum skew_code skew_scan(struct skew_engine *engine, pid_t pid, struct skew_trace **traces,
                         size_t *count, struct skew_unreadable *unreadable,
                         struct skew_error *error)
{
    struct survey survey = {0};
    *unreadable = (struct skew_unreadable){0};
    enum skew_code code = pid != 0 ? process_survey(engine, pid, &survey, error)
                                   : machine_survey(engine, &survey, unreadable, error);
    if (code != SKEW_OK) {
        free(survey.traces);
        error->pid = pid;
        return code;
    }
    *traces = survey.traces;
    *count = survey.count;
    return SKEW_OK;
}

static enum skew_code rival_repair(struct skew_engine *engine, struct look *look,
                                   struct skew_error *error)
{
    struct rival rival;
    int64_t pause_ns;
    unsigned interrupted;
    if (!rival_find(&engine->vdso, look, &rival)) {
        error_set(error, SKEW_REFUSED, look->target.pid, 0, "repair",
                  "its vDSO was changed by something unknown (first at offset 0x%zx)",
                  look->difference.foreign_offset);
        error_advise(error, "it is not known what of it is safe to undo; restart the program");
        return SKEW_REFUSED;
    }
    enum skew_code code = look_stoppable(look, false, error);
    return code == SKEW_OK ? rival_undo(&engine->vdso, look, &rival, &pause_ns, &interrupted, error)
                           : code;
}

static enum skew_code trace_repair(struct skew_engine *engine, struct look *look,
                                   struct journal_injection *row, struct skew_trace *trace,
                                   struct skew_error *error)
{
    struct skew_report report = {0};
    if (!trace_describe(&engine->vdso, look, row, trace)) {
        return error_set(error, SKEW_NOT_FOUND, look->target.pid, 0, "repair",
                         "its vDSO is the kernel's own");
    }
    if (look->situation == SITUATION_FOREIGN) {
        return rival_repair(engine, look, error);
    }
    if (trace->in_force) {
        error_set(error, SKEW_REFUSED, look->target.pid, 0, "repair", "an injection is in force");
        error_advise(error, "skewctl recover -p %d ends it", (int)look->target.pid);
        return SKEW_REFUSED;
    }
    return recover_look(engine, look, row, JOURNAL_RECOVERED, &report, error);
}

enum skew_code skew_repair(struct skew_engine *engine, pid_t pid, struct skew_trace *trace,
                           struct skew_error *error)
{
    struct look look;
    struct journal_injection row;
    *trace = (struct skew_trace){.pid = pid};
    struct target guard;
    enum skew_code code = target_open(pid, &guard, error);
    if (code != SKEW_OK) {
        return code;
    }
    code = target_lock(&guard, error);
    if (code == SKEW_OK) {
        code = look_with_row(engine, &guard, &look, &row, error);
    }
    if (code == SKEW_OK) {
        code = trace_repair(engine, &look, &row, trace, error);
        look_close(&look);
    }
    trace->repaired = code == SKEW_OK;
    error->pid = pid;
    target_close(&guard);
    return code;
}
