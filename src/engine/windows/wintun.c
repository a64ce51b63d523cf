/* See wintun.h. */
#include "wintun.h"

#include <stdio.h>

static bool missing;

bool wintun_is_missing(void)
{
    return missing;
}

const struct wintun_functions *wintun_load(char *error, size_t error_size)
{
    static struct wintun_functions functions;
    const struct {
        FARPROC *function;
        const char *name;
    } table[] = {
        {(FARPROC *)&functions.create_adapter, "WintunCreateAdapter"},
        {(FARPROC *)&functions.close_adapter, "WintunCloseAdapter"},
        {(FARPROC *)&functions.get_adapter_luid, "WintunGetAdapterLUID"},
        {(FARPROC *)&functions.start_session, "WintunStartSession"},
        {(FARPROC *)&functions.end_session, "WintunEndSession"},
        {(FARPROC *)&functions.get_read_wait_event, "WintunGetReadWaitEvent"},
        {(FARPROC *)&functions.receive_packet, "WintunReceivePacket"},
        {(FARPROC *)&functions.release_receive_packet, "WintunReleaseReceivePacket"},
        {(FARPROC *)&functions.allocate_send_packet, "WintunAllocateSendPacket"},
        {(FARPROC *)&functions.send_packet, "WintunSendPacket"},
    };
    HMODULE module = LoadLibraryExW(L"wintun.dll", NULL,
                                    LOAD_LIBRARY_SEARCH_APPLICATION_DIR | LOAD_LIBRARY_SEARCH_SYSTEM32);
    missing = !module && GetLastError() == ERROR_MOD_NOT_FOUND;
    if (missing) {
        snprintf(
            error, error_size,
            "wintun.dll is missing: put the one for this processor (from wintun.net) beside wyrm-engine.exe");
        return NULL;
    }
    if (!module) {
        snprintf(error, error_size, "wintun.dll cannot be loaded: error %lu; is it for this processor?",
                 GetLastError());
        return NULL;
    }
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        *table[i].function = GetProcAddress(module, table[i].name);
        if (!*table[i].function) {
            snprintf(error, error_size, "wintun.dll has no function %s: version 0.14 or later is needed",
                     table[i].name);
            FreeLibrary(module);
            return NULL;
        }
    }
    return &functions;
}
