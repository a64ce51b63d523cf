/* A loaded PE image: mapping, protection, symbols, unwinding.  Nothing here knows what the image is for. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct image;

/* Loads `path`, relocates, binds imports, sets per-section protection.  On failure returns NULL and fills
 * `error` (one line: what is wrong with which field or which imports have no host function - all of them). */
struct image *image_load(const char *path, char *error, size_t error_size);
/* Unmaps and frees; no code of the image may run or be about to run. */
void image_unload(struct image *image);
void image_discard_init(struct image *image); /* makes discardable sections inaccessible */
void *image_entry(const struct image *image);
void *image_base(const struct image *image);
size_t image_size(const struct image *image);
const char *image_path(const struct image *image);
const char *image_name(const struct image *image); /* file name without directory */

bool image_contains(const struct image *image, const void *address);
/* The image that contains `address`, NULL if none. */
struct image *image_find(const void *address);
/* Name of the section that contains `address`, NULL if none. *discarded: it was made inaccessible by
 * image_discard_init. */
const char *image_section_name(const void *address, bool *discarded);
/* Nearest function symbol at or below address; returns false if unknown. */
bool image_symbol(const void *address, const char **name, size_t *offset);
/* Walks the stack of image frames by .pdata from the given register state; host frames end it. Returns
 * frames; frames[0] = rip, the others are return addresses.
 * `nonvolatile`: the 16 general registers in the order of the unwind codes (rax rcx rdx rbx rsp rbp rsi rdi
 * r8-r15; rsp and rbp are taken from the arguments), or NULL if they are not known. */
unsigned image_unwind(uint64_t rip, uint64_t rsp, uint64_t rbp, const uint64_t *nonvolatile, uint64_t *frames,
                      unsigned max);
/* Writes "function+0x12 file.c:34" lines for the frames to a stream through llvm-symbolizer when installed,
 * else names only. */
struct _IO_FILE;
void image_print_stack(struct _IO_FILE *out, const uint64_t *frames, unsigned count);
/* The same names only, without starting another process: for use while handling a fatal signal. */
void image_print_stack_names(struct _IO_FILE *out, const uint64_t *frames, unsigned count);

/* From now on each loaded image (and those already loaded) is written to /tmp/perf-PID.map, so that perf
 * shows driver functions. Also switched on by the environment variable NTHOST_PERF. */
void image_enable_perf_map(void);
/* Called after each load, for debuggers: gdb/nthost.py sets a breakpoint here. `text` = address of the first
 * executable section. */
void nthost_image_loaded(const char *path, const void *base, const void *text);
