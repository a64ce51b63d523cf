/* Headers and section table of a PE32+ driver.  The file may be damaged or hostile: each offset is compared
 * with what is really there before it is used, and 32-bit sums are made in 64 bits.  Directory contents are
 * in pe_directories.c. */
#include "loader/pe.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DOS_HEADER_SIZE      64u
#define COFF_HEADER_SIZE     20u
#define OPTIONAL_HEADER_BASE 112u /* PE32+ optional header up to the data directories */
#define SECTION_HEADER_SIZE  40u
#define SYMBOL_SIZE          18u
#define MACHINE_AMD64        0x8664u
#define EXECUTABLE_IMAGE     0x0002u
#define SUBSYSTEM_NATIVE     1u

static bool fail(char *error, size_t error_size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool fail(char *error, size_t error_size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, error_size, format, arguments);
    va_end(arguments);
    return false;
}

static const char *machine_name(uint16_t machine)
{
    switch (machine) {
    case 0x014c:
        return "x86 (32-bit)";
    case 0x01c4:
        return "ARM (32-bit)";
    case 0xaa64:
        return "ARM64";
    default:
        return "unknown";
    }
}

static const char *subsystem_name(uint16_t subsystem)
{
    switch (subsystem) {
    case 2:
        return "Windows GUI program";
    case 3:
        return "Windows console program";
    case 10:
    case 11:
    case 12:
        return "EFI";
    default:
        return "unknown";
    }
}

static bool power_of_two(uint32_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

/* The sum that "imagehlp" calls the image checksum: 16-bit one's complement words, checksum field as zero,
 * plus the file's length. */
static uint32_t image_checksum(const uint8_t *data, size_t size, size_t field_offset)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < size; i += 2) {
        if (i >= field_offset && i < field_offset + 4)
            continue;
        sum += i + 1 < size ? pe_u16(data + i) : data[i];
    }
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint32_t)(sum + size);
}

/* Section names of more than eight characters are "/decimal", an offset into the string table. */
static void section_name(const struct pe_file *pe, const uint8_t *raw, char *name, size_t name_size)
{
    size_t length = strnlen((const char *)raw, 8);
    memcpy(name, raw, length);
    name[length] = 0;
    if (raw[0] == '/' && pe->strings_size > 4) {
        uint32_t offset = 0;
        for (size_t i = 1; i < length; i++) {
            if (raw[i] < '0' || raw[i] > '9')
                return;
            offset = offset * 10 + (uint32_t)(raw[i] - '0');
        }
        if (offset < 4 || offset >= pe->strings_size)
            return;
        const char *text = (const char *)pe->data + pe->strings_offset + offset;
        length = strnlen(text, pe->strings_size - offset);
        if (length >= name_size)
            length = name_size - 1;
        memcpy(name, text, length);
        name[length] = 0;
    }
    for (char *c = name; *c; c++) {
        if (*c < 0x21 || *c > 0x7e)
            *c = '?';
    }
}

static bool parse_symbol_table(struct pe_file *pe, const uint8_t *coff, char *error, size_t error_size)
{
    uint32_t offset = pe_u32(coff + 8), count = pe_u32(coff + 12);
    if (offset == 0 || count == 0)
        return true;
    uint64_t end = (uint64_t)offset + (uint64_t)count * SYMBOL_SIZE;
    if (end > pe->size)
        return fail(
            error, error_size,
            "symbol table at 0x%x with %u entries ends after the end of the file (%zu bytes): truncated?",
            offset, count, pe->size);
    pe->symbols_offset = offset;
    pe->symbols_count = count;
    if (end + 4 > pe->size)
        return fail(error, error_size, "string table at 0x%llx is missing or truncated",
                    (unsigned long long)end);
    uint32_t strings = pe_u32(pe->data + end);
    if (strings < 4)
        return true; /* written as 0 by some linkers when empty */
    if (end + strings > pe->size)
        return fail(
            error, error_size,
            "string table of %u bytes at 0x%llx ends after the end of the file (%zu bytes): truncated?",
            strings, (unsigned long long)end, pe->size);
    pe->strings_offset = (uint32_t)end;
    pe->strings_size = strings;
    return true;
}

