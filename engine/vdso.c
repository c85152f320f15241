/*
 * vdso.c - finds the parts of a vDSO that skewctl uses, and tells pristine,
 * patched and foreign bytes apart.
 *
 * Promise: a byte is called ours only if it is exactly what skewctl writes: a
 * jump at a patch offset, or a stub in a slot of the slack. All else that
 * differs is foreign, and callers do not touch a process with foreign bytes. What they are
 * compared with is the vDSO of this very process, if that is as the kernel made it.
 */
#include "engine/vdso.h"

#include <elf.h>
#include <gelf.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "engine/error.h"

#define PAGE            0x1000
#define STUB_ALIGNMENT  16
#define TEXT_SECTION    ".text"
#define VDSO_SLOTS_MAX  8
#define VDSO_SYMBOL_MAX 4096

static enum skew_code vdso_unfit(struct skew_error *error, const char *reason)
{
    error_set(error, SKEW_REFUSED, 0, 0, "read vDSO", "the kernel's vDSO %s", reason);
    error_advise(error, "skewctl cannot work on this kernel; please report its version");
    return SKEW_REFUSED;
}

static void symbol_take(struct vdso *vdso, const char *name, const GElf_Sym *symbol)
{
    for (int f = 0; f < ARCH_FUNCTION_COUNT; f++) {
        if (GELF_ST_TYPE(symbol->st_info) == STT_FUNC &&
            strcmp(name, arch_function_symbol((enum arch_function)f)) == 0) {
            vdso->functions[f].offset = symbol->st_value;
            vdso->functions[f].size = symbol->st_size;
        }
    }
}

static void symbols_read(Elf *elf, Elf_Scn *section, const GElf_Shdr *header, struct vdso *vdso)
{
    Elf_Data *data = elf_getdata(section, NULL);
    if (data == NULL) {
        return;
    }
    for (int i = 0; i < VDSO_SYMBOL_MAX; i++) {
        GElf_Sym symbol;
        if (gelf_getsym(data, i, &symbol) == NULL) {
            break;
        }
        const char *name = elf_strptr(elf, header->sh_link, symbol.st_name);
        if (name != NULL) {
            symbol_take(vdso, name, &symbol);
        }
    }
}

/* Walks the sections for text, symbols and the end of what the image uses. */
static bool sections_read(Elf *elf, struct vdso *vdso)
{
    size_t names;
    GElf_Ehdr ehdr;
    if (elf_getshdrstrndx(elf, &names) != 0 || gelf_getehdr(elf, &ehdr) == NULL ||
        ehdr.e_shoff > vdso->size) {
        return false;
    }
    size_t end = ehdr.e_shoff + (size_t)ehdr.e_shnum * ehdr.e_shentsize;
    for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section)) != NULL;) {
        GElf_Shdr header;
        if (gelf_getshdr(section, &header) == NULL) {
            return false;
        }
        if (header.sh_type != SHT_NOBITS && header.sh_type != SHT_NULL) {
            if (header.sh_offset > vdso->size || header.sh_size > vdso->size - header.sh_offset) {
                return false;
            }
            if (header.sh_offset + header.sh_size > end) {
                end = header.sh_offset + header.sh_size;
            }
        }
        const char *name = elf_strptr(elf, names, header.sh_name);
        if (name != NULL && strcmp(name, TEXT_SECTION) == 0 && header.sh_type == SHT_PROGBITS &&
            header.sh_addr == header.sh_offset) {
            vdso->text_offset = header.sh_offset;
            vdso->text_size = header.sh_size;
        }
        if (header.sh_type == SHT_DYNSYM) {
            symbols_read(elf, section, &header, vdso);
        }
    }
    if (end > vdso->size) {
        return false;
    }
    vdso->slack_offset = (end + STUB_ALIGNMENT - 1) & ~(size_t)(STUB_ALIGNMENT - 1);
    return true;
}

