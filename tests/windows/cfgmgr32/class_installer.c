/* Functions that Wine's setupapi.dll names but does not do; what stands there is overwritten with a jump to
 * ours.
 *  - SetupDiSetClassInstallParamsW fails always, so nothing that removes a device as documented (parameters,
 * then DIF_REMOVE) gets that far.  Ours takes the parameters of DIF_REMOVE; the removal itself Wine knows,
 * but for some keys of the registry.
 *  - SetupUninstallOEMInfW deletes nothing without SUOI_FORCEDELETE.  Ours does when no device is left. */
#include "stand_in.h"

#include <stdio.h>
#include <string.h>
#include <wchar.h>

enum { JUMP_BYTES = 12 };

static BOOL WINAPI set_class_install_params(HDEVINFO set, SP_DEVINFO_DATA *device,
                                            SP_CLASSINSTALL_HEADER *parameters, DWORD bytes)
{
    if (!device || !parameters || parameters->cbSize != sizeof(*parameters)) {
        SetLastError(ERROR_INVALID_PARAMETER);
        return FALSE;
    }
    if (parameters->InstallFunction != DIF_REMOVE || bytes < sizeof(SP_REMOVEDEVICE_PARAMS)) {
        SetLastError(ERROR_CALL_NOT_IMPLEMENTED);
        return FALSE;
    }
    device_forget(set, device); /* nobody sets these parameters without removing the device at once */
    return TRUE;
}

/* Software devices, present or not. */
static bool any_device(void)
{
    HDEVINFO set = SetupDiGetClassDevsW(NULL, L"SWD", NULL, DIGCF_ALLCLASSES);
    SP_DEVINFO_DATA data = {.cbSize = sizeof(data)};
    bool found = SetupDiEnumDeviceInfo(set, 0, &data);

    SetupDiDestroyDeviceInfoList(set);
    return found;
}

static BOOL WINAPI uninstall_inf(const wchar_t *name, DWORD flags, void *reserved)
{
    wchar_t windows[MAX_PATH], path[2 * MAX_PATH];

    (void)reserved;
    if (!name || wcschr(name, L'\\') || _wcsnicmp(name, L"oem", 3) != 0) {
        SetLastError(ERROR_NOT_AN_INSTALLED_OEM_INF);
        return FALSE;
    }
    if (!(flags & SUOI_FORCEDELETE) && any_device()) {
        SetLastError(ERROR_INF_IN_USE_BY_DEVICES);
        return FALSE;
    }
    GetSystemWindowsDirectoryW(windows, MAX_PATH);
    swprintf(path, ARRAYSIZE(path), L"%ls\\inf\\%ls", windows, name);
    return DeleteFileW(path);
}

static bool overwrite(const char *name, const void *target)
{
    /* movabs rax, address; jmp rax */
    BYTE jump[JUMP_BYTES] = {0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xe0};
    void *theirs = (void *)GetProcAddress(GetModuleHandleW(L"setupapi.dll"), name);
    DWORD protection;

    if (!theirs || !VirtualProtect(theirs, sizeof(jump), PAGE_EXECUTE_READWRITE, &protection)) {
        return false;
    }
    memcpy(jump + 2, &target, sizeof(target));
    memcpy(theirs, jump, sizeof(jump));
    return VirtualProtect(theirs, sizeof(jump), protection, &protection);
}

bool class_installer_hook(void)
{
    return overwrite("SetupDiSetClassInstallParamsW", (const void *)set_class_install_params) &&
           overwrite("SetupUninstallOEMInfW", (const void *)uninstall_inf);
}
