/*
 * remains.h - what is mapped of an image: all of it, the data alone, or a mapping that
 * nobody has filled. Never more than that is ours to unmap.
 */
#ifndef SKEWCTL_ENGINE_REMAINS_H
#define SKEWCTL_ENGINE_REMAINS_H

#include "engine/private.h"

/*
 * A mapping that an inject made just before it died, or even after: its thread
 * makes the call all the same. The data has no header yet, or the code stayed
 * behind when the data was unmapped. It is at the row's address, of exactly the
 * size asked for, nothing beside it, and never used; and a stub is left that
 * has the address noted behind it. A row alone proves nothing: anything else
 * there is the program's own. Returns its size, or 0, and where it begins.
 */
size_t remains_bare_find(const struct look *look, const struct journal_injection *row,
                         uint64_t *address);

/* Whether an image that was found has its code. */
bool remains_have_code(const struct look *look, const struct vdso *vdso);

/* Whether all that lies where that image would is the image's. */
bool remains_owned(const struct look *look, const struct vdso *vdso);

#endif
