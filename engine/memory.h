/*
 * memory.h - reads and writes a target's memory through /proc/TID/mem.
 *
 * The only writer. The descriptor belongs to the address space that the thread
 * had when it was opened: after an exec it reads and writes nothing (proc(5),
 * measured), so a write can never land in another program.
 * All functions may be used while a target is stopped.
 */
#ifndef SKEWCTL_ENGINE_MEMORY_H
#define SKEWCTL_ENGINE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Opens the memory of a thread. For writing, the thread should be seized by
 * the calling thread: kernels with proc_mem.force_override=ptrace ask for it
 * (fs/proc/base.c, proc_mem_foll_force). Returns -1 with errno.
 */
int memory_open(int process_directory, pid_t tid, bool writable);

/* All or nothing: true, or false with errno (EIO where less was there). */
bool memory_read(int memory, uint64_t address, void *bytes, size_t size);

/*
 * Writes with one pwrite(2), which no thread that runs elsewhere sees in part
 * within a page (measured), and reads back. False with errno: EIO where the
 * kernel does not let memory that the target may not write be written this way.
 */
bool memory_force(int memory, uint64_t address, const void *bytes, size_t size);

/* One byte, without reading it back, where every microsecond counts. False with errno. */
bool memory_byte_put(int memory, uint64_t address, uint8_t byte);

/*
 * As memory_force(), through tracer->memory, or, where that may not be, word by word through
 * a stopped thread of the tracer: memory.c says what can then be written, and how.
 */
struct tracer;
bool memory_write(const struct tracer *tracer, uint64_t address, const void *bytes, size_t size);

/* True if exactly these bytes are there. */
bool memory_equals(int memory, uint64_t address, const void *bytes, size_t size);

#endif
