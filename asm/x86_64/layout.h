/*
 * layout.h - where things lie in the image, for the assembler and for C.
 *
 *   image + 0                    header, then parameters, then readback: rw-, never executable
 *   image + IMAGE_STACK_LOW      scratch stack of the readback, grows down from its top
 *   image + IMAGE_SHIM           shim: r-x
 *   image + IMAGE_TEXT           relocated copy of the vDSO's .text, at the offset
 *                                within its page that it has in the vDSO: r-x
 *
 * The scratch stack is large because, should the tracer die during a readback
 * and a signal arrive in that very moment, the kernel puts the signal frame
 * (up to 12 KiB with all of AVX-512 and AMX) there and the handler runs on it.
 */
#ifndef SKEWCTL_ASM_X86_64_LAYOUT_H
#define SKEWCTL_ASM_X86_64_LAYOUT_H

#define IMAGE_PAGE 0x1000

#define IMAGE_PARAMETERS 0x100
#define IMAGE_READBACK   0xe00
#define IMAGE_STACK_LOW  0x1000
#define IMAGE_STACK_TOP  0x20000
#define IMAGE_SHIM       0x20000
#define IMAGE_TEXT       0x21000

/*
 * Parameters: two slots, and a selector that holds the distance of the slot in
 * force, in words of 8 bytes. A writer fills the slot that is not in force while
 * its generation is odd, makes the generation even, then moves the selector. Only
 * the selector's lowest byte ever changes, so no reader can see it torn; a
 * reader that was delayed across updates sees an odd or a changed generation
 * and starts again from the selector. A writer that dies leaves the slot in
 * force untouched, so no reader ever waits for one.
 */
#define PARAMETERS_SELECTOR    0x00
#define PARAMETERS_SLOTS       0x40
#define PARAMETERS_SLOT_STRIDE 0x600
#define PARAMETERS_WORD        8

/*
 * A slot: the skew, and for each clock the true reading of that very clock from
 * which on it is not skewed any more; for one that has no end, seconds that no
 * clock reaches. The entries of clock N are the N-th words of the tables.
 *
 * A clock whose skew is an offset has its bit in the lower half of SLOT_CLOCKS, one whose
 * skew is a shape (engine/shape.h) has it in the upper half, and the offset is a part of
 * the program. Elapsed time is what the clock's true reading is above that of its
 * beginning. What the program was made of lies behind it, for skewctl alone.
 *
 * A slew (engine/slew.h) is one more part, which each clock has an amount of its own of; it
 * begins at an elapsed time of that clock. Its pace is in 2^-64 of the true one.
 */
#define SLOT_GENERATION           0x00
#define SLOT_CLOCKS               0x08
#define SLOT_SHAPED               32
#define SLOT_SECONDS              0x10
#define SLOT_NANOSECONDS          0x18
#define SLOT_DEADLINE_SECONDS     0x20
#define SLOT_DEADLINE_NANOSECONDS 0x80
#define SLOT_BEGINNING            0xe0
#define SLOT_PROGRAM              0x140
#define SLOT_SHAPE                0x380
#define SLOT_SLEW_PACE            0x528
#define SLOT_SLEW_BEGINNING       0x530
#define SLOT_SLEW_AMOUNT          0x590
#define SLOT_SIZE                 0x5f0
#define SLOT_CLOCK_COUNT          12 /* clocks are 0 to 11: others are never skewed */

/* The program: struct shape_program of engine/shape_program.h, which says what the words mean. */
#define PROGRAM_PERIODIC       0x00
#define SHAPE_PERIODIC_STROBE  1
#define SHAPE_PERIODIC_SINE    2
#define SHAPE_PERIODIC_JITTER  4
#define SHAPE_PERIODIC_SLEW    0x8000000000000000 /* the sign, which the shim asks for */
#define PROGRAM_STROBE_LOW     0x08
#define PROGRAM_STROBE_HIGH    0x10
#define PROGRAM_STROBE_AMOUNT  0x18
#define PROGRAM_SINE_LOW       0x20
#define PROGRAM_SINE_HIGH      0x28
#define PROGRAM_SINE_AMPLITUDE 0x30
#define PROGRAM_JITTER_LOW     0x38
#define PROGRAM_JITTER_HIGH    0x40
#define PROGRAM_JITTER_SEED    0x48
#define PROGRAM_JITTER_RANGE   0x50
#define PROGRAM_JITTER_LOWEST  0x58
#define PROGRAM_SEGMENTS       0x60
#define SEGMENT_LAST           0x00
#define SEGMENT_VALUE_LOW      0x08
#define SEGMENT_VALUE_HIGH     0x10
#define SEGMENT_SLOPE_LOW      0x18
#define SEGMENT_SLOPE_HIGH     0x20
#define SEGMENT_SIZE           0x28

/* The constants of the polynomial of engine/shape.c's sine, with 62, 52, 52 and 40 fractional bits.
 */
#define SHAPE_SINE_A 2726642475871907186
#define SHAPE_SINE_B 644660306700701492
#define SHAPE_SINE_C 1805211845547651256
#define SHAPE_SINE_D (-51699775873842129)

/* Readback: what the shim's readback routine is told, and what it found. */
#define READBACK_CLOCK               0x00
#define READBACK_STUB                0x08
#define READBACK_CLOCK_GETTIME_ENTRY 0x10
#define READBACK_GETTIMEOFDAY_ENTRY  0x18
#define READBACK_TIME_ENTRY          0x20
#define READBACK_RESULTS             0x40
#define READBACK_TRUE_BEFORE         0x40 /* timespec: REALTIME, unskewed */
#define READBACK_CLOCK_BEFORE        0x50 /* timespec: the clock asked for, unskewed */
#define READBACK_CLOCK_SKEWED        0x60 /* timespec: the same through the target's entry */
#define READBACK_CLOCK_AFTER         0x70
#define READBACK_GETTIMEOFDAY        0x80 /* timeval through the target's entry */
#define READBACK_TRUE_AFTER          0x90
#define READBACK_TIME                0xa0
#define READBACK_TIME_TRUE           0xa8 /* time() unskewed, read just before */
#define READBACK_STATUS              0xb0 /* all return values ORed: 0 is success */
#define READBACK_SIZE                0xc0

#endif
