/*
 * vdso.h - the vDSO (vdso(7)): what the kernel's own looks like, and in what
 * a process's differs from it.
 */
#ifndef SKEWCTL_ENGINE_VDSO_H
#define SKEWCTL_ENGINE_VDSO_H

#include "asm/arch.h"
#include "engine/maps.h"

/* The largest vDSO mapping that is accepted: four times that of any known kernel. */
#define VDSO_SIZE_MAX 0x8000

/* The kernel's vDSO as it is before anybody wrote to it. */
struct vdso {
    uint8_t *bytes; /* the whole mapping; for free(3), see vdso_release */
    size_t size;
    size_t text_offset;
    size_t text_size;
    struct {
        size_t offset; /* of the function */
        size_t size;
        size_t patch; /* of the first byte to overwrite */
    } functions[ARCH_FUNCTION_COUNT];
    size_t slack_offset; /* zero bytes behind the ELF image, to the end of the mapping */
    size_t slack_size;
};

/*
 * Parses a vDSO image with libelf (elf(3)) and copies it. Every offset in the
 * result is within `size`, every patch within one page. SKEW_REFUSED with the
 * reason where skewctl cannot work with such a vDSO.
 */
enum skew_code vdso_parse(const void *bytes, size_t size, struct vdso *vdso,
                          struct skew_error *error);
/*
 * The vDSO of the calling process stands for the pristine one of every process:
 * the kernel maps the same pages everywhere.
 */
enum skew_code vdso_own(struct vdso *vdso, struct skew_error *error);
void vdso_release(struct vdso *vdso);

/* Remote calls run in stubs that lie side by side in the slack. */
size_t vdso_stub_slots(const struct vdso *vdso);
size_t vdso_stub_offset(const struct vdso *vdso, size_t slot);
/* Behind the stub, at the end of its slot: the address of the image it was used for. */
#define VDSO_NOTE_OFFSET (ARCH_STUB_SIZE - sizeof(uint64_t))

/* In what a process's vDSO differs from the pristine one. */
struct vdso_difference {
    bool pristine;
    bool patched[ARCH_FUNCTION_COUNT];    /* a jump stands at the patch offset */
    uint64_t target[ARCH_FUNCTION_COUNT]; /* and leads there */
    bool stubs;                           /* stubs are left in the slack, */
    uint64_t note;                        /* and this is noted behind the first of them */
    bool foreign;                         /* something else differs, first at: */
    size_t foreign_offset;
};

/* Compares; computes only. `live` has vdso->size bytes read from `address`. */
void vdso_compare(const struct vdso *vdso, const uint8_t *live, uint64_t address,
                  struct vdso_difference *difference);

#endif
