/* Device nodes of ours, through SetupAPI: finding them, what they say about themselves, waiting until one
 * works, removing.  Callers that change something hold the machine lock.  Functions that fail set the last
 * error; those that say so log. */
#pragma once

#include "wyrm/wireguard.h"

/* Needs windows.h before it. */
#include <setupapi.h>

#include <stdbool.h>

enum { INSTANCE_ID_UNITS = 200 };

struct device_list {
    HDEVINFO set;
    DWORD next;
};

struct device {
    HDEVINFO set;
    SP_DEVINFO_DATA data;
    wchar_t instance_id[INSTANCE_ID_UNITS];
};

/* What the system says about a device. */
struct device_status {
    bool present; /* the node exists; false: a phantom */
    bool started;
    ULONG problem; /* CM_PROB_*; 0: none */
};

/* All devices of ours, present or not.  The list must be closed; a device lives as long as its list. */
bool device_list_open(struct device_list *list);
bool device_list_next(struct device_list *list, struct device *device);
void device_list_close(struct device_list *list);

/* Finds the device of an instance ID; the caller closes device->set with SetupDiDestroyDeviceInfoList. */
bool device_find(struct device *device, const wchar_t *instance_id);

struct device_status device_status(const struct device *device);
/* The words of Windows' device manager for a problem code, and what to do. */
const wchar_t *device_problem_text(ULONG problem);
/* The Win32 error that stands for a problem code. */
DWORD device_problem_error(ULONG problem);

/* The connection's name as the creator set it; false: it has none. */
bool device_name(const struct device *device, wchar_t name[WIREGUARD_MAX_ADAPTER_NAME]);
bool device_description(const struct device *device, wchar_t text[WIREGUARD_MAX_ADAPTER_NAME]);
bool device_identity(const struct device *device, GUID *guid, NET_LUID *luid);

/* The path of the device's enabled network interface; NULL: none.  free() it. */
wchar_t *device_interface_path(const wchar_t *instance_id);
/* Waits at most `wait_ms` for the interface.  Ends at once, with its reason logged, when the device reports a
 * problem.  NULL with the last error `timeout_error` when the time is over.  Logs. */
wchar_t *device_wait_for_interface(const wchar_t *instance_id, DWORD wait_ms, DWORD timeout_error);

/* Removes the node and what the system remembers of it; one that is gone is a success.  Logs. */
bool device_remove(struct device *device);
/* Enables or disables the device.  Logs. */
bool device_enable(struct device *device, bool enable);
