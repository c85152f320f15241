/*
 * shim.S - the code that stands in for clock_gettime, gettimeofday and time in
 * a skewed process, and the routine that reads them back.
 *
 * It is never run in this program: skewctl copies the bytes between
 * skew_shim_begin and skew_shim_end to image + IMAGE_SHIM in the target and
 * points each `call` or `jmp` listed in skew_shim_calls at a function of the
 * relocated copy of the vDSO's text (the displacements are zero here).
 *
 * Contract of the three entries, reached by a jump from the first bytes of the
 * vDSO's own function, so with the caller's return address at (%rsp):
 *   - arguments and results as in clock_gettime(2), gettimeofday(2), time(2)
 *     and the System V ABI; a failing call of the original is passed on as is;
 *   - rbx, rbp, r12 to r15, the direction flag and all FP, vector and mask
 *     state are untouched (Go keeps live values in r12 and rbx across the call);
 *   - at most 48 bytes of stack, the red zone included, besides what the original uses;
 *   - no TLS, no locks, no writable data but the caller's buffer, no syscall
 *     besides those the original makes. No code outside the image is called,
 *     so a thread is inside the image only if its own program counter, or the
 *     one saved in a signal frame, is: engine/scan.c rests on that.
 *
 * The original runs first and the parameters are read after it, so that their
 * loads overlap with the latency of rdtsc.
 *
 * The skew ends by itself at a deadline (layout.h). What decides is the true
 * reading that the skew would be added to, compared with the deadline of the same
 * clock: a read is skewed or not by what its own clock shows, to the nanosecond,
 * whenever the thread is delayed, and no second clock need be read. A coarse clock,
 * and time with it, shows an earlier instant than the fine one and so goes over at the
 * first tick behind the deadline, as a fine clock seen through a coarse one would.
 *
 * A clock whose skew is a shape takes a way of its own that begins where one that is not
 * skewed is told apart, so that it costs an offset nothing. The slot must still be the same
 * once all of its constants have been used.
 */
#include "asm/x86_64/layout.h"

	/* Offsets from skew_shim_begin of the ends of branches, and where they go. */
	.section .rodata.skew_shim_calls, "a", @progbits
	.balign	4
skew_shim_calls:

	.section .rodata.skew_shim, "a", @progbits
	.balign	64
	.globl	skew_shim_begin, skew_shim_end
	.globl	skew_shim_clock_gettime, skew_shim_gettimeofday, skew_shim_time
	.globl	skew_shim_readback
	.globl	skew_shim_calls, skew_shim_calls_end
	.hidden	skew_shim_begin, skew_shim_end
	.hidden	skew_shim_clock_gettime, skew_shim_gettimeofday, skew_shim_time
	.hidden	skew_shim_readback
	.hidden	skew_shim_calls, skew_shim_calls_end

skew_shim_begin:
	/* The data page as seen from here: the distance is the same in every image. */
	.set	parameters, skew_shim_begin - IMAGE_SHIM + IMAGE_PARAMETERS
	.set	readback, skew_shim_begin - IMAGE_SHIM + IMAGE_READBACK

	.set	CLOCK_REALTIME, 0
	.set	CLOCK_REALTIME_COARSE, 5
	.set	SYS_munmap, 11

	/* The order of enum arch_function in asm/arch.h. */
	.set	FUNCTION_CLOCK_GETTIME, 0
	.set	FUNCTION_GETTIMEOFDAY, 1
	.set	FUNCTION_TIME, 2

/* A branch to the copy of an original function, recorded for the image builder. */
.macro to_copy opcode, function
	.byte	\opcode
	.long	0
	.pushsection .rodata.skew_shim_calls, "a", @progbits
	.long	8888f - skew_shim_begin
	.long	\function
	.popsection
8888:
.endm
.macro call_copy function
	to_copy	0xe8, \function
.endm
.macro jump_copy function
	to_copy	0xe9, \function
.endm

/*
 * A consistent snapshot of the slot in force: r8 = clocks, r9 = seconds,
 * r10 = nanoseconds in [0, 1e9), `deadline` = the seconds of a clock's deadline,
 * whose words `words` addresses in the two tables: (%rdx) for CLOCK_REALTIME. rdx is
 * the slot, r11 its generation. Clobbers flags. See layout.h for why this can neither
 * tear nor wait.
 */
