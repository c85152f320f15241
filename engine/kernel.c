/* See kernel.h. */
#include "engine/kernel.h"

#include <stdio.h>
#include <sys/utsname.h>

bool kernel_is_from(unsigned major, unsigned minor)
{
    struct utsname name;
    unsigned has_major, has_minor;
    return uname(&name) == 0 && sscanf(name.release, "%u.%u", &has_major, &has_minor) == 2 &&
           (has_major > major || (has_major == major && has_minor >= minor));
}
