/*
 * inherited.c - finds the processes that inherited an image by fork(2).
 *
 * A child's memory is a copy of its parent's: the patched vDSO and the image lie
 * where they do in the parent, and the image has the same id in its header. A
 * child that was forked while skewctl was at work may have a part of that: an image
 * that nothing leads into, or a stub with the image's address noted behind it.
 * Either way its vDSO lies where the parent's does, which /proc/PID/auxv tells with
 * one read; only who passes that is looked at in full.
 *
 * Why a pass that finds none means that there is none. /proc is listed, whoever is in
 * the list is looked at, and that is repeated for those that are new in the list,
 * until nobody is. A carrier that lives at that last listing is in it, so it
 * was looked at before, and found. One that is forked later has a parent that
 * was. (One listing is not enough, although pids ascend: the kernel makes all of it at
 * once, and a process may have forked and exited before its turn comes.) A
 * process is taken for one that was looked at by its pid; where the kernel began
 * anew to give out pids (pid_max) that may be wrong, and the pass is unsure.
 *
 * A child that shares its parent's memory (vfork(2)) carries nothing of its own and
 * is left out.
 */
#include "engine/inherited.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/error.h"
#include "engine/scope.h"
#include "engine/slew.h"

/* The vector has some 22 entries; a page is more than any kernel's. */
#define AUXV_SIZE       4096
#define DIRECTORY_LINKS 2 /* of a directory with no directory in it */
#define LISTINGS_MAX    64

static int images_by_id(const void *one, const void *other)
{
    const struct journal_image *a = one, *b = other;
    int order = memcmp(a->image_id, b->image_id, sizeof a->image_id);
    if (order != 0) {
        return order;
    }
    if (a->inherited != b->inherited) {
        return a->inherited ? 1 : -1;
    }
    return (a->injection > b->injection) - (a->injection < b->injection);
}

static int images_by_vdso(const void *one, const void *other)
{
    const struct inherited_image *a = one, *b = other;
    return (a->vdso_address > b->vdso_address) - (a->vdso_address < b->vdso_address);
}

/* `rows` are by id: the first of each is the injection that the image belongs to. */
static void images_gather(struct inherited_images *images, const struct journal_image *rows,
                          size_t count)
{
    struct inherited_image *image = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct journal_image *row = &rows[i];
        bool live = journal_phase_live(row->phase);
        if (image != NULL && memcmp(image->id, row->image_id, sizeof image->id) == 0) {
            image->live_other = image->live_other || (live && !row->inherited);
            continue;
        }
        image = &images->rows[images->count++];
        *image = (struct inherited_image){
            .vdso_address = row->vdso_address,
            .image_address = row->image_address,
            .injection = row->injection,
            .group = row->group,
            .pid = row->pid,
            .start_time = row->start_time,
            .live = live,
            .put_back = row->phase == JOURNAL_RECOVERED || row->phase == JOURNAL_FAILED_UNDONE,
        };
        memcpy(image->id, row->image_id, sizeof image->id);
    }
}

enum skew_code inherited_images_read(struct skew_engine *engine, struct inherited_images *images,
                                     struct skew_error *error)
{
    char boot_id[40];
    uint64_t pid_namespace;
    struct journal_image *rows;
    size_t count;
    struct journal_error journal_error = {0};
    *images = (struct inherited_images){0};
    enum skew_code code = target_world_read(boot_id, &pid_namespace, error);
    if (code != SKEW_OK) {
        return code;
    }
    if (journal_images(engine->journal, boot_id, pid_namespace, &rows, &count, &journal_error) !=
        JOURNAL_OK) {
        return error_from_journal(error, 0, &journal_error);
    }
    images->rows = calloc(count + 1, sizeof *images->rows);
    if (images->rows == NULL) {
        free(rows);
        return error_set(error, SKEW_FAILED, 0, 0, "look for children", "out of memory");
    }
    if (count > 0) {
        qsort(rows, count, sizeof *rows, images_by_id);
    }
    images_gather(images, rows, count);
    qsort(images->rows, images->count, sizeof *images->rows, images_by_vdso);
    free(rows);
    return SKEW_OK;
}

void inherited_images_release(struct inherited_images *images)
{
    free(images->rows);
    *images = (struct inherited_images){0};
}