static bool parse_sections(struct pe_file *pe, const uint8_t *table, unsigned count, uint32_t alignment,
                           char *error, size_t error_size)
{
    uint64_t next = pe->header_size;
    for (unsigned i = 0; i < count; i++) {
        const uint8_t *raw = table + (size_t)i * SECTION_HEADER_SIZE;
        struct pe_section *section = &pe->sections[i];
        section_name(pe, raw, section->name, sizeof section->name);
        section->virtual_size = pe_u32(raw + 8);
        section->rva = pe_u32(raw + 12);
        uint32_t raw_size = pe_u32(raw + 16);
        section->file_offset = pe_u32(raw + 20);
        section->characteristics = pe_u32(raw + 36);
        if (section->virtual_size == 0)
            section->virtual_size = raw_size;

        if (section->rva % alignment != 0)
            return fail(error, error_size,
                        "section %u (%s) starts at 0x%x, not a multiple of the alignment 0x%x", i,
                        section->name, section->rva, alignment);
        if (section->virtual_size == 0)
            return fail(error, error_size, "section %u (%s) is empty", i, section->name);
        if (section->rva < next)
            return fail(error, error_size,
                        "section %u (%s) at 0x%x overlaps what comes before it (ends at 0x%llx)", i,
                        section->name, section->rva, (unsigned long long)next);
        next = (uint64_t)section->rva + section->virtual_size;
        if (next > pe->image_size)
            return fail(error, error_size,
                        "section %u (%s) ends at 0x%llx, after the end of the image (0x%x)", i, section->name,
                        (unsigned long long)next, pe->image_size);
        if (raw_size != 0 && (uint64_t)section->file_offset + raw_size > pe->size)
            return fail(error, error_size,
                        "section %u (%s) needs the file's bytes 0x%x to 0x%llx, the file has %zu: truncated?",
                        i, section->name, section->file_offset,
                        (unsigned long long)section->file_offset + raw_size, pe->size);
        section->file_size = raw_size < section->virtual_size ? raw_size : section->virtual_size;
        if ((section->characteristics & PE_SECTION_WRITE) && (section->characteristics & PE_SECTION_EXECUTE))
            return fail(error, error_size, "section %u (%s) is both writable and executable", i,
                        section->name);
    }
    pe->section_count = count;
    return true;
}

static bool parse_directories(struct pe_file *pe, const uint8_t *optional, uint32_t count, char *error,
                              size_t error_size)
{
    static const struct {
        unsigned index;
        const char *name;
    } unsupported[] = {{PE_DIRECTORY_TLS, "thread-local storage"},
                       {PE_DIRECTORY_DELAY_IMPORT, "delay-loaded imports"},
                       {PE_DIRECTORY_CLR, "managed code"}};

    for (uint32_t i = 0; i < count; i++) {
        pe->directories[i].rva = pe_u32(optional + OPTIONAL_HEADER_BASE + i * 8);
        pe->directories[i].size = pe_u32(optional + OPTIONAL_HEADER_BASE + i * 8 + 4);
    }
    for (unsigned i = 0; i < sizeof unsupported / sizeof *unsupported; i++) {
        const struct pe_directory *directory = &pe->directories[unsupported[i].index];
        if (directory->rva || directory->size)
            return fail(error, error_size, "uses %s (directory %u at 0x%x), which kernel drivers cannot have",
                        unsupported[i].name, unsupported[i].index, directory->rva);
    }
    return true;
}