.macro load_skew words, deadline
7777:	movzbl	parameters + PARAMETERS_SELECTOR(%rip), %edx
	lea	parameters + PARAMETERS_SLOTS(%rip), %r11
	lea	(%r11, %rdx, PARAMETERS_WORD), %rdx
	mov	SLOT_GENERATION(%rdx), %r11
	mov	SLOT_CLOCKS(%rdx), %r8
	mov	SLOT_SECONDS(%rdx), %r9
	mov	SLOT_NANOSECONDS(%rdx), %r10
	mov	SLOT_DEADLINE_SECONDS\words, \deadline
	test	$1, %r11b
	jnz	7777b
	cmp	SLOT_GENERATION(%rdx), %r11
	jne	7777b
.endm

/*
 * Goes to `skewed` or `neutral`, where the true seconds were just compared with
 * those of the deadline and are not below. This is out of the way: in all but one second
 * the comparison decides, in a branch that is predicted, by seconds that are
 * known long before the nanoseconds are, and so costs a skewed read next to
 * nothing. The nanoseconds of the deadline are read behind the snapshot, so the
 * slot must still be the same.
 */
.macro decide_by_nanoseconds words, nanoseconds, scratch, skewed, neutral
	jg	\neutral
	mov	SLOT_DEADLINE_NANOSECONDS\words, \scratch
	cmp	SLOT_GENERATION(%rdx), %r11
	jne	7777b
	cmp	\scratch, \nanoseconds
	jb	\skewed
	jmp	\neutral
.endm

/*
 * What a clock with a shape shows. Takes the true time in `seconds`, which may be rax, and r8
 * (nanoseconds), the clock's beginning in r9, the slot in rdx and its generation in r11;
 * gives the time shown in rax and r10. Goes to `retry` where the slot has changed meanwhile.
 * Keeps rsi and r11; clobbers rcx, rdx, rdi, r8, r9 and the flags. Uses the red zone.
 *
 * All is modulo 2^64 nanoseconds. Everything up to "late" depends on the seconds alone, which
 * are known long before the nanoseconds: it finds out what is shown at the beginning
 * of the true second, as a second and what is above it. The nanoseconds then add what they
 * are in the shape's pace, which most often leads to that second or the next, and need no
 * division. Behind "late" each step delays the next read, so there the fewest steps one
 * after the other count, elsewhere the fewest instructions.
 *
 * A division by 10^9 is that of a number without its lowest 9 bits by 5^9, multiplied by
 * ceil(2^75 / 5^9) and rounded down: exact from 1970 on. Before, a whole second may come
 * out as 10^9 nanoseconds above the one before it, which the next comparison puts right.
 */
	.set	FIFTHS, 0x44b82fa09b5a53
	.set	FRAME_ELAPSED, -8	/* at the beginning of the true second */
	.set	FRAME_FRACTION, -16	/* of what is shown then, and later now, in 2^-64 nanoseconds */
	.set	FRAME_SECOND, -24	/* that is shown then */
	.set	FRAME_CLOCK, -32	/* for who comes here */
	.set	FRAME_SHOWN, -40	/* all but the sine */
	.set	QUARTER, 1 << 62

/* rdx = from / 10^9, rounded down or 1 less; from is kept. Clobbers rax. */
.macro whole_seconds from
	mov	\from, %rax
	sar	$9, %rax
	movabs	$FIFTHS, %rdx
	imul	%rdx
	sar	$11, %rdx
.endm

/* rdx = the phase, in 2^-64 periods, of the elapsed time r8. Clobbers rax, rdi. */
.macro phase low, high
	mov	SLOT_PROGRAM + \low(%rcx), %rax
	mov	SLOT_PROGRAM + \high(%rcx), %rdi
	mul	%r8
	imul	%r8, %rdi
	add	%rdi, %rdx
.endm

.macro shape_evaluate seconds
	mov	%rdx, %rcx
	imul	$1000000000, \seconds, %rax
	sub	%r9, %rax
	mov	%rax, FRAME_ELAPSED(%rsp)
	lea	(%rax, %r8), %r10
	lea	SLOT_PROGRAM + PROGRAM_SEGMENTS(%rcx), %rdi
