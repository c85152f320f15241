/*
 * rival.c - the traces that other injectors leave: Chaos Mesh, chaosd and
 * watchmaker overwrite the start of a vDSO function with
 *     movabs $image, %rax ; jmp *%rax
 * (chaos-mesh, pkg/ptrace/ptrace_linux_amd64.go, JumpToFakeFunc), and their
 * image reads the clock by a system call.
 */
#include "asm/arch.h"

#include <string.h>

bool arch_rival_jump_parse(const uint8_t bytes[ARCH_RIVAL_JUMP_SIZE], uint64_t *target)
{
    static const uint8_t movabs_rax[] = {0x48, 0xb8};
    static const uint8_t jmp_rax[] = {0xff, 0xe0};

    if (memcmp(bytes, movabs_rax, sizeof movabs_rax) != 0 ||
        memcmp(bytes + sizeof movabs_rax + sizeof *target, jmp_rax, sizeof jmp_rax) != 0) {
        return false;
    }
    memcpy(target, bytes + sizeof movabs_rax, sizeof *target);
    return true;
}

bool arch_makes_syscall(const uint8_t *code, size_t size)
{
    static const uint8_t syscall_instruction[] = {0x0f, 0x05};

    return memmem(code, size, syscall_instruction, sizeof syscall_instruction) != NULL;
}
