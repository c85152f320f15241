/*
 * report.h - results on standard output, as a table or as JSON.
 *
 * JSON is one object with one array, whose members have the same keys whatever
 * the command; what is not known is null. Tables show what a person looks for,
 * with the notes on injections below them.
 */
#ifndef SKEWCTL_CLI_REPORT_H
#define SKEWCTL_CLI_REPORT_H

#include "engine/duration.h"
#include "engine/shape_text.h"
#include "engine/skewctl.h"

enum report_kind {
    REPORT_PRESENT, /* what is there: list */
    REPORT_DONE,    /* what was done: inject, recover */
};

/* The offset, unless it is 0 and there is a shape; then the shape. Returns buffer. */
#define REPORT_SKEW_SIZE (DURATION_TEXT_MAX + SHAPE_TEXT_MAX)
const char *report_skew_text(int64_t offset_ns, const struct shape *shape,
                             char buffer[static REPORT_SKEW_SIZE]);

/* Prints injections. Says so on standard error and returns SKEW_FAILED if that fails. */
enum skew_code report_injections(const struct skew_report *reports, size_t count,
                                 enum report_kind kind, bool json);

/* The same for what scan found; `repairing` says that repairs were asked for. */
enum skew_code report_traces(const struct skew_trace *traces, size_t count, bool repairing,
                             bool json);

/* The same for the findings of inspect. */
enum skew_code report_findings(const struct skew_finding *findings, size_t count, bool json);

/* The same for what doctor checked. */
enum skew_code report_checks(const struct skew_check *checks, size_t count, bool json);

#endif
