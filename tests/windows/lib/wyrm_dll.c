#include "wyrm_dll.h"
#include "report.h"

#include <string.h>

static bool look_up(HMODULE module, const char *name, void *variable)
{
    FARPROC function = GetProcAddress(module, name);

    memcpy(variable, &function, sizeof(function));
    return function || check(false, "%s is exported", name);
}

bool wyrm_dll_load(struct wyrm_dll *dll)
{
    dll->module = LoadLibraryExW(WYRM_DLL, NULL, 0);
    if (!dll->module) {
        return check(false, "the DLL loads");
    }
    return look_up(dll->module, "WireGuardCreateAdapter", &dll->create) &&
           look_up(dll->module, "WireGuardOpenAdapter", &dll->open) &&
           look_up(dll->module, "WireGuardCloseAdapter", &dll->close) &&
           look_up(dll->module, "WireGuardGetAdapterLUID", &dll->luid) &&
           look_up(dll->module, "WireGuardGetAdapterState", &dll->get_state) &&
           look_up(dll->module, "WireGuardSetAdapterState", &dll->set_state) &&
           look_up(dll->module, "WireGuardGetConfiguration", &dll->get) &&
           look_up(dll->module, "WireGuardSetConfiguration", &dll->set) &&
           look_up(dll->module, "WireGuardGetRunningDriverVersion", &dll->version) &&
           look_up(dll->module, "WireGuardDeleteDriver", &dll->delete_driver) &&
           look_up(dll->module, "WireGuardSetLogger", &dll->set_logger) &&
           look_up(dll->module, "WireGuardSetAdapterLogging", &dll->set_logging) &&
           look_up(dll->module, "WyrmEnumerateAdapters", &dll->enumerate) &&
           look_up(dll->module, "WyrmSetConfigurationAtomically", &dll->set_atomically) &&
           look_up(dll->module, "WyrmGetDropCounters", &dll->drops) &&
           look_up(dll->module, "WyrmOpenEvents", &dll->open_events) &&
           look_up(dll->module, "WyrmReadEvents", &dll->read_events) &&
           look_up(dll->module, "WyrmCloseEvents", &dll->close_events);
}

bool wyrm_dll_unload(struct wyrm_dll *dll)
{
    enum { TRIES = 200, STEP_MS = 50 };

    FreeLibrary(dll->module);
    for (int i = 0; i < TRIES && GetModuleHandleW(WYRM_DLL); i++) {
        Sleep(STEP_MS); /* its threads keep it until they end */
    }
    return !GetModuleHandleW(WYRM_DLL);
}
