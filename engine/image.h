/*
 * image.h - the image: what skewctl maps into a target, byte for byte.
 */
#ifndef SKEWCTL_ENGINE_IMAGE_H
#define SKEWCTL_ENGINE_IMAGE_H

#include "engine/shape.h"
#include "engine/vdso.h"

#define IMAGE_ID_SIZE 16

/*
 * The deadline of each clock, by its clockid_t: the true reading of that clock, in
 * nanoseconds, from which on it is not skewed any more. See deadline.h.
 */
#define IMAGE_CLOCK_COUNT 12
#define IMAGE_NEVER       INT64_MAX
struct image_deadlines {
    int64_t at_ns[IMAGE_CLOCK_COUNT];
};

/*
 * What is added besides while a skew is approached at a pace, for each clock: its amount until
 * that clock's true reading `begin_ns`, and from then on less and less of it, down to nothing.
 */
struct image_slew {
    uint64_t pace; /* nanoseconds of it that go in a true one, in 2^-64; 0: there is no slew, */
    int64_t begin_ns[IMAGE_CLOCK_COUNT]; /* and these are 0 */
    int64_t amount_ns[IMAGE_CLOCK_COUNT];
};

/*
 * The true clock plus seconds plus nanoseconds, 0 <= nanoseconds < 1e9, plus what the shape
 * and the slew add, until the deadlines.
 */
struct image_skew {
    uint64_t clocks;
    int64_t seconds;
    uint64_t nanoseconds;
    struct image_deadlines deadlines;
    struct shape shape;
    /* The true reading of each clock at which the shape began; zero where there is none. */
    int64_t beginning_ns[IMAGE_CLOCK_COUNT];
    struct image_slew slew;
};
/* An offset alone. NULL for a skew that does not end by itself. */
struct image_skew image_skew_from(uint64_t clocks, int64_t offset_ns,
                                  const struct image_deadlines *deadlines);
int64_t image_skew_offset(const struct image_skew *skew);
/* When it ends by itself, in nanoseconds of CLOCK_REALTIME; 0 for never. */
int64_t image_skew_deadline(const struct image_skew *skew);
/* When its shape began, likewise; 0 where there is none. */
int64_t image_skew_begin(const struct image_skew *skew);

struct image_patch {
    uint64_t address; /* in the target */
    uint8_t original[ARCH_PATCH_SIZE];
    uint8_t patched[ARCH_PATCH_SIZE];
};

/*
 * The first bytes of every image. With the journal lost, this alone tells how
 * to recover (promise P3). Little-endian, as the machine.
 */
struct image_header {
    char magic[8];
    uint32_t version;
    uint32_t size; /* of this header */
    uint8_t id[IMAGE_ID_SIZE];
    uint64_t image_address;
    uint64_t image_size;
    uint64_t vdso_address;
    uint64_t vdso_size;
    int64_t created_ns; /* CLOCK_REALTIME */
    struct image_patch patches[ARCH_FUNCTION_COUNT];
    uint64_t checksum; /* FNV-1a of all before it */
};

/* An image ready to be written at `address` of a target. */
struct image {
    uint64_t address;
    size_t size;
    size_t data_size; /* the rw- part, from the start */
    uint8_t *data;    /* what is written of it: IMAGE_DATA_USED bytes */
    uint8_t *code;    /* the r-x part, size - data_size bytes */
    struct image_header header;
};
#define IMAGE_DATA_USED 0x1000

/* The size of an image for this vDSO, and of its rw- part. */
size_t image_size_for(const struct vdso *vdso);
size_t image_data_size(void);
/* Patch, shim and copy reach each other only within this distance. */
#define IMAGE_REACH UINT64_C(0x7ff00000)

/* Builds the image. SKEW_REFUSED where this vDSO cannot be relocated to there. */
enum skew_code image_build(const struct vdso *vdso, uint64_t vdso_address, uint64_t address,
                           const uint8_t id[IMAGE_ID_SIZE], const struct image_skew *skew,
                           int64_t created_ns, struct image *image, struct skew_error *error);
void image_release(struct image *image);

/*
 * True if `header` was read from `address` of a process whose vDSO lies at
 * `vdso_address` and is ours: magic, version, checksum, addresses and original
 * bytes all agree with the pristine vDSO.
 */
bool image_header_valid(const struct image_header *header, const struct vdso *vdso,
                        uint64_t vdso_address, uint64_t address);

/* The image that a jump into its shim belongs to. */
uint64_t image_address_of_entry(uint64_t target, enum arch_function function);

/*
 * The parameters page part: reads the skew in force from `parameters`, which
 * are IMAGE_PARAMETERS_SIZE bytes from image + image_parameters_offset().
 */
#define IMAGE_PARAMETERS_SIZE 0xc40
size_t image_parameters_offset(void);
bool image_parameters_parse(const uint8_t *parameters, struct image_skew *skew);

/*
 * One step of an update: bytes to be written at an offset of the image. Steps
 * must be written in order; any prefix of them leaves readers with a whole
 * skew, the old one or the new (asm/x86_64/layout.h).
 */
#define IMAGE_WRITE_MAX 0x5e8
struct image_write {
    size_t offset;
    size_t size;
    uint8_t bytes[IMAGE_WRITE_MAX];
};
#define IMAGE_UPDATE_WRITES 4
void image_update_plan(const uint8_t *parameters, const struct image_skew *skew,
                       struct image_write writes[IMAGE_UPDATE_WRITES]);

/* What the readback routine is told and what it leaves behind. */
struct image_readback_request {
    uint64_t clock;
    uint64_t stub;
    uint64_t entries[ARCH_FUNCTION_COUNT];
};
struct image_readback {
    int64_t true_before_ns; /* REALTIME, unskewed, around the whole */
    int64_t true_after_ns;
    int64_t clock_before_ns; /* the clock asked for, unskewed, around clock_gettime */
    int64_t clock_after_ns;
    int64_t clock_ns;        /* through the target's entry points: */
    int64_t gettimeofday_ns; /* in whole microseconds */
    int64_t time_s;
    int64_t time_true_s;       /* unskewed, read just before */
    int64_t clock_nanoseconds; /* the raw fields, to be checked for range */
    int64_t gettimeofday_microseconds;
    /* All calls returned 0, and all times are below 2262, so that nothing here overflowed. */
    bool succeeded;
};
size_t image_readback_offset(void);
size_t image_readback_results_offset(void);
#define IMAGE_READBACK_RESULTS_SIZE 0x80
void image_readback_parse(const uint8_t *results, struct image_readback *readback);

#endif