5551:	cmp	%r10, SEGMENT_LAST(%rdi)
	jl	5556f

	mov	%rax, %r10
	imul	SEGMENT_SLOPE_HIGH(%rdi), %r10
	imulq	SEGMENT_SLOPE_LOW(%rdi)
	add	SEGMENT_VALUE_LOW(%rdi), %rax
	adc	SEGMENT_VALUE_HIGH(%rdi), %r10
	mov	%rax, FRAME_FRACTION(%rsp)
	add	%rdx, %r9
	add	%r10, %r9
	whole_seconds %r9
	mov	%rdx, FRAME_SECOND(%rsp)
	imul	$1000000000, %rdx, %rdx
	sub	%rdx, %r9

	/* Late. */
	mov	%r8, %rax
	mov	%r8, %r10
	imul	SEGMENT_SLOPE_HIGH(%rdi), %r10
	imulq	SEGMENT_SLOPE_LOW(%rdi)
	add	%r9, %r10
	add	FRAME_FRACTION(%rsp), %rax
	adc	%rdx, %r10
	cmpq	$0, SLOT_PROGRAM + PROGRAM_PERIODIC(%rcx)
	jne	5557f
5552:	mov	FRAME_SECOND(%rsp), %rax
	cmp	SLOT_GENERATION(%rcx), %r11
	jne	5555f
5553:	cmp	$1000000000, %r10
	jae	5554f
5559:
.endm

/*
 * Follows each shape_evaluate, out of its way. `clock` is where the number of the clock is, or
 * nothing for CLOCK_REALTIME.
 */
.macro shape_evaluate_rest retry, clock
	/* One of the next seconds, or any other. */
5554:	inc	%rax
	sub	$1000000000, %r10
	cmp	$1000000000, %r10
	jb	5559b
	cmp	$2000000000, %r10
	jb	5554b
	imul	$1000000000, %rax, %rax
	add	%rax, %r10
	whole_seconds %r10
	imul	$1000000000, %rdx, %rax
	sub	%rax, %r10
	mov	%rdx, %rax
	jmp	5553b

	/* A slot in mid-change may have no last segment. */
5556:	add	$SEGMENT_SIZE, %rdi
	cmp	SLOT_GENERATION(%rcx), %r11
	je	5551b
5555:	jmp	\retry

5557:	mov	%rax, %r9
	add	FRAME_ELAPSED(%rsp), %r8
	mov	SLOT_PROGRAM + PROGRAM_PERIODIC(%rcx), %rdi
	or	%r8, %rdi
	js	5550f
5549:	testb	$SHAPE_PERIODIC_STROBE, SLOT_PROGRAM + PROGRAM_PERIODIC(%rcx)
	jz	5558f
	phase	PROGRAM_STROBE_LOW, PROGRAM_STROBE_HIGH
	sar	$63, %rdx
	not	%rdx
	and	SLOT_PROGRAM + PROGRAM_STROBE_AMOUNT(%rcx), %rdx
	add	%rdx, %r10

	/* As sine() of engine/shape.c. */
5558:	testb	$SHAPE_PERIODIC_SINE, SLOT_PROGRAM + PROGRAM_PERIODIC(%rcx)
	jz	5558f
	mov	%r9, FRAME_FRACTION(%rsp)
	mov	%r10, FRAME_SHOWN(%rsp)
	phase	PROGRAM_SINE_LOW, PROGRAM_SINE_HIGH
	lea	(%rdx, %rdx), %r10
	movabs	$QUARTER, %r9
	add	%rdx, %r9
	mov	%r10, %rax
	imul	%r10
	sar	$63, %r9
	xor	%r10, %r9
	mov	%rdx, %rax
	movabs	$SHAPE_SINE_A, %rdi
	mov	%rdx, %r10
	add	%rdx, %rdi
	sar	$8, %rax
	imul	%rdi
	shr	$5, %r10
	movabs	$SHAPE_SINE_C, %rdi
	sub	%r10, %rdi
	mov	%r9, %rax
	mov	%rdx, %r10
	imulq	SLOT_PROGRAM + PROGRAM_SINE_AMPLITUDE(%rcx)
	movabs	$SHAPE_SINE_B, %rax
	mov	%rdx, %r9
	add	%r10, %rax
	add	%r10, %rdi
	imul	%rdi
	movabs	$SHAPE_SINE_D, %rax
	add	%rdx, %rax
	imul	%r9
	mov	FRAME_SHOWN(%rsp), %r10
	add	FRAME_FRACTION(%rsp), %rax
	adc	%rdx, %r10

	/* As noise() of engine/shape.c. */
