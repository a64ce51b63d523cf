/* A PE32+ file as untrusted input: every field is checked before anything is mapped, and all later reads go
 * through the bounds-checked verbs below.  Nothing here executes or maps the file.
 *
 * Source: Microsoft, "PE Format". */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PE_PAGE_SIZE     4096u
#define PE_MAX_SECTIONS  96u
#define PE_DIRECTORIES   16u
#define PE_MAX_IMAGE     (256u << 20) /* bytes; the largest image this host maps */
#define PE_RUNTIME_ENTRY 12u          /* bytes per RUNTIME_FUNCTION of .pdata */

enum pe_directory_index {
    PE_DIRECTORY_EXPORT = 0,
    PE_DIRECTORY_IMPORT = 1,
    PE_DIRECTORY_EXCEPTION = 3,
    PE_DIRECTORY_RELOCATION = 5,
    PE_DIRECTORY_TLS = 9,
    PE_DIRECTORY_LOAD_CONFIG = 10,
    PE_DIRECTORY_IAT = 12,
    PE_DIRECTORY_DELAY_IMPORT = 13,
    PE_DIRECTORY_CLR = 14
};

#define PE_SECTION_DISCARDABLE 0x02000000u
#define PE_SECTION_EXECUTE     0x20000000u
#define PE_SECTION_READ        0x40000000u
#define PE_SECTION_WRITE       0x80000000u
#define PE_RELOCS_STRIPPED     0x0001u

struct pe_section {
    char name[64];         /* NUL-terminated; long names taken from the string table */
    uint32_t rva;          /* multiple of the section alignment */
    uint32_t virtual_size; /* bytes in memory, never 0 */
    uint32_t file_offset;  /* of the raw data */
    uint32_t file_size;    /* bytes of raw data that are used: <= virtual_size */
    uint32_t characteristics;
};

struct pe_directory {
    uint32_t rva;
    uint32_t size;
};

struct pe_file {
    const uint8_t *data; /* the caller's; must stay while the struct is used */
    size_t size;
    uint64_t image_base;
    uint32_t image_size; /* bytes, multiple of the page size */
    uint32_t header_size;
    uint32_t entry_rva;
    uint16_t characteristics;
    uint32_t symbols_offset; /* COFF symbol table, 0 if none */
    uint32_t symbols_count;
    uint32_t strings_offset; /* its string table (starts with its length) */
    uint32_t strings_size;   /* bytes, including the length field; 0 if none */
    unsigned section_count;
    struct pe_section sections[PE_MAX_SECTIONS];
    struct pe_directory directories[PE_DIRECTORIES];
};

/* Parses and checks headers, section table and directories of a native x64 driver.  On failure returns false
 * and writes one line to `error` that names field and value. */
bool pe_parse(struct pe_file *pe, const void *data, size_t size, char *error, size_t error_size);

/* The section that contains [rva, rva + length) completely, NULL if none. */
const struct pe_section *pe_section_of(const struct pe_file *pe, uint32_t rva, uint32_t length);
/* The file's bytes behind [rva, rva + length); NULL unless all of them are in one section's raw data. */
const uint8_t *pe_bytes(const struct pe_file *pe, uint32_t rva, uint32_t length);
/* A NUL-terminated string of at most `max` characters at rva, all printable ASCII; NULL otherwise. */
const char *pe_string(const struct pe_file *pe, uint32_t rva, uint32_t max);

/* Calls `apply(context, rva)` for each 64-bit address that needs relocation; false and `error` on a bad
 * table. The whole table is checked before the first call. */
bool pe_relocations(const struct pe_file *pe, void (*apply)(void *context, uint32_t rva), void *context,
                    char *error, size_t error_size);

/* Calls `bind(context, module, name, iat_rva)` for each imported function; false and `error` on a bad table.
 * Imports by ordinal come with name "#123". The whole table is checked before the first call. */
bool pe_imports(const struct pe_file *pe,
                void (*bind)(void *context, const char *module, const char *name, uint32_t iat_rva),
                void *context, char *error, size_t error_size);

/* The security cookie's RVA from the load configuration; *rva = 0 if there is none. False on a bad one. */
bool pe_security_cookie(const struct pe_file *pe, uint32_t *rva, char *error, size_t error_size);

/* Checks order and range of all RUNTIME_FUNCTIONs. */
bool pe_exception_table(const struct pe_file *pe, char *error, size_t error_size);

/* Little-endian reads of unaligned bytes. */
static inline uint16_t pe_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t pe_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t pe_u64(const uint8_t *p)
{
    return (uint64_t)pe_u32(p) | (uint64_t)pe_u32(p + 4) << 32;
}
