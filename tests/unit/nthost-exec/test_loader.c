/* The loader against damaged and hostile images: a good driver is cut at each length, each bit of its headers
 * and directories is flipped (with the checksum repaired, so that the flip gets past it), and fields are set
 * to chosen values.  Each image must either load or be refused with a message, and unwinding and symbols must
 * survive what loads.  Runs under AddressSanitizer.
 *
 * usage: test_loader DRIVER.sys TEMPORARY-FILE [RANDOM-FLIPS] */
#include "check.h"
#include "host.h"
#include "imports/imports.h"
#include "loader/image.h"
#include "loader/pe.h"
#include "sched/sched.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what the loader needs from the host ---- */

struct host_options host_options = {.cpus = 1};
static bool names_missing;
static const struct import_entry any_import = {"any", "any", (void *)&any_import, 0, 15, 0};

void sched_random(void *buffer, size_t length)
{
    memset(buffer, 0x5a, length);
}

const struct import_entry *import_find(const char *module, const char *name)
{
    (void)module;
    if (names_missing && (strncmp(name, "Ex", 2) == 0 || strncmp(name, "NdisM", 5) == 0))
        return NULL;
    return &any_import;
}

void *import_bind(const struct import_entry *entry)
{
    return entry->target;
}

void host_warn(const char *format, ...)
{
    (void)format;
}

/* ---- files ---- */

static uint8_t *driver;
static size_t driver_size;
static const char *temporary;
static char error[65536];

static void write_temporary(const uint8_t *data, size_t size)
{
    int fd = open(temporary, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) {
        perror(temporary);
        exit(1);
    }
    close(fd);
}

static size_t checksum_offset(const uint8_t *data, size_t size)
{
    if (size < 64)
        return 0;
    size_t header = pe_u32(data + 0x3c);
    return header < size && header + 4 + 20 + 68 <= size ? header + 4 + 20 + 64 : 0;
}

