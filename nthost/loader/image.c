/* The PE loader: file -> private anonymous memory (anonymous, so that perf looks into its map file),
 * relocated, bound to the import table, protected section by section. pe.c has checked the file before
 * anything is mapped. */
#include "loader/image.h"

#include "imports/imports.h"
#include "loader/image_private.h"
#include "loader/profile.h"
#include "sched/sched.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* What compilers put into __security_cookie; a driver that sees it at entry was not initialised. */
#define DEFAULT_SECURITY_COOKIE 0x00002B992DDFA232ull

static pthread_mutex_t images_lock = PTHREAD_MUTEX_INITIALIZER;
static struct image *images;

struct image *image_first(void)
{
    return __atomic_load_n(&images, __ATOMIC_ACQUIRE);
}

static void list_add(struct image *image)
{
    pthread_mutex_lock(&images_lock);
    image->next = images;
    __atomic_store_n(&images, image, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&images_lock);
}

static void list_remove(struct image *image)
{
    pthread_mutex_lock(&images_lock);
    for (struct image **link = &images; *link; link = &(*link)->next) {
        if (*link == image) {
            __atomic_store_n(link, image->next, __ATOMIC_RELEASE);
            break;
        }
    }
    pthread_mutex_unlock(&images_lock);
}

/* ---- reading the file ---- */

static uint8_t *read_file(const char *path, size_t *size, char *error, size_t error_size)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0) {
        snprintf(error, error_size, "%s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    if (!S_ISREG(status.st_mode) || status.st_size > (off_t)PE_MAX_IMAGE) {
        snprintf(error, error_size, "%s: %s", path,
                 S_ISREG(status.st_mode) ? "the file is larger than any driver image" : "not a regular file");
        close(fd);
        return NULL;
    }
    *size = (size_t)status.st_size;
    uint8_t *data = malloc(*size ? *size : 1);
    size_t done = 0;
    while (data && done < *size) {
        ssize_t got = read(fd, data + done, *size - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            snprintf(error, error_size, "%s: %s", path,
                     got < 0 ? strerror(errno) : "the file shrank while read");
            free(data);
            close(fd);
            return NULL;
        }
        done += (size_t)got;
    }
    close(fd);
    if (!data)
        snprintf(error, error_size, "%s: no memory for %zu bytes", path, *size);
    return data;
}

/* ---- mapping ---- */

/* One inaccessible page on each side catches the driver's runs over the ends of its image. */
static bool map_image(struct image *image, char *error, size_t error_size)
{
    const struct pe_file *pe = &image->pe;
    void *wanted =
        pe->characteristics & PE_RELOCS_STRIPPED ? (void *)(uintptr_t)(pe->image_base - PE_PAGE_SIZE) : NULL;
    void *memory = mmap(wanted, (size_t)pe->image_size + 2 * PE_PAGE_SIZE, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | (wanted ? MAP_FIXED_NOREPLACE : 0), -1, 0);
    if (memory == MAP_FAILED) {
        snprintf(error, error_size, "cannot map %u bytes%s: %s", pe->image_size,
                 wanted ? " at the image's base (its relocations were stripped)" : "", strerror(errno));
        return false;
    }
    image->base = (uint8_t *)memory + PE_PAGE_SIZE;
    if (mprotect(image->base, pe->image_size, PROT_READ | PROT_WRITE) < 0) {
        snprintf(error, error_size, "cannot make the mapping writable: %s", strerror(errno));
        return false;
    }
    memcpy(image->base, pe->data, pe->header_size);
    for (unsigned i = 0; i < pe->section_count; i++) {
        const struct pe_section *section = &pe->sections[i];
        if (section->file_size)
            memcpy(image->base + section->rva, pe->data + section->file_offset, section->file_size);
    }
    return true;
}

static void unmap_image(struct image *image)
{
    if (image->base)
        munmap(image->base - PE_PAGE_SIZE, (size_t)image->pe.image_size + 2 * PE_PAGE_SIZE);
}

static void apply_relocation(void *context, uint32_t rva)
{
    struct image *image = context;
    uint64_t value;
    memcpy(&value, image->base + rva, sizeof value);
    value += (uint64_t)(uintptr_t)image->base - image->pe.image_base;
    memcpy(image->base + rva, &value, sizeof value);
}

