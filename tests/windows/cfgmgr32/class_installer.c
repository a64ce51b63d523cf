/* SetupDiSetClassInstallParamsW, which Wine's setupapi.dll has only as a stub that fails: so nothing that
 * removes a device as documented (parameters, then DIF_REMOVE) gets that far.  The stub is overwritten with a
 * jump to a function that takes the parameters of DIF_REMOVE; the removal itself Wine knows. */
#include "stand_in.h"

#include <string.h>

static BOOL WINAPI set_class_install_params(HDEVINFO set, SP_DEVINFO_DATA *device,
                                            SP_CLASSINSTALL_HEADER *parameters, DWORD bytes)
{
    (void)set;
    if (!device || !parameters || parameters->cbSize != sizeof(*parameters)) {
        SetLastError(ERROR_INVALID_PARAMETER);
        return FALSE;
    }
    if (parameters->InstallFunction != DIF_REMOVE || bytes < sizeof(SP_REMOVEDEVICE_PARAMS)) {
        SetLastError(ERROR_CALL_NOT_IMPLEMENTED);
        return FALSE;
    }
    return TRUE;
}

bool class_installer_hook(void)
{
    /* movabs rax, address; jmp rax */
    BYTE jump[12] = {0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xe0};
    void *stub = (void *)GetProcAddress(GetModuleHandleW(L"setupapi.dll"), "SetupDiSetClassInstallParamsW");
    BOOL(WINAPI * target)(HDEVINFO, SP_DEVINFO_DATA *, SP_CLASSINSTALL_HEADER *, DWORD) =
        set_class_install_params;
    DWORD protection;

    if (!stub || !VirtualProtect(stub, sizeof(jump), PAGE_EXECUTE_READWRITE, &protection)) {
        return false;
    }
    memcpy(jump + 2, &target, sizeof(target));
    memcpy(stub, jump, sizeof(jump));
    return VirtualProtect(stub, sizeof(jump), protection, &protection);
}
