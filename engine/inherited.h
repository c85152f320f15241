/*
 * inherited.h - forked children, which carry their parent's image: which they
 * are, and of which injection.
 */
#ifndef SKEWCTL_ENGINE_INHERITED_H
#define SKEWCTL_ENGINE_INHERITED_H

#include "engine/clock.h"
#include "engine/private.h"

/*
 * An image that children may carry. It belongs to the first injection of its own, the
 * one that made it; a child that gets an inject of its own has the same image.
 */
struct inherited_image {
    uint8_t id[IMAGE_ID_SIZE];
    uint64_t vdso_address; /* of all that carry it: fork(2) keeps it */
    uint64_t image_address;
    int64_t injection; /* the one it belongs to; 0 where the journal knows of none */
    int64_t group;     /* of that */
    pid_t pid;         /* likewise, with its start time */
    uint64_t start_time;
    bool live;       /* that injection is, */
    bool live_other; /* or another that is not inherited */
    bool put_back;   /* it has ended, and not because its process did */
    bool wanted;     /* inherited_find() looks for those who carry it */
};

/* Each image once. */
struct inherited_images {
    struct inherited_image *rows; /* for free(3), see inherited_images_release */
    size_t count;
};

/* All images of the journal that may be carried now, none wanted. */
enum skew_code inherited_images_read(struct skew_engine *engine, struct inherited_images *images,
                                     struct skew_error *error);
void inherited_images_release(struct inherited_images *images);
/* Adds one that the journal does not know. */
enum skew_code inherited_images_add(struct inherited_images *images,
                                    const struct inherited_image *image, struct skew_error *error);
/* The image of that id, in processes whose vDSO lies there; or NULL. */
struct inherited_image *inherited_images_find(const struct inherited_images *images,
                                              uint64_t vdso_address,
                                              const uint8_t id[IMAGE_ID_SIZE]);

/* A process that carries an image, or a part of one, without an injection of its own. */
struct inherited {
    pid_t pid;
    uint64_t start_time;
    const struct inherited_image *image;
    struct journal_injection row; /* the live one that it was given when it was adopted; or id 0 */
    enum situation situation;
    bool skewed;              /* all its reads are, */
    struct image_skew skew;   /* by this */
    struct clock_shift shift; /* of its clocks, where it is slewed */
    char command[64];
    unsigned threads;
    int64_t created_ns; /* of the image; 0 where it has no header */
};
struct inherited_list {
    struct inherited *rows; /* for free(3), see inherited_list_release */
    size_t count;
    bool unsure; /* a process may be missing: look again */
};
void inherited_list_release(struct inherited_list *list);

/*
 * Looks at all processes; stops and changes none. Of those that were alive all the time
 * none is missing. With !unsure nobody else is who carries one: there is none but
 * those in the list and whom they have forked since.
 */
enum skew_code inherited_find(struct skew_engine *engine, const struct inherited_images *images,
                              struct inherited_list *list, struct skew_error *error);

/* Whether a process looked at carries the image, or a part of it. */
bool inherited_carries(const struct look *look, const struct inherited_image *image);

/* What list says of it. */
void inherited_report(const struct inherited *inherited, struct skew_report *report);

/*
 * An injection that has ended, by its id or its process's pid, but left children: then its
 * report, else the error as it is. start_time is that of the process that has the
 * pid now, or 0.
 */
enum skew_code inherited_ended(struct skew_engine *engine, int64_t id, pid_t pid,
                               uint64_t start_time, struct skew_report *report,
                               struct skew_error *error);

#endif
