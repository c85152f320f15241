/*
 * skew_row.h - what is asked for, as rows of the journal keep it and as an image has it.
 */
#ifndef SKEWCTL_ENGINE_SKEW_ROW_H
#define SKEWCTL_ENGINE_SKEW_ROW_H

#include "engine/image.h"
#include "engine/skewctl.h"
#include "journal/journal.h"

void skew_to_row(const struct skew_request *request, struct journal_skew *row);
/* SKEW_FAILED where the row's shape is none. All that no row keeps is left as in `request`. */
enum skew_code skew_from_row(const struct journal_skew *row, struct skew_request *request,
                             struct skew_error *error);
/* What an image shows, which does not know the name of a profile. */
struct skew_request request_from_image(const struct image_skew *skew);

#endif
