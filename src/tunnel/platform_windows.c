/* platform.h on Windows. */
#include "platform.h"

#include "exposure.h"
#include "input.h"
#include "library.h"

#include <bcrypt.h>
#include <string.h>

void platform_start(void)
{
    WSADATA data;
    /* Nothing is loaded from the current directory, which may be anybody's. */
    SetDllDirectoryW(L"");
    WSAStartup(MAKEWORD(2, 2), &data);
}

void platform_sleep_s(unsigned seconds)
{
    Sleep(seconds * 1000);
}

const char *platform_resolver_text(int problem)
{
    static char text[200];
    windows_text((DWORD)problem, text, sizeof text);
    return text;
}

bool platform_random(void *bytes, size_t length, struct failure *failure)
{
    return BCryptGenRandom(NULL, bytes, (ULONG)length, BCRYPT_USE_SYSTEM_PREFERRED_RNG) >= 0 ||
           fail(failure, EXIT_REFUSED, "no random numbers from the system");
}

bool platform_is_standard_input(const char *path)
{
    return !strcmp(path, "-");
}

bool platform_read_secret(const char *path, size_t limit, struct secure_buffer *text, struct failure *failure)
{
    bool standard = !strcmp(path, "-");
    struct input input;
    DWORD code = standard ? input_standard(&input) : input_open(&input, path);
    if (code)
        return fail_windows(failure, code, "%.200s cannot be opened", standard ? "standard input" : path);
    code = input_read(&input, text, limit);
    input_close(&input);
    if (code == ERROR_FILE_TOO_LARGE)
        return fail(failure, EXIT_INVALID, "%.200s is too long for a key",
                    standard ? "standard input" : path);
    return !code || fail_windows(failure, code, "%.200s cannot be read", standard ? "standard input" : path);
}

bool platform_write_output(const void *data, size_t length, struct failure *failure)
{
    HANDLE output = GetStdHandle(STD_OUTPUT_HANDLE);
    for (size_t at = 0; at < length;) {
        DWORD put = 0, part = length - at < 65536 ? (DWORD)(length - at) : 65536;
        if (!WriteFile(output, (const char *)data + at, part, &put, NULL))
            return fail_windows(failure, GetLastError(), "the output cannot be written");
        at += put;
    }
    return true;
}

bool platform_output_is_terminal(void)
{
    DWORD mode;
    HANDLE output = GetStdHandle(STD_OUTPUT_HANDLE);
    /* Colours are sequences of a terminal, which consoles of Windows 10 understand when they are asked to. */
    return GetConsoleMode(output, &mode) &&
           (mode & ENABLE_VIRTUAL_TERMINAL_PROCESSING ||
            SetConsoleMode(output, mode | ENABLE_VIRTUAL_TERMINAL_PROCESSING));
}

bool platform_output_is_exposed(void)
{
    return file_is_exposed(GetStdHandle(STD_OUTPUT_HANDLE));
}
