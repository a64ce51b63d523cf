/* The four requests of the control interface (wyrm/control.h), and the exports that are little more. */
#include "wyrm/control.h"
#include "adapter.h"
#include "log.h"

#include <stdlib.h>

HANDLE control_open(const wchar_t *interface_path, bool log)
{
    HANDLE device =
        CreateFileW(interface_path, GENERIC_READ | GENERIC_WRITE,
                    FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL, OPEN_EXISTING, 0, NULL);
    if (device == INVALID_HANDLE_VALUE && log)
        log_failure(GetLastError(),
                    L"Cannot open the adapter's device %s; is the adapter still there, and are you an "
                    L"elevated administrator?",
                    interface_path);
    return device;
}

static void close_keeping_error(HANDLE device)
{
    DWORD error = GetLastError();
    CloseHandle(device);
    SetLastError(error);
}

void secure_free(void *memory, size_t bytes)
{
    DWORD error = GetLastError();
    volatile BYTE *byte = memory;
    while (memory && bytes--)
        *byte++ = 0;
    free(memory);
    SetLastError(error);
}

WIREGUARD_INTERFACE *control_get_all(HANDLE device, DWORD *bytes)
{
    /* Peers may be added between the two requests: hence the rounds. */
    DWORD size = 4096;
    for (int i = 0; i < 100; i++) {
        WIREGUARD_INTERFACE *config = calloc(1, size);
        DWORD needed = 0;
        if (!config) {
            SetLastError(ERROR_NOT_ENOUGH_MEMORY);
            return NULL;
        }
        if (DeviceIoControl(device, WYRM_IOCTL_GET, NULL, 0, config, size, &needed, NULL)) {
            *bytes = needed;
            return config;
        }
        secure_free(config, size);
        if (GetLastError() != ERROR_MORE_DATA)
            return NULL;
        size = needed > size ? needed : size * 2;
    }
    return NULL;
}

bool control_set(HANDLE device, const WIREGUARD_INTERFACE *config, DWORD bytes)
{
    DWORD consumed;
    return DeviceIoControl(device, WYRM_IOCTL_SET, NULL, 0, (void *)config, bytes, &consumed, NULL);
}

bool control_set_state(HANDLE device, DWORD state)
{
    DWORD returned;
    return DeviceIoControl(device, WYRM_IOCTL_STATE, &state, sizeof(state), NULL, 0, &returned, NULL);
}

bool control_get_state(HANDLE device, DWORD *state)
{
    DWORD returned, verb = WYRM_ADAPTER_QUERY;
    return DeviceIoControl(device, WYRM_IOCTL_STATE, &verb, sizeof(verb), state, sizeof(*state), &returned,
                           NULL);
}

VOID WINAPI WireGuardGetAdapterLUID(WIREGUARD_ADAPTER_HANDLE Adapter, NET_LUID *Luid)
{
    *Luid = Adapter->luid;
}

BOOL WINAPI WireGuardSetAdapterState(WIREGUARD_ADAPTER_HANDLE Adapter, WIREGUARD_ADAPTER_STATE State)
{
    if (State != WIREGUARD_ADAPTER_STATE_DOWN && State != WIREGUARD_ADAPTER_STATE_UP)
        return log_failure(ERROR_INVALID_PARAMETER, L"%d is no state of an adapter: 0 is down, 1 is up",
                           (int)State);
    HANDLE device = control_open(Adapter->interface_path, true);
    if (device == INVALID_HANDLE_VALUE)
        return FALSE;
    bool done = control_set_state(device, (DWORD)State);
    if (!done)
        log_failure(GetLastError(),
                    State == WIREGUARD_ADAPTER_STATE_UP
                        ? L"Cannot bring the adapter up; another program may have its listen port"
                        : L"Cannot bring the adapter down");
    close_keeping_error(device);
    return done;
}

BOOL WINAPI WireGuardGetAdapterState(WIREGUARD_ADAPTER_HANDLE Adapter, WIREGUARD_ADAPTER_STATE *State)
{
    DWORD state = 0;
    if (!State)
        return log_failure(ERROR_INVALID_PARAMETER, L"There is no variable for the adapter's state");
    HANDLE device = control_open(Adapter->interface_path, true);
    if (device == INVALID_HANDLE_VALUE)
        return FALSE;
    bool done = control_get_state(device, &state);
    if (done)
        *State = (WIREGUARD_ADAPTER_STATE)state;
    else
        log_failure(GetLastError(), L"Cannot read the adapter's state");
    close_keeping_error(device);
    return done;
}

BOOL WINAPI WireGuardSetConfiguration(WIREGUARD_ADAPTER_HANDLE Adapter, const WIREGUARD_INTERFACE *Config,
                                      DWORD Bytes)
{
    HANDLE device = control_open(Adapter->interface_path, true);
    if (device == INVALID_HANDLE_VALUE)
        return FALSE;
    bool done = control_set(device, Config, Bytes);
    if (!done)
        log_failure(GetLastError(),
                    L"The driver refused the configuration of %lu bytes; what stands before the refused "
                    L"part is applied",
                    Bytes);
    close_keeping_error(device);
    return done;
}

BOOL WINAPI WireGuardGetConfiguration(WIREGUARD_ADAPTER_HANDLE Adapter, WIREGUARD_INTERFACE *Config,
                                      DWORD *Bytes)
{
    if (!Bytes || (!Config && *Bytes))
        return log_failure(ERROR_INVALID_PARAMETER, L"There is no buffer for the adapter's configuration");
    HANDLE device = control_open(Adapter->interface_path, true);
    if (device == INVALID_HANDLE_VALUE)
        return FALSE;
    bool done = DeviceIoControl(device, WYRM_IOCTL_GET, NULL, 0, Config, *Bytes, Bytes, NULL);
    if (!done && GetLastError() != ERROR_MORE_DATA)
        log_failure(GetLastError(), L"Cannot read the adapter's configuration");
    close_keeping_error(device);
    return done;
}
