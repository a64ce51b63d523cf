/* Reading what may be secret: files, pipes and the console, which does not show what is typed. */
#pragma once

#include "secure_buffer.h"

#include <stdbool.h>
#include <winsock2.h>

struct input {
    HANDLE handle;
    DWORD console_mode; /* to be restored; 0: no console */
    bool standard;
};

/* 0 or an error code of Windows; input_close() follows a 0. */
DWORD input_open(struct input *input, const char *path);
DWORD input_standard(struct input *input);
/* All there is, at most `limit` bytes (more: ERROR_FILE_TOO_LARGE). */
DWORD input_read(struct input *input, struct secure_buffer *text, size_t limit);
void input_close(struct input *input);
