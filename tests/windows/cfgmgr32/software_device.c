/* SwDeviceCreate and SwDeviceClose. */
#include "stand_in.h"

#include "../lib/linux_socket.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

/* MinGW's setupapi.h has only the function that reads. */
WINSETUPAPI BOOL WINAPI SetupDiSetDevicePropertyW(HDEVINFO set, SP_DEVINFO_DATA *data, const DEVPROPKEY *key,
                                                  DEVPROPTYPE type, const BYTE *bytes, DWORD count,
                                                  DWORD flags);

struct sw_device {
    int connection; /* its end is the device's end, also when the process dies */
    bool has_interface;
    wchar_t instance[INSTANCE_UNITS];
};

struct answer {
    struct sw_device *device;
    SW_DEVICE_CREATE_CALLBACK callback;
    void *context;
    HRESULT result;
    wchar_t instance[INSTANCE_UNITS];
};

static DWORD WINAPI call_back(void *context)
{
    struct answer *answer = context;

    answer->callback(answer->device, answer->result, answer->context, answer->instance);
    free(answer);
    return 0;
}

static bool valid(const SW_DEVICE_CREATE_INFO *info)
{
    return info && info->cbSize == sizeof(*info) && info->pszInstanceId && *info->pszInstanceId &&
           !wcschr(info->pszInstanceId, L'\\') && !wcschr(info->pszInstanceId, L'/');
}

static DWORD multi_string_bytes(const wchar_t *text)
{
    size_t units = 0;

    while (text[units]) {
        units += wcslen(text + units) + 1;
    }
    return (DWORD)((units + 1) * sizeof(wchar_t));
}

static DWORD write_properties(struct device *device, const SW_DEVICE_CREATE_INFO *info, ULONG count,
                              const SW_PROPERTY *properties)
{
    if (info->pszzHardwareIds && *info->pszzHardwareIds) {
        SetupDiSetDeviceRegistryPropertyW(device->set, &device->data, SPDRP_HARDWAREID,
                                          (const BYTE *)info->pszzHardwareIds,
                                          multi_string_bytes(info->pszzHardwareIds));
    }
    if (info->pszDeviceDescription) {
        SetupDiSetDeviceRegistryPropertyW(device->set, &device->data, SPDRP_DEVICEDESC,
                                          (const BYTE *)info->pszDeviceDescription,
                                          (DWORD)(wcslen(info->pszDeviceDescription) + 1) * sizeof(wchar_t));
    }
    for (ULONG i = 0; i < count; i++) {
        if (!SetupDiSetDevicePropertyW(device->set, &device->data, &properties[i].CompKey.Key,
                                       properties[i].Type, properties[i].Buffer, properties[i].BufferSize,
                                       0)) {
            return GetLastError();
        }
    }
    return 0;
}

/* Starts the adapter and enables its interface, as PnP would after installing the driver; ERROR_* or 0. */
static DWORD start(struct sw_device *software, struct device *device)
{
    char line[REPLY_BYTES], reply[REPLY_BYTES], socket[REPLY_BYTES];
    ULONG index = 0, problem = 0;
    DWORD error;

    if (fault(L"problem", &problem)) {
        snprintf(line, sizeof(line), "problem %lx %ls\n", problem, software->instance);
    } else {
        snprintf(line, sizeof(line), "create %ls\n", software->instance);
    }
    if (!host_ask(software->connection, line, reply)) {
        return ERROR_GEN_FAILURE;
    }
    if (problem) {
        return 0;
    }
    if (sscanf(reply, "started %255s %lu", socket, &index) != 2) {
        return strcmp(reply, "exists") == 0 ? ERROR_ALREADY_EXISTS : ERROR_GEN_FAILURE;
    }
    error = device_write_driver_key(device, software->instance, index);
    if (!error && !fault(L"nointerface", NULL)) {
        error = device_enable_interface(device, software->instance, socket);
        software->has_interface = !error;
    }
    return error;
}

static DWORD make(struct sw_device *software, const SW_DEVICE_CREATE_INFO *info, ULONG count,
                  const SW_PROPERTY *properties)
{
    bool driver = info->pszzHardwareIds && *info->pszzHardwareIds;
    struct device device;
    char reply[REPLY_BYTES];
    DWORD error;

    if (!host_query(software->instance, reply)) {
        return ERROR_GEN_FAILURE;
    }
    if (strcmp(reply, "gone") != 0) {
        return ERROR_ALREADY_EXISTS;
    }
    software->connection = host_connect();
    error = device_open(&device, software->instance, true);
    if (error) {
        return error;
    }
    error = write_properties(&device, info, count, properties);
    if (!error && driver) {
        error = start(software, &device);
    }
    device_release(&device);
    return error;
}

HRESULT WINAPI SwDeviceCreate(PCWSTR enumerator, PCWSTR parent, const SW_DEVICE_CREATE_INFO *info,
                              ULONG count, const SW_PROPERTY *properties, SW_DEVICE_CREATE_CALLBACK callback,
                              void *context, HSWDEVICE *result)
{
    struct sw_device *software;
    struct answer *answer;
    HANDLE thread;
    ULONG number;
    DWORD error;

    if (!enumerator || !*enumerator || !parent || !valid(info) || !callback || !result ||
        (count && !properties)) {
        return E_INVALIDARG;
    }
    if (fault(L"create", &number)) {
        return (HRESULT)number;
    }
    software = calloc(1, sizeof(*software));
    answer = calloc(1, sizeof(*answer));
    if (!software || !answer) {
        free(software);
        free(answer);
        return E_OUTOFMEMORY;
    }
    software->connection = -1;
    swprintf(software->instance, INSTANCE_UNITS, L"SWD\\%ls\\%ls", enumerator, info->pszInstanceId);
    error = make(software, info, count, properties);
    *answer = (struct answer){software, callback, context, HRESULT_FROM_WIN32(error), L""};
    wcscpy(answer->instance, software->instance);
    if (fault(L"result", &number)) {
        answer->result = (HRESULT)number;
    }
    *result = software;
    if (fault(L"silent", NULL)) {
        free(answer);
        return S_OK;
    }
    thread = CreateThread(NULL, 0, call_back, answer, 0, NULL);
    if (thread) {
        CloseHandle(thread);
    }
    return S_OK;
}

void WINAPI SwDeviceClose(HSWDEVICE software)
{
    char reply[REPLY_BYTES];

    if (!software) {
        return;
    }
    if (software->connection >= 0) {
        if (software->has_interface) {
            device_disable_interface(software->instance);
        }
        host_ask(software->connection, "close\n", reply); /* returns when the adapter has ended */
        linux_close(software->connection);
    }
    free(software);
}