/* The first image of that vDSO address, with the others behind it; or the end. */
static struct inherited_image *images_at(const struct inherited_images *images,
                                         uint64_t vdso_address)
{
    size_t low = 0, high = images->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (images->rows[middle].vdso_address < vdso_address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return &images->rows[low];
}

struct inherited_image *inherited_images_find(const struct inherited_images *images,
                                              uint64_t vdso_address,
                                              const uint8_t id[IMAGE_ID_SIZE])
{
    struct inherited_image *end = images->rows + images->count;
    for (struct inherited_image *image = images_at(images, vdso_address);
         image < end && image->vdso_address == vdso_address; image++) {
        if (memcmp(image->id, id, IMAGE_ID_SIZE) == 0) {
            return image;
        }
    }
    return NULL;
}

enum skew_code inherited_images_add(struct inherited_images *images,
                                    const struct inherited_image *image, struct skew_error *error)
{
    struct inherited_image *grown = reallocarray(images->rows, images->count + 1, sizeof *grown);
    if (grown == NULL) {
        return error_set(error, SKEW_FAILED, 0, 0, "look for children", "out of memory");
    }
    images->rows = grown;
    grown[images->count++] = *image;
    qsort(grown, images->count, sizeof *grown, images_by_vdso);
    return SKEW_OK;
}

static bool vdso_address_parse(const char *auxv, ssize_t size, uint64_t *address)
{
    for (const char *at = auxv; size >= (ssize_t)sizeof(Elf64_auxv_t);
         at += sizeof(Elf64_auxv_t), size -= (ssize_t)sizeof(Elf64_auxv_t)) {
        Elf64_auxv_t entry;
        memcpy(&entry, at, sizeof entry);
        if (entry.a_type == AT_SYSINFO_EHDR) {
            *address = entry.a_un.a_val;
            return true;
        }
    }
    return false;
}

/* The whole of it, with one read(2). */
static ssize_t auxv_read(int directory, const char *name, char *auxv)
{
    scoped_descriptor file = openat(directory, name, O_RDONLY | O_CLOEXEC);
    return file < 0 ? -1 : read(file, auxv, AUXV_SIZE);
}

/* Where the leader has exited, another thread knows. */
static ssize_t auxv_of_thread(pid_t pid, char *auxv)
{
    char path[64];
    struct stat status;
    ssize_t size = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    if (stat(path, &status) != 0 || status.st_nlink <= DIRECTORY_LINKS + 1) {
        return 0;
    }
    DIR *tasks = opendir(path);
    if (tasks == NULL) {
        return 0;
    }
    for (struct dirent *entry; size <= 0 && (entry = readdir(tasks)) != NULL;) {
        pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);
        char name[TASK_PATH_SIZE];
        if (tid > 0) {
            task_path_format(tid, "auxv", name);
            size = auxv_read(dirfd(tasks), name, auxv);
        }
    }
    closedir(tasks);
    return size;
}

/* False also for who is gone, has no memory, or may not be looked at. */
static bool vdso_address_read(pid_t pid, uint64_t *address)
{
    char path[64];
    char auxv[AUXV_SIZE];
    snprintf(path, sizeof path, "/proc/%d/auxv", (int)pid);
    ssize_t size = auxv_read(AT_FDCWD, path, auxv);
    if (size == 0 || (size < 0 && errno == ESRCH)) {
        size = auxv_of_thread(pid, auxv);
    }
    return vdso_address_parse(auxv, size, address);
}

bool inherited_carries(const struct look *look, const struct inherited_image *image)
{
    if (look->vdso_address != image->vdso_address) {
        return false;
    }
    return look->image_found
               ? memcmp(look->header.id, image->id, sizeof image->id) == 0
               : look->difference.stubs && look->difference.note == image->image_address;
}

/* As after vfork(2), until the child executes something or exits. */
static bool shares_with_parent(const struct look *look)
{
    char text[1024];
    struct proc_stat stat;
    return proc_file_read(look->target.directory, "stat", text, sizeof text) > 0 &&
           proc_stat_parse(text, &stat) && memory_shared(look->target.pid, stat.parent);
}

