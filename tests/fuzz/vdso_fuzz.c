/*
 * vdso_fuzz.c - any bytes as the kernel's vDSO. Whatever is accepted keeps what
 * vdso.h promises: every part lies within the image and every patch within one
 * page; compared with itself nothing differs. An image is built from it, or
 * refused, at the nearest and the farthest place.
 */
#include "engine/image.h"

#include "tests/fuzz/fuzz.h"

#define PAGE    0x1000
#define ADDRESS UINT64_C(0x7fff12345000)

static void bounds_check(const struct vdso *vdso)
{
    fuzz_check(vdso->text_offset <= vdso->size &&
               vdso->text_size <= vdso->size - vdso->text_offset);
    for (int f = 0; f < ARCH_FUNCTION_COUNT; f++) {
        size_t offset = vdso->functions[f].offset, patch = vdso->functions[f].patch;
        fuzz_check(offset >= vdso->text_offset && patch >= offset);
        fuzz_check(patch + ARCH_PATCH_SIZE <= offset + vdso->functions[f].size);
        fuzz_check(patch + ARCH_PATCH_SIZE <= vdso->text_offset + vdso->text_size);
        fuzz_check(patch / PAGE == (patch + ARCH_PATCH_SIZE - 1) / PAGE);
    }
    size_t slots = vdso_stub_slots(vdso);
    fuzz_check(slots >= 1);
    fuzz_check(vdso->slack_offset >= vdso->text_offset + vdso->text_size);
    fuzz_check(vdso_stub_offset(vdso, slots - 1) + ARCH_STUB_SIZE <= vdso->size);
}

static void image_check(const struct vdso *vdso, uint64_t address)
{
    static const uint8_t id[IMAGE_ID_SIZE] = {1};
    struct image_skew skew = image_skew_from(1, -1, NULL);
    struct image image;
    struct skew_error error = {0};
    if (image_build(vdso, ADDRESS, address, id, &skew, 1, &image, &error) != SKEW_OK) {
        fuzz_check(*error.message != '\0');
        return;
    }
    fuzz_check(image_header_valid(&image.header, vdso, ADDRESS, address));
    image_release(&image);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct vdso vdso;
    struct skew_error error = {0};
    if (vdso_parse(input, size, &vdso, &error) != SKEW_OK) {
        fuzz_check(vdso.bytes == NULL && *error.message != '\0');
        return 0;
    }
    bounds_check(&vdso);
    struct vdso_difference difference;
    vdso_compare(&vdso, vdso.bytes, ADDRESS, &difference);
    fuzz_check(difference.pristine && !difference.foreign && !difference.stubs);
    image_check(&vdso, ADDRESS + 0x24000);
    image_check(&vdso, ADDRESS - 0x7fe00000);
    vdso_release(&vdso);
    return 0;
}