5558:	testb	$SHAPE_PERIODIC_JITTER, SLOT_PROGRAM + PROGRAM_PERIODIC(%rcx)
	jz	5552b
	mov	SLOT_PROGRAM + PROGRAM_JITTER_LOW(%rcx), %rax
	mul	%r8
	mov	SLOT_PROGRAM + PROGRAM_JITTER_HIGH(%rcx), %rax
	mov	%rdx, %rdi
	mul	%r8
	add	%rdi, %rax
	adc	SLOT_PROGRAM + PROGRAM_JITTER_SEED(%rcx), %rdx
	movabs	$0xbf58476d1ce4e5b9, %rax
	imul	%rax, %rdx
	mov	%rdx, %rdi
	shr	$32, %rdi
	xor	%rdi, %rdx
	movabs	$0x94d049bb133111eb, %rax
	imul	%rax, %rdx
	mov	%rdx, %rdi
	shr	$29, %rdi
	xor	%rdi, %rdx
	movabs	$0x9e3779b97f4a7c15, %rax
	imul	%rdx, %rax
	mulq	SLOT_PROGRAM + PROGRAM_JITTER_RANGE(%rcx)
	add	SLOT_PROGRAM + PROGRAM_JITTER_LOWEST(%rcx), %r10
	add	%rdx, %r10
	jmp	5552b

	/* Before the beginning, or with a slew: one branch for both, that most often is not taken. */
5550:	cmpq	$0, SLOT_PROGRAM + PROGRAM_PERIODIC(%rcx)
	jge	5552b
	/* As slew_rest() of engine/slew.c; rax has the fraction of what is shown. */
	mov	%rax, FRAME_FRACTION(%rsp)
	.ifnb	\clock
	mov	\clock, %edi
	.else
	xor	%edi, %edi
	.endif
	mov	%r8, %rax
	sub	SLOT_SLEW_BEGINNING(%rcx, %rdi, 8), %rax
	cqto
	not	%rdx
	and	%rdx, %rax
	mulq	SLOT_SLEW_PACE(%rcx)
	mov	SLOT_SLEW_AMOUNT(%rcx, %rdi, 8), %rdi
	mov	%rdi, %r9
	sar	$63, %r9
	xor	%r9, %rdi
	sub	%r9, %rdi
	/* The amount less what has gone, and not less than nothing; then its sign. */
	neg	%rax
	sbb	%rdx, %rdi
	sbb	%rdx, %rdx
	not	%rdx
	and	%rdx, %rax
	and	%rdx, %rdi
	xor	%r9, %rax
	xor	%r9, %rdi
	sub	%r9, %rax
	sbb	%r9, %rdi
	add	FRAME_FRACTION(%rsp), %rax
	adc	%rdi, %r10
	mov	%rax, %r9
	test	%r8, %r8
	jns	5549b
	jmp	5552b
.endm

/* int clock_gettime(clockid_t edi, struct timespec *rsi) */
	.balign	64
skew_shim_clock_gettime:
	sub	$24, %rsp
	mov	%edi, (%rsp)
	mov	%rsi, 8(%rsp)
	call_copy FUNCTION_CLOCK_GETTIME
	mov	(%rsp), %ecx
	mov	8(%rsp), %rsi
	add	$24, %rsp
	test	%eax, %eax
	jnz	2f
	/* Unsigned, so negative ids (dynamic clocks) are left alone as well. */
	cmp	$SLOT_CLOCK_COUNT, %ecx
	jae	2f
	load_skew "(%rdx, %rcx, 8)", %rdi
	bt	%rcx, %r8
	jnc	5f
	cmp	%rdi, (%rsi)
	jge	4f
1:
	/*
	 * The skew's nanoseconds less a second, taken before the time is known: the
	 * addition then tells the carry by itself, one step sooner on the path from
	 * rdtsc to the end of the read, which the next read's lfence waits for.
	 */
	lea	-1000000000(%r10), %rdx
	add	8(%rsi), %rdx
	jc	3f
	add	%r9, (%rsi)
	add	%r10, 8(%rsi)
2:	ret
3:	inc	%r9
	add	%r9, (%rsi)
	mov	%rdx, 8(%rsi)
	ret
