/* A handle: an adapter as this process sees it.  Immutable but for what the log follower keeps. */
#pragma once

#include "lock.h"
#include "optional.h"
#include "wyrm/wireguard.h"

#include <stdbool.h>

enum { DEVICE_START_MS = 15000 };

struct follower;

struct _WIREGUARD_ADAPTER {
    HSWDEVICE software_device; /* owned: closing it removes the device; NULL: opened only */
    wchar_t *instance_id;
    wchar_t *interface_path;
    GUID guid;
    NET_LUID luid;
    SRWLOCK follow_lock;
    struct follower *follower; /* under follow_lock; NULL: off */
};

/* An empty handle, and the machine lock, which the caller gives back.  NULL: neither; logged, last error is
 * set. */
WIREGUARD_ADAPTER_HANDLE adapter_new(struct machine_lock *lock);
/* Fills path, GUID and LUID in from a device that works.  Logs. */
bool adapter_read_identity(WIREGUARD_ADAPTER_HANDLE adapter, const wchar_t *instance_id,
                           wchar_t *interface_path);
void adapter_free(WIREGUARD_ADAPTER_HANDLE adapter);

/* Opens the control device.  INVALID_HANDLE_VALUE: last error is set and logged if `log`. */
HANDLE control_open(const wchar_t *interface_path, bool log);
/* GET of a whole configuration, whatever its size; NULL: last error.  secure_free it. */
WIREGUARD_INTERFACE *control_get_all(HANDLE device, DWORD *bytes);
bool control_set(HANDLE device, const WIREGUARD_INTERFACE *config, DWORD bytes);
bool control_set_state(HANDLE device, DWORD state);
bool control_get_state(HANDLE device, DWORD *state);
/* Whether a request's error says that the driver, older than the DLL, does not know it. */
static inline bool driver_knows_not(DWORD error)
{
    return error == ERROR_INVALID_FUNCTION || error == ERROR_NOT_SUPPORTED;
}
/* Wipes, then frees. */
void secure_free(void *memory, size_t bytes);

/* Removes what dead processes left behind, on a thread of its own, at most one at a time. */
void orphans_remove_later(void);
/* The same at once; the caller holds the machine lock. */
void orphans_remove(void);

/* Ends following and waits for its thread.  Nothing when it is off. */
void follow_stop(WIREGUARD_ADAPTER_HANDLE adapter);