static int section_protection(const struct pe_section *section)
{
    int protection = PROT_NONE;
    if (section->characteristics & (PE_SECTION_READ | PE_SECTION_EXECUTE))
        protection |= PROT_READ;
    if (section->characteristics & PE_SECTION_EXECUTE)
        protection |= PROT_EXEC;
    if (section->characteristics & PE_SECTION_WRITE)
        protection |= PROT_READ | PROT_WRITE;
    return protection;
}

static uint32_t page_round_up(uint32_t value)
{
    return (value + PE_PAGE_SIZE - 1) & ~(PE_PAGE_SIZE - 1);
}

/* Header read-only, each section by its flags, gaps inaccessible, the import address table read-only even
 * when its section is writable (as far as whole pages go). */
static bool protect_image(struct image *image, char *error, size_t error_size)
{
    const struct pe_file *pe = &image->pe;
    bool good = mprotect(image->base, pe->image_size, PROT_NONE) == 0 &&
                mprotect(image->base, page_round_up(pe->header_size), PROT_READ) == 0;
    for (unsigned i = 0; good && i < pe->section_count; i++) {
        const struct pe_section *section = &pe->sections[i];
        good = mprotect(image->base + section->rva, page_round_up(section->virtual_size),
                        section_protection(section)) == 0;
    }
    struct pe_directory iat = pe->directories[PE_DIRECTORY_IAT];
    const struct pe_section *section = iat.size ? pe_section_of(pe, iat.rva, iat.size) : NULL;
    if (good && section && (section->characteristics & PE_SECTION_WRITE)) {
        uint32_t begin = page_round_up(iat.rva), end = (iat.rva + iat.size) & ~(PE_PAGE_SIZE - 1);
        if (begin < end)
            good = mprotect(image->base + begin, end - begin, PROT_READ) == 0;
    }
    if (!good)
        snprintf(error, error_size, "cannot protect the sections: %s", strerror(errno));
    return good;
}

/* ---- imports ---- */

struct binding {
    struct image *image;
    char *missing; /* "module!name, module!name": all that have no host function */
    size_t missing_length;
    size_t missing_size;
    unsigned missing_count;
    bool no_memory;
};

static void note_missing(struct binding *binding, const char *module, const char *name)
{
    size_t need = strlen(module) + strlen(name) + 4;
    if (binding->missing_length + need > binding->missing_size) {
        size_t size = (binding->missing_size + need) * 2;
        char *text = realloc(binding->missing, size);
        if (!text) {
            binding->no_memory = true;
            return;
        }
        binding->missing = text;
        binding->missing_size = size;
    }
    binding->missing_length += (size_t)snprintf(binding->missing + binding->missing_length,
                                                binding->missing_size - binding->missing_length, "%s%s!%s",
                                                binding->missing_count ? ", " : "", module, name);
    binding->missing_count++;
}

static void bind_import(void *context, const char *module, const char *name, uint32_t iat_rva)
{
    struct binding *binding = context;
    const struct import_entry *entry = import_find(module, name);
    if (!entry) {
        note_missing(binding, module, name);
        return;
    }
    uint64_t address = (uint64_t)(uintptr_t)import_bind(entry);
    memcpy(binding->image->base + iat_rva, &address, sizeof address);
}

static bool bind_imports(struct image *image, char *error, size_t error_size)
{
    struct binding binding = {.image = image};
    bool good = pe_imports(&image->pe, bind_import, &binding, error, error_size);
    if (good && binding.no_memory) {
        snprintf(error, error_size, "no memory to list the missing imports");
        good = false;
    } else if (good && binding.missing_count) {
        snprintf(error, error_size, "%u import%s without a host function: %s", binding.missing_count,
                 binding.missing_count == 1 ? "" : "s", binding.missing);
        good = false;
    }
    free(binding.missing);
    return good;
}

/* A fresh cookie: never 0, never the compiler's constant, upper 16 bits clear (as on Windows, so that string
 * functions cannot write it). */
