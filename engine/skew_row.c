/*
 * skew_row.c - see skew_row.h.
 */
#include "engine/skew_row.h"

#include <string.h>

#include "engine/error.h"
#include "engine/shape_text.h"

_Static_assert(sizeof(((struct journal_skew *)0)->shape) == SHAPE_TEXT_MAX,
               "a row has room for every shape");
_Static_assert(sizeof(((struct journal_skew *)0)->profile) ==
                   sizeof(((struct skew_request *)0)->profile),
               "a row has room for every name");

void skew_to_row(const struct skew_request *request, struct journal_skew *row)
{
    *row = (struct journal_skew){.offset_ns = request->offset_ns,
                                 .clocks = request->clocks,
                                 .deadline_ns = request->deadline_ns,
                                 .begin_ns = request->begin_ns,
                                 .slew_pace = request->slew_pace};
    shape_format(&request->shape, row->shape);
    memcpy(row->profile, request->profile, sizeof row->profile);
}

enum skew_code skew_from_row(const struct journal_skew *row, struct skew_request *request,
                             struct skew_error *error)
{
    const char *problem;
    request->offset_ns = row->offset_ns;
    request->clocks = row->clocks;
    request->deadline_ns = row->deadline_ns;
    request->begin_ns = row->begin_ns;
    request->slew_pace = row->slew_pace;
    request->shape = (struct shape){0};
    memcpy(request->profile, row->profile, sizeof request->profile);
    if (!shape_parse(row->shape, &request->shape, &problem)) {
        return error_set(error, SKEW_FAILED, 0, 0, "read shape",
                         "the journal has '%.60s' for a shape: %s", row->shape, problem);
    }
    return SKEW_OK;
}

struct skew_request request_from_image(const struct image_skew *skew)
{
    return (struct skew_request){.offset_ns = image_skew_offset(skew),
                                 .clocks = skew->clocks,
                                 .deadline_ns = image_skew_deadline(skew),
                                 .shape = skew->shape,
                                 .begin_ns = image_skew_begin(skew)};
}
