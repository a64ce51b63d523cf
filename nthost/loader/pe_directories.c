/* The directories of a PE32+ driver that matter when it is mapped: relocations, imports, load configuration,
 * exception table.  All are read from the file, never from the mapped image, so that relocations cannot
 * change what is being parsed. */
#include "loader/pe.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define RELOCATION_ABSOLUTE    0u
#define RELOCATION_DIR64       10u
#define IMPORT_DESCRIPTOR_SIZE 20u
#define MAX_MODULES            256u
#define MAX_IMPORTS            16384u
#define MAX_NAME               255u
#define COOKIE_FIELD_OFFSET    0x58u /* IMAGE_LOAD_CONFIG_DIRECTORY64.SecurityCookie */

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

static bool walk_relocations(const struct pe_file *pe, void (*apply)(void *context, uint32_t rva),
                             void *context, char *error, size_t error_size)
{
    struct pe_directory directory = pe->directories[PE_DIRECTORY_RELOCATION];
    if (directory.size == 0)
        return true;
    const uint8_t *table = pe_bytes(pe, directory.rva, directory.size);
    if (!table)
        return fail(error, error_size,
                    "relocation table (0x%x, %u bytes) is not inside of the file's sections", directory.rva,
                    directory.size);
    for (uint32_t offset = 0; offset < directory.size;) {
        if (directory.size - offset < 8)
            return fail(error, error_size, "relocation block at 0x%x is cut off", directory.rva + offset);
        uint32_t page = pe_u32(table + offset), size = pe_u32(table + offset + 4);
        if (size < 8 || size > directory.size - offset || size % 2 != 0)
            return fail(error, error_size, "relocation block at 0x%x has a bad size of %u bytes",
                        directory.rva + offset, size);
        for (uint32_t i = 8; i < size; i += 2) {
            uint16_t entry = pe_u16(table + offset + i);
            unsigned type = entry >> 12;
            if (type == RELOCATION_ABSOLUTE)
                continue;
            if (type != RELOCATION_DIR64)
                return fail(error, error_size, "relocation of type %u at 0x%x: x64 images have only type %u",
                            type, page + (entry & 0xfff), RELOCATION_DIR64);
            uint64_t rva = (uint64_t)page + (entry & 0xfff);
            if (rva > pe->image_size || !pe_section_of(pe, (uint32_t)rva, 8))
                return fail(error, error_size, "relocation at 0x%llx is outside of every section",
                            (unsigned long long)rva);
            if (apply)
                apply(context, (uint32_t)rva);
        }
        offset += size;
    }
    return true;
}

bool pe_relocations(const struct pe_file *pe, void (*apply)(void *context, uint32_t rva), void *context,
                    char *error, size_t error_size)
{
    return walk_relocations(pe, NULL, NULL, error, error_size) &&
           walk_relocations(pe, apply, context, error, error_size);
}

typedef void import_bind_function(void *context, const char *module, const char *name, uint32_t iat_rva);

/* One module's lookup table; *budget bounds the sum over all modules. */
static bool walk_module(const struct pe_file *pe, const char *module, uint32_t lookup, uint32_t iat,
                        unsigned *budget, import_bind_function *bind, void *context, char *error,
                        size_t error_size)
{
    for (uint32_t i = 0;; i++) {
        uint64_t entry_rva = (uint64_t)lookup + (uint64_t)i * 8, slot_rva = (uint64_t)iat + (uint64_t)i * 8;
        const uint8_t *raw = entry_rva <= pe->image_size ? pe_bytes(pe, (uint32_t)entry_rva, 8) : NULL;
        if (!raw)
            return fail(error, error_size, "import table of %s runs out of its section at 0x%llx", module,
                        (unsigned long long)entry_rva);
        uint64_t entry = pe_u64(raw);
        if (entry == 0)
            return true;
        if (slot_rva > pe->image_size || !pe_section_of(pe, (uint32_t)slot_rva, 8))
            return fail(error, error_size, "import address table of %s at 0x%x is outside of every section",
                        module, iat);
        if ((*budget)-- == 0)
            return fail(error, error_size, "more than %u imports", MAX_IMPORTS);
        char ordinal[16];
        const char *name;
        if (entry >> 63) {
            snprintf(ordinal, sizeof ordinal, "#%u", (unsigned)(entry & 0xffff));
            name = ordinal;
        } else {
            name = entry < pe->image_size ? pe_string(pe, (uint32_t)entry + 2, MAX_NAME) : NULL;
            if (!name || !name[0])
                return fail(error, error_size, "import %u of %s has no valid name (at 0x%llx)", i, module,
                            (unsigned long long)entry);
        }
        if (bind)
            bind(context, module, name, (uint32_t)slot_rva);
    }
}