static bool set_security_cookie(struct image *image, char *error, size_t error_size)
{
    uint32_t rva;
    if (!pe_security_cookie(&image->pe, &rva, error, error_size))
        return false;
    if (rva == 0)
        return true;
    uint64_t cookie;
    do {
        sched_random(&cookie, sizeof cookie);
        cookie &= 0x0000ffffffffffffull;
    } while (cookie == 0 || cookie == DEFAULT_SECURITY_COOKIE);
    memcpy(image->base + rva, &cookie, sizeof cookie);
    return true;
}

/* ---- the public verbs ---- */

static const void *first_code(const struct image *image)
{
    for (unsigned i = 0; i < image->pe.section_count; i++) {
        if (image->pe.sections[i].characteristics & PE_SECTION_EXECUTE)
            return image->base + image->pe.sections[i].rva;
    }
    return image->base;
}

static void free_image(struct image *image)
{
    unmap_image(image);
    free(image->functions);
    free(image->names);
    free(image->file);
    free(image->path);
    free(image);
}

struct image *image_load(const char *path, char *error, size_t error_size)
{
    size_t size = 0;
    uint8_t *file = read_file(path, &size, error, error_size);
    if (!file)
        return NULL;
    struct image *image = calloc(1, sizeof *image);
    if (!image || !(image->path = realpath(path, NULL))) {
        snprintf(error, error_size, "%s: no memory", path);
        free(image);
        free(file);
        return NULL;
    }
    image->file = file;
    image->name = strrchr(image->path, '/') ? strrchr(image->path, '/') + 1 : image->path;

    /* The reason starts with the path; it is written behind it. */
    size_t prefix = (size_t)snprintf(error, error_size, "%s: ", path);
    if (prefix >= error_size)
        prefix = error_size ? error_size - 1 : 0;
    char *reason = error + prefix;
    size_t reason_size = error_size - prefix;

    if (!pe_parse(&image->pe, file, size, reason, reason_size) ||
        !pe_exception_table(&image->pe, reason, reason_size) || !map_image(image, reason, reason_size) ||
        !pe_relocations(&image->pe, apply_relocation, image, reason, reason_size) ||
        !bind_imports(image, reason, reason_size) || !set_security_cookie(image, reason, reason_size) ||
        !protect_image(image, reason, reason_size)) {
        free_image(image);
        return NULL;
    }
    error[0] = 0;
    image_profile_start(image);
    image_read_symbols(image);
    list_add(image);
    image_perf_map_write(image);
    nthost_image_loaded(image->path, image->base, first_code(image));
    return image;
}

void image_unload(struct image *image)
{
    list_remove(image);
    free_image(image);
}

void image_discard_init(struct image *image)
{
    for (unsigned i = 0; i < image->pe.section_count; i++) {
        const struct pe_section *section = &image->pe.sections[i];
        if (!(section->characteristics & PE_SECTION_DISCARDABLE))
            continue;
        uint32_t length = page_round_up(section->virtual_size);
        mprotect(image->base + section->rva, length, PROT_NONE);
        madvise(image->base + section->rva, length, MADV_DONTNEED);
    }
    image->discarded = true;
}

void *image_entry(const struct image *image)
{
    return image->base + image->pe.entry_rva;
}

void *image_base(const struct image *image)
{
    return image->base;
}

size_t image_size(const struct image *image)
{
    return image->pe.image_size;
}

const char *image_path(const struct image *image)
{
    return image->path;
}

const char *image_name(const struct image *image)
{
    return image->name;
}

bool image_contains(const struct image *image, const void *address)
{
    return (uintptr_t)address - (uintptr_t)image->base < image->pe.image_size;
}

struct image *image_find(const void *address)
{
    for (struct image *image = image_first(); image; image = image->next) {
        if (image_contains(image, address))
            return image;
    }
    return NULL;
}

const char *image_section_name(const void *address, bool *discarded)
{
    const struct image *image = image_find(address);
    if (!image)
        return NULL;
    const struct pe_section *section =
        pe_section_of(&image->pe, (uint32_t)((const uint8_t *)address - image->base), 1);
    if (!section)
        return NULL;
    if (discarded)
        *discarded = image->discarded && (section->characteristics & PE_SECTION_DISCARDABLE);
    return section->name;
}