static enum skew_code list_add(struct inherited_list *list, const struct inherited *inherited,
                               struct skew_error *error)
{
    /* Doubled whenever the count is a power of two. */
    if ((list->count & (list->count - 1)) == 0) {
        size_t capacity = list->count == 0 ? 1 : 2 * list->count;
        struct inherited *grown = reallocarray(list->rows, capacity, sizeof *grown);
        if (grown == NULL) {
            return error_set(error, SKEW_FAILED, 0, 0, "look for children", "out of memory");
        }
        list->rows = grown;
    }
    list->rows[list->count++] = *inherited;
    return SKEW_OK;
}

static enum skew_code carrier_add(struct skew_engine *engine, const struct look *look,
                                  const struct inherited_image *image, struct inherited_list *list,
                                  struct skew_error *error)
{
    struct inherited inherited = {
        .pid = look->target.pid,
        .start_time = look->target.start_time,
        .image = image,
        .situation = look->situation,
        .skewed = look->skewed,
        .skew = look->skew,
        .threads = look->target.threads,
        .created_ns = look->image_found ? look->header.created_ns : 0,
    };
    memcpy(inherited.command, look->target.command, sizeof inherited.command);
    if (look->skewed && look->skew.slew.pace != 0) {
        inherited.shift = clock_shift_read(&look->target);
    }
    enum skew_code code = row_find(engine, &look->target, &inherited.row, error);
    if (code != SKEW_OK) {
        return code;
    }
    bool own = inherited.row.id != 0 && !inherited.row.inherited;
    bool shares = inherited.row.id == 0 && shares_with_parent(look);
    return own || shares ? SKEW_OK : list_add(list, &inherited, error);
}

static enum skew_code process_look(struct skew_engine *engine, pid_t pid,
                                   const struct inherited_images *images,
                                   struct inherited_list *list, struct skew_error *error)
{
    uint64_t vdso_address;
    if (!vdso_address_read(pid, &vdso_address)) {
        return SKEW_OK;
    }
    const struct inherited_image *image = images_at(images, vdso_address);
    const struct inherited_image *end = images->rows + images->count;
    bool wanted = false;
    for (const struct inherited_image *at = image; at < end && at->vdso_address == vdso_address;
         at++) {
        wanted = wanted || at->wanted;
    }
    if (!wanted) {
        return SKEW_OK;
    }
    struct look look;
    struct skew_error reason;
    enum skew_code code = look_open(&engine->vdso, pid, 0, &look, &reason);
    if (code != SKEW_OK) {
        /* Whoever cannot be looked at by any means has exited, or another program by now. */
        list->unsure = list->unsure || code == SKEW_FAILED;
        return SKEW_OK;
    }
    for (; image < end && image->vdso_address == vdso_address; image++) {
        if (image->wanted && inherited_carries(&look, image)) {
            code = carrier_add(engine, &look, image, list, error);
            break;
        }
    }
    look_close(&look);
    return code;
}

/* The pid that was given out last: the last number of proc_loadavg(5). */
static pid_t last_pid_read(void)
{
    char text[128];
    const char *number = NULL;
    if (proc_file_read(AT_FDCWD, "/proc/loadavg", text, sizeof text) > 0) {
        number = strrchr(text, ' ');
    }
    return number == NULL ? 0 : (pid_t)strtol(number, NULL, 10);
}

/* The pids of all processes, as /proc lists them: ascending. */
struct listing {
    pid_t *pids;
    size_t count;
};

static enum skew_code listing_read(struct listing *listing, struct skew_error *error)
{
    DIR *processes = opendir("/proc");
    if (processes == NULL) {
        return error_set(error, SKEW_FAILED, 0, errno, "list processes",
                         "cannot list the processes");
    }
    size_t capacity = 0;
    *listing = (struct listing){0};
    for (struct dirent *entry; (entry = readdir(processes)) != NULL;) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid <= 0) {
            continue;
        }
        if (listing->count == capacity) {
            capacity = capacity * 2 + 256;
            pid_t *grown = reallocarray(listing->pids, capacity, sizeof *grown);
            if (grown == NULL) {
                free(listing->pids);
                closedir(processes);
                return error_set(error, SKEW_FAILED, 0, 0, "list processes", "out of memory");
            }
            listing->pids = grown;
        }
        listing->pids[listing->count++] = pid;
    }
    closedir(processes);
    return SKEW_OK;
}

