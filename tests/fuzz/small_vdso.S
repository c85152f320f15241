/*
 * small_vdso.S - a vDSO in little: all that skewctl looks for, in one page. What
 * corpus/vdso and corpus/relocate began with; not part of the build:
 *
 *   gcc -nostdlib -shared -o small small_vdso.S -Wl,-T,small_vdso.lds -Wl,--strip-all \
 *       -Wl,--hash-style=sysv -Wl,--build-id=none -Wl,-soname=linux-vdso.so.1
 *   truncate -s 4096 small
 */
    .text
    .macro entry name
    .globl __vdso_\name
    .type __vdso_\name, @function
__vdso_\name:
    endbr64
    push %rbp
    mov %rsp, %rbp
    lea data(%rip), %rax
    cmpl $0, data+4(%rip)
    jne 1f
    rdtsc
    call helper
    mov %rax, (%rdi)
1:  pop %rbp
    ret
    .size __vdso_\name, . - __vdso_\name
    .endm
    entry clock_gettime
    entry gettimeofday
    entry time
helper:
    movq data(%rip), %rdx
    jmp *%rdx
    .section .rodata
data: .quad 0, 0
    .section .note.GNU-stack,"",@progbits
