/*
 * preload.c - a library to be preloaded (ld.so(8)) that makes one library call
 * of the program fail, as told by the environment:
 *
 *     NTHCALL_FUNCTION  which: open, prepare, step, exec, bind, column or
 *                       checkpoint of SQLite, or memory (malloc(3) and the like)
 *     NTHCALL_NUMBER    the how many-th call of these fails, from 1
 *     NTHCALL_RESULT    with this result code of SQLite; memory and column give NULL
 *     NTHCALL_STRUCK    a file that is created then
 *
 * A call that fails is not made, but for the opening of a database: there
 * SQLite gives out a handle in either case (sqlite3_open(3)).
 *
 * Of SQLite's functions only the program's own calls count. SQLite calls them
 * as well, and relies on more than their results: where the step that reads the
 * schema is left out, sqlite3_exec(3) takes what sqlite3_finalize(3) says of it,
 * which is that all went well, and the database has no tables.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

static const char *function;
static const char *struck;
static long number;
static int result;
static atomic_long count;

/* What the programs' own environment says is read before the program's main. */
__attribute__((constructor)) static void begin(void)
{
    const char *nth = getenv("NTHCALL_NUMBER");
    const char *code = getenv("NTHCALL_RESULT");
    struck = getenv("NTHCALL_STRUCK");
    number = nth ? atol(nth) : 0;
    result = code ? atoi(code) : 0;
    function = getenv("NTHCALL_FUNCTION");
}

static bool due(const char *called)
{
    if (!function || strcmp(function, called) != 0 || atomic_fetch_add(&count, 1) + 1 != number)
        return false;
    int file = struck ? open(struck, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (file >= 0)
        close(file);
    return true;
}

/* In the program's file, that is: its entry point is there too. */
static bool is_ours(const void *code)
{
    Dl_info called = {0}, program = {0};
    return dladdr(code, &called) != 0 && dladdr((const void *)getauxval(AT_ENTRY), &program) != 0 &&
           called.dli_fbase == program.dli_fbase;
}

/* Asked in a function of SQLite itself, so that its caller is the one that returns. */
#define DUE(called) (is_ours(__builtin_return_address(0)) && due(called))

/* POSIX gives dlsym's object pointer the right to be a function pointer. */
#define REAL(name)                                                                                 \
    static __typeof__(&name) real;                                                                 \
    if (!real)                                                                                     \
    *(void **)&real = dlsym(RTLD_NEXT, #name)

int sqlite3_open_v2(const char *name, sqlite3 **database, int flags, const char *vfs)
{
    REAL(sqlite3_open_v2);
    int opened = real(name, database, flags, vfs);
    return DUE("open") ? result : opened;
}

int sqlite3_prepare_v2(sqlite3 *database, const char *sql, int size, sqlite3_stmt **statement,
                       const char **tail)
{
    REAL(sqlite3_prepare_v2);
    if (!DUE("prepare"))
        return real(database, sql, size, statement, tail);
    *statement = NULL;
    return result;
}

int sqlite3_prepare_v3(sqlite3 *database, const char *sql, int size, unsigned flags,
                       sqlite3_stmt **statement, const char **tail)
{
    REAL(sqlite3_prepare_v3);
    if (!DUE("prepare"))
        return real(database, sql, size, flags, statement, tail);
    *statement = NULL;
    return result;
}

int sqlite3_step(sqlite3_stmt *statement)
{
    REAL(sqlite3_step);
    return DUE("step") ? result : real(statement);
}

int sqlite3_exec(sqlite3 *database, const char *sql, int (*row)(void *, int, char **, char **),
                 void *context, char **message)
{
    REAL(sqlite3_exec);
    if (!DUE("exec"))
        return real(database, sql, row, context, message);
    if (message)
        *message = NULL;
    return result;
}

int sqlite3_bind_int64(sqlite3_stmt *statement, int parameter, sqlite3_int64 value)
{
    REAL(sqlite3_bind_int64);
    return DUE("bind") ? result : real(statement, parameter, value);
}

int sqlite3_bind_text(sqlite3_stmt *statement, int parameter, const char *text, int size,
                      void (*release)(void *))
{
    REAL(sqlite3_bind_text);
    return DUE("bind") ? result : real(statement, parameter, text, size, release);
}

int sqlite3_bind_blob64(sqlite3_stmt *statement, int parameter, const void *blob,
                        sqlite3_uint64 size, void (*release)(void *))
{
    REAL(sqlite3_bind_blob64);
    return DUE("bind") ? result : real(statement, parameter, blob, size, release);
}

const unsigned char *sqlite3_column_text(sqlite3_stmt *statement, int column)
{
    REAL(sqlite3_column_text);
    return DUE("column") ? NULL : real(statement, column);
}

const void *sqlite3_column_blob(sqlite3_stmt *statement, int column)
{
    REAL(sqlite3_column_blob);
    return DUE("column") ? NULL : real(statement, column);
}

int sqlite3_wal_checkpoint_v2(sqlite3 *database, const char *name, int mode, int *frames, int *done)
{
    REAL(sqlite3_wal_checkpoint_v2);
    return DUE("checkpoint") ? result : real(database, name, mode, frames, done);
}

/* glibc's own names of its allocator. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t members, size_t size);
extern void *__libc_realloc(void *memory, size_t size);

static void *none(void)
{
    errno = ENOMEM;
    return NULL;
}

void *malloc(size_t size)
{
    return due("memory") ? none() : __libc_malloc(size);
}

void *calloc(size_t members, size_t size)
{
    return due("memory") ? none() : __libc_calloc(members, size);
}

void *realloc(void *memory, size_t size)
{
    return due("memory") ? none() : __libc_realloc(memory, size);
}
