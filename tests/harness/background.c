/* See background.h. */
#include "background.h"

#include "cgroup_place.h"
#include "command.h"
#include "observe.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

pid_t background_follower;

int background_teardown(void **state)
{
    if (background_follower != 0)
        kill(background_follower, SIGKILL);
    background_follower = 0;
    int status = harness_teardown(state);
    cgroup_place_remove();
    return status;
}

static pid_t listed(const char *which)
{
    struct run run = skewctl_run("list", "-o", "json", NULL);
    run_expect(&run, 0);
    return atoi(json_query(run.out, harness_format("%s | .follower // 0", which)));
}

pid_t background_listed(void)
{
    return listed(".injections[0]");
}

pid_t background_listed_of(pid_t member)
{
    return listed(harness_format(".injections[] | select(.pid == %d)", member));
}

/* Its first thread may have ended while another, which traces somebody, has not yet. */
static bool process_lives(pid_t pid)
{
    const char *state = observe_status(pid, pid, "State");
    const char *threads = observe_status(pid, pid, "Threads");
    return state && threads && (!strchr(state, 'Z') || atoi(threads) > 1);
}

void background_await_end(void)
{
    for (int waited = 0; process_lives(background_follower); waited += 5) {
        if (waited > HARNESS_DEADLINE_MS)
            fail_msg("the follower %d does not end", background_follower);
        harness_sleep_ms(5);
    }
    background_follower = 0;
}

struct child *background_shell(void)
{
    struct child *shell = child_start((const char *const[]){"bash", NULL}, NULL);
    assert_string_equal(child_ask(shell, "echo here"), "here");
    return shell;
}
