/*
 * floor PID - the least that anything must do to a process to map memory into
 * it and change three words of it while all its threads stand still: seize,
 * interrupt, wait, one mmap, three writes, detach. What skewctl takes longer
 * than this is its own.
 *
 * No safety of any kind: only for the benchmark's own targets, whose main
 * thread is in user mode.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEADLINE_SECONDS 30
#define THREADS_MAX      4096
#define VDSO_SIZE        0x2000
#define MAPPING_SIZE     0x3000

static void must(int holds, const char *what)
{
    if (!holds) {
        perror(what);
        exit(1);
    }
}

static size_t threads_list(pid_t pid, pid_t *threads)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    must(tasks != NULL, path);
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(tasks)) && count < THREADS_MAX;)
        if (entry->d_name[0] != '.')
            threads[count++] = atoi(entry->d_name);
    closedir(tasks);
    return count;
}

/* The vDSO's address in another process, from its maps. */
static uint64_t vdso_find(pid_t pid)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    FILE *maps = fopen(path, "re");
    must(maps != NULL, path);
    unsigned long long address = 0;
    while (fgets(line, sizeof line, maps))
        if (strstr(line, "[vdso]"))
            sscanf(line, "%llx", &address);
    fclose(maps);
    must(address != 0, "no vDSO");
    return address;
}

/* Our own vDSO is the same; it has system calls to fall back to. */
static uint64_t syscall_instruction_find(uint64_t vdso)
{
    const uint8_t *own = (const uint8_t *)getauxval(AT_SYSINFO_EHDR);
    const uint8_t *found = memmem(own, VDSO_SIZE, "\x0f\x05", 2);
    must(found != NULL, "no syscall instruction");
    return vdso + (uint64_t)(found - own);
}

static void step_to_syscall(pid_t thread)
{
    must(ptrace(PTRACE_SYSCALL, thread, 0, 0) == 0, "PTRACE_SYSCALL");
    must(waitpid(thread, NULL, __WALL) == thread, "waitpid");
}

static void memory_map(pid_t thread, uint64_t instruction)
{
    struct user_regs_struct saved, registers;
    must(ptrace(PTRACE_GETREGS, thread, 0, &saved) == 0, "PTRACE_GETREGS");
    registers = saved;
    registers.rip = instruction;
    registers.orig_rax = (uint64_t)-1;
    registers.rax = SYS_mmap;
    registers.rdi = 0;
    registers.rsi = MAPPING_SIZE;
    registers.rdx = PROT_READ;
    registers.r10 = MAP_PRIVATE | MAP_ANONYMOUS;
    registers.r8 = (uint64_t)-1;
    registers.r9 = 0;
    must(ptrace(PTRACE_SETREGS, thread, 0, &registers) == 0, "PTRACE_SETREGS");
    step_to_syscall(thread);
    step_to_syscall(thread);
    must(ptrace(PTRACE_GETREGS, thread, 0, &registers) == 0, "PTRACE_GETREGS");
    must(registers.rax < (uint64_t)-4095, "remote mmap");
    must(ptrace(PTRACE_SETREGS, thread, 0, &saved) == 0, "PTRACE_SETREGS");
}

int main(int count, char **arguments)
{
    static pid_t threads[THREADS_MAX];
    if (count != 2)
        return 2;
    alarm(DEADLINE_SECONDS);
    pid_t pid = atoi(arguments[1]);
    uint64_t vdso = vdso_find(pid), instruction = syscall_instruction_find(vdso);
    uint64_t unused = vdso + VDSO_SIZE - sizeof(uint64_t), zero = 0;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    int memory = open(path, O_RDWR | O_CLOEXEC);
    must(memory >= 0, path);
    size_t found = threads_list(pid, threads);

    for (size_t i = 0; i < found; i++)
        must(ptrace(PTRACE_SEIZE, threads[i], 0, PTRACE_O_TRACESYSGOOD) == 0, "PTRACE_SEIZE");
    for (size_t i = 0; i < found; i++)
        must(ptrace(PTRACE_INTERRUPT, threads[i], 0, 0) == 0, "PTRACE_INTERRUPT");
    for (size_t i = 0; i < found; i++)
        must(waitpid(threads[i], NULL, __WALL) == threads[i], "waitpid");
    memory_map(threads[0], instruction);
    for (int i = 0; i < 3; i++)
        must(pwrite(memory, &zero, sizeof zero, (off_t)unused) == sizeof zero, "pwrite");
    for (size_t i = 0; i < found; i++)
        must(ptrace(PTRACE_DETACH, threads[i], 0, 0) == 0, "PTRACE_DETACH");
    return 0;
}
