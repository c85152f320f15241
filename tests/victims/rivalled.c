/*
 * rivalled - changes its own vDSO the way another injector does. It answers
 *     jump FUNCTION  "ok": FUNCTION (clock_gettime, gettimeofday or time) now
 *                    starts with mov rax, imm64; jmp rax to an image of its own
 *                    that makes the system call, as Chaos Mesh leaves it
 *     scribble       "ok": one byte in the middle of the text is another
 * "check" compares each of the three with the system call.
 */
#include "dialogue.h"

#include <elf.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define MARGIN_NS 5000000000LL

static char *vdso;

static void *symbol_find(const char *name)
{
    const Elf64_Ehdr *file = (const void *)vdso;
    const Elf64_Phdr *headers = (const void *)(vdso + file->e_phoff);
    const Elf64_Dyn *dynamic = NULL;
    for (int i = 0; i < file->e_phnum; i++)
        if (headers[i].p_type == PT_DYNAMIC)
            dynamic = (const void *)(vdso + headers[i].p_offset);
    const Elf64_Sym *symbols = NULL;
    const char *strings = NULL;
    for (; dynamic && dynamic->d_tag != DT_NULL; dynamic++) {
        if (dynamic->d_tag == DT_SYMTAB)
            symbols = (const void *)(vdso + dynamic->d_un.d_ptr);
        if (dynamic->d_tag == DT_STRTAB)
            strings = vdso + dynamic->d_un.d_ptr;
    }
    /* The string table stands behind the symbol table in every vDSO. */
    for (; symbols && (const char *)symbols < strings; symbols++)
        if (strcmp(strings + symbols->st_name, name) == 0)
            return vdso + symbols->st_value;
    return NULL;
}

static int (*vdso_clock_gettime)(clockid_t, struct timespec *);
static int (*vdso_gettimeofday)(struct timeval *, void *);
static time_t (*vdso_time)(time_t *);

/* mov eax, NUMBER; syscall; ret */
static void *image_make(long number)
{
    uint8_t code[] = {0xb8, 0, 0, 0, 0, 0x0f, 0x05, 0xc3};
    int32_t immediate = (int32_t)number;
    memcpy(code + 1, &immediate, sizeof immediate);
    void *image =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (image == MAP_FAILED)
        exit(1);
    memcpy(image, code, sizeof code);
    return image;
}

static int overwrite(void *address, const void *bytes, size_t size)
{
    int memory = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
    int done =
        memory >= 0 && pwrite(memory, bytes, size, (off_t)(uintptr_t)address) == (ssize_t)size;
    close(memory);
    return done;
}

static int jump_write(const char *function)
{
    long number = strcmp(function, "clock_gettime") == 0  ? SYS_clock_gettime
                  : strcmp(function, "gettimeofday") == 0 ? SYS_gettimeofday
                                                          : SYS_time;
    char name[64];
    snprintf(name, sizeof name, "__vdso_%s", function);
    void *entry = symbol_find(name), *image = image_make(number);
    uint8_t jump[] = {0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xe0};
    memcpy(jump + 2, &image, sizeof image);
    return entry && overwrite(entry, jump, sizeof jump);
}

static int scribble(void)
{
    uint8_t *entry = symbol_find("__vdso_clock_getres"), other = 0x90;
    return entry && overwrite(entry + 8, &other, sizeof other);
}

static int near(int64_t a, int64_t b)
{
    return a - b < MARGIN_NS && b - a < MARGIN_NS;
}

static int all_right(void)
{
    struct timespec truth, read;
    struct timeval day;
    if (syscall(SYS_clock_gettime, CLOCK_REALTIME, &truth) != 0 ||
        vdso_clock_gettime(CLOCK_REALTIME, &read) != 0 || vdso_gettimeofday(&day, NULL) != 0)
        return 0;
    int64_t second = 1000000000;
    int64_t now = truth.tv_sec * second + truth.tv_nsec;
    return near(read.tv_sec * second + read.tv_nsec, now) &&
           near(day.tv_sec * second + day.tv_usec * 1000, now) &&
           near((int64_t)vdso_time(NULL) * second, now);
}

static void answer_line(const char *line, char *answer, size_t size)
{
    int done = strncmp(line, "jump ", 5) == 0  ? jump_write(line + 5)
               : strcmp(line, "scribble") == 0 ? scribble()
               : strcmp(line, "check") == 0    ? all_right()
                                               : 0;
    snprintf(answer, size, done ? "ok 0" : "bad: %s", line);
}

int main(void)
{
    vdso = (char *)getauxval(AT_SYSINFO_EHDR);
    vdso_clock_gettime = symbol_find("__vdso_clock_gettime");
    vdso_gettimeofday = symbol_find("__vdso_gettimeofday");
    vdso_time = symbol_find("__vdso_time");
    if (!vdso_clock_gettime || !vdso_gettimeofday || !vdso_time)
        return 1;
    dialogue_open();
    for (;;)
        dialogue_poll(-1, answer_line);
}
