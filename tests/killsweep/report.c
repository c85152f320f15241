/* See report.h. Each call is one write, so that processes may report at the same time. */
#include "report.h"

#include "apart.h"

void result_add(struct result *sum, const struct result *part)
{
    sum->tally.points += part->tally.points;
    sum->tally.attached += part->tally.attached;
    sum->tally.draining += part->tally.draining;
    sum->tally.kept += part->tally.kept;
    sum->failures += part->failures;
    sum->took_ns += part->took_ns;
}

void report_heading(void)
{
    printf("%-14s %-10s %8s %8s %8s %8s %8s %9s\n", "operation", "state", "deaths", "attached",
           "draining", "kept", "failures", "time");
    fflush(stdout);
}

void report_result(const char *operation, const char *state, const struct result *result)
{
    printf("%-14s %-10s %8ld %8ld %8ld %8ld %8ld %7.1f s\n", operation, state, result->tally.points,
           result->tally.attached, result->tally.draining, result->tally.kept, result->failures,
           (double)result->took_ns / 1e9);
    fflush(stdout);
}

void report_failure(const struct sweep *sweep, FILE *log)
{
    const char *operation = operations[sweep->operation].name, *state = sweep->state->name;
    printf("FAILED: %s, state %s, ", operation, state);
    if (sweep->random)
        printf("random death %ld, after %.3f ms", sweep->next, (double)sweep->delay_ns / 1e6);
    else if (sweep->operation == OPERATION_GROUP_SWITCH)
        printf("point %ld (group_sweep.c)", sweep->next);
    else
        printf("point %ld, the %s of its system call %ld (number %ld, by the %s thread)",
               sweep->next, sweep->next % 2 ? "exit" : "entry", sweep->next / 2 + 1, sweep->number,
               sweep->attached ? "attached" : "main");
    printf("\n  again: scripts/killsweep --seed %lu --operation %s --state %s --from %ld --to "
           "%ld%s%s%s\n",
           (unsigned long)sweep->seed, operation, state, sweep->next, sweep->next,
           sweep->random ? " --every 0 --random 1" : "", sweep->manner == MANNER_OFFSETS ? "" : " ",
           manner_options[sweep->manner]);
    apart_print(log);
    fflush(stdout);
}

void report_bound(const char *state, const struct result *result)
{
    printf("%-10s %8ld deaths, %ld while attached, %ld failures", state, result->tally.points,
           result->tally.attached, result->failures);
    if (result->failures == 0 && result->tally.points)
        printf(": with 95%% confidence less than %.4f%% of such deaths do harm",
               300.0 / (double)result->tally.points);
    printf("\n");
    fflush(stdout);
}
