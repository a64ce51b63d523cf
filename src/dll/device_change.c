#include "device_change.h"
#include "device.h"
#include "log.h"
#include "optional.h"

/* Needs windows.h before it. */
#include <cfgmgr32.h>

#include <stdio.h>
#include <wchar.h>

bool pnputil(const wchar_t *command, const wchar_t *object, const wchar_t *options)
{
    enum { LIMIT_MS = 60000 };
    wchar_t windows[MAX_PATH], program[MAX_PATH + 40], line[2 * MAX_PATH + 200];
    UINT length = GetSystemWindowsDirectoryW(windows, MAX_PATH);
    if (!length || length >= MAX_PATH)
        return log_failure(ERROR_PATH_NOT_FOUND, L"Cannot find the Windows folder");
    /* Sysnative: System32 as the machine's own architecture sees it; emulated x64 on arm64 sees that one
     * anyway. */
    swprintf(program, MAX_PATH + 40, L"%s\\Sysnative\\pnputil.exe", windows);
    if (GetFileAttributesW(program) == INVALID_FILE_ATTRIBUTES)
        swprintf(program, MAX_PATH + 40, L"%s\\System32\\pnputil.exe", windows);
    swprintf(line, 2 * MAX_PATH + 200, L"\"%s\" %s \"%s\" %s", program, command, object, options);
    STARTUPINFOW start = {.cb = sizeof(start)};
    PROCESS_INFORMATION process;
    if (!CreateProcessW(program, line, NULL, NULL, FALSE, CREATE_NO_WINDOW, NULL, NULL, &start, &process))
        return log_failure(GetLastError(),
                           L"Cannot start pnputil, which emulated processes need; use the DLL of the "
                           L"machine's own architecture");
    DWORD status = ERROR_TIMEOUT;
    if (WaitForSingleObject(process.hProcess, LIMIT_MS) == WAIT_OBJECT_0)
        GetExitCodeProcess(process.hProcess, &status);
    CloseHandle(process.hThread);
    CloseHandle(process.hProcess);
    if (status == ERROR_SUCCESS || status == ERROR_SUCCESS_REBOOT_REQUIRED || status == ERROR_NO_MORE_ITEMS)
        return true;
    return log_failure(status, L"pnputil %s failed for %s; use the DLL of the machine's own architecture",
                       command, object);
}

bool device_remove(struct device *device)
{
    if (process_is_emulated())
        return pnputil(L"/remove-device", device->instance_id, L"");
    SP_REMOVEDEVICE_PARAMS parameters = {
        .ClassInstallHeader = {.cbSize = sizeof(SP_CLASSINSTALL_HEADER), .InstallFunction = DIF_REMOVE},
        .Scope = DI_REMOVEDEVICE_GLOBAL,
    };
    if (SetupDiSetClassInstallParamsW(device->set, &device->data, &parameters.ClassInstallHeader,
                                      sizeof(parameters)) &&
        SetupDiCallClassInstaller(DIF_REMOVE, device->set, &device->data))
        return true;
    DWORD error = GetLastError();
    if (error == ERROR_NO_SUCH_DEVINST || error == ERROR_FILE_NOT_FOUND)
        return true;
    return log_failure(error, L"Cannot remove the device %s", device->instance_id);
}

bool device_enable(struct device *device, bool enable)
{
    if (process_is_emulated())
        return pnputil(enable ? L"/enable-device" : L"/disable-device", device->instance_id, L"");
    SP_PROPCHANGE_PARAMS parameters = {
        .ClassInstallHeader = {.cbSize = sizeof(SP_CLASSINSTALL_HEADER),
                               .InstallFunction = DIF_PROPERTYCHANGE},
        .StateChange = enable ? DICS_ENABLE : DICS_DISABLE,
        .Scope = DICS_FLAG_GLOBAL,
    };
    if (SetupDiSetClassInstallParamsW(device->set, &device->data, &parameters.ClassInstallHeader,
                                      sizeof(parameters)) &&
        SetupDiCallClassInstaller(DIF_PROPERTYCHANGE, device->set, &device->data))
        return true;
    return log_failure(GetLastError(),
                       enable ? L"Cannot enable the device %s" : L"Cannot disable the device %s",
                       device->instance_id);
}

const wchar_t *device_problem_text(ULONG problem)
{
    switch (problem) {
    case CM_PROB_NOT_CONFIGURED:
    case CM_PROB_FAILED_INSTALL:
        return L"no driver was installed for it; see setupapi.dev.log in the Windows\\INF folder";
    case CM_PROB_FAILED_START:
    case CM_PROB_FAILED_ADD:
        return L"the driver refused to start; see the system's event log";
    case CM_PROB_DISABLED:
        return L"it is disabled; enable it in the device manager";
    case CM_PROB_DRIVER_FAILED_LOAD:
        return L"the driver cannot be loaded; see the system's event log";
    case CM_PROB_DRIVER_FAILED_PRIOR_UNLOAD:
        return L"an older driver is still loaded; restart Windows";
    case CM_PROB_NEED_RESTART:
        return L"Windows must be restarted";
    case CM_PROB_UNSIGNED_DRIVER:
        return L"Windows does not accept the driver's signature; install a signed package, or switch test "
               L"signing on";
    case CM_PROB_DRIVER_BLOCKED:
        return L"Windows blocks this driver; install a newer one";
    case CM_PROB_DEVICE_NOT_THERE:
        return L"the device is not there any more";
    default:
        return L"see the device manager";
    }
}

DWORD device_problem_error(ULONG problem)
{
    switch (problem) {
    case CM_PROB_DISABLED:
        return ERROR_DEVICE_NOT_AVAILABLE;
    case CM_PROB_NEED_RESTART:
    case CM_PROB_DRIVER_FAILED_PRIOR_UNLOAD:
        return ERROR_SUCCESS_REBOOT_REQUIRED;
    case CM_PROB_UNSIGNED_DRIVER:
        return TRUST_E_NOSIGNATURE;
    case CM_PROB_DRIVER_BLOCKED:
        return ERROR_DRIVER_BLOCKED;
    case CM_PROB_NOT_CONFIGURED:
    case CM_PROB_FAILED_INSTALL:
        return ERROR_DEVICE_NOT_AVAILABLE;
    default:
        return ERROR_GEN_FAILURE;
    }
}
