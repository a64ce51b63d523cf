/* What the reference's DLL has not: enumeration, checking, all-or-nothing configuration, drop counters. */
#include "adapter.h"
#include "device.h"
#include "log.h"
#include "name_property.h"
#include "names.h"

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

/* Makes a read configuration one that sets exactly this: what it does not tell is none. */
static void make_restoring(WIREGUARD_INTERFACE *config, DWORD bytes)
{
    wyrm_reader reader;
    const WIREGUARD_PEER *peer;
    config->Flags |= WIREGUARD_INTERFACE_REPLACE_PEERS | WIREGUARD_INTERFACE_HAS_PRIVATE_KEY |
                     WIREGUARD_INTERFACE_HAS_LISTEN_PORT;
    wyrm_read_begin(&reader, config, bytes);
    while ((peer = wyrm_read_peer(&reader)) != NULL) {
        WIREGUARD_PEER *own =
            (WIREGUARD_PEER *)((BYTE *)config + ((const BYTE *)peer - (const BYTE *)config));
        own->Flags |= WIREGUARD_PEER_REPLACE_ALLOWED_IPS;
        own->Reserved = 0;
    }
}

BOOL WINAPI WyrmSetConfigurationAtomically(WIREGUARD_ADAPTER_HANDLE Adapter,
                                           const WIREGUARD_INTERFACE *Config, DWORD Bytes)
{
    DWORD before_bytes = 0;
    if (!WyrmCheckConfiguration(Config, Bytes))
        return FALSE;
    HANDLE device = control_open(Adapter->interface_path, true);
    if (device == INVALID_HANDLE_VALUE)
        return FALSE;
    WIREGUARD_INTERFACE *before = control_get_all(device, &before_bytes);
    bool done = false;
    if (!before) {
        log_failure(GetLastError(), L"Cannot read the adapter's configuration");
    } else if (control_set(device, Config, Bytes)) {
        done = true;
    } else {
        DWORD error = GetLastError();
        make_restoring(before, before_bytes);
        if (control_set(device, before, before_bytes))
            log_failure(error, L"The driver refused the configuration; the one of before is in force again");
        else
            log_failure(
                error,
                L"The driver refused the configuration and also the one of before (code %lu); set the "
                L"adapter's configuration anew",
                GetLastError());
    }
    DWORD error = GetLastError();
    secure_free(before, before_bytes);
    CloseHandle(device);
    SetLastError(error);
    return done;
}

/* The control interface of the driver has no request for them yet. */
BOOL WINAPI WyrmGetDropCounters(WIREGUARD_ADAPTER_HANDLE Adapter, WYRM_DROP_COUNTER *Counters, DWORD *Count)
{
    if (!Count || (!Counters && *Count))
        return log_failure(ERROR_INVALID_PARAMETER, L"There is no buffer for the drop counters");
    return log_failure(ERROR_NOT_SUPPORTED,
                       L"The running driver does not tell its drop counters; install a newer one");
}
