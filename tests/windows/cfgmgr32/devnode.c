/* Device nodes: which are there, and how they are (Microsoft, "CM_Get_DevNode_Status function",
 * "CM_Locate_DevNodeW function", "CM_MapCrToWin32Err function"). */
/* The functions of this header are defined here, not imported. */
#define CMAPI
#include "stand_in.h"

#include <cfgmgr32.h>
#include <stdio.h>
#include <string.h>

typedef CONFIGRET(WINAPI *device_id_function)(DEVINST node, WCHAR *buffer, ULONG units, ULONG flags);
typedef CONFIGRET(WINAPI *locate_function)(DEVINST *node, WCHAR *instance, ULONG flags);

static FARPROC of_setupapi(const char *name)
{
    return GetProcAddress(GetModuleHandleW(L"setupapi.dll"), name);
}

BOOL WINAPI DllMain(HINSTANCE instance, DWORD reason, LPVOID reserved);
BOOL WINAPI DllMain(HINSTANCE instance, DWORD reason, LPVOID reserved)
{
    (void)instance;
    (void)reserved;
    return reason != DLL_PROCESS_ATTACH || class_installer_hook();
}

CONFIGRET WINAPI CM_Get_DevNode_Status(ULONG *status, ULONG *problem, DEVINST node, ULONG flags)
{
    device_id_function device_id = (device_id_function)(void *)of_setupapi("CM_Get_Device_IDW");
    wchar_t instance[INSTANCE_UNITS];
    char reply[REPLY_BYTES];
    ULONG number;

    (void)flags;
    if (!status || !problem) {
        return CR_INVALID_POINTER;
    }
    if (fault(L"status", &number)) {
        return number;
    }
    if (!device_id || device_id(node, instance, ARRAYSIZE(instance), 0) != CR_SUCCESS) {
        return CR_INVALID_DEVNODE;
    }
    if (!host_query(instance, reply) || strcmp(reply, "gone") == 0) {
        /* Of a program that died nobody has disabled the interface; PnP would have. */
        if (_wcsnicmp(instance, L"SWD\\", 4) == 0) {
            device_disable_interface(instance);
        }
        return CR_NO_SUCH_DEVNODE;
    }
    *status = DN_DRIVER_LOADED | DN_STARTED | DN_DISABLEABLE | DN_REMOVABLE;
    *problem = 0;
    if (sscanf(reply, "problem %lx", &number) == 1) {
        *status = DN_HAS_PROBLEM | DN_DISABLEABLE | DN_REMOVABLE;
        *problem = number;
    }
    return CR_SUCCESS;
}

CONFIGRET WINAPI CM_Locate_DevNodeW(DEVINST *node, WCHAR *instance, ULONG flags)
{
    locate_function locate = (locate_function)(void *)of_setupapi("CM_Locate_DevNodeW");
    char reply[REPLY_BYTES];
    ULONG number;

    if (fault(L"locate", &number)) {
        return number;
    }
    if (instance && !(flags & CM_LOCATE_DEVNODE_PHANTOM) && _wcsnicmp(instance, L"SWD\\", 4) == 0 &&
        (!host_query(instance, reply) || strcmp(reply, "gone") == 0)) {
        return CR_NO_SUCH_DEVNODE;
    }
    return locate ? locate(node, instance, flags) : CR_CALL_NOT_IMPLEMENTED;
}

DWORD WINAPI CM_MapCrToWin32Err(CONFIGRET result, DWORD otherwise);
DWORD WINAPI CM_MapCrToWin32Err(CONFIGRET result, DWORD otherwise)
{
    static const struct {
        CONFIGRET result;
        DWORD error;
    } known[] = {
        {CR_SUCCESS, ERROR_SUCCESS},
        {CR_OUT_OF_MEMORY, ERROR_NOT_ENOUGH_MEMORY},
        {CR_INVALID_POINTER, ERROR_INVALID_USER_BUFFER},
        {CR_INVALID_FLAG, ERROR_INVALID_FLAGS},
        {CR_INVALID_DEVNODE, ERROR_INVALID_PARAMETER},
        {CR_INVALID_DEVICE_ID, ERROR_INVALID_PARAMETER},
        {CR_ALREADY_SUCH_DEVNODE, ERROR_ALREADY_EXISTS},
        {CR_NO_SUCH_DEVNODE, ERROR_NOT_FOUND},
        {CR_NO_SUCH_VALUE, ERROR_NOT_FOUND},
        {CR_BUFFER_SMALL, ERROR_INSUFFICIENT_BUFFER},
        {CR_ACCESS_DENIED, ERROR_ACCESS_DENIED},
        {CR_CALL_NOT_IMPLEMENTED, ERROR_CALL_NOT_IMPLEMENTED},
    };

    for (size_t i = 0; i < ARRAYSIZE(known); i++) {
        if (known[i].result == result) {
            return known[i].error;
        }
    }
    return otherwise;
}