static bool walk_imports(const struct pe_file *pe, import_bind_function *bind, void *context, char *error,
                         size_t error_size)
{
    struct pe_directory directory = pe->directories[PE_DIRECTORY_IMPORT];
    unsigned budget = MAX_IMPORTS;
    if (directory.rva == 0 && directory.size == 0)
        return true;
    for (unsigned i = 0;; i++) {
        uint64_t rva = (uint64_t)directory.rva + (uint64_t)i * IMPORT_DESCRIPTOR_SIZE;
        const uint8_t *descriptor =
            rva <= pe->image_size ? pe_bytes(pe, (uint32_t)rva, IMPORT_DESCRIPTOR_SIZE) : NULL;
        if (!descriptor)
            return fail(error, error_size, "import directory at 0x%x is not inside of the file's sections",
                        directory.rva);
        uint32_t lookup = pe_u32(descriptor), name_rva = pe_u32(descriptor + 12),
                 iat = pe_u32(descriptor + 16);
        if (name_rva == 0 && iat == 0)
            return true;
        if (i == MAX_MODULES)
            return fail(error, error_size, "imports from more than %u modules", MAX_MODULES);
        const char *module = pe_string(pe, name_rva, MAX_NAME);
        if (!module || !module[0])
            return fail(error, error_size, "import module %u has no valid name (at 0x%x)", i, name_rva);
        if (!walk_module(pe, module, lookup ? lookup : iat, iat, &budget, bind, context, error, error_size))
            return false;
    }
}

bool pe_imports(const struct pe_file *pe, import_bind_function *bind, void *context, char *error,
                size_t error_size)
{
    return walk_imports(pe, NULL, NULL, error, error_size) &&
           walk_imports(pe, bind, context, error, error_size);
}

bool pe_security_cookie(const struct pe_file *pe, uint32_t *rva, char *error, size_t error_size)
{
    struct pe_directory directory = pe->directories[PE_DIRECTORY_LOAD_CONFIG];
    *rva = 0;
    if (directory.rva == 0)
        return true;
    const uint8_t *config = pe_bytes(pe, directory.rva, 4);
    if (!config)
        return fail(error, error_size, "load configuration at 0x%x is not inside of the file's sections",
                    directory.rva);
    uint32_t size = pe_u32(config); /* the structure's own size; the directory's may lag behind it */
    if (size < COOKIE_FIELD_OFFSET + 8)
        return true;
    config = pe_bytes(pe, directory.rva, COOKIE_FIELD_OFFSET + 8);
    if (!config)
        return fail(error, error_size, "load configuration at 0x%x is cut off", directory.rva);
    uint64_t address = pe_u64(config + COOKIE_FIELD_OFFSET);
    if (address == 0)
        return true;
    uint64_t offset = address - pe->image_base;
    const struct pe_section *section =
        offset <= pe->image_size ? pe_section_of(pe, (uint32_t)offset, 8) : NULL;
    if (!section || !(section->characteristics & PE_SECTION_WRITE))
        return fail(error, error_size, "security cookie at 0x%llx is not inside of a writable section",
                    (unsigned long long)address);
    *rva = (uint32_t)offset;
    return true;
}

bool pe_exception_table(const struct pe_file *pe, char *error, size_t error_size)
{
    struct pe_directory directory = pe->directories[PE_DIRECTORY_EXCEPTION];
    if (directory.size == 0)
        return true;
    const uint8_t *table = pe_bytes(pe, directory.rva, directory.size);
    if (!table || directory.size % PE_RUNTIME_ENTRY != 0)
        return fail(error, error_size,
                    "exception table (0x%x, %u bytes) is not inside of the file's sections", directory.rva,
                    directory.size);
    uint32_t last = 0;
    for (uint32_t i = 0; i < directory.size; i += PE_RUNTIME_ENTRY) {
        uint32_t begin = pe_u32(table + i), end = pe_u32(table + i + 4);
        if (begin < last || end <= begin || end > pe->image_size)
            return fail(error, error_size,
                        "exception table entry %u covers 0x%x to 0x%x: out of order or range",
                        i / PE_RUNTIME_ENTRY, begin, end);
        last = end;
    }
    return true;
}
