/* Names for code addresses: the COFF symbol table that the linker writes with /debug:dwarf, the map file that
 * perf reads, and the place where debuggers learn of a new image. */
#include "host.h"
#include "loader/image_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SYMBOL_SIZE            18u
#define STORAGE_CLASS_EXTERNAL 2u
#define STORAGE_CLASS_STATIC   3u
#define TYPE_FUNCTION          0x20u
#define MAX_SYMBOL_NAME        512u

static bool perf_map_wanted;

/* Copies the name of one symbol to `out`; returns its length, 0 if it has none that can be shown. */
static size_t symbol_name(const struct pe_file *pe, const uint8_t *symbol, char *out, size_t out_size)
{
    const char *text;
    size_t length;
    if (pe_u32(symbol) != 0) {
        text = (const char *)symbol;
        length = strnlen(text, 8);
    } else {
        uint32_t offset = pe_u32(symbol + 4);
        if (offset < 4 || offset >= pe->strings_size)
            return 0;
        text = (const char *)pe->data + pe->strings_offset + offset;
        length = strnlen(text, pe->strings_size - offset);
    }
    if (length >= out_size)
        length = out_size - 1;
    for (size_t i = 0; i < length; i++)
        out[i] = text[i] > 0x20 && text[i] < 0x7f ? text[i] : '?';
    out[length] = 0;
    return length;
}

/* A function: defined in an executable section, and not the section's own symbol. */
static bool function_symbol(const struct pe_file *pe, const uint8_t *symbol, uint32_t *rva)
{
    uint32_t value = pe_u32(symbol + 8);
    unsigned section = pe_u16(symbol + 12);
    uint8_t storage = symbol[16];
    if (section == 0 || section > pe->section_count)
        return false;
    const struct pe_section *where = &pe->sections[section - 1];
    if (!(where->characteristics & PE_SECTION_EXECUTE) || value >= where->virtual_size)
        return false;
    if (storage != STORAGE_CLASS_EXTERNAL && storage != STORAGE_CLASS_STATIC)
        return false;
    if (storage == STORAGE_CLASS_STATIC && pe_u16(symbol + 14) != TYPE_FUNCTION)
        return false;
    *rva = where->rva + value;
    return true;
}

static int compare_functions(const void *left, const void *right)
{
    const struct image_function *a = left, *b = right;
    return a->rva < b->rva ? -1 : a->rva > b->rva;
}

void image_read_symbols(struct image *image)
{
    const struct pe_file *pe = &image->pe;
    char name[MAX_SYMBOL_NAME];
    uint32_t rva;
    unsigned count = 0;
    size_t bytes = 0;

    for (uint64_t i = 0; i < pe->symbols_count; i++) {
        const uint8_t *symbol = pe->data + pe->symbols_offset + i * SYMBOL_SIZE;
        size_t length = function_symbol(pe, symbol, &rva) ? symbol_name(pe, symbol, name, sizeof name) : 0;
        if (length) {
            count++;
            bytes += length + 1;
        }
        i += symbol[17]; /* auxiliary records */
    }
    if (count == 0)
        return;
    image->functions = calloc(count, sizeof *image->functions);
    image->names = malloc(bytes);
    if (!image->functions || !image->names)
        return; /* names are a convenience: without memory there are none */
    char *next = image->names;
    for (uint64_t i = 0; i < pe->symbols_count; i++) {
        const uint8_t *symbol = pe->data + pe->symbols_offset + i * SYMBOL_SIZE;
        size_t length = function_symbol(pe, symbol, &rva) ? symbol_name(pe, symbol, name, sizeof name) : 0;
        if (length) {
            image->functions[image->function_count].rva = rva;
            image->functions[image->function_count++].name = memcpy(next, name, length + 1);
            next += length + 1;
        }
        i += symbol[17];
    }
    qsort(image->functions, image->function_count, sizeof *image->functions, compare_functions);
}

bool image_symbol(const void *address, const char **name, size_t *offset)
{
    const struct image *image = image_find(address);
    if (!image || image->function_count == 0)
        return false;
    uint32_t rva = (uint32_t)((const uint8_t *)address - image->base);
    const struct pe_section *section = pe_section_of(&image->pe, rva, 1);
    if (!section || !(section->characteristics & PE_SECTION_EXECUTE))
        return false;
    unsigned low = 0, high = image->function_count; /* first function beyond rva is in [low, high] */
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (image->functions[middle].rva <= rva)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || image->functions[low - 1].rva < section->rva)
        return false;
    *name = image->functions[low - 1].name;
    *offset = rva - image->functions[low - 1].rva;
    return true;
}

/* ---- perf ---- */

/* Where code that starts at `rva` ends: the next function or the end of its section. */
static uint32_t function_end(const struct image *image, unsigned index)
{
    uint32_t rva = image->functions[index].rva;
    const struct pe_section *section = pe_section_of(&image->pe, rva, 1);
    uint32_t end = section->rva + section->virtual_size;
    if (index + 1 < image->function_count && image->functions[index + 1].rva < end)
        end = image->functions[index + 1].rva;
    return end;
}

/* The name is known to everybody and /tmp is everybody's: only a plain file of our own is written. */
static FILE *perf_map_open(const char *path)
{
    static bool started;
    struct stat status;
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);
    if (fd < 0)
        return NULL;
    bool ours = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == geteuid() &&
                status.st_nlink == 1;
    if (!ours || (!started && ftruncate(fd, 0) != 0)) { /* an earlier process had this id */
        close(fd);
        errno = EEXIST;
        return NULL;
    }
    started = true;
    FILE *map = fdopen(fd, "a");
    if (!map)
        close(fd);
    return map;
}

static void perf_map_append(const struct image *image)
{
    char path[64];
    snprintf(path, sizeof path, "/tmp/perf-%d.map", (int)getpid());
    FILE *map = perf_map_open(path);
    if (!map) {
        host_warn("cannot write %s for perf: %s", path, strerror(errno));
        return;
    }
    for (unsigned i = 0; i < image->function_count; i++) {
        uint32_t end = function_end(image, i);
        if (end > image->functions[i].rva)
            fprintf(map, "%lx %x %s [%s]\n",
                    (unsigned long)(uintptr_t)(image->base + image->functions[i].rva),
                    end - image->functions[i].rva, image->functions[i].name, image->name);
    }
    if (image->function_count == 0) { /* stripped: one name for each executable section is better than none */
        for (unsigned i = 0; i < image->pe.section_count; i++) {
            const struct pe_section *section = &image->pe.sections[i];
            if (section->characteristics & PE_SECTION_EXECUTE)
                fprintf(map, "%lx %x %s [%s]\n", (unsigned long)(uintptr_t)(image->base + section->rva),
                        section->virtual_size, section->name, image->name);
        }
    }
    if (fclose(map) != 0)
        host_warn("cannot write %s for perf: %s", path, strerror(errno));
}

void image_perf_map_write(const struct image *image)
{
    const char *wanted = getenv("NTHOST_PERF");
    if (perf_map_wanted || (wanted && wanted[0] && strcmp(wanted, "0") != 0))
        perf_map_append(image);
}

void image_enable_perf_map(void)
{
    if (perf_map_wanted)
        return;
    perf_map_wanted = true;
    for (const struct image *image = image_first(); image; image = image->next)
        perf_map_append(image);
}

/* ---- debuggers ---- */

__attribute__((noinline)) void nthost_image_loaded(const char *path, const void *base, const void *text)
{
    __asm__ volatile("" : : "r"(path), "r"(base), "r"(text) : "memory"); /* keeps call and arguments */
}