static enum skew_code functions_check(struct vdso *vdso, struct skew_error *error)
{
    for (int f = 0; f < ARCH_FUNCTION_COUNT; f++) {
        size_t offset = vdso->functions[f].offset, size = vdso->functions[f].size;
        if (offset == 0) {
            return vdso_unfit(error, "lacks clock_gettime, gettimeofday or time");
        }
        if (offset < vdso->text_offset || offset - vdso->text_offset > vdso->text_size ||
            size > vdso->text_size - (offset - vdso->text_offset)) {
            return vdso_unfit(error, "has a symbol outside its text");
        }
        size_t skip = arch_patch_offset(vdso->bytes + offset, size);
        if (size < skip + ARCH_PATCH_SIZE) {
            return vdso_unfit(error, "has a function too short to patch");
        }
        size_t patch = offset + skip;
        if (patch / PAGE != (patch + ARCH_PATCH_SIZE - 1) / PAGE) {
            return vdso_unfit(error,
                              "has an entry that crosses a page, which one write cannot patch");
        }
        vdso->functions[f].patch = patch;
    }
    return SKEW_OK;
}

static enum skew_code slack_check(struct vdso *vdso, struct skew_error *error)
{
    vdso->slack_size = vdso->slack_offset < vdso->size ? vdso->size - vdso->slack_offset : 0;
    for (size_t i = 0; i < vdso->slack_size; i++) {
        if (vdso->bytes[vdso->slack_offset + i] != 0) {
            return vdso_unfit(error, "is not followed by zero bytes");
        }
    }
    if (vdso_stub_slots(vdso) == 0) {
        return vdso_unfit(error, "leaves no room for the remote call");
    }
    return SKEW_OK;
}

enum skew_code vdso_parse(const void *bytes, size_t size, struct vdso *vdso,
                          struct skew_error *error)
{
    *vdso = (struct vdso){0};
    if (size < sizeof(Elf64_Ehdr) || size > VDSO_SIZE_MAX || size % PAGE != 0) {
        return vdso_unfit(error, "has an unexpected size");
    }
    vdso->bytes = malloc(size);
    if (vdso->bytes == NULL) {
        return error_set(error, SKEW_FAILED, 0, 0, "read vDSO", "out of memory");
    }
    memcpy(vdso->bytes, bytes, size);
    vdso->size = size;

    enum skew_code code;
    elf_version(EV_CURRENT);
    Elf *elf = elf_memory((char *)vdso->bytes, size);
    if (elf == NULL || elf_kind(elf) != ELF_K_ELF || gelf_getclass(elf) != ELFCLASS64) {
        code = vdso_unfit(error, "is no 64-bit ELF image");
    } else if (!sections_read(elf, vdso) || vdso->text_size == 0) {
        code = vdso_unfit(error, "has no readable sections");
    } else {
        code = functions_check(vdso, error);
    }
    elf_end(elf);
    if (code == SKEW_OK) {
        code = slack_check(vdso, error);
    }
    if (code != SKEW_OK) {
        vdso_release(vdso);
    }
    return code;
}

/* Whether an entry leads out of the image, as that of a process that is skewed. */
static bool leads_elsewhere(const struct vdso *vdso, uint64_t address)
{
    for (int f = 0; f < ARCH_FUNCTION_COUNT; f++) {
        size_t patch = vdso->functions[f].patch;
        uint64_t target;
        if (arch_patch_parse(address + patch, vdso->bytes + patch, &target) &&
            target - address >= vdso->size) {
            return true;
        }
    }
    return false;
}

enum skew_code vdso_own(struct vdso *vdso, struct skew_error *error)
{
    *vdso = (struct vdso){0};
    uint64_t address = getauxval(AT_SYSINFO_EHDR);
    if (address == 0) {
        error_set(error, SKEW_REFUSED, 0, 0, "read vDSO", "this kernel gives processes no vDSO");
        error_advise(error, "boot without vdso=0; without a vDSO there is nothing to skew");
        return SKEW_REFUSED;
    }
    struct target self;
    enum skew_code code = target_open(getpid(), &self, error);
    if (code != SKEW_OK) {
        return code;
    }
    struct maps maps;
    code = maps_read(&self, &maps, error);
    target_close(&self);
    if (code != SKEW_OK) {
        return code;
    }
    const struct mapping *row = maps_find_special(&maps, "[vdso]");
    if (row == NULL || row->start != address) {
        code = vdso_unfit(error, "is not where the auxiliary vector says");
    } else {
        code = vdso_parse((const void *)(uintptr_t)address, row->end - row->start, vdso, error);
    }
    if (code == SKEW_OK && leads_elsewhere(vdso, address)) {
        vdso_release(vdso);
        code = error_set(error, SKEW_REFUSED, 0, 0, "read vDSO",
                         "this skewctl is skewed itself, and cannot know the kernel's vDSO by its "
                         "own");
        error_advise(error, "run it where it is not, or recover it first, by its pid");
    }
    maps_release(&maps);
    return code;
}

