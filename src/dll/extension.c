/* What the reference's DLL has not: enumeration, checking, all-or-nothing configuration. */
#include "adapter.h"
#include "device.h"
#include "log.h"
#include "name_property.h"
#include "names.h"
#include "wyrm/control_extensions.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>

BOOL WINAPI WyrmEnumerateAdapters(WYRM_ENUMERATE_CALLBACK Callback, void *Context)
{
    struct device_list list;
    struct device device;
    bool more = true;
    if (!Callback)
        return log_failure(ERROR_INVALID_PARAMETER, L"There is no function to tell the adapters to");
    if (!device_list_open(&list))
        return FALSE;
    while (more && device_list_next(&list, &device)) {
        WYRM_ADAPTER_INFORMATION information = {.Size = sizeof(information)};
        struct device_status status = device_status(&device);
        GUID iface;
        information.Present = status.present;
        information.Started = status.started;
        information.ProblemCode = status.problem;
        if (!device_identity(&device, &iface, &information.Luid))
            information.Luid.Value = 0;
        guid_from_text(device.instance_id + wcslen(INSTANCE_PREFIX), &information.Guid);
        device_name(&device, information.Name);
        device_description(&device, information.Type);
        more = Callback(&information, Context);
    }
    device_list_close(&list);
    return TRUE;
}

static bool allowed_ip_right(const WIREGUARD_ALLOWED_IP *allowed)
{
    return (allowed->AddressFamily == AF_INET && allowed->Cidr <= 32) ||
           (allowed->AddressFamily == AF_INET6 && allowed->Cidr <= 128);
}

BOOL WINAPI WyrmCheckConfiguration(const WIREGUARD_INTERFACE *Config, DWORD Bytes)
{
    wyrm_reader reader;
    const WIREGUARD_PEER *peer;
    const WIREGUARD_ALLOWED_IP *allowed;
    DWORD number = 0;
    if (!wyrm_read_begin(&reader, Config, Bytes))
        return log_failure(ERROR_INVALID_PARAMETER,
                           L"A configuration of %lu bytes is shorter than its interface", Bytes);
    while ((peer = wyrm_read_peer(&reader)) != NULL) {
        number++;
        if (!(peer->Flags & WIREGUARD_PEER_HAS_PUBLIC_KEY))
            return log_failure(ERROR_INVALID_PARAMETER, L"Peer %lu of the configuration has no public key",
                               number);
        while ((allowed = wyrm_read_allowed_ip(&reader)) != NULL)
            if (!allowed_ip_right(allowed))
                return log_failure(
                    ERROR_INVALID_PARAMETER,
                    L"Peer %lu of the configuration has an allowed IP of family %u with prefix length %u",
                    number, allowed->AddressFamily, allowed->Cidr);
    }
    if (reader.damaged)
        return log_failure(
            ERROR_INVALID_PARAMETER,
            L"A configuration of %lu bytes is shorter than its counts of peers and allowed IPs say", Bytes);
    return TRUE;
}

BOOL WINAPI WyrmSetConfigurationAtomically(WIREGUARD_ADAPTER_HANDLE Adapter,
                                           const WIREGUARD_INTERFACE *Config, DWORD Bytes)
{
    DWORD consumed;
    if (!WyrmCheckConfiguration(Config, Bytes))
        return FALSE;
    HANDLE device = control_open(Adapter->interface_path, true);
    if (device == INVALID_HANDLE_VALUE)
        return FALSE;
    bool done =
        DeviceIoControl(device, WYRM_IOCTL_SET_ATOMIC, NULL, 0, (void *)Config, Bytes, &consumed, NULL);
    DWORD error = done ? ERROR_SUCCESS : GetLastError();
    CloseHandle(device);
    if (driver_knows_not(error))
        return log_failure(ERROR_NOT_SUPPORTED,
                           L"The running driver is too old for this; install a newer one");
    if (!done)
        return log_failure(error, L"The driver refused the configuration of %lu bytes; nothing has changed",
                           Bytes);
    return TRUE;
}
