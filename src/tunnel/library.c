/* See library.h. */
#include "library.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#ifndef WYRM_VENDOR_FILE
#define WYRM_VENDOR_FILE "wyrm"
#endif
#ifndef ERROR_ELEVATION_REQUIRED
#define ERROR_ELEVATION_REQUIRED 740
#endif
#define LIBRARY_FILE WYRM_VENDOR_FILE ".dll"
#define PATH_UNITS   1024

bool utf16_of(const char *text, WCHAR *wide, int units)
{
    return MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, wide, units) > 0;
}

bool utf8_of(const WCHAR *wide, char *text, int bytes)
{
    return WideCharToMultiByte(CP_UTF8, 0, wide, -1, text, bytes, NULL, NULL) > 0;
}

void windows_text(DWORD code, char *text, size_t size)
{
    WCHAR wide[256];
    DWORD flags = FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS | FORMAT_MESSAGE_MAX_WIDTH_MASK;
    DWORD length = FormatMessageW(flags, NULL, code, 0, wide, sizeof wide / sizeof *wide, NULL);
    while (length && (wide[length - 1] == L' ' || wide[length - 1] == L'.'))
        length--;
    wide[length] = 0;
    if (!length || !utf8_of(wide, text, (int)size))
        snprintf(text, size, "error %lu", code);
}

static enum exit_status status_of(DWORD code)
{
    switch (code) {
    case ERROR_ACCESS_DENIED:
    case ERROR_ELEVATION_REQUIRED:
    case ERROR_PRIVILEGE_NOT_HELD:
        return EXIT_NOT_PERMITTED;
    case ERROR_NOT_FOUND:
        return EXIT_NO_ADAPTER;
    case ERROR_TIMEOUT:
    case ERROR_SEM_TIMEOUT:
        return EXIT_NO_ANSWER;
    default:
        return EXIT_REFUSED;
    }
}

bool fail_windows(struct failure *failure, DWORD code, const char *format, ...)
{
    char text[200];
    va_list arguments;
    failure->status = status_of(code);
    va_start(arguments, format);
    int length = vsnprintf(failure->text, sizeof failure->text, format, arguments);
    va_end(arguments);
    windows_text(code, text, sizeof text);
    if (length >= 0 && (size_t)length < sizeof failure->text)
        snprintf(failure->text + length, sizeof failure->text - (size_t)length, ": %s (code %lu)%s", text,
                 code, failure->status == EXIT_NOT_PERMITTED ? " (run it as administrator)" : "");
    return false;
}

static bool look_up(HMODULE module, const char *name, void *variable, struct failure *failure)
{
    FARPROC function = GetProcAddress(module, name);
    memcpy(variable, &function, sizeof function);
    return function ||
           fail(failure, EXIT_REFUSED,
                "the " LIBRARY_FILE " beside this program is an older one: it has no %s; install both anew",
                name);
}

bool beside_us(const WCHAR *file, WCHAR *path, DWORD units)
{
    HMODULE us;
    if (!GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS |
                                GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
                            (const WCHAR *)(const void *)&library_load, &us))
        return false;
    DWORD length = GetModuleFileNameW(us, path, units);
    while (length && path[length - 1] != L'\\')
        length--;
    if (!length || length + wcslen(file) >= units) {
        SetLastError(ERROR_FILENAME_EXCED_RANGE);
        return false;
    }
    wcscpy(path + length, file);
    return true;
}

const struct library *library_load(struct failure *failure)
{
    static struct library library;
    static HMODULE module;
    if (module)
        return &library;
    WCHAR path[PATH_UNITS];
    /* From nowhere but our own folder, and what it needs from there and System32. */
    if (beside_us(L"" LIBRARY_FILE, path, PATH_UNITS))
        module = LoadLibraryExW(path, NULL, LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_SYSTEM32);
    if (!module) {
        fail_windows(failure, GetLastError(), LIBRARY_FILE " cannot be loaded from this program's folder");
        return NULL;
    }
    struct {
        const char *name;
        void *variable;
    } functions[] = {{"WireGuardCreateAdapter", &library.create},
                     {"WireGuardOpenAdapter", &library.open},
                     {"WireGuardCloseAdapter", &library.close},
                     {"WireGuardGetAdapterLUID", &library.luid},
                     {"WireGuardSetAdapterState", &library.set_state},
                     {"WireGuardGetAdapterState", &library.get_state},
                     {"WireGuardGetConfiguration", &library.get},
                     {"WireGuardGetRunningDriverVersion", &library.version},
                     {"WireGuardDeleteDriver", &library.delete_driver},
                     {"WireGuardSetLogger", &library.set_logger},
                     {"WireGuardSetAdapterLogging", &library.set_logging},
                     {"WyrmEnumerateAdapters", &library.enumerate},
                     {"WyrmSetConfigurationAtomically", &library.set},
                     {"WyrmOpenEvents", &library.open_events},
                     {"WyrmReadEvents", &library.read_events},
                     {"WyrmCloseEvents", &library.close_events}};
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (!look_up(module, functions[i].name, functions[i].variable, failure)) {
            FreeLibrary(module);
            module = NULL;
            return NULL;
        }
    return &library;
}

WIREGUARD_ADAPTER_HANDLE library_open(const struct library *library, const char *name,
                                      struct failure *failure)
{
    WCHAR wide[WIREGUARD_MAX_ADAPTER_NAME];
    WIREGUARD_ADAPTER_HANDLE adapter;
    if (!name[0] || !utf16_of(name, wide, WIREGUARD_MAX_ADAPTER_NAME)) {
        fail(failure, EXIT_USAGE, "\"%.60s\" cannot be the name of an adapter: use 1 to 127 characters",
             name);
        return NULL;
    }
    adapter = library->open(wide);
    if (!adapter && GetLastError() == ERROR_NOT_FOUND)
        fail(failure, EXIT_NO_ADAPTER, "there is no adapter %.200s (`wyrm show interfaces` lists them)",
             name);
    else if (!adapter)
        fail_windows(failure, GetLastError(), "%.200s cannot be opened", name);
    return adapter;
}