/* The same sum as the loader's, written independently: 32-bit words are not used, carry is folded at once. */
static void repair_checksum(uint8_t *data, size_t size)
{
    size_t offset = checksum_offset(data, size);
    if (!offset)
        return;
    memset(data + offset, 0, 4);
    uint32_t sum = 0;
    for (size_t i = 0; i < size; i++) {
        sum += (uint32_t)data[i] << (i & 1 ? 8 : 0);
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum += (uint32_t)size;
    for (unsigned i = 0; i < 4; i++)
        data[offset + i] = (uint8_t)(sum >> (8 * i));
}

/* Loads what is in the temporary file; on success uses the image a little. Returns whether it loaded. */
static bool try_load(void)
{
    error[0] = 0;
    struct image *image = image_load(temporary, error, sizeof error);
    if (!image) {
        CHECK_MSG(error[0] != 0 && strncmp(error, temporary, strlen(temporary)) == 0, "error '%s'", error);
        return false;
    }
    CHECK(error[0] == 0);
    uint64_t stack[64], frames[16];
    uint8_t *base = image_base(image);
    for (unsigned i = 0; i < 64; i++)
        stack[i] = (uint64_t)(uintptr_t)base + 0x1000 + i * 37;
    for (size_t at = 0; at < image_size(image); at += 0x1fd1) {
        const char *name;
        size_t offset;
        if (image_symbol(base + at, &name, &offset))
            (void)strlen(name);
        bool discarded;
        image_section_name(base + at, &discarded);
        image_unwind((uint64_t)(uintptr_t)base + at, (uint64_t)(uintptr_t)stack, 0, NULL, frames, 16);
    }
    image_discard_init(image);
    image_unload(image);
    return true;
}

static void load_altered(const char *what, const char *expected, size_t offset, const void *bytes,
                         size_t length)
{
    uint8_t *copy = malloc(driver_size);
    memcpy(copy, driver, driver_size);
    memcpy(copy + offset, bytes, length);
    repair_checksum(copy, driver_size);
    write_temporary(copy, driver_size);
    free(copy);
    bool loaded = try_load();
    if (expected)
        CHECK_MSG(!loaded && strstr(error, expected), "%s: %s", what, loaded ? "loaded" : error);
    else
        CHECK_MSG(loaded, "%s: %s", what, error);
}

/* ---- tests ---- */

static void ignore_relocation(void *context, uint32_t rva)
{
    (void)context, (void)rva;
}

static void ignore_import(void *context, const char *module, const char *name, uint32_t iat_rva)
{
    (void)context, (void)module, (void)name, (void)iat_rva;
}

/* Everything that image_load reads from the file, without mapping it. The memory has exactly `size` bytes. */
static bool parse(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    struct pe_file pe;
    uint32_t cookie;
    memcpy(copy, data, size);
    error[0] = 0;
    bool good = pe_parse(&pe, copy, size, error, sizeof error) &&
                pe_exception_table(&pe, error, sizeof error) &&
                pe_relocations(&pe, ignore_relocation, NULL, error, sizeof error) &&
                pe_imports(&pe, ignore_import, NULL, error, sizeof error) &&
                pe_security_cookie(&pe, &cookie, error, sizeof error);
    CHECK(good == (error[0] == 0));
    free(copy);
    return good;
}

static void test_truncated(void)
{
    /* Without a checksum only the structure can tell: each length. */
    uint8_t *copy = malloc(driver_size);
    unsigned accepted = 0;
    memcpy(copy, driver, driver_size);
    memset(copy + checksum_offset(copy, driver_size), 0, 4);
    CHECK(parse(copy, driver_size));
    struct pe_file pe;
    CHECK(pe_parse(&pe, driver, driver_size, error, sizeof error));
    size_t end = pe.strings_offset + pe.strings_size; /* only padding follows */
    CHECK_MSG(end > pe.header_size && end <= driver_size, "end %zu", end);
    for (size_t size = end; size-- > 0;)
        accepted += parse(copy, size);
    CHECK_MSG(accepted == 0, "%u truncated images without a checksum were accepted", accepted);
    free(copy);

    /* As a file with its checksum: the headers' lengths, and steps through the rest. */
    write_temporary(driver, driver_size);
    for (size_t size = driver_size; size-- > 0;) {
        if (size > 1024 && size % 97 != 0)
            continue;
        if (truncate(temporary, (off_t)size) != 0)
            exit(1);
        CHECK_MSG(!try_load(), "%zu bytes", size);
    }
}

static unsigned flips_loaded, flips_refused;

static void flip(size_t bit)
{
    uint8_t *copy = malloc(driver_size);
    memcpy(copy, driver, driver_size);
    copy[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    repair_checksum(copy, driver_size);
    write_temporary(copy, driver_size);
    free(copy);
    if (try_load())
        flips_loaded++;
    else
        flips_refused++;
}

static void test_flipped(unsigned random_flips)
{
    struct pe_file pe;
    CHECK(pe_parse(&pe, driver, driver_size, error, sizeof error));
    size_t headers = pe_u32(driver + 0x3c) + 24 + 240 + 40 * 3; /* and three section headers */
    for (size_t bit = 0; bit < headers * 8; bit++)
        flip(bit);
    for (unsigned i = 0; i < PE_DIRECTORIES; i++) {
        const struct pe_section *section =
            pe.directories[i].size ? pe_section_of(&pe, pe.directories[i].rva, 1) : NULL;
        if (!section)
            continue;
        size_t start = section->file_offset + (pe.directories[i].rva - section->rva);
        size_t length = pe.directories[i].size < 64 ? pe.directories[i].size : 64;
        for (size_t bit = start * 8; bit < (start + length) * 8 && bit < driver_size * 8; bit++)
            flip(bit);
    }
    srand(1);
    for (unsigned i = 0; i < random_flips; i++)
        flip(((size_t)rand() << 12 ^ (size_t)rand()) % (driver_size * 8));
    CHECK_MSG(flips_loaded > 0 && flips_refused > 0, "%u loaded, %u refused", flips_loaded, flips_refused);
    fprintf(stderr, "flipped bits: %u images loaded, %u were refused\n", flips_loaded, flips_refused);

    /* A flip with the old checksum never loads. */
    unsigned loaded = 0;
    uint8_t *copy = malloc(driver_size);
    for (unsigned i = 0; i < 500; i++) {
        size_t bit = ((size_t)rand() << 12 ^ (size_t)rand()) % (driver_size * 8);
        memcpy(copy, driver, driver_size);
        copy[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        write_temporary(copy, driver_size);
        loaded += try_load();
    }
    free(copy);
    CHECK_MSG(loaded == 0, "%u images with a wrong checksum were loaded", loaded);
}

static void test_fields(void)
{
    struct pe_file pe;
    CHECK(pe_parse(&pe, driver, driver_size, error, sizeof error));
    size_t coff = pe_u32(driver + 0x3c) + 4, optional = coff + 20;
    size_t sections = optional + pe_u16(driver + coff + 16);
    static const uint8_t arm64[2] = {0x64, 0xaa}, x86[2] = {0x4c, 0x01}, console[2] = {3, 0}, zero[8];
    static const uint8_t huge[4] = {0xff, 0xff, 0xff, 0x7f}, ones[4] = {0xff, 0xff, 0xff, 0xff};
    static const uint8_t rwx[4] = {0x20, 0, 0, 0xe0}, page[4] = {0, 0x10, 0, 0}, odd[4] = {0x10, 0x10, 0, 0};
    load_altered("unchanged", NULL, 0, driver, 2);
    load_altered("ARM64", "ARM64", coff, arm64, 2);
    load_altered("x86", "x86 (32-bit)", coff, x86, 2);
    load_altered("no MZ", "MZ", 0, zero, 1);
    load_altered("PE header far away", "PE header", 0x3c, huge, 4);
    load_altered("console", "console", optional + 68, console, 2);
    load_altered("object file", "not an executable image", coff + 18, zero, 2);
    load_altered("no sections", "sections", coff + 2, zero, 2);
    load_altered("entry 0", "entry point", optional + 16, zero, 4);
    load_altered("image size 0", "image size", optional + 56, zero, 4);
    load_altered("image size huge", "image size", optional + 56, huge, 4);
    load_altered("alignment", "section alignment", optional + 32, zero, 4);
    load_altered("W+X", "writable and executable", sections + 36, rwx, 4);
    load_altered("overlap", "overlaps", sections + 40 + 12, page, 4);
    load_altered("unaligned", "multiple of the alignment", sections + 12, odd, 4);
    load_altered("raw data far away", "truncated", sections + 20, huge, 4);
    load_altered("relocations far away", "relocation", optional + 112 + 5 * 8, huge, 4);
    load_altered("imports far away", "import", optional + 112 + 1 * 8, huge, 4);
    load_altered("load configuration far away", "load configuration", optional + 112 + 10 * 8, huge, 4);
    load_altered("exception table far away", "exception table", optional + 112 + 3 * 8, huge, 4);
    load_altered("delay imports", "delay-loaded", optional + 112 + 13 * 8, page, 4);
    load_altered("TLS", "thread-local", optional + 112 + 9 * 8, page, 4);
    load_altered("directories", "data directories", optional + 108, ones, 4);

    const struct pe_section *where = pe_section_of(&pe, pe.directories[PE_DIRECTORY_RELOCATION].rva, 8);
    CHECK(where != NULL);
    size_t table = where->file_offset + (pe.directories[PE_DIRECTORY_RELOCATION].rva - where->rva);
    static const uint8_t type3[2] = {0, 0x30};
    load_altered("relocation type", "type 3", table + 8, type3, 2);
    load_altered("relocation page", "outside of every section", table, huge, 4);
    load_altered("relocation size", "bad size", table + 4, ones, 4);
    load_altered("relocation size 0", "bad size", table + 4, zero, 4);
}

static unsigned count_of(const char *text, const char *part)
{
    unsigned count = 0;
    for (; (text = strstr(text, part)); text += strlen(part))
        count++;
    return count;
}

static void test_missing_imports(void)
{
    write_temporary(driver, driver_size);
    names_missing = true;
    CHECK(!try_load());
    CHECK_MSG(strstr(error, "ntoskrnl.exe!ExAllocatePoolWithTag") &&
                  strstr(error, "!NdisMRegisterMiniportDriver"),
              "%s", error);
    CHECK_MSG(count_of(error, "!") >= 4, "%s", error);
    names_missing = false;
    char small[64];
    CHECK(!image_load("/nonexistent/driver.sys", small, sizeof small));
    CHECK_MSG(strstr(small, "No such file"), "%s", small);
    CHECK(!image_load("/", small, sizeof small));
    CHECK_MSG(strstr(small, "not a regular file"), "%s", small);
    write_temporary((const uint8_t *)"", 0);
    CHECK(!try_load());
    CHECK_MSG(strstr(error, "0 bytes"), "%s", error);
}

static sigjmp_buf fault;

static void on_fault(int number)
{
    (void)number;
    siglongjmp(fault, 1);
}

/* Does an access of this kind fault? */
static bool faults(volatile uint8_t *address, bool write)
{
    if (sigsetjmp(fault, 1))
        return true;
    uint8_t value = *address;
    if (write)
        *address = value;
    return false;
}

/* The good image: protections, cookie, symbols, perf map. */
static void test_mapping(void)
{
    struct sigaction action = {.sa_handler = on_fault}, old;
    write_temporary(driver, driver_size);
    image_enable_perf_map();
    struct image *image = image_load(temporary, error, sizeof error);
    CHECK_MSG(image != NULL, "%s", error);
    if (!image)
        return;
    struct pe_file pe;
    CHECK(pe_parse(&pe, driver, driver_size, error, sizeof error));
    uint8_t *base = image_base(image);
    sigaction(SIGSEGV, &action, &old);
    unsigned discardable = 0;
    for (unsigned i = 0; i < pe.section_count; i++) {
        const struct pe_section *section = &pe.sections[i];
        bool writable = (section->characteristics & PE_SECTION_WRITE) != 0;
        CHECK_MSG(!faults(base + section->rva, false), "%s cannot be read", section->name);
        CHECK_MSG(faults(base + section->rva, true) != writable, "%s", section->name);
        if (section->characteristics & PE_SECTION_DISCARDABLE)
            discardable++;
    }
    CHECK(discardable > 0);
    CHECK(faults(base, true));
    CHECK(faults(base - 1, false));
    CHECK(faults(base + image_size(image), false));
    struct pe_directory iat = pe.directories[PE_DIRECTORY_IAT];
    CHECK(iat.size > 0);
    uint64_t bound;
    memcpy(&bound, base + iat.rva, sizeof bound);
    CHECK(bound == (uint64_t)(uintptr_t)&any_import);
    CHECK(faults(base + iat.rva, true));

    uint32_t cookie_rva;
    uint64_t cookie;
    CHECK(pe_security_cookie(&pe, &cookie_rva, error, sizeof error) && cookie_rva != 0);
    memcpy(&cookie, base + cookie_rva, sizeof cookie);
    CHECK(cookie == 0x5a5a5a5a5a5aull);

    const char *name;
    size_t offset;
    CHECK(image_symbol(image_entry(image), &name, &offset) && strcmp(name, "DriverEntry") == 0 &&
          offset == 0);
    CHECK(image_find(base + 0x1000) == image && image_find(base - 1) == NULL);

    char path[64], line[512];
    snprintf(path, sizeof path, "/tmp/perf-%d.map", (int)getpid());
    FILE *map = fopen(path, "r");
    CHECK(map != NULL);
    bool found = false;
    while (map && fgets(line, sizeof line, map)) {
        unsigned long long start, length;
        char symbol[400];
        CHECK(sscanf(line, "%llx %llx %399s", &start, &length, symbol) == 3 && length > 0);
        found |=
            strcmp(symbol, "DriverEntry") == 0 && start == (unsigned long long)(uintptr_t)image_entry(image);
    }
    CHECK(found);
    if (map)
        fclose(map);
    unlink(path);

    image_discard_init(image);
    for (unsigned i = 0; i < pe.section_count; i++) {
        const struct pe_section *section = &pe.sections[i];
        bool gone = (section->characteristics & PE_SECTION_DISCARDABLE) != 0, discarded;
        CHECK_MSG(faults(base + section->rva, false) == gone, "%s", section->name);
        CHECK(image_section_name(base + section->rva, &discarded) && discarded == gone);
    }
    sigaction(SIGSEGV, &old, NULL);
    image_unload(image);
    CHECK(image_find(base + 0x1000) == NULL);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: %s DRIVER.sys TEMPORARY-FILE [RANDOM-FLIPS]\n", argv[0]);
        return 2;
    }
    FILE *file = fopen(argv[1], "rb");
    struct stat status;
    if (!file) {
        perror(argv[1]);
        return 1;
    }
    driver_size = fstat(fileno(file), &status) == 0 ? (size_t)status.st_size : 0;
    driver = malloc(driver_size + 1);
    bool complete = driver_size != 0 && fread(driver, 1, driver_size, file) == driver_size;
    fclose(file);
    if (!complete) {
        fprintf(stderr, "%s: cannot be read\n", argv[1]);
        return 1;
    }
    temporary = argv[2];

    test_mapping();
    test_fields();
    test_missing_imports();
    test_flipped(argc > 3 ? (unsigned)atoi(argv[3]) : 800);
    test_truncated();
    unlink(temporary);
    return check_summary();
}
