/* The proxy driver: runs in Wine's winedevice.exe and forwards what a program does with an adapter's device
 * to the raw control socket of nthost, where the real driver runs. */
#pragma once

#include "../lib/proxy_control.h"

#include <nt/io.h>

#define PROXY_TAG 0x78725057u /* "WPrx" */

/* One adapter: a named device and its symbolic link.  Lives until it is removed and its last file is closed;
 * only the dispatch thread touches it (winedevice has one for all IRPs). */
struct proxy_device {
    struct proxy_device *next;
    DEVICE_OBJECT *device;
    ULONG files;
    BOOLEAN removed;
    struct proxy_adapter adapter;
};

/* One open file: a connection of its own, so that closing it ends what is pending, as a process's end does.
 */
struct proxy_file {
    struct proxy_device *owner;
    int socket;
    uint32_t handle; /* of nthost */
    uint64_t next_id;
    KSPIN_LOCK lock;      /* guards `pending` */
    KSPIN_LOCK send_lock; /* one frame at a time */
    LIST_ENTRY pending;   /* struct proxy_request */
    LONG references;      /* the file object's and the reader's */
    volatile LONG broken; /* the host has gone: what comes now fails at once */
};

DRIVER_INITIALIZE DriverEntry;

NTSTATUS proxy_file_open(struct proxy_device *device, struct proxy_file **result);
/* Ends what is pending; the caller does not use the file afterwards. */
void proxy_file_close(struct proxy_file *file);
/* Pends the IRP, or fails it: the caller completes it unless the result is STATUS_PENDING. */
NTSTATUS proxy_file_control(struct proxy_file *file, IRP *irp);
