/* See cgroup_place.h. */
#include "cgroup_place.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char made[128];

bool cgroup_place_enter(const char *path, pid_t pid)
{
    int procs = open(harness_format("%s/cgroup.procs", path), O_WRONLY | O_CLOEXEC);
    bool entered = procs >= 0 && dprintf(procs, "%d\n", pid) > 0;
    if (procs >= 0)
        close(procs);
    return entered;
}

const char *cgroup_place_make(pid_t first)
{
    static const char *const folders[] = {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(made, sizeof made, "%s/skewctl-test-%d", folders[i], getpid());
        if (mkdir(made, 0755) == 0) {
            if (cgroup_place_enter(made, first))
                return made;
            rmdir(made);
        }
        made[0] = '\0';
    }
    harness_skip("no cgroup can be made, or no process be moved to it");
    return NULL;
}

void cgroup_place_remove(void)
{
    for (int tries = 0; made[0] && rmdir(made) != 0 && tries < 1000; tries++)
        harness_sleep_ms(5);
    made[0] = '\0';
}
