/* remains.c - see remains.h. */
#include "engine/remains.h"

#include "engine/pagemap.h"

/* Exactly that mapping, anonymous and never used by anybody. */
static bool mapping_is_bare(const struct look *look, uint64_t address, size_t size,
                            const char *permissions)
{
    const struct mapping *mapping = maps_find(&look->maps, address);
    return mapping != NULL && mapping->start == address && mapping->end == address + size &&
           maps_anonymous(&look->maps, address, address + size, permissions) &&
           pagemap_blank(&look->target, look->memory, address, size);
}

size_t remains_bare_find(const struct look *look, const struct journal_injection *row,
                         uint64_t *address)
{
    uint64_t data = row->image_address;
    uint64_t code = data + image_data_size();
    uint64_t end = data + row->image_size;
    bool noted = look->difference.stubs && look->difference.note == data;
    if (look->image_found || data == 0 || end <= code || !noted) {
        return 0;
    }
    if (maps_free(&look->maps, code, end) &&
        mapping_is_bare(look, data, image_data_size(), "rw-p")) {
        *address = data;
        return image_data_size();
    }
    if (maps_free(&look->maps, data, code) && mapping_is_bare(look, code, end - code, "r-xp")) {
        *address = code;
        return end - code;
    }
    return 0;
}

bool remains_have_code(const struct look *look, const struct vdso *vdso)
{
    return look->image_found && maps_anonymous(&look->maps, look->image_address + image_data_size(),
                                               look->image_address + image_size_for(vdso), "r-xp");
}

bool remains_owned(const struct look *look, const struct vdso *vdso)
{
    uint64_t code = look->image_address + image_data_size();
    uint64_t end = look->image_address + image_size_for(vdso);
    return remains_have_code(look, vdso) || maps_free(&look->maps, code, end);
}
