/* Software devices, which MinGW's headers lack (Microsoft, "SwDeviceCreate function", "SW_DEVICE_CREATE_INFO
 * structure", "SW_DEVICE_CREATE_CALLBACK callback function", "DEVPROPERTY structure"). */
#pragma once

#define WIN32_LEAN_AND_MEAN
#include <windows.h>
/* Needs the types of windows.h. */
#include <devpropdef.h>

typedef struct sw_device *HSWDEVICE;

typedef enum {
    SWDeviceCapabilitiesNone = 0,
    SWDeviceCapabilitiesRemovable = 1,
    SWDeviceCapabilitiesSilentInstall = 2,
    SWDeviceCapabilitiesNoDisplayInUI = 4,
    SWDeviceCapabilitiesDriverRequired = 8,
} SW_DEVICE_CAPABILITIES;

typedef struct {
    ULONG cbSize;
    PCWSTR pszInstanceId;
    PCWSTR pszzHardwareIds;
    PCWSTR pszzCompatibleIds;
    const GUID *pContainerId;
    ULONG CapabilityFlags;
    PCWSTR pszDeviceDescription;
    PCWSTR pszDeviceLocation;
    const SECURITY_DESCRIPTOR *pSecurityDescriptor;
} SW_DEVICE_CREATE_INFO;

typedef struct {
    DEVPROPKEY Key;
    ULONG Store; /* DEVPROPSTORE: 0 system, 1 user */
    PCWSTR LocaleName;
} SW_PROPERTY_KEY; /* DEVPROPCOMPKEY */

typedef struct {
    SW_PROPERTY_KEY CompKey;
    DEVPROPTYPE Type;
    ULONG BufferSize;
    PVOID Buffer;
} SW_PROPERTY; /* DEVPROPERTY */

typedef void(WINAPI *SW_DEVICE_CREATE_CALLBACK)(HSWDEVICE device, HRESULT result, void *context,
                                                PCWSTR instance);

HRESULT WINAPI SwDeviceCreate(PCWSTR enumerator, PCWSTR parent, const SW_DEVICE_CREATE_INFO *info,
                              ULONG count, const SW_PROPERTY *properties, SW_DEVICE_CREATE_CALLBACK callback,
                              void *context, HSWDEVICE *device);
void WINAPI SwDeviceClose(HSWDEVICE device);