/* Looks at those that are not in the earlier listing. *any: there were some. */
static enum skew_code newcomers_look(struct skew_engine *engine,
                                     const struct inherited_images *images,
                                     const struct listing *earlier, const struct listing *now,
                                     struct inherited_list *list, bool *any,
                                     struct skew_error *error)
{
    enum skew_code code = SKEW_OK;
    *any = false;
    for (size_t i = 0, known = 0; i < now->count && code == SKEW_OK; i++) {
        while (known < earlier->count && earlier->pids[known] < now->pids[i]) {
            known++;
        }
        if (known == earlier->count || earlier->pids[known] != now->pids[i]) {
            *any = true;
            code = process_look(engine, now->pids[i], images, list, error);
        }
    }
    return code;
}

enum skew_code inherited_find(struct skew_engine *engine, const struct inherited_images *images,
                              struct inherited_list *list, struct skew_error *error)
{
    *list = (struct inherited_list){0};
    bool any = false;
    for (size_t i = 0; i < images->count && !any; i++) {
        any = images->rows[i].wanted;
    }
    pid_t before = last_pid_read();
    struct listing earlier = {0};
    enum skew_code code = SKEW_OK;
    for (int listings = 0; code == SKEW_OK && any && listings < LISTINGS_MAX; listings++) {
        struct listing now = {0};
        code = listing_read(&now, error);
        if (code == SKEW_OK) {
            code = newcomers_look(engine, images, &earlier, &now, list, &any, error);
            free(earlier.pids);
            earlier = now;
        }
    }
    free(earlier.pids);
    list->unsure = list->unsure || any || last_pid_read() < before;
    if (code != SKEW_OK) {
        inherited_list_release(list);
    }
    return code;
}

void inherited_list_release(struct inherited_list *list)
{
    free(list->rows);
    *list = (struct inherited_list){0};
}

void inherited_report(const struct inherited *inherited, struct skew_report *report)
{
    bool left = inherited->image->put_back && !inherited->image->live_other;
    *report = (struct skew_report){
        .pid = inherited->pid,
        .inherited = true,
        .parent = inherited->image->injection,
        .state = inherited->skewed ? SKEW_STATE_ACTIVE : SKEW_STATE_DRAINING,
        .offset_ns = inherited->skewed ? image_skew_offset(&inherited->skew) : 0,
        .shape = inherited->skewed ? inherited->skew.shape : (struct shape){0},
        .begin_ns = inherited->skewed ? image_skew_begin(&inherited->skew) : 0,
        .deadline_ns = inherited->skewed ? image_skew_deadline(&inherited->skew) : 0,
        .clocks = inherited->skewed ? inherited->skew.clocks : 0,
        .created_ns = inherited->created_ns,
        .threads = inherited->threads,
        .unfinished = inherited->situation != SITUATION_INJECTED || left,
    };
    memcpy(report->command, inherited->command, sizeof report->command);
    if (inherited->skewed) {
        slew_report(&inherited->skew, inherited->shift, report);
    }
    if (report->unfinished) {
        strncpy(report->note,
                left ? "left behind by a recover; recover finishes that"
                     : "forked while skewctl was at work; recover puts it back",
                sizeof report->note - 1);
    }
}

enum skew_code inherited_ended(struct skew_engine *engine, int64_t id, pid_t pid,
                               uint64_t start_time, struct skew_report *report,
                               struct skew_error *error)
{
    struct inherited_images images;
    struct inherited_list list = {0};
    struct skew_error look_error = {0};
    enum skew_code code = inherited_images_read(engine, &images, &look_error);
    if (code == SKEW_OK) {
        for (size_t i = 0; i < images.count; i++) {
            struct inherited_image *image = &images.rows[i];
            image->wanted = !image->live &&
                            (id != 0 ? image->injection == id
                                     : image->pid == pid &&
                                           (start_time == 0 || image->start_time == start_time));
        }
        code = inherited_find(engine, &images, &list, &look_error);
    }
    struct journal_injection row;
    struct journal_error journal_error;
    if (code == SKEW_OK && list.count > 0 &&
        journal_get(engine->journal, list.rows[0].image->injection, &row, &journal_error) ==
            JOURNAL_OK) {
        report_from_row(&row, report);
    } else {
        code = error->code;
    }
    inherited_list_release(&list);
    inherited_images_release(&images);
    return code;
}