4:	decide_by_nanoseconds "(%rdx, %rcx, 8)", 8(%rsi), %rdi, 1b, 2b
5:	shr	$SLOT_SHAPED, %r8
	bt	%rcx, %r8
	jnc	2b
	cmp	%rdi, (%rsi)
	jge	8f
6:	mov	SLOT_BEGINNING(%rdx, %rcx, 8), %r9
	mov	%ecx, FRAME_CLOCK(%rsp)
	mov	8(%rsi), %r8
	shape_evaluate (%rsi)
	mov	%rax, (%rsi)
	mov	%r10, 8(%rsi)
	xor	%eax, %eax
	ret
	shape_evaluate_rest 7f, "FRAME_CLOCK(%rsp)"
7:	mov	FRAME_CLOCK(%rsp), %ecx
	xor	%eax, %eax
	jmp	7777b
8:	decide_by_nanoseconds "(%rdx, %rcx, 8)", 8(%rsi), %rdi, 6b, 2b

/*
 * int gettimeofday(struct timeval *rdi, struct timezone *rsi)
 *
 * The time is read as a timespec into the caller's buffer, which has the same
 * size, and turned into microseconds after the skew: adding to microseconds
 * that were already cut off would disagree with clock_gettime by one.
 */
	.balign	64
skew_shim_gettimeofday:
	sub	$24, %rsp
	mov	%rdi, (%rsp)
	test	%rsi, %rsi
	jnz	5f
1:	test	%rdi, %rdi
	jz	6f
	mov	%rdi, %rsi
	xor	%edi, %edi
	call_copy FUNCTION_CLOCK_GETTIME
	mov	(%rsp), %rsi
	add	$24, %rsp
	test	%eax, %eax
	jnz	4f
	load_skew (%rdx), %rdi
	mov	8(%rsi), %rcx
	test	$(1 << CLOCK_REALTIME), %r8b
	jz	1f
	cmp	%rdi, (%rsi)
	jge	9f
8:	add	%r10, %rcx
	add	(%rsi), %r9
	cmp	$1000000000, %rcx
	jae	7f
2:	mov	%r9, (%rsi)
	/* rcx < 2^30, so rcx / 1000 is exactly rcx * ceil(2^38 / 1000) >> 38. */
3:	imul	$274877907, %rcx, %rcx
	shr	$38, %rcx
	mov	%rcx, 8(%rsi)
4:	ret
5:	xor	%edi, %edi
	call_copy FUNCTION_GETTIMEOFDAY
	mov	(%rsp), %rdi
	test	%eax, %eax
	jz	1b
	add	$24, %rsp
	ret
6:	xor	%eax, %eax
	add	$24, %rsp
	ret
7:	sub	$1000000000, %rcx
	inc	%r9
	jmp	2b
9:	decide_by_nanoseconds (%rdx), %rcx, %rdi, 8b, 3b
1:	bt	$(CLOCK_REALTIME + SLOT_SHAPED), %r8
	jnc	3b
	cmp	%rdi, (%rsi)
	jge	8f
2:	mov	SLOT_BEGINNING(%rdx), %r9
	mov	%rcx, %r8
	shape_evaluate (%rsi)
	mov	%rax, (%rsi)
	imul	$274877907, %r10, %rcx
	shr	$38, %rcx
	mov	%rcx, 8(%rsi)
	xor	%eax, %eax
	ret
	shape_evaluate_rest 4f
4:	xor	%eax, %eax
	jmp	7777b
8:	decide_by_nanoseconds (%rdx), %rcx, %rdi, 2b, 3b

/*
 * time_t time(time_t *rdi)
 *
 * The original returns the seconds as of the last tick, those of
 * CLOCK_REALTIME_COARSE. With a skew of whole seconds adding to them is exact,
 * but for the second of the deadline; otherwise the coarse clock gives the
 * nanoseconds that decide on the carry and on which side of the deadline it is.
 */
	.balign	64
skew_shim_time:
	load_skew (%rdx), %rsi
	test	$(1 << CLOCK_REALTIME), %r8b
	jz	4f
	test	%r10, %r10
	jnz	2f
	push	%rdi
	push	%r9
	push	%rsi
	xor	%edi, %edi
	call_copy FUNCTION_TIME
	pop	%rsi
	pop	%r9
	pop	%rdi
	cmp	%rsi, %rax
	jge	5f
	add	%r9, %rax
3:	test	%rdi, %rdi
	jnz	1f
	ret
