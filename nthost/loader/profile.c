/* Coverage of code inside a driver image, without a run-time library in the driver: the pages of its counter
 * section become a shared mapping of the profile file, so that nothing has to be written at the end.  Counts
 * survive every way in which a process may end (a verify report, a bug check, SIGKILL), and all processes
 * that load the same image, forked ones included, count into one file.
 *
 * Source of the layout: LLVM's profile/InstrProfData.inc, which comes with the compiler. */
#include "loader/profile.h"

#include "host.h"
#include "loader/image_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The first inclusion gives constants, the others fill in what the macros defined before them make of the
 * tables. */
#include <profile/InstrProfData.inc>

enum {
#define VALUE_PROF_KIND(name, value, description) name = (value),
#include <profile/InstrProfData.inc>
};

struct profile_header {
#define INSTR_PROF_RAW_HEADER(type, name, initializer) type name;
#include <profile/InstrProfData.inc>
};

/* Only its size counts here. */
typedef uint64_t IntPtrT;
struct profile_record {
#define INSTR_PROF_DATA(type, llvm_type, name, initializer) type name;
#include <profile/InstrProfData.inc>
};

/* In a PE image a byte that is not part of the names stands before them. */
#define NAMES_SKIPPED 1

/* What of an image goes into its profile. */
struct profile_sections {
    const struct pe_section *counters, *records, *names;
};

static const struct pe_section *section_named(const struct pe_file *pe, const char *name)
{
    for (unsigned i = 0; i < pe->section_count; i++) {
        if (strcmp(pe->sections[i].name, name) == 0)
            return &pe->sections[i];
    }
    return NULL;
}

static uint64_t page_round_up(uint64_t value)
{
    return (value + PE_PAGE_SIZE - 1) & ~(uint64_t)(PE_PAGE_SIZE - 1);
}

/* The counters stand at a page boundary of the file, in as many whole pages as in memory. */
static struct profile_header make_header(const struct image *image, const struct profile_sections *sections)
{
    uint64_t record_bytes = sections->records->virtual_size;
    uint64_t counters_at = page_round_up(sizeof(struct profile_header) + record_bytes);
    uint64_t counter_bytes = sections->counters->virtual_size;
    return (struct profile_header){
        .Magic = INSTR_PROF_RAW_MAGIC_64,
        .Version = INSTR_PROF_RAW_VERSION,
        .NumData = record_bytes / sizeof(struct profile_record),
        .PaddingBytesBeforeCounters = counters_at - sizeof(struct profile_header) - record_bytes,
        .NumCounters = counter_bytes / sizeof(uint64_t),
        .PaddingBytesAfterCounters = page_round_up(counter_bytes) - counter_bytes,
        .NamesSize = sections->names->virtual_size - NAMES_SKIPPED,
        /* PE images have no relocation for the 64-bit difference that a record holds: it is 32 bits wide, and
         * so is the one that it is compared with. */
        .CountersDelta = sections->counters->rva - sections->records->rva,
        .NamesDelta = (uint64_t)(uintptr_t)(image->base + sections->names->rva + NAMES_SKIPPED),
        .ValueKindLast = IPVK_Last,
    };
}

static uint64_t counters_offset(const struct profile_header *header)
{
    return sizeof *header + header->NumData * sizeof(struct profile_record) +
           header->PaddingBytesBeforeCounters;
}

static bool write_at(int fd, const void *data, size_t size, uint64_t offset)
{
    return pwrite(fd, data, size, (off_t)offset) == (ssize_t)size;
}

/* A complete profile with all counters at their initial value. */
static bool write_profile(int fd, const struct image *image, const struct profile_sections *sections,
                          const struct profile_header *header)
{
    uint64_t counters_at = counters_offset(header);
    uint64_t names_at = counters_at + page_round_up(sections->counters->virtual_size);
    uint64_t end = (names_at + header->NamesSize + 7) & ~7ull; /* a profile is a multiple of 8 bytes */
    return write_at(fd, header, sizeof *header, 0) &&
           write_at(fd, image->base + sections->records->rva, sections->records->virtual_size,
                    sizeof *header) &&
           write_at(fd, image->base + sections->counters->rva, sections->counters->virtual_size,
                    counters_at) &&
           write_at(fd, image->base + sections->names->rva + NAMES_SKIPPED, header->NamesSize, names_at) &&
           ftruncate(fd, (off_t)end) == 0;
}

/* Which file: the same for the same bytes of the image. */
static uint64_t image_hash(const struct image *image)
{
    uint64_t hash = 0xcbf29ce484222325ull; /* FNV-1a */
    for (size_t i = 0; i < image->pe.size; i++)
        hash = (hash ^ image->file[i]) * 0x100000001b3ull;
    return hash;
}

/* Opens the image's profile, which another process may be making at the same time: it appears complete or not
 * at all. */
static int open_profile(const char *directory, const struct image *image,
                        const struct profile_sections *sections, const struct profile_header *header)
{
    char path[4096], partial[4200];
    int length = snprintf(path, sizeof path, "%s/%s-%016llx.profraw", directory, image->name,
                          (unsigned long long)image_hash(image));
    if (length < 0 || (size_t)length >= sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0 || errno != ENOENT)
        return fd;
    snprintf(partial, sizeof partial, "%s.XXXXXX", path);
    fd = mkostemp(partial, O_CLOEXEC);
    if (fd < 0)
        return -1;
    bool good = write_profile(fd, image, sections, header) && (link(partial, path) == 0 || errno == EEXIST);
    int error = errno;
    close(fd);
    unlink(partial);
    errno = error;
    return good ? open(path, O_RDWR | O_CLOEXEC) : -1;
}

void image_profile_start(const struct image *image)
{
    const char *directory = getenv("NTHOST_PROFILE_DIR");
    struct profile_sections sections = {
        .counters = section_named(&image->pe, ".lprfc"),
        .records = section_named(&image->pe, ".lprfd"),
        .names = section_named(&image->pe, ".lprfn"),
    };
    if (!directory || !*directory || !sections.counters || !sections.records || !sections.names)
        return;
    if (sections.records->virtual_size % sizeof(struct profile_record)) {
        host_warn("%s: no profile: the records of its functions are not LLVM %s's", image->name,
                  __clang_version__);
        return;
    }
    struct profile_header header = make_header(image, &sections);
    int fd = open_profile(directory, image, &sections, &header);
    void *counters = MAP_FAILED;
    if (fd >= 0)
        counters = mmap(image->base + sections.counters->rva, page_round_up(sections.counters->virtual_size),
                        PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, (off_t)counters_offset(&header));
    if (counters == MAP_FAILED)
        host_warn("%s: no profile in %s: %s", image->name, directory, strerror(errno));
    if (fd >= 0)
        close(fd);
}
