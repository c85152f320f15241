/* See registers.h: offsets are those of struct registers. */
	.text
	.globl	registers_call
	.type	registers_call, @function
registers_call:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rcx			/* seventh push: rsp is 16-byte aligned for the call */
	mov	%rdi, %rax
	mov	%rsi, %rdi
	mov	%rdx, %rsi
	movups	48(%rcx), %xmm0
	movups	64(%rcx), %xmm1
	movups	80(%rcx), %xmm2
	movups	96(%rcx), %xmm3
	movups	112(%rcx), %xmm4
	movups	128(%rcx), %xmm5
	movups	144(%rcx), %xmm6
	movups	160(%rcx), %xmm7
	movups	176(%rcx), %xmm8
	movups	192(%rcx), %xmm9
	movups	208(%rcx), %xmm10
	movups	224(%rcx), %xmm11
	movups	240(%rcx), %xmm12
	movups	256(%rcx), %xmm13
	movups	272(%rcx), %xmm14
	movups	288(%rcx), %xmm15
	ldmxcsr	304(%rcx)
	fldcw	308(%rcx)
	mov	0(%rcx), %rbx
	mov	8(%rcx), %rbp
	mov	16(%rcx), %r12
	mov	24(%rcx), %r13
	mov	32(%rcx), %r14
	mov	40(%rcx), %r15
	call	*%rax
	mov	(%rsp), %rcx
	mov	%rbx, 0(%rcx)
	mov	%rbp, 8(%rcx)
	mov	%r12, 16(%rcx)
	mov	%r13, 24(%rcx)
	mov	%r14, 32(%rcx)
	mov	%r15, 40(%rcx)
	movups	%xmm0, 48(%rcx)
	movups	%xmm1, 64(%rcx)
	movups	%xmm2, 80(%rcx)
	movups	%xmm3, 96(%rcx)
	movups	%xmm4, 112(%rcx)
	movups	%xmm5, 128(%rcx)
	movups	%xmm6, 144(%rcx)
	movups	%xmm7, 160(%rcx)
	movups	%xmm8, 176(%rcx)
	movups	%xmm9, 192(%rcx)
	movups	%xmm10, 208(%rcx)
	movups	%xmm11, 224(%rcx)
	movups	%xmm12, 240(%rcx)
	movups	%xmm13, 256(%rcx)
	movups	%xmm14, 272(%rcx)
	movups	%xmm15, 288(%rcx)
	stmxcsr	304(%rcx)
	fnstcw	308(%rcx)
	pop	%rcx
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret
	.size	registers_call, . - registers_call
	.section	.note.GNU-stack, "", @progbits
