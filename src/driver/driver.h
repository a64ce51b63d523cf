/* Driver-wide state: what exists once, from DriverEntry to unload. */
#pragma once

#include "adapter.h"
#include "nt/io.h"
#include "nt/ndis.h"
#include "nt/wsk.h"

struct driver {
    NDIS_HANDLE ndis;      /* from NdisMRegisterMiniportDriver */
    uint32_t ndis_version; /* NdisGetVersion: major << 16 | minor */
    DRIVER_OBJECT *object;
    uint32_t cpus;       /* maximum processor count: bounds of per-CPU tables */
    LIST_ENTRY adapters; /* adapter.link, under `adapters_lock`; read in an epoch */
    KSPIN_LOCK adapters_lock;
};
extern struct driver driver;

/* Random bytes from the system's generator; a failure is a bug check, as keys depend on it.  IRQL <=
 * DISPATCH_LEVEL. */
void random_bytes(void *buffer, uint32_t bytes);
