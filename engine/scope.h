/*
 * scope.h - clean-up when a name goes out of scope.
 */
#ifndef SKEWCTL_ENGINE_SCOPE_H
#define SKEWCTL_ENGINE_SCOPE_H

#include <stdlib.h>
#include <unistd.h>

static inline void descriptor_close(int *descriptor)
{
    if (*descriptor >= 0) {
        close(*descriptor);
        *descriptor = -1;
    }
}

static inline void memory_release(void *pointer)
{
    free(*(void **)pointer);
}

#define scoped_descriptor __attribute__((cleanup(descriptor_close))) int
#define scoped_memory     __attribute__((cleanup(memory_release)))

#endif
