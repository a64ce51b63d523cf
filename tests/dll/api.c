/* A program written against the documented API alone: it loads the DLL whose path it is given, looks the
 * functions up by name, and walks their error paths where there is no driver and no adapter. */
#define WYRM_NO_PROTOTYPES
#include "wyrm/wireguard.h"

#include <stdio.h>
#include <string.h>
#include <wchar.h>

static int passed, failed;
static LONG lines;
static WIREGUARD_LOGGER_LEVEL last_level;

static void check(int condition, const char *what)
{
    DWORD error = GetLastError();
    condition ? passed++ : failed++;
    if (!condition)
        printf("FAILED: %s (last error %lu)\n", what, error);
}

static VOID CALLBACK logger(WIREGUARD_LOGGER_LEVEL level, DWORD64 timestamp, LPCWSTR message)
{
    InterlockedIncrement(&lines);
    last_level = level;
    check(timestamp > 130000000000000000ull && wcslen(message) > 10, "a line has a time and a text");
    printf("log %d: %ls\n", (int)level, message);
    SetLastError(0xabcd); /* must not reach the caller of the function that logs */
}

static BOOL CALLBACK count_adapter(const WYRM_ADAPTER_INFORMATION *information, void *context)
{
    ++*(int *)context;
    return information->Size == sizeof(*information);
}

