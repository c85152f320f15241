/*
 * stub.S - the self-restoring stub: one system call on behalf of the tracer,
 * then the interrupted program goes on as if nothing had been.
 *
 * A template: asm/x86_64/stub.c fills in the immediates and the bytes are
 * written with one pwrite into zero bytes behind the vDSO's ELF image. The
 * tracer points a stopped thread at it with the call's registers set, takes
 * the result at the syscall-exit stop and puts the true registers back itself.
 * Should it die anywhere in between, the thread runs to the end of the stub
 * and restores itself. So:
 *   - everything a system call or the readback routine changes is loaded here:
 *     rax rcx rdx rsi rdi r8 to r11, rsp, the arithmetic flags and DF;
 *     rbx, rbp, r12 to r15 and all FP state are changed by neither;
 *   - no stack is used (red zones, 2 KiB signal stacks, shadow stacks);
 *   - the flags come from two moves: al = 0x7f overflows when 1 is added and
 *     sets OF, al = 0 does not; then sahf sets SF ZF AF PF CF from ah.
 */
	.section .rodata.skew_stub, "a", @progbits
	.globl	skew_stub_begin, skew_stub_end
	.globl	skew_stub_flags, skew_stub_direction, skew_stub_registers, skew_stub_rip
	.hidden	skew_stub_begin, skew_stub_end
	.hidden	skew_stub_flags, skew_stub_direction, skew_stub_registers, skew_stub_rip

	.balign	16
skew_stub_begin:
	syscall
	mov	$0x1234, %ax
skew_stub_flags:
	add	$1, %al
	sahf
skew_stub_direction:
	cld
	/* Each movabs is two bytes of opcode and eight of immediate: stub.c counts on it. */
skew_stub_registers:
	movabs	$0x1122334455667788, %rcx
	movabs	$0x1122334455667788, %rdx
	movabs	$0x1122334455667788, %rsi
	movabs	$0x1122334455667788, %rdi
	movabs	$0x1122334455667788, %r8
	movabs	$0x1122334455667788, %r9
	movabs	$0x1122334455667788, %r10
	movabs	$0x1122334455667788, %r11
	movabs	$0x1122334455667788, %rsp
	movabs	$0x1122334455667788, %rax
	jmp	*skew_stub_rip(%rip)
skew_stub_rip:
	.quad	0
skew_stub_end:

	.section .note.GNU-stack, "", @progbits