void vdso_release(struct vdso *vdso)
{
    free(vdso->bytes);
    *vdso = (struct vdso){0};
}

size_t vdso_stub_slots(const struct vdso *vdso)
{
    size_t slots = vdso->slack_size / ARCH_STUB_SIZE;
    return slots < VDSO_SLOTS_MAX ? slots : VDSO_SLOTS_MAX;
}

size_t vdso_stub_offset(const struct vdso *vdso, size_t slot)
{
    return vdso->slack_offset + slot * ARCH_STUB_SIZE;
}

static bool bytes_zero(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

/* Takes what is ours out of `rest`, so that only foreign differences remain. */
static void functions_compare(const struct vdso *vdso, const uint8_t *live, uint64_t address,
                              uint8_t *rest, struct vdso_difference *difference)
{
    for (int f = 0; f < ARCH_FUNCTION_COUNT; f++) {
        size_t patch = vdso->functions[f].patch;
        if (memcmp(live + patch, vdso->bytes + patch, ARCH_PATCH_SIZE) != 0 &&
            arch_patch_parse(address + patch, live + patch, &difference->target[f])) {
            difference->patched[f] = true;
            memcpy(rest + patch, vdso->bytes + patch, ARCH_PATCH_SIZE);
        }
    }
}

/* Farther from the vDSO no image is: a jump of 32 bits leads there. */
#define NOTE_REACH UINT64_C(0x80000000)

/*
 * A stub with a note behind it, or the end of one behind zeroes, as a write or a
 * clearing leaves it that went word by word and was cut short (memory.c).
 */
static bool slot_is_ours(const uint8_t slot[ARCH_STUB_SIZE], uint64_t vdso_address)
{
    size_t from = 0;
    uint64_t note;
    while (from < ARCH_STUB_SIZE && bytes_zero(slot + from, sizeof note)) {
        from += sizeof note;
    }
    memcpy(&note, slot + VDSO_NOTE_OFFSET, sizeof note);
    uint64_t distance = note > vdso_address ? note - vdso_address : vdso_address - note;
    bool note_sound = from == 0 || (note % 0x1000 == 0 && distance < NOTE_REACH);
    size_t behind = from > arch_stub_length() ? from : arch_stub_length();
    return from < ARCH_STUB_SIZE && note_sound && arch_stub_matches(slot, ARCH_STUB_SIZE, from) &&
           bytes_zero(slot + behind, VDSO_NOTE_OFFSET - behind);
}

static void slots_compare(const struct vdso *vdso, const uint8_t *live, uint64_t address,
                          uint8_t *rest, struct vdso_difference *difference)
{
    for (size_t slot = vdso_stub_slots(vdso); slot-- > 0;) {
        size_t offset = vdso_stub_offset(vdso, slot);
        if (slot_is_ours(live + offset, address)) {
            difference->stubs = true;
            memcpy(&difference->note, live + offset + VDSO_NOTE_OFFSET, sizeof difference->note);
            memset(rest + offset, 0, ARCH_STUB_SIZE);
        }
    }
}

void vdso_compare(const struct vdso *vdso, const uint8_t *live, uint64_t address,
                  struct vdso_difference *difference)
{
    *difference = (struct vdso_difference){0};
    difference->pristine = memcmp(live, vdso->bytes, vdso->size) == 0;
    uint8_t rest[VDSO_SIZE_MAX];
    memcpy(rest, live, vdso->size);
    functions_compare(vdso, live, address, rest, difference);
    slots_compare(vdso, live, address, rest, difference);
    for (size_t i = 0; i < vdso->size; i++) {
        if (rest[i] != vdso->bytes[i]) {
            difference->foreign = true;
            difference->foreign_offset = i;
            return;
        }
    }
}