/* Each needs its function's type, name and module. */
#define LOOK_UP(TYPE, NAME)                                                                                  \
    TYPE *NAME = (TYPE *)(void *)GetProcAddress(module, #NAME);                                              \
    check(NAME != NULL, #NAME " is exported")

static void error_paths(HMODULE module)
{
    LOOK_UP(WIREGUARD_CREATE_ADAPTER_FUNC, WireGuardCreateAdapter);
    LOOK_UP(WIREGUARD_OPEN_ADAPTER_FUNC, WireGuardOpenAdapter);
    LOOK_UP(WIREGUARD_CLOSE_ADAPTER_FUNC, WireGuardCloseAdapter);
    LOOK_UP(WIREGUARD_GET_ADAPTER_LUID_FUNC, WireGuardGetAdapterLUID);
    LOOK_UP(WIREGUARD_SET_ADAPTER_STATE_FUNC, WireGuardSetAdapterState);
    LOOK_UP(WIREGUARD_GET_ADAPTER_STATE_FUNC, WireGuardGetAdapterState);
    LOOK_UP(WIREGUARD_SET_CONFIGURATION_FUNC, WireGuardSetConfiguration);
    LOOK_UP(WIREGUARD_GET_CONFIGURATION_FUNC, WireGuardGetConfiguration);
    LOOK_UP(WIREGUARD_GET_RUNNING_DRIVER_VERSION_FUNC, WireGuardGetRunningDriverVersion);
    LOOK_UP(WIREGUARD_DELETE_DRIVER_FUNC, WireGuardDeleteDriver);
    LOOK_UP(WIREGUARD_SET_LOGGER_FUNC, WireGuardSetLogger);
    LOOK_UP(WIREGUARD_SET_ADAPTER_LOGGING_FUNC, WireGuardSetAdapterLogging);
    LOOK_UP(WYRM_ENUMERATE_ADAPTERS_FUNC, WyrmEnumerateAdapters);
    LOOK_UP(WYRM_CHECK_CONFIGURATION_FUNC, WyrmCheckConfiguration);
    LOOK_UP(WYRM_GET_DROP_COUNTERS_FUNC, WyrmGetDropCounters);
    LOOK_UP(WYRM_SET_CONFIGURATION_ATOMICALLY_FUNC, WyrmSetConfigurationAtomically);
    LOOK_UP(WYRM_OPEN_EVENTS_FUNC, WyrmOpenEvents);
    LOOK_UP(WYRM_READ_EVENTS_FUNC, WyrmReadEvents);
    LOOK_UP(WYRM_CLOSE_EVENTS_FUNC, WyrmCloseEvents);
    if (failed)
        return;

    wchar_t long_name[WIREGUARD_MAX_ADAPTER_NAME + 1];
    wmemset(long_name, L'x', WIREGUARD_MAX_ADAPTER_NAME);
    long_name[WIREGUARD_MAX_ADAPTER_NAME] = 0;

    check(!WireGuardOpenAdapter(L"nobody") && GetLastError() == ERROR_NOT_FOUND && !lines,
          "no logger: no line");
    WireGuardSetLogger(logger);
    check(!WireGuardOpenAdapter(NULL) && GetLastError() == ERROR_INVALID_PARAMETER, "open NULL");
    check(!WireGuardOpenAdapter(L"") && GetLastError() == ERROR_INVALID_PARAMETER, "open an empty name");
    check(!WireGuardOpenAdapter(long_name) && GetLastError() == ERROR_BUFFER_OVERFLOW,
          "open too long a name");
    check(!WireGuardOpenAdapter(L"nobody") && GetLastError() == ERROR_NOT_FOUND, "open what is not there");
    check(lines >= 4 && last_level == WIREGUARD_LOG_ERR, "failures are logged as errors");
    check(!WireGuardCreateAdapter(NULL, L"Test", NULL) && GetLastError() == ERROR_INVALID_PARAMETER,
          "create NULL");
    check(!WireGuardCreateAdapter(L"a", NULL, NULL) && GetLastError() == ERROR_INVALID_PARAMETER,
          "create without type");
    check(!WireGuardCreateAdapter(long_name, L"Test", NULL) && GetLastError() == ERROR_BUFFER_OVERFLOW,
          "create too long a name");
    check(!WireGuardCreateAdapter(L"a", long_name, NULL) && GetLastError() == ERROR_BUFFER_OVERFLOW,
          "create too long a type");
    check(!WireGuardCreateAdapter(L"a", L"Test", NULL) && GetLastError() == ERROR_NOT_SUPPORTED,
          "create on a system without software devices");
    WireGuardCloseAdapter(NULL);
    check(!WireGuardGetRunningDriverVersion() && GetLastError() == ERROR_FILE_NOT_FOUND, "no driver runs");
    check(WireGuardDeleteDriver(), "deleting no driver is a success");
    int adapters = 0;
    check(WyrmEnumerateAdapters(count_adapter, &adapters) && adapters == 0, "there is no adapter");
    check(!WyrmEnumerateAdapters(NULL, NULL) && GetLastError() == ERROR_INVALID_PARAMETER,
          "enumerate to nobody");

    WYRM_ABI_ALIGN BYTE buffer[512];
    wyrm_writer writer;
    wyrm_write_begin(&writer, buffer, sizeof(buffer));
    WIREGUARD_PEER *peer = wyrm_write_peer(&writer);
    WIREGUARD_ALLOWED_IP *allowed = wyrm_write_allowed_ip(&writer);
    const WIREGUARD_INTERFACE *config = (const WIREGUARD_INTERFACE *)buffer;
    DWORD bytes = (DWORD)writer.used;
    allowed->AddressFamily = AF_INET;
    allowed->Cidr = 32;
    check(!WyrmCheckConfiguration(config, bytes) && GetLastError() == ERROR_INVALID_PARAMETER,
          "a peer without key");
    peer->Flags = WIREGUARD_PEER_HAS_PUBLIC_KEY;
    check(WyrmCheckConfiguration(config, bytes), "a right configuration");
    check(!WyrmCheckConfiguration(config, bytes - 1), "a configuration cut off");
    check(!WyrmCheckConfiguration(NULL, 0), "no configuration");
    allowed->Cidr = 33;
    check(!WyrmCheckConfiguration(config, bytes), "too long a prefix");
    allowed->AddressFamily = 7;
    check(!WyrmCheckConfiguration(config, bytes), "an unknown family");

    WireGuardSetLogger(NULL);
    LONG before = lines;
    WireGuardOpenAdapter(NULL);
    check(lines == before, "no line after the logger is taken away");
}

int main(int argc, char **argv)
{
    wchar_t path[MAX_PATH];
    if (argc < 2 || !MultiByteToWideChar(CP_UTF8, 0, argv[1], -1, path, MAX_PATH))
        return 2;
    /* Loaded and unloaded twice: nothing of the first time may still run. */
    for (int i = 0; i < 2; i++) {
        HMODULE module = LoadLibraryExW(path, NULL, 0);
        check(module != NULL, "the DLL loads");
        if (module) {
            lines = 0;
            error_paths(module);
            check(FreeLibrary(module), "the DLL unloads");
        }
    }
    HMODULE left = NULL;
    for (int i = 0; i < 100 && (left = GetModuleHandleW(path)); i++)
        Sleep(50);
    check(!left, "nothing keeps the DLL loaded");
    printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed != 0;
}
