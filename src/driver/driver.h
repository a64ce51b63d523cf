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

/* Random bytes from the system's generator; a failure is a bug check, as keys depend on it.  PASSIVE_LEVEL,
 * as the generator demands (Microsoft: "BCryptGenRandom", BCRYPT_USE_SYSTEM_PREFERRED_RNG). */
void random_bytes(void *buffer, uint32_t bytes);
/* DriverEntry, before random_jitter.  PASSIVE_LEVEL. */
void random_initialize(void);
/* 32 bits for the jitter of timers, not predictable from outside; never for keys, indexes or nonces.  Any
 * IRQL. */
uint32_t random_jitter(void);
