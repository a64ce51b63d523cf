/* What the tool asks of the system besides the adapters (transport.h). */
#pragma once

#include "failure.h"
#include "secure_buffer.h"

#include <stdbool.h>
#include <stddef.h>

/* What to do before a key is written to a file. */
#ifdef _WIN32
#define PLATFORM_RESTRICT "write to a folder that only administrators and you can read"
#else
#define PLATFORM_RESTRICT "use `umask 077` first"
#endif

/* Before anything else of the program. */
void platform_start(void);
void platform_sleep_s(unsigned seconds);
/* What a number of getaddrinfo() means; valid until the next call. */
const char *platform_resolver_text(int problem);
bool platform_random(void *bytes, size_t length, struct failure *failure);
/* Reads a small file or pipe with a key, at most `limit` bytes; "-" is standard input. */
bool platform_read_secret(const char *path, size_t limit, struct secure_buffer *text,
                          struct failure *failure);
bool platform_write_output(const void *data, size_t length, struct failure *failure);
bool platform_output_is_terminal(void);
/* Standard output is a file that other users can read. */
bool platform_output_is_exposed(void);
/* Whether two such paths are both standard input, which can be read only once. */
bool platform_is_standard_input(const char *path);