1:	mov	%rax, (%rdi)
	ret
5:	jg	3b
2:	sub	$24, %rsp
	mov	%rdi, (%rsp)
	mov	$CLOCK_REALTIME_COARSE, %edi
	lea	8(%rsp), %rsi
	call_copy FUNCTION_CLOCK_GETTIME
	load_skew (%rdx), %rsi
	mov	(%rsp), %rdi
	mov	8(%rsp), %rax
	mov	16(%rsp), %rcx
	test	$(1 << CLOCK_REALTIME), %r8b
	jz	9f
	cmp	%rsi, %rax
	jge	8f
6:	add	%r9, %rax
	add	%r10, %rcx
	cmp	$1000000000, %rcx
	sbb	$-1, %rax
7:	add	$24, %rsp
	jmp	3b
8:	decide_by_nanoseconds (%rdx), %rcx, %rsi, 6b, 7b
9:	bt	$(CLOCK_REALTIME + SLOT_SHAPED), %r8
	jnc	7b
	cmp	%rsi, %rax
	jge	8f
6:	mov	SLOT_BEGINNING(%rdx), %r9
	mov	%rdi, %rsi
	mov	%rcx, %r8
	add	$24, %rsp
	shape_evaluate %rax
	mov	%rsi, %rdi
	jmp	3b
	shape_evaluate_rest 5f
5:	mov	%rsi, %rdi
	jmp	2b
8:	decide_by_nanoseconds (%rdx), %rcx, %rsi, 6b, 7b
4:	bt	$(CLOCK_REALTIME + SLOT_SHAPED), %r8
	jc	2b
	jump_copy FUNCTION_TIME

/*
 * The readback: calls the target's three entry points as the program would and
 * the unskewed copy around them, leaves the results in the data page, and ends
 * in the self-restoring stub with munmap(NULL, 0), which fails harmlessly and
 * gives the tracer its stop. Entered by a tracer with rsp at the top of the
 * scratch stack; clobbers what a C function may. The stub restores the rest.
 */
	.balign	64
skew_shim_readback:
	movq	$0, readback + READBACK_STATUS(%rip)

	xor	%edi, %edi
	lea	readback + READBACK_TRUE_BEFORE(%rip), %rsi
	call_copy FUNCTION_CLOCK_GETTIME
	or	%eax, readback + READBACK_STATUS(%rip)

	mov	readback + READBACK_CLOCK(%rip), %edi
	lea	readback + READBACK_CLOCK_BEFORE(%rip), %rsi
	call_copy FUNCTION_CLOCK_GETTIME
	or	%eax, readback + READBACK_STATUS(%rip)

	mov	readback + READBACK_CLOCK(%rip), %edi
	lea	readback + READBACK_CLOCK_SKEWED(%rip), %rsi
	call	*readback + READBACK_CLOCK_GETTIME_ENTRY(%rip)
	or	%eax, readback + READBACK_STATUS(%rip)

	mov	readback + READBACK_CLOCK(%rip), %edi
	lea	readback + READBACK_CLOCK_AFTER(%rip), %rsi
	call_copy FUNCTION_CLOCK_GETTIME
	or	%eax, readback + READBACK_STATUS(%rip)

	lea	readback + READBACK_GETTIMEOFDAY(%rip), %rdi
	xor	%esi, %esi
	call	*readback + READBACK_GETTIMEOFDAY_ENTRY(%rip)
	or	%eax, readback + READBACK_STATUS(%rip)

	xor	%edi, %edi
	call_copy FUNCTION_TIME
	mov	%rax, readback + READBACK_TIME_TRUE(%rip)

	xor	%edi, %edi
	call	*readback + READBACK_TIME_ENTRY(%rip)
	mov	%rax, readback + READBACK_TIME(%rip)

	xor	%edi, %edi
	lea	readback + READBACK_TRUE_AFTER(%rip), %rsi
	call_copy FUNCTION_CLOCK_GETTIME
	or	%eax, readback + READBACK_STATUS(%rip)

	mov	$SYS_munmap, %eax
	xor	%edi, %edi
	xor	%esi, %esi
	jmp	*readback + READBACK_STUB(%rip)
skew_shim_end:

	.section .rodata.skew_shim_calls, "a", @progbits
skew_shim_calls_end:

	.section .note.GNU-stack, "", @progbits
