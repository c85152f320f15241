/* See fleet.h. */
#include "fleet.h"

#include "command.h"
#include "journal/groups.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 32

struct fleet fleet_start(const struct state *state, enum manner manner)
{
    struct fleet fleet = {.manner = manner};
    for (const char *name = state->members; *name; name += strspn(name, " ")) {
        size_t length = strcspn(name, " ");
        const struct state *member = state_find(name, length);
        if (!member || fleet.count == FLEET_MAX)
            fail_msg("%s cannot be a group", state->name);
        fleet.members[fleet.count++] = target_start(member);
        name += length;
    }
    return fleet;
}

const char *const *fleet_inject_arguments(const struct fleet *fleet, unsigned skew,
                                          const char *more)
{
    const char **argv = harness_memory(WORDS_MAX * sizeof *argv);
    size_t count = 0;
    argv[count++] = skewctl_path();
    argv[count++] = "inject";
    for (size_t i = 0; i < fleet->count; i++) {
        argv[count++] = "--tree";
        argv[count++] = harness_format("%d", fleet->members[i].pid);
    }
    struct operation_skew asked = operation_skew(skew, fleet->manner);
    for (size_t i = 0; asked.options[i]; i++)
        argv[count++] = asked.options[i];
    argv[count++] = "--journal";
    argv[count++] = skewctl_journal();
    argv[count++] = more;
    return argv;
}

void fleet_allow(struct fleet *fleet, unsigned skews)
{
    for (size_t i = 0; i < fleet->count; i++)
        target_allow(&fleet->members[i], skews);
}

void fleet_expect_right(struct fleet *fleet)
{
    for (size_t i = 0; i < fleet->count; i++)
        target_expect_right(&fleet->members[i]);
}

/* What list says of the members: how many are listed, how many skews, states, and the first skew.
 */
static const char *members_listed(const struct fleet *fleet)
{
    const char *pids = "";
    for (size_t i = 0; i < fleet->count; i++)
        pids = harness_format("%s%s%d", pids, *pids ? "," : "", fleet->members[i].pid);
    struct run run = skewctl_run("list", "-o", "json", NULL);
    run_expect(&run, 0);
    return json_query(run.out,
                      harness_format("[.injections[] | select(.pid | IN(%s))] |"
                                     " \"\\(length) \\([.[].skew] | unique | length)"
                                     " \\([.[].state] | unique | join(\",\")) \\(.[0].skew)\"",
                                     pids));
}

unsigned fleet_listed(const struct fleet *fleet)
{
    size_t count, skews;
    char phases[64], skew[64];
    const char *listed = members_listed(fleet);
    if (sscanf(listed, "%zu", &count) == 1 && count == 0)
        return SKEW_NONE;
    if (sscanf(listed, "%zu %zu %63s %63[^\n]", &count, &skews, phases, skew) < 4)
        fail_msg("list: %s", listed);
    if (count != fleet->count || skews != 1 || strcmp(phases, "active") != 0)
        return 0;
    return strcmp(skew, operation_skew(SKEW_OLD, fleet->manner).listed) == 0   ? SKEW_OLD
           : strcmp(skew, operation_skew(SKEW_NEW, fleet->manner).listed) == 0 ? SKEW_NEW
                                                                               : 0;
}

unsigned fleet_agree(struct fleet *fleet, unsigned skews)
{
    unsigned skew = fleet_listed(fleet);
    if (!(skew & skews))
        fail_msg("the members do not agree: %s", members_listed(fleet));
    fleet_allow(fleet, skew);
    fleet_expect_right(fleet);
    return skew;
}

/* Listing tells the rows of those who have exited since. */
static void expect_journal_ended(void)
{
    struct run run = skewctl_run("list", "-o", "json", NULL);
    run_expect(&run, 0);
    assert_string_equal(json_query(run.out, ".injections | length"), "0");
    struct journal *journal;
    struct journal_error error = {0};
    struct journal_group *groups = NULL;
    struct journal_injection *rows = NULL;
    size_t group_count, row_count;
    if (journal_open(skewctl_journal(), &journal, &error) != JOURNAL_OK)
        fail_msg("%s", error.message);
    bool read = journal_group_list(journal, false, &groups, &group_count, &error) == JOURNAL_OK &&
                journal_list(journal, false, &rows, &row_count, &error) == JOURNAL_OK;
    journal_close(journal);
    free(groups);
    free(rows);
    if (!read)
        fail_msg("%s", error.message);
    if (group_count || row_count)
        fail_msg("the journal has %zu groups and %zu injections that have not ended", group_count,
                 row_count);
}

void fleet_expect_clean(struct fleet *fleet)
{
    fleet_allow(fleet, SKEW_NONE);
    for (size_t i = 0; i < fleet->count; i++)
        target_expect_clean(&fleet->members[i]);
    expect_journal_ended();
}
