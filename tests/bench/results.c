/* See results.h. */
#include "results.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#define RESULTS_MAX 128

struct series series_make(size_t capacity)
{
    return (struct series){.values = harness_memory(capacity * sizeof(double)),
                           .capacity = capacity};
}

void series_add(struct series *series, double value)
{
    if (series->count == series->capacity)
        fail_msg("more rounds than were planned");
    series->values[series->count++] = value;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double *sorted(const double *values, size_t count)
{
    double *copy = harness_memory(count * sizeof *copy);
    memcpy(copy, values, count * sizeof *copy);
    qsort(copy, count, sizeof *copy, compare);
    return copy;
}

/* Of sorted values, interpolated between neighbours. */
static double quantile(const double *values, size_t count, double share)
{
    double position = share * (double)(count - 1);
    size_t below = (size_t)position;
    size_t above = below + 1 < count ? below + 1 : below;
    return values[below] + (position - (double)below) * (values[above] - values[below]);
}

double series_median(const struct series *series)
{
    return quantile(sorted(series->values, series->count), series->count, 0.5);
}

const struct result *results_add(struct results *results, const char *group, const char *subject,
                                 const char *against, const struct series *measured,
                                 const struct series *reference, double limit)
{
    if (!results->rows)
        results->rows = harness_memory(RESULTS_MAX * sizeof *results->rows);
    size_t count = measured->count;
    if (results->count == RESULTS_MAX || count == 0 || reference->count != count)
        fail_msg("%s: too many rows, or series that do not match", subject);
    double *ratios = harness_memory(count * sizeof *ratios);
    for (size_t i = 0; i < count; i++)
        ratios[i] = measured->values[i] / reference->values[i];
    ratios = sorted(ratios, count);
    struct result *row = &results->rows[results->count++];
    *row = (struct result){.group = group,
                           .subject = subject,
                           .against = against,
                           .rounds = count,
                           .measured_ns = series_median(measured),
                           .reference_ns = series_median(reference),
                           .ratio = quantile(ratios, count, 0.5),
                           .quartile_low = quantile(ratios, count, 0.25),
                           .quartile_high = quantile(ratios, count, 0.75),
                           .lowest = ratios[0],
                           .highest = ratios[count - 1],
                           .limit = limit};
    return row;
}

/* A ratio counts as it is printed: 1.084 against a limit of 1.08 is no miss. */
static bool row_missed(const struct result *row)
{
    return row->limit > 0 && row->ratio >= row->limit + 0.005;
}

size_t results_missed(const struct results *results)
{
    size_t missed = 0;
    for (size_t i = 0; i < results->count; i++)
        missed += row_missed(&results->rows[i]);
    return missed;
}

static const char *time_format(double nanoseconds)
{
    if (nanoseconds < 1e3)
        return harness_format("%.2f ns", nanoseconds);
    if (nanoseconds < 1e6)
        return harness_format("%.1f us", nanoseconds / 1e3);
    return harness_format("%.2f ms", nanoseconds / 1e6);
}

void results_print(const struct results *results)
{
    printf("%-6s %-38s %11s %11s  %-20s %8s %19s %6s\n", "GROUP", "MEASURED", "MEDIAN", "REFERENCE",
           "WHICH IS", "RATIO", "QUARTILES", "LIMIT");
    for (size_t i = 0; i < results->count; i++) {
        const struct result *row = &results->rows[i];
        printf("%-6s %-38s %11s %11s  %-20s %8.3f %8.3f .. %7.3f", row->group, row->subject,
               time_format(row->measured_ns), time_format(row->reference_ns), row->against,
               row->ratio, row->quartile_low, row->quartile_high);
        if (row->limit > 0)
            printf(" %6.2f %s", row->limit, row_missed(row) ? "MISSED" : "met");
        printf("\n");
    }
}

/* The strings are the benchmark's own and need no escapes. */
void results_write(const struct results *results, const char *path)
{
    FILE *file = fopen(path, "we");
    if (!file)
        fail_msg("%s: %s", path, strerror(errno));
    struct utsname system;
    uname(&system);
    fprintf(file, "{\n  \"kernel\": \"%s\",\n  \"missed\": %zu,\n  \"results\": [", system.release,
            results_missed(results));
    for (size_t i = 0; i < results->count; i++) {
        const struct result *row = &results->rows[i];
        fprintf(file,
                "%s\n    {\"group\": \"%s\", \"measured\": \"%s\", \"against\": \"%s\", "
                "\"rounds\": %zu, \"measured_ns\": %.3f, \"reference_ns\": %.3f, "
                "\"ratio\": %.4f, \"quartiles\": [%.4f, %.4f], \"range\": [%.4f, %.4f]",
                i ? "," : "", row->group, row->subject, row->against, row->rounds, row->measured_ns,
                row->reference_ns, row->ratio, row->quartile_low, row->quartile_high, row->lowest,
                row->highest);
        if (row->limit > 0)
            fprintf(file, ", \"limit\": %.3f, \"met\": %s", row->limit,
                    row_missed(row) ? "false" : "true");
        fprintf(file, "}");
    }
    fprintf(file, "\n  ]\n}\n");
    if (fclose(file) != 0)
        fail_msg("%s: %s", path, strerror(errno));
}
