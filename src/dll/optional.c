#include "optional.h"

static struct optional_functions functions;
static INIT_ONCE looked_up = INIT_ONCE_STATIC_INIT;

#define LOOK_UP(MODULE, NAME) (*(FARPROC *)&functions.NAME = (MODULE) ? GetProcAddress(MODULE, #NAME) : NULL)

static BOOL CALLBACK look_up(INIT_ONCE *once, void *parameter, void **context)
{
    /* From System32 alone: a DLL of this name beside the program is not the system's. */
    HMODULE cfgmgr = LoadLibraryExW(L"cfgmgr32.dll", NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
    LOOK_UP(cfgmgr, SwDeviceCreate);
    LOOK_UP(cfgmgr, SwDeviceClose);
    LOOK_UP(cfgmgr, CM_Get_DevNode_Status);
    LOOK_UP(cfgmgr, CM_MapCrToWin32Err);
    HMODULE kernel = LoadLibraryExW(L"kernel32.dll", NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
    LOOK_UP(kernel, CreateBoundaryDescriptorW);
    LOOK_UP(kernel, DeleteBoundaryDescriptor);
    LOOK_UP(kernel, CreatePrivateNamespaceW);
    LOOK_UP(kernel, OpenPrivateNamespaceW);
    LOOK_UP(kernel, ClosePrivateNamespace);
    LOOK_UP(kernel, IsWow64Process2);
    HMODULE advapi = LoadLibraryExW(L"advapi32.dll", NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
    LOOK_UP(kernel, AddSIDToBoundaryDescriptor);
    if (!functions.AddSIDToBoundaryDescriptor)
        LOOK_UP(advapi, AddSIDToBoundaryDescriptor);
    HMODULE nci = LoadLibraryExW(L"nci.dll", NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
    LOOK_UP(nci, NciSetConnectionName);
    return TRUE;
}

const struct optional_functions *optional(void)
{
    InitOnceExecuteOnce(&looked_up, look_up, NULL, NULL);
    return &functions;
}

bool process_is_emulated(void)
{
    USHORT process = 0, native = 0;
    if (optional()->IsWow64Process2 && optional()->IsWow64Process2(GetCurrentProcess(), &process, &native)) {
#if defined(__x86_64__)
        return native != IMAGE_FILE_MACHINE_AMD64;
#else
        return process != IMAGE_FILE_MACHINE_UNKNOWN;
#endif
    }
    BOOL wow64 = FALSE;
    return IsWow64Process(GetCurrentProcess(), &wow64) && wow64;
}
