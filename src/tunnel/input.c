/* See input.h. */
#include "input.h"

#define READ_BYTES 65536u
#define PATH_UNITS 32768

DWORD input_open(struct input *input, const char *path)
{
    static WCHAR wide[PATH_UNITS];
    *input = (struct input){.handle = INVALID_HANDLE_VALUE};
    if (!MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, wide, PATH_UNITS))
        return ERROR_INVALID_NAME;
    input->handle =
        CreateFileW(wide, GENERIC_READ | READ_CONTROL, FILE_SHARE_READ, NULL, OPEN_EXISTING, 0, NULL);
    return input->handle == INVALID_HANDLE_VALUE ? GetLastError() : 0;
}

DWORD input_standard(struct input *input)
{
    DWORD mode;
    *input = (struct input){.handle = GetStdHandle(STD_INPUT_HANDLE), .standard = true};
    if (!input->handle || input->handle == INVALID_HANDLE_VALUE)
        return ERROR_INVALID_HANDLE;
    if (GetConsoleMode(input->handle, &mode) &&
        SetConsoleMode(input->handle, mode & ~(DWORD)ENABLE_ECHO_INPUT))
        input->console_mode = mode;
    return 0;
}

DWORD input_read(struct input *input, struct secure_buffer *text, size_t limit)
{
    for (;;) {
        DWORD got = 0;
        size_t room = limit + 1 - text->length < READ_BYTES ? limit + 1 - text->length : READ_BYTES;
        if (!secure_buffer_reserve(text, room))
            return ERROR_NOT_ENOUGH_MEMORY;
        if (!ReadFile(input->handle, text->data + text->length, (DWORD)room, &got, NULL))
            return GetLastError() == ERROR_BROKEN_PIPE ? 0 : GetLastError(); /* the other end was closed */
        if (!got)
            return 0;
        text->length += got;
        if (text->length > limit)
            return ERROR_FILE_TOO_LARGE;
    }
}

void input_close(struct input *input)
{
    if (input->console_mode)
        SetConsoleMode(input->handle, input->console_mode);
    if (!input->standard)
        CloseHandle(input->handle);
}
