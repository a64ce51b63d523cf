/* System functions that are looked up when they are first needed: Windows 10 has them all, other systems that
 * run Windows programs may lack some.  A missing one is a logged failure of the function that needs it, never
 * a crash while loading.
 *
 * The declarations are those of swdevice.h, swdevicedef.h and namespaceapi.h (Microsoft, "SwDeviceCreate
 * function", "CreatePrivateNamespaceW function"), which MinGW's headers have not. */
#pragma once

#include "wyrm/wireguard.h"

/* Needs windows.h before it. */
#include <devpropdef.h>

#include <stdbool.h>

typedef struct software_device *HSWDEVICE;

enum {
    SW_DEVICE_SILENT_INSTALL = 0x2,
    SW_DEVICE_DRIVER_REQUIRED = 0x8,
};

struct software_device_info {
    ULONG size;
    const wchar_t *instance_id;
    const wchar_t *hardware_ids;   /* strings with a zero behind each and one more */
    const wchar_t *compatible_ids; /* likewise; NULL: none */
    const GUID *container_id;
    ULONG capabilities; /* SW_DEVICE_* */
    const wchar_t *description;
    const wchar_t *location;
    const void *security_descriptor;
};

struct device_property_key {
    GUID format;
    ULONG id;
};

struct device_property {
    struct device_property_key key;
    ULONG store; /* 0: of the system */
    const wchar_t *locale;
    ULONG type;
    ULONG bytes;
    void *data;
};

typedef void(WINAPI *software_device_created)(HSWDEVICE device, HRESULT result, void *context,
                                              const wchar_t *instance_id);

struct optional_functions {
    /* cfgmgr32.dll */
    HRESULT(WINAPI *SwDeviceCreate)
    (const wchar_t *enumerator, const wchar_t *parent, const struct software_device_info *info,
     ULONG properties_count, const struct device_property *properties, software_device_created callback,
     void *context, HSWDEVICE *device);
    void(WINAPI *SwDeviceClose)(HSWDEVICE device);
    DWORD(WINAPI *CM_Get_DevNode_Status)(ULONG *status, ULONG *problem, DWORD device, ULONG flags);
    DWORD(WINAPI *CM_MapCrToWin32Err)(DWORD code, DWORD fallback);
    /* kernel32.dll */
    HANDLE(WINAPI *CreateBoundaryDescriptorW)(const wchar_t *name, ULONG flags);
    void(WINAPI *DeleteBoundaryDescriptor)(HANDLE descriptor);
    BOOL(WINAPI *AddSIDToBoundaryDescriptor)(HANDLE *descriptor, void *sid);
    HANDLE(WINAPI *CreatePrivateNamespaceW)(SECURITY_ATTRIBUTES *attributes, void *descriptor,
                                            const wchar_t *prefix);
    HANDLE(WINAPI *OpenPrivateNamespaceW)(void *descriptor, const wchar_t *prefix);
    BOOLEAN(WINAPI *ClosePrivateNamespace)(HANDLE namespace, ULONG flags);
    BOOL(WINAPI *IsWow64Process2)(HANDLE process, USHORT *process_machine, USHORT *native_machine);
    /* nci.dll */
    DWORD(WINAPI *NciSetConnectionName)(const GUID *guid, const wchar_t *name);
};

/* Looks everything up once; the fields of what is missing are NULL. */
const struct optional_functions *optional(void);

/* The process runs emulated: its processor is not the machine's.  SetupAPI refuses such processes. */
bool process_is_emulated(void);
