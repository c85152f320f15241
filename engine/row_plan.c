/*
 * row_plan.c - the row that an injection gets before anything is touched, or, where the
 * journal has none, from what the process shows.
 */
#include <string.h>

#include "engine/error.h"
#include "engine/private.h"
#include "engine/skew_row.h"

enum skew_code row_plan(struct skew_engine *engine, const struct look *look,
                        const struct image *image, const struct skew_request *request,
                        struct journal_injection *row, struct skew_error *error)
{
    *row = (struct journal_injection){
        .key = target_key(&look->target),
        .executable_device = look->target.executable_device,
        .executable_inode = look->target.executable_inode,
        .vdso_address = look->vdso_address,
        .vdso_size = engine->vdso.size,
        .stub_address = look->vdso_address + engine->vdso.slack_offset,
        .stub_size = engine->vdso.slack_size,
        .image_address = image->address,
        .image_size = image->size,
        .patch_count = ARCH_FUNCTION_COUNT,
        .inherited = row->inherited,
        .group = row->group,
    };
    skew_to_row(request, &row->skew);
    memcpy(row->command, look->target.command, sizeof row->command);
    memcpy(row->image_id, image->header.id, sizeof row->image_id);
    for (int f = 0; f < ARCH_FUNCTION_COUNT; f++) {
        struct journal_patch *patch = &row->patches[f];
        strncpy(patch->symbol, arch_function_symbol((enum arch_function)f),
                sizeof patch->symbol - 1);
        patch->address = image->header.patches[f].address;
        patch->length = ARCH_PATCH_SIZE;
        memcpy(patch->original, image->header.patches[f].original, ARCH_PATCH_SIZE);
    }
    struct journal_error journal_error = {0};
    if (journal_plan(engine->journal, row, engine->vdso.bytes, engine->vdso.size, &journal_error) !=
        JOURNAL_OK) {
        return error_from_journal(error, look->target.pid, &journal_error);
    }
    return SKEW_OK;
}

enum skew_code row_adopt(struct skew_engine *engine, const struct look *look,
                         struct journal_injection *row, struct skew_error *error)
{
    /* Without a header, the note behind a stub is all that tells where the image was to be. */
    struct image image = {.address =
                              look->image_found ? look->image_address : look->difference.note,
                          .size = image_size_for(&engine->vdso),
                          .header = look->header};
    const struct skew_request request = request_from_image(&look->skew);
    return row_plan(engine, look, &image, &request, row, error);
}
