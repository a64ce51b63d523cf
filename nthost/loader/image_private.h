/* What the files of the loader share about a loaded image. */
#pragma once

#include "loader/image.h"
#include "loader/pe.h"

struct image_function { /* a symbol of an executable section */
    uint32_t rva;
    const char *name; /* inside of `names` */
};

struct image {
    struct image *next; /* list of all images */
    char *path;
    const char *name;
    uint8_t
        *file; /* a private copy: symbols and unwind data are read from it, whatever happens to the path */
    struct pe_file pe;
    uint8_t *base;                    /* mapping, page aligned; one inaccessible page before and after */
    bool discarded;                   /* image_discard_init was called */
    struct image_function *functions; /* sorted by rva */
    unsigned function_count;
    char *names;
};

/* Head of the list; images are added and removed by the thread that loads drivers only. */
struct image *image_first(void);
/* Fills functions and names from the COFF symbol table; an image without one gets none. */
void image_read_symbols(struct image *image);
void image_perf_map_write(const struct image *image);