bool pe_parse(struct pe_file *pe, const void *bytes, size_t size, char *error, size_t error_size)
{
    const uint8_t *data = bytes;
    memset(pe, 0, sizeof *pe);
    pe->data = data;
    pe->size = size;

    if (size < DOS_HEADER_SIZE)
        return fail(error, error_size, "not a PE image: %zu bytes, the DOS header alone has %u", size,
                    DOS_HEADER_SIZE);
    if (size > PE_MAX_IMAGE)
        return fail(error, error_size, "the file has %zu bytes; images up to %u bytes are supported", size,
                    PE_MAX_IMAGE);
    if (data[0] != 'M' || data[1] != 'Z')
        return fail(error, error_size, "not a PE image: does not start with \"MZ\"");
    uint32_t header = pe_u32(data + 0x3c);
    if (header < 4 || (uint64_t)header + 4 + COFF_HEADER_SIZE > size)
        return fail(error, error_size, "PE header at 0x%x is outside of the file (%zu bytes): truncated?",
                    header, size);
    if (memcmp(data + header, "PE\0\0", 4) != 0)
        return fail(error, error_size, "not a PE image: no PE signature at 0x%x", header);

    const uint8_t *coff = data + header + 4;
    uint16_t machine = pe_u16(coff), section_count = pe_u16(coff + 2), optional_size = pe_u16(coff + 16);
    pe->characteristics = pe_u16(coff + 18);
    if (machine != MACHINE_AMD64)
        return fail(error, error_size, "made for machine 0x%04x (%s); this host runs x64 drivers (0x8664)",
                    machine, machine_name(machine));
    if (!(pe->characteristics & EXECUTABLE_IMAGE))
        return fail(error, error_size, "not an executable image (characteristics 0x%04x): an object file?",
                    pe->characteristics);
    if (section_count == 0 || section_count > PE_MAX_SECTIONS)
        return fail(error, error_size, "%u sections; 1 to %u are possible", section_count, PE_MAX_SECTIONS);

    const uint8_t *optional = coff + COFF_HEADER_SIZE;
    uint64_t optional_offset = (uint64_t)header + 4 + COFF_HEADER_SIZE;
    uint64_t table_offset = optional_offset + optional_size;
    uint64_t table_end = table_offset + (uint64_t)section_count * SECTION_HEADER_SIZE;
    if (optional_size < OPTIONAL_HEADER_BASE)
        return fail(error, error_size, "optional header of %u bytes is too short (PE32+ needs %u)",
                    optional_size, OPTIONAL_HEADER_BASE);
    if (table_end > size)
        return fail(error, error_size,
                    "section table ends at 0x%llx, after the end of the file (%zu): truncated?",
                    (unsigned long long)table_end, size);
    if (pe_u16(optional) != 0x20b)
        return fail(error, error_size, "optional header has magic 0x%x, PE32+ has 0x20b", pe_u16(optional));

    uint32_t checksum = pe_u32(optional + 64);
    if (checksum != 0) {
        uint32_t real = image_checksum(data, size, optional_offset + 64);
        if (real != checksum)
            return fail(error, error_size,
                        "checksum is 0x%x, the header says 0x%x: the file is damaged or truncated", real,
                        checksum);
    }

    pe->entry_rva = pe_u32(optional + 16);
    pe->image_base = pe_u64(optional + 24);
    uint32_t section_alignment = pe_u32(optional + 32), file_alignment = pe_u32(optional + 36);
    pe->image_size = pe_u32(optional + 56);
    pe->header_size = pe_u32(optional + 60);
    uint16_t subsystem = pe_u16(optional + 68);
    uint32_t directory_count = pe_u32(optional + 108);

    if (subsystem != SUBSYSTEM_NATIVE)
        return fail(error, error_size, "subsystem is %u (%s); a driver has 1 (native)", subsystem,
                    subsystem_name(subsystem));
    if (!power_of_two(section_alignment) || section_alignment < PE_PAGE_SIZE ||
        section_alignment > PE_MAX_IMAGE)
        return fail(error, error_size, "section alignment 0x%x: must be a power of two of at least 0x1000",
                    section_alignment);
    if (!power_of_two(file_alignment) || file_alignment > section_alignment)
        return fail(error, error_size,
                    "file alignment 0x%x is not a power of two up to the section alignment", file_alignment);
    if (pe->image_size == 0 || pe->image_size > PE_MAX_IMAGE)
        return fail(error, error_size, "image size 0x%x: 1 to 0x%x bytes are supported", pe->image_size,
                    PE_MAX_IMAGE);
    pe->image_size = (pe->image_size + PE_PAGE_SIZE - 1) & ~(PE_PAGE_SIZE - 1);
    if (pe->header_size < table_end || pe->header_size > size || pe->header_size > pe->image_size)
        return fail(error, error_size,
                    "header size 0x%x does not cover the section table or exceeds file or image",
                    pe->header_size);
    if (pe->image_base % 0x10000 != 0)
        return fail(error, error_size, "image base 0x%llx is not a multiple of 64 KB",
                    (unsigned long long)pe->image_base);
    if (directory_count > PE_DIRECTORIES ||
        OPTIONAL_HEADER_BASE + (uint64_t)directory_count * 8 > optional_size)
        return fail(error, error_size, "%u data directories do not fit the optional header of %u bytes",
                    directory_count, optional_size);

    if (!parse_symbol_table(pe, coff, error, error_size) ||
        !parse_sections(pe, data + table_offset, section_count, section_alignment, error, error_size) ||
        !parse_directories(pe, optional, directory_count, error, error_size))
        return false;

    const struct pe_section *code = pe_section_of(pe, pe->entry_rva, 1);
    if (!code || !(code->characteristics & PE_SECTION_EXECUTE))
        return fail(error, error_size, "entry point 0x%x is not inside of an executable section",
                    pe->entry_rva);
    return true;
}

const struct pe_section *pe_section_of(const struct pe_file *pe, uint32_t rva, uint32_t length)
{
    for (unsigned i = 0; i < pe->section_count; i++) {
        const struct pe_section *section = &pe->sections[i];
        if (rva >= section->rva && rva - section->rva < section->virtual_size &&
            length <= section->virtual_size - (rva - section->rva))
            return section;
    }
    return NULL;
}

const uint8_t *pe_bytes(const struct pe_file *pe, uint32_t rva, uint32_t length)
{
    const struct pe_section *section = pe_section_of(pe, rva, length);
    if (!section)
        return NULL;
    uint32_t offset = rva - section->rva;
    if (offset > section->file_size || length > section->file_size - offset)
        return NULL;
    return pe->data + section->file_offset + offset;
}

const char *pe_string(const struct pe_file *pe, uint32_t rva, uint32_t max)
{
    for (uint32_t length = 0; length <= max; length++) {
        if (length > UINT32_MAX - 1 - rva)
            return NULL;
        const uint8_t *text = pe_bytes(pe, rva, length + 1);
        if (!text)
            return NULL;
        if (text[length] == 0)
            return (const char *)text;
        if (text[length] < 0x20 || text[length] > 0x7e)
            return NULL;
    }
    return NULL;
}
