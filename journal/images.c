/*
 * images.c - which images were ever made, without what else their rows hold:
 * whoever looks for forked children wants all of them, also the ended ones.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "journal/error.h"
#include "journal/statement.h"

static enum journal_code image_read(struct journal_statement *select, struct journal_image *image,
                                    struct journal_error *error)
{
    *image = (struct journal_image){0};
    image->injection = journal_read_integer(select, 1, INT64_MAX);
    image->group = journal_read_integer(select, 0, INT64_MAX);
    image->inherited = journal_read_integer(select, 0, 1) == 1;
    image->phase = (enum journal_phase)journal_read_integer(select, 0, JOURNAL_PHASE_COUNT - 1);
    image->pid = (pid_t)journal_read_integer(select, 1, INT_MAX);
    image->start_time = journal_read_unsigned(select);
    image->vdso_address = journal_read_unsigned(select);
    image->image_address = journal_read_unsigned(select);
    journal_read_bytes(select, image->image_id, sizeof(image->image_id));
    return journal_statement_check(select, error);
}

static enum journal_code images_read(struct journal *journal, const char *boot_id,
                                     uint64_t pid_namespace, struct journal_image **images,
                                     size_t *count, struct journal_error *error)
{
    JOURNAL_STATEMENT(select);
    size_t capacity = 0;
    bool row;
    enum journal_code code =
        journal_statement_prepare(&select, journal,
                                  "SELECT id, ifnull(group_id, 0), inherited, phase, pid,"
                                  " start_time, vdso_address, image_address, image_id"
                                  " FROM injections WHERE boot_id = ? AND pid_namespace = ?"
                                  " ORDER BY id",
                                  "list images", error);
    if (code != JOURNAL_OK)
        return code;
    journal_bind_text(&select, boot_id);
    journal_bind_integer(&select, (int64_t)pid_namespace);
    while ((code = journal_statement_step(&select, &row, error)) == JOURNAL_OK && row) {
        if (*count == capacity) {
            capacity = capacity == 0 ? 64 : 2 * capacity;
            void *larger = reallocarray(*images, capacity, sizeof(**images));
            if (larger == NULL)
                return journal_error_set(error, JOURNAL_FAILED, ENOMEM, "list images", "",
                                         "no memory to list the journal %s", journal->path);
            *images = larger;
        }
        code = image_read(&select, &(*images)[*count], error);
        if (code != JOURNAL_OK)
            return code;
        (*count)++;
    }
    return code;
}

enum journal_code journal_images(struct journal *journal, const char *boot_id,
                                 uint64_t pid_namespace, struct journal_image **images,
                                 size_t *count, struct journal_error *error)
{
    *images = NULL;
    *count = 0;
    enum journal_code code = journal_transaction_begin(journal, JOURNAL_READ, "list images", error);
    if (code != JOURNAL_OK)
        return code;
    code = images_read(journal, boot_id, pid_namespace, images, count, error);
    code = journal_transaction_end(journal, code, "list images", error);
    if (code != JOURNAL_OK) {
        free(*images);
        *images = NULL;
        *count = 0;
    }
    return code;
}

static enum journal_code own_within(struct journal *journal, int64_t id,
                                    struct journal_error *error)
{
    JOURNAL_STATEMENT(update);
    enum journal_code code = journal_statement_prepare(
        &update, journal, "UPDATE injections SET inherited = 0 WHERE id = ?", "own", error);
    if (code != JOURNAL_OK)
        return code;
    journal_bind_integer(&update, id);
    return journal_statement_step(&update, NULL, error);
}

enum journal_code journal_own(struct journal *journal, int64_t id, struct journal_error *error)
{
    enum journal_code code = journal_transaction_begin(journal, JOURNAL_WRITE, "own", error);
    if (code != JOURNAL_OK)
        return code;
    code = own_within(journal, id, error);
    return journal_transaction_end(journal, code, "own", error);
}
